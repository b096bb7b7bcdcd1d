"""The models of the road, from the simplest to the GPT."""

from .bigram import Bigram
from .gpt import GPT, GPTConfig

__all__ = ["GPT", "Bigram", "GPTConfig"]
