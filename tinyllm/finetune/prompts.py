"""Questions for a policy to answer, as it was taught to read them."""

import numpy as np

from .rewards import Prompt


def make_prompts(conversations, template, tokenizer, block_size, max_new_tokens):
    """The Prompts of Conversations (what the assistant says last is left out) with room for an answer, and how many
    have none.
    """
    found, left_out = [], 0
    for conversation in conversations:
        asked = [m for m in conversation.messages if m is not conversation.messages[-1] or m.role != "assistant"]
        try:
            ids = np.concatenate([tokenizer.encode(text) for text, _ in template.parts(asked)])
        except ValueError as error:
            raise ValueError(f"{conversation.place}: {error}") from error
        if len(ids) + max_new_tokens > block_size:
            left_out += 1
            continue
        text = f"{asked[-1].content} {asked[-1].input}".strip()
        found.append(Prompt(ids, text, conversation.place))
    if len(found) < 2:
        raise ValueError(f"{left_out} of {left_out + len(found)} prompts leave no room for an answer of "
                         f"--max-new-tokens {max_new_tokens} in the {block_size} tokens that the model looks back; two "
                         "at least must, one of them to measure on")
    return found, left_out
