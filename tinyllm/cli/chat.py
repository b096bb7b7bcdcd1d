"""`tinyllm chat`"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..training.config import SAMPLING
from .switch import Switch

USER, ASSISTANT = "User:", "Assistant:"


def chat(
    run: Annotated[Path, Parameter(name="RUN")],
    /,
    *,
    max_new_tokens: int = 200,
    temperature: float = SAMPLING["temperature"],
    top_k: int = SAMPLING["top_k"],
    top_p: float = SAMPLING["top_p"],
    seed: int = 0,
    best: Switch = False,
    backend: str = "numpy",
    precision: str = "fp32",
):
    """Talk with a model that `tinyllm finetune` taught to answer; with any other, too.

    The conversation is written with the template that the model was tuned with. A model without one continues a
    transcript of lines that begin with User: and Assistant:, as it continues any text. Ctrl-C ends an answer, Ctrl-D
    (or the end of the input) the conversation.

    Parameters
    ----------
    run
        Folder of a run, as `tinyllm train` leaves it.
    max_new_tokens
        Longest answer, in tokens.
    temperature
        Below 1 likely tokens gain, above 1 unlikely ones; 0 always takes the likeliest.
    top_k
        Draw from the k likeliest tokens only; as many as the vocabulary has is no limit.
    top_p
        Draw from the fewest tokens that have this probability together; 1 is no limit.
    seed
        The same seed gives the same answers to the same messages.
    best
        Use the weights that had the lowest validation loss, not the last ones.
    backend
        Where to compute: numpy (CPU) or cupy (NVIDIA GPU).
    precision
        Arithmetic of a GPU: fp32; tf32 rounds what goes into products; bf16 rounds weights and activations.
    """
    from ..finetune.chat_template import template_of
    from ..generation import Rules
    from .computing import computing

    rules = Rules(temperature=temperature, top_k=top_k, top_p=top_p)
    with computing(run, best, backend, precision) as (model, tokenizer):
        talk(model, tokenizer, template_of(run), max_new_tokens, rules, seed)


def talk(model, tokenizer, template, max_new_tokens, rules, seed):
    """Answer message after message, until there are no more."""
    import sys

    from ..generation import TextStream, stream
    from ..generation.generate import end_ids
    from .writing import end_of_text, show

    tokenizer.encode(template.begin + template.user.format(content="", input="") + template.assistant)  # it must know
    cache = model.new_cache(1, model.block_size)
    room = max(model.block_size - max_new_tokens, (model.block_size + 1) // 2)  # for what was said so far
    transcript, label = template.begin, ASSISTANT + " " * (not template.answer.startswith(" "))
    for number, message in enumerate(messages()):
        try:
            tokenizer.encode(message)
        except ValueError as error:
            print(f"tinyllm: {error}", file=sys.stderr)
            continue
        asked = transcript + template.user.format(content=message, input="") + template.assistant
        ids = tokenizer.encode(asked)[-room:]
        answer = TextStream(tokenizer, [template.stop], end_ids(end_of_text(model)))
        steps = stream(model, ids, max_new_tokens, rules, seed=seed + number, cache=cache)
        show(label)
        try:
            for step in steps:
                show(answer.add(int(step.ids[0])))
                if answer.ended:
                    break
        except KeyboardInterrupt:
            pass
        show(answer.rest() + "\n")
        transcript = asked + answer.text + template.end


def messages():
    """The lines that a user types, but for empty ones."""
    import sys

    prompt = f"{USER} " if sys.stdin.isatty() and sys.stdout.isatty() else ""
    while True:
        try:
            message = input(prompt).strip()
        except EOFError:
            print()
            return
        if message:
            yield message
