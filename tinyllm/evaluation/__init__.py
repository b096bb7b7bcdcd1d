"""How good is a model: the perplexity of a text, and questions whose answers it finds likely or not."""

from .likelihood import log_probs
from .perplexity import TextScore, score_text, sliding_windows
from .prompted import answers_right
from .tasks import TASKS, read_questions, score_choices

__all__ = ["TASKS", "TextScore", "answers_right", "log_probs", "read_questions", "score_choices", "score_text",
           "sliding_windows"]  # fmt: skip
