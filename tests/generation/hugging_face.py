"""Our GPT as a GPT2LMHeadModel of transformers, made from its configuration: nothing is downloaded."""

import torch
import transformers


def as_hugging_face(model):
    """The same weights, by name."""
    c = model.config
    config = transformers.GPT2Config(vocab_size=c.vocab_size, n_positions=c.block_size, n_layer=c.n_layer,
                                     n_head=c.n_head, n_embd=c.n_embd, tie_word_embeddings=c.tie_weights,
                                     bos_token_id=None, eos_token_id=None)  # fmt: skip
    theirs = transformers.GPT2LMHeadModel(config).to(getattr(torch, next(model.parameters()).dtype.name)).eval()
    state = {f"transformer.{name}": torch.from_numpy(array) for name, array in model.state_dict().items()}
    if c.tie_weights:
        state["lm_head.weight"] = state["transformer.wte.weight"]
    else:
        state["lm_head.weight"] = state.pop("transformer.lm_head.weight")
    theirs.load_state_dict(state)
    return theirs
