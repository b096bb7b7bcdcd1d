"""The models of the road, from the simplest to the GPT."""

from .bigram import Bigram
from .gpt import GPT, GPTConfig
from .word2vec import Word2Vec

__all__ = ["GPT", "Bigram", "GPTConfig", "Word2Vec"]
