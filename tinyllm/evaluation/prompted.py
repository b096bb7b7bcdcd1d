"""Questions put through a template: is what the model writes the right answer?"""

from ..generation import Rules, TextStream, stream


def answers_right(model, tokenizer, template, row, shots, max_new_tokens):
    """(whether a model answers a row rightly after the examples, its prompt, what it wrote).

    It writes the likeliest token each time, up to where the next example would begin. What counts is the text of the
    last slot: a chain of thought may come to it in its own words.
    """
    prompt, expected = template.prompt(row, shots), template.expected(row)
    if expected is None:
        raise ValueError(f"template {template.name} has no example, so nothing says what a right answer is; write one "
                         "above a line ---")
    ids = tokenizer.encode(prompt)
    if len(ids) + max_new_tokens > model.block_size:
        raise ValueError(f"a prompt of {len(ids)} tokens leaves no room for an answer of {max_new_tokens} in the "
                         f"{model.block_size} that the model looks back; give fewer --shots, or --max-new-tokens")
    text = TextStream(tokenizer, [template.stop])
    for step in stream(model, ids, max_new_tokens, Rules(temperature=0)):
        text.add(int(step.ids[0]))
        if text.ended:
            break
    text.rest()
    right = template.final(text.text).strip() == template.final(expected).strip()
    return right, prompt, text.text
