"""Backwards to write oneself: the file with the forward given, and the grading of what was written."""

from .grading import Grade, GradientGrade, grade
from .levels import find_op, levels
from .recording import record_first_wrong
from .text import exercise_text

__all__ = ["Grade", "GradientGrade", "exercise_text", "find_op", "grade", "levels", "record_first_wrong"]
