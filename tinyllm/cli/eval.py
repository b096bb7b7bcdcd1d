"""`tinyllm eval`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .switch import Switch


def eval_(
    run: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    data: Annotated[tuple[str, ...], Parameter(consume_multiple=1, negative_iterable="")] = (),
    stride: int | None = None,
    task: str | None = None,
    template: str | None = None,
    shots: int = 3,
    max_new_tokens: int = 64,
    limit: int | None = None,
    best: Switch = False,
    backend: str = "numpy",
    precision: str = "fp32",
    json: Switch = False,
):
    """Measure a trained model: on a text its loss, perplexity, bits a token and a byte; or its answers to questions.

    Parameters
    ----------
    run
        Folder of a run, or of Hugging Face's GPT-2, or the name of a model that was downloaded.
    data
        Text to measure on, all of it, as for `tinyllm train`; by default the validation part of the text of the run.
        For a task, its file of questions.
    stride
        Tokens from one window to the next; by default as many as the model looks back, fewer give each token more to
        look back on.
    task
        hellaswag or lambada: questions, one JSON object a line, as those are published.
    template
        few-shot, chain-of-thought, or a text file with slots; --data is a JSON or JSONL file with a text for each slot.
    shots
        With --template, how many rows are shown as examples: the first ones. The others are asked.
    max_new_tokens
        With --template, the longest answer, in tokens.
    limit
        How many questions to ask; by default all.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    backend
        Where to compute: numpy (CPU) or cupy (NVIDIA GPU).
    precision
        Arithmetic of a GPU: fp32; tf32 rounds what goes into products; bf16 rounds weights and activations.
    json
        Print one JSON object and nothing else.
    """
    import json as json_

    from ..evaluation import TASKS
    from .computing import computing
    from .summary import print_table

    if task is None and template is None and limit is not None:
        raise ValueError("--limit is for a --task or a --template; a text is measured whole")
    if template is not None and (task is not None or stride is not None or len(data) != 1 or shots < 0):
        raise ValueError("--template asks the questions of one file: give it with --data, leave --task and --stride "
                         "out, and let --shots be 0 or more")
    if task is not None and task not in TASKS:
        raise ValueError(f"there is no task {task!r}; choose one of {', '.join(TASKS)}")
    if task is not None and (stride is not None or not data):
        raise ValueError(f"--task {task} asks the questions of a file: give it with --data, and leave --stride out")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit must be 1 or more, not {limit}")
    with computing(run, best, backend, precision) as (model, tokenizer):
        if template:
            result, rows = _prompt(model, tokenizer, template, data[0], shots, max_new_tokens, limit, quiet=json)
        elif task:
            result, rows = _ask(model, tokenizer, task, data, limit, quiet=json)
        else:
            result, rows = _read(model, tokenizer, run, data, stride, quiet=json)
    if json:
        print(json_.dumps({"model": str(run), **result}))
    else:
        print_table(rows)


def _read(model, tokenizer, run, data, stride, quiet):
    """What is found on a text, for JSON and for people."""
    from ..evaluation import score_text
    from .corpus import ids_of

    if data:
        what, ids = f"{', '.join(data)}, all of it", ids_of(data, tokenizer, quiet)
    else:
        what, ids = _validation_part(run, model.block_size, whole_windows=stride is None, quiet=quiet)
    stride = model.block_size if stride is None else stride
    with _Counter("windows", quiet) as counter:
        score = score_text(model, ids, stride, counter)
    n_bytes = len(_bytes(tokenizer, ids[1:]))  # the first token is not scored
    protocol = (f"windows of {model.block_size} tokens, stride {stride}; each token but the first is scored once, "
                "bytes are those of the text behind the first token in UTF-8")  # fmt: skip
    result = {
        "text": what, "tokens": score.tokens, "bytes": n_bytes, "loss": score.loss, "perplexity": score.perplexity,
        "bits_per_token": score.bits_per_token, "bits_per_byte": score.bits_per_byte(n_bytes),
        "block_size": model.block_size, "stride": stride, "windows": score.windows, "protocol": protocol,
    }  # fmt: skip
    return result, {
        "text": what,
        "tokens": f"{score.tokens:,}",
        "loss": f"{score.loss:.4f} nats a token",
        "perplexity": f"{score.perplexity:.3f}",
        "bits": f"{score.bits_per_token:.3f} a token, {result['bits_per_byte']:.3f} a byte",
        "protocol": protocol,
    }


def _validation_part(run, block_size, whole_windows, quiet):
    """The ids that the training of a run keeps to itself; in whole windows, as there, they give its validation loss."""
    from ..training.run import CONFIG, read_config
    from .corpus import load_corpus

    if not (run / CONFIG).is_file():
        raise FileNotFoundError(f"{run / CONFIG}: no such file, so nothing says what text the model was trained on; "
                                "give one to measure on with --data")
    config = read_config(run)
    ids = load_corpus(config, quiet, run).val_ids
    if whole_windows:
        ids = ids[: (len(ids) - 1) // block_size * block_size + 1]
    return f"{', '.join(config.data) or 'the manual of this Python'}, its validation part", ids


def _bytes(tokenizer, ids):
    """What ids stand for, in UTF-8; a token may be a part of a character."""
    return tokenizer.decode_bytes(ids) if hasattr(tokenizer, "decode_bytes") else tokenizer.decode(ids).encode()


def _ask(model, tokenizer, task, paths, limit, quiet):
    """What is found with the questions of a task, for JSON and for people."""
    from ..evaluation import TASKS, read_questions, score_choices

    questions, scores = read_questions(task, paths, limit), []
    with _Counter("questions", quiet) as counter:
        for question in questions:
            scores.append(score_choices(model, tokenizer, question))
            counter(len(scores), len(questions))
    found = TASKS[task].score(questions, scores)
    protocol = TASKS[task].protocol
    rows = {"task": task, "questions": f"{len(questions):,}"}
    for name, value in found.items():
        if not name.endswith("_stderr"):
            error = found.get(f"{name}_stderr")
            rows[name] = f"{value:.4f}" + (f" ± {error:.4f}" if error is not None else "")
    return {"task": task, "questions": len(questions), **found, "data": list(paths), "protocol": protocol}, {
        **rows, "protocol": protocol}  # fmt: skip


def _prompt(model, tokenizer, name, path, shots, max_new_tokens, limit, quiet):
    """What is found with questions that are put through a template, for JSON and for people."""
    from ..data.rows import read_rows
    from ..evaluation import answers_right
    from ..generation.prompt_template import prompt_template

    template, rows, right = prompt_template(name), read_rows(path), []
    if len(rows) <= shots:
        raise ValueError(f"{path} has {len(rows)} rows; --shots {shots} shows them all, and leaves none to ask")
    for row, place in rows:  # before the first of them is answered
        try:
            template.prompt(row)
            template.expected(row)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    shown, asked = [row for row, _ in rows[:shots]], rows[shots:][:limit]
    with _Counter("questions", quiet) as counter:
        for row, place in asked:
            try:
                found, prompt, said = answers_right(model, tokenizer, template, row, shown, max_new_tokens)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
            right.append(found)
            counter(len(right), len(asked))
    accuracy = sum(right) / len(right)
    protocol = f"{shots} examples before each question; the likeliest tokens, compared with the text of the last slot"
    result = {"template": name, "questions": len(right), "shots": shots, "accuracy": accuracy, "data": [path],
              "protocol": protocol}  # fmt: skip
    return result, {"template": name, "questions": f"{len(right):,}", "accuracy": f"{accuracy:.4f}",
                    "the last": f"{prompt.rpartition(chr(10) * 2)[2]}{said}", "protocol": protocol}  # fmt: skip


class _Counter:
    """How far it is, on standard error where that is a terminal."""

    def __init__(self, what, quiet):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        console = Console(stderr=True)
        columns = what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
        self.task = self.bar.add_task("")

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.stop()

    def __call__(self, done, of):
        self.bar.update(self.task, completed=done, total=of)
