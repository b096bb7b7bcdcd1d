"""Questions for a policy to answer, as it was taught to read them."""

import numpy as np

from .examples import encode_parts, encode_rows
from .rewards import Prompt


def make_prompts(conversations, template, tokenizer, block_size, max_new_tokens):
    """The Prompts of Conversations (what the assistant says last is left out) with room for an answer, and how many
    have none.
    """
    def encode_one(conversation):
        asked = [m for m in conversation.messages if m is not conversation.messages[-1] or m.role != "assistant"]
        parts = encode_parts(asked, template, tokenizer, conversation.place)
        text = f"{asked[-1].content} {asked[-1].input}".strip()
        return Prompt(np.concatenate([ids for ids, _ in parts]), text, conversation.place)

    prompts, _ = encode_rows(conversations, encode_one)
    found = [prompt for prompt in prompts if len(prompt.ids) + max_new_tokens <= block_size]
    if len(found) < 2:
        raise ValueError(f"{len(prompts) - len(found)} of {len(prompts)} prompts leave no room for an answer of "
                         f"--max-new-tokens {max_new_tokens} in the {block_size} tokens that the model looks back; two "
                         "at least must, one of them to measure on")
    return found, len(prompts) - len(found)
