"""How gradients move parameters."""

from .adamw import AdamW
from .clip import clip_grad_norm
from .flat import FlatAdamW
from .schedule import warmup_cosine
from .sgd import SGD

__all__ = ["SGD", "AdamW", "FlatAdamW", "clip_grad_norm", "warmup_cosine"]
