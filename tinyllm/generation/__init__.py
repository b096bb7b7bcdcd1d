"""From scores to text: the rules that choose the next token, and the loop around them."""

from .generate import generate
from .sampling import sample, temperature, top_k, top_p

__all__ = ["generate", "sample", "temperature", "top_k", "top_p"]
