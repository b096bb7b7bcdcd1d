"""Text to ids and back.

    char.py         a token is a character
    bpe_plain.py    byte-pair encoding on one page, to read
    bpe.py          byte-pair encoding to use: trained here, or read from Hugging Face's files
    tiktoken_tokenizer.py    the vocabularies of OpenAI's models, by name
"""

from .bpe import BPETokenizer
from .char import CharTokenizer
from .hugging_face import has_tokenizer
from .load import load, named
from .pretokenize import PATTERNS
from .tiktoken_tokenizer import TiktokenTokenizer

__all__ = ["PATTERNS", "BPETokenizer", "CharTokenizer", "TiktokenTokenizer", "has_tokenizer", "load", "named"]
