"""What one training step says about itself."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Progress:
    """A step that was made; `val_loss` and `sample` only where the model was evaluated after it."""

    step: int  # how many have been made
    loss: float  # on the batch of this step, before it
    learning_rate: float
    grad_norm: float  # before clipping
    tokens_per_second: float
    val_loss: float | None = None
    sample: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)  # what a task has to say beside its loss
    tokens: int = 0  # of its batch

    def to_json(self):
        """One line of metrics.jsonl: every number there is."""
        values = asdict(self)
        del values["sample"], values["tokens"]
        values |= values.pop("metrics")
        return json.dumps({name: value for name, value in values.items() if value is not None})


def read_metrics(path):
    """The objects of a metrics.jsonl, in order; what is none, as a line that a kill cut short, is left out."""
    found = []
    with suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                    found.append(entry)
    return found
