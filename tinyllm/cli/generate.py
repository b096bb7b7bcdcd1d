"""`tinyllm generate`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..training.config import SAMPLING
from .switch import Switch


def generate(
    run: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    prompt: str | None = None,
    template: str | None = None,
    slot: Annotated[tuple[str, ...], Parameter(consume_multiple=1, negative_iterable="")] = (),
    shots: Path | None = None,
    max_new_tokens: int = 500,
    temperature: float = SAMPLING["temperature"],
    top_k: int = SAMPLING["top_k"],
    top_p: float = SAMPLING["top_p"],
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    stop: Annotated[tuple[str, ...], Parameter(consume_multiple=1, negative_iterable="")] = (),
    seed: int = 0,
    num_samples: int = 1,
    num_beams: int = 1,
    explain: Switch = False,
    best: Switch = False,
    backend: str = "numpy",
    precision: str = "fp32",
):
    """Let a trained model continue a text.

    Parameters
    ----------
    run
        Folder of a run, as `tinyllm train` leaves it.
    prompt
        Text to continue; by default an empty line, or the first character the model knows.
    template
        In place of --prompt: few-shot, chain-of-thought, or a text file with slots. It ends where a next example would
        begin.
    slot
        What takes the place of a slot of the template, as question='Who is there?'; may be given several times.
    shots
        JSON or JSONL file of examples to show first: objects with a text for each slot.
    max_new_tokens
        How many tokens to add.
    temperature
        Below 1 likely tokens gain, above 1 unlikely ones; 0 always takes the likeliest.
    top_k
        Draw from the k likeliest tokens only; as many as the vocabulary has is no limit.
    top_p
        Draw from the fewest tokens that have this probability together; 1 is no limit.
    min_p
        Draw from the tokens that are at least so many times as likely as the likeliest; 0 is no limit.
    repetition_penalty
        Above 1, tokens that are there already become less likely; 1 changes nothing.
    stop
        End before this text, which is not printed; may be given several times.
    seed
        The same seed gives the same text.
    num_samples
        How many texts to write, drawn apart.
    num_beams
        Above 1, search for the likeliest text with so many beams; nothing is drawn, so the flags for that say nothing.
    explain
        For each token, the likeliest candidates, their probabilities before and after each rule, and what was cut.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    backend
        Where to compute: numpy (CPU) or cupy (NVIDIA GPU).
    precision
        Arithmetic of a GPU: fp32; tf32 rounds what goes into products; bf16 rounds weights and activations.
    """
    from ..generation import Rules, beam_search, whole_text
    from .computing import computing
    from .writing import default_prompt, end_of_text, show, write

    rules = Rules(repetition_penalty, temperature, top_k, top_p, min_p or None)
    if num_samples < 1 or num_beams < 1:
        raise ValueError(f"--num-samples and --num-beams must be 1 or more, not {min(num_samples, num_beams)}")
    if num_beams > 1 and (num_samples > 1 or explain or stop):
        raise ValueError("--num-beams searches for one text; leave --num-samples, --explain and --stop out")
    if explain and num_samples > 1:
        raise ValueError("--explain explains one text; leave --num-samples out")
    with computing(run, best, backend, precision) as (model, tokenizer):
        if template or slot or shots:
            prompt, stop = _prompt(template, prompt, slot, shots, stop)
        prompt = default_prompt(tokenizer) if prompt is None else prompt
        ids = tokenizer.encode(prompt)
        if num_beams > 1:
            options = {"repetition_penalty": repetition_penalty, "eos_token_id": end_of_text(model)}
            (_, found), *_ = beam_search(model, ids, max_new_tokens, num_beams, **options)
            show(whole_text(tokenizer, found) + "\n")
            return
        write(model, tokenizer, prompt, ids, max_new_tokens, rules, seed, num_samples, stop, explain)


def _prompt(template, prompt, slot, shots, stop):
    """The prompt that a template makes, and the texts to stop before."""
    from ..data.rows import read_rows
    from ..generation.prompt_template import prompt_template

    if template is None or prompt is not None:
        raise ValueError("--slot and --shots fill a --template, which takes the place of --prompt; give --template")
    made = prompt_template(template)
    filled = dict(text.partition("=")[::2] for text in slot)
    if strangers := set(filled) - set(made.slots):
        raise ValueError(f"--slot {min(strangers)}: template {template} asks with {', '.join(made.slots)}; write "
                         "--slot NAME=TEXT")
    rows = read_rows(shots) if shots else []
    return made.prompt(filled, [row for row, _ in rows]), (*stop, made.stop) if made.stop else stop
