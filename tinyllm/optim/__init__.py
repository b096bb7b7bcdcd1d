"""How gradients move parameters."""

from .adamw import AdamW
from .clip import clip_grad_norm
from .schedule import warmup_cosine
from .sgd import SGD

__all__ = ["SGD", "AdamW", "clip_grad_norm", "warmup_cosine"]
