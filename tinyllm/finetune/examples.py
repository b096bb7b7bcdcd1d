"""From conversations to batches: ids, what is learned of them, and rows of one length."""

from dataclasses import dataclass

import numpy as np

from ..data.windows import IGNORED


@dataclass(frozen=True)
class Example:
    """Token t of a conversation foretells targets[t], the token after it, or nothing where that is IGNORED."""

    ids: np.ndarray  # (T,)
    targets: np.ndarray  # (T,)


class Unfit(ValueError):
    """A conversation of which nothing is left to learn."""


class Unknown(ValueError):
    """A conversation with a character that the tokenizer does not know."""


def encode(messages, template, tokenizer, block_size, place, learn_all=False):
    """The Example of a conversation, cut after block_size tokens; learn_all: also what was said to the model.

    Raises Unfit where the cut leaves no token of an answer.
    """
    parts = encode_parts(messages, template, tokenizer, place)
    ids = np.concatenate([ids for ids, _ in parts])
    learned = np.concatenate([np.full(len(ids), learned) for ids, learned in parts])
    ids, learned = ids[: block_size + 1], learned[: block_size + 1]
    if not learned[1:].any():
        raise Unfit(f"{place}: the answer begins after {block_size} tokens, which is as far as the model looks back")
    return Example(ids[:-1], np.where(learned[1:] | learn_all, ids[1:], IGNORED))


def encode_parts(messages, template, tokenizer, place):
    """[(ids, whether they are learned)] of a conversation. Raises Unknown."""
    parts = written(messages, template, place)
    try:
        return [(tokenizer.encode(text), learned) for text, learned in parts]
    except ValueError as error:
        raise Unknown(f"{place}: {error}") from error


def written(messages, template, place):
    """[(text, whether it is learned)] of a conversation."""
    try:
        return template.parts(messages)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def encode_all(conversations, *how, **options):
    """The Examples of all conversations that fit, and how many do not."""
    return encode_rows(conversations, lambda row: encode(row.messages, *how, place=row.place, **options))


def encode_rows(rows, encode_one):
    """What encode_one(row) makes of all rows that fit, and how many do not."""
    found, unfit, unknown = [], [], []
    for row in rows:
        try:
            found.append(encode_one(row))
        except Unfit as error:
            unfit.append(error)
        except Unknown as error:
            unknown.append(error)
    if unknown:
        raise ValueError(f"{unknown[0]}. So it is with {len(unknown):,} of {len(rows):,} rows: take them out, or give "
                         "a model whose tokenizer knows every character, as one of --tokenizer gpt2 does")
    if not found:
        raise ValueError(f"{unfit[-1]}; so it is with all rows: give a model with a longer --block-size")
    return found, len(unfit)


def pad(rows, value, length=None):
    """Rows of different lengths as one array, filled up at the end.

    rows, B times (T,)  ->  array (B, longest T)
    """
    length = length or max(map(len, rows))
    padded = np.full((len(rows), length), value, np.asarray(rows[0]).dtype)
    for row, values in zip(padded, rows):
        row[: len(values)] = values
    return padded


def collate(examples):
    """Examples as a batch: ids, targets, and how many tokens of each row are no padding.

    What is filled up comes after a row's last token. No token looks ahead, and the targets there are IGNORED: the
    padding changes neither the loss nor a gradient.

    B examples  ->  ids (B, T)  targets (B, T)  lengths (B,)
    """
    lengths = np.array([len(example.ids) for example in examples])
    ids, targets = pad([e.ids for e in examples], 0), pad([e.targets for e in examples], IGNORED)
    return ids, targets, lengths


def share_of(count, n):
    """What the mean loss of `count` targets in some rows of a batch is to be multiplied with, for the mean of all such
    parts to be the mean over all targets: rows with more targets count more.

    n (B,): how many targets a row of the whole batch has in the mean
    """
    return float(count) / float(n.sum())
