"""Text to ids and back."""

from .char import CharTokenizer

__all__ = ["CharTokenizer"]
