"""How a model's text reaches the terminal, while it is written."""

import sys

import numpy as np

from ..generation import TextStream, stream
from ..generation.generate import end_ids
from .explanation import print_explanation
from .text import visible


def write(model, tokenizer, prompt, ids, max_new_tokens, rules, seed, num_samples, stop, explain):
    """Print what `tinyllm generate` prints: one text as it comes; several, or an explained one, when they are done."""
    rows = np.repeat(np.atleast_2d(ids), num_samples, axis=0)
    texts = [TextStream(tokenizer, stop, end_ids(end_of_text(model))) for _ in rows]
    steps = stream(model, rows, max_new_tokens, rules, seed=seed)
    live = num_samples == 1 and not explain
    if live:
        show(prompt)
    for number, step in enumerate(steps, 1):
        if explain:
            print_explanation(rules, step.logits[0], rows[0], step.ids[0], tokenizer, number)
            rows = np.append(rows, step.ids[:, None], axis=1)
        pieces = [text.add(int(i)) for text, i in zip(texts, step.ids)]
        if live:
            show(pieces[0])
        if all(text.ended for text in texts):
            break
    rests = [text.rest() for text in texts]
    if live:
        show(rests[0] + "\n")
    for number, text in enumerate([] if live else texts, 1):
        heading = f"--- {number} of {num_samples}\n" if num_samples > 1 else ""
        show(f"{heading}{prompt}{text.text}\n")


def show(text):
    print(visible(text) if sys.stdout.isatty() else text, end="", flush=True)


def default_prompt(tokenizer):
    """A line break where the tokenizer has one, else the first character it knows."""
    characters = getattr(tokenizer, "characters", "\n")
    return "\n" if "\n" in characters else characters[0]


def end_of_text(model):
    """The ids that end a text, as the model's Hugging Face folder says; None where it says nothing."""
    return model.generation_config.get("eos_token_id")
