"""What a Tensor and a Module look like: as text in a terminal or debugger, as HTML in a notebook."""

from .html import module_html, tensor_html
from .statistics import statistics
from .text import module_text, tensor_text

__all__ = ["module_html", "module_text", "statistics", "tensor_html", "tensor_text"]
