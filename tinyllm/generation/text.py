"""Text from tokens as they come: whole characters, and nothing of a stop string."""

import codecs


class TextStream:
    """The text of one sequence: `add` gives what each token makes certain, `rest` what was held back to the end.

    It ends before the first of the `stop` strings, and at a token of end_ids. Held back is what may be the beginning
    of a stop string, and the bytes of a character that the next token may complete; at the end these are left out.
    """

    def __init__(self, tokenizer, stop=(), end_ids=()):
        if "" in stop:
            raise ValueError("a stop string is empty; it would stop before anything is written")
        self.tokenizer, self.stop, self.end_ids = tokenizer, tuple(stop), frozenset(end_ids)
        self.written, self.text, self.ended = "", "", False  # text: what of it was given
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token):
        if self.ended:
            return ""
        if token in self.end_ids:
            return self.rest()
        self.written += self._decoder.decode(self.tokenizer.decode_bytes([token]))
        text = self.written
        ends = [text.find(string) for string in self.stop if string in text]
        self.ended = bool(ends)
        return self._give(text[: min(ends)] if ends else certain(text, self.stop))

    def rest(self):
        if self.ended:
            return ""
        self.ended = True
        return self._give(self.written)

    def _give(self, text):
        piece, self.text = text[len(self.text) :], text
        return piece


def certain(text, stop):
    """Text without the longest end of it that may be the beginning of a stop string."""
    begun = (n for string in stop for n in range(1, len(string)) if text.endswith(string[:n]))
    return text[: len(text) - max(begun, default=0)]


def whole_text(tokenizer, ids):
    """The text of ids without the beginning of a character that is unfinished at their end."""
    return codecs.getincrementaldecoder("utf-8")(errors="replace").decode(tokenizer.decode_bytes(ids))
