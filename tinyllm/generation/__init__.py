"""From scores to text: the rules that choose the next token, and the loop around them."""

from .beam import beam_search
from .cache import KVCache, NoCache
from .generate import Step, generate, stream
from .rules import Rules, Stage
from .sampling import greedy, log_softmax, min_p, repetition_penalty, sample, temperature, top_k, top_p
from .text import TextStream, whole_text

__all__ = ["KVCache", "NoCache", "Rules", "Stage", "Step", "TextStream", "beam_search", "generate", "greedy",
           "log_softmax", "min_p", "repetition_penalty", "sample", "stream", "temperature", "top_k",
           "top_p", "whole_text"]  # fmt: skip
