"""Text from ids as they come: a character is given when it is whole."""

import codecs


def stream_text(tokenizer, ids):
    """The text of each id in turn, in whole characters: a token that ends inside one is held back until the rest comes.

    What can become no character is U+FFFD; the beginning of one that is still unfinished at the end is left out.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for i in ids:
        if text := decoder.decode(tokenizer.decode_bytes([i])):
            yield text
