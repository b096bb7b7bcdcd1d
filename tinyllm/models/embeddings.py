"""Vectors of tokens, to look at: who stands near whom, what king − man + woman is, and a map."""

import difflib
from pathlib import Path

import numpy as np

from ..files import replace_file

SIMILARITIES = ("cosine", "dot")


class Embeddings:
    """tokens: V texts, the most frequent first where that is known; vectors (V, C)."""

    def __init__(self, tokens, vectors):
        self.tokens, self.vectors = list(tokens), np.asarray(vectors, float)
        if len(self.tokens) != len(self.vectors):
            raise ValueError(f"{len(self.tokens)} tokens and {len(self.vectors)} vectors are not of one model")
        self._ids = {token: i for i, token in reversed(list(enumerate(self.tokens)))}  # of equal ones the first
        self._units = self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-30)

    def id(self, token):
        """The id of a token; of one that begins a word, as " king", the space may be left out."""
        for form in (token, f" {token}", token.lower()):
            if form in self._ids:
                return self._ids[form]
        close = difflib.get_close_matches(token, self.tokens, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{token!r} is none of the {len(self.tokens):,} tokens of this model{hint}")

    def neighbours(self, token, n=10, similarity="cosine"):
        """The n tokens nearest to a token, and how near: [(token, similarity), …], the nearest first.

        cosine: u · v / (|u| |v|), from −1 to 1; dot: u · v, which is larger for long vectors
        """
        if similarity not in SIMILARITIES:
            raise ValueError(f"similarity must be {' or '.join(SIMILARITIES)}, not {similarity!r}")
        vectors, i = self._units if similarity == "cosine" else self.vectors, self.id(token)
        return self._nearest(vectors @ vectors[i], {i}, n)

    def analogy(self, text, n=10):
        """The n tokens nearest to a sum of tokens, as "king - man + woman", those in it left out.

        All vectors have length 1, and the nearest is that of the largest cosine (Mikolov, Yih & Zweig 2013).
        """
        total, named = np.zeros(self.vectors.shape[1]), set()
        for sign, token in _terms(text):
            named.add(self.id(token))
            total += sign * self._units[self.id(token)]
        return self._nearest(self._units @ (total / max(np.linalg.norm(total), 1e-30)), named, n)

    def pca(self, tokens):
        """Where tokens stand in the plane in which they differ most: their two principal components.

        tokens, N of them  ->  positions (N, 2), share of the variance that the plane shows ()
        """
        vectors = self.vectors[[self.id(token) for token in tokens]]
        if len(vectors) < 2:
            raise ValueError(f"a plane needs two tokens at least, got {len(vectors)}")
        centred = vectors - vectors.mean(axis=0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)  # centred = u · s · vᵀ, s from large to small
        positions = np.zeros((len(vectors), 2))
        positions[:, : len(s)] = u[:, :2] * s[:2]
        return positions, (s[:2] ** 2).sum() / max((s**2).sum(), 1e-30)

    def plot(self, tokens, path):
        """Draw the plane of `pca` into a PNG."""
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("a picture needs matplotlib: pip install 'tinyllm-numpy[plot]'") from error
        if not Path(path).parent.is_dir():
            raise FileNotFoundError(f"{Path(path).parent}: no such folder; make it, or put the picture elsewhere")
        positions, share = self.pca(tokens)
        figure = Figure(figsize=(10, 8), layout="constrained")
        axes = figure.add_subplot(title=f"two principal components: {share:.0%} of the variance", xticks=[], yticks=[])
        axes.scatter(*positions.T, s=8, color="0.7")
        for token, position in zip(tokens, positions):
            axes.annotate(shown(token).replace("$", r"\$"), position, xytext=(3, 3), textcoords="offset points")
        replace_file(path, lambda aside: figure.savefig(aside, dpi=120, format="png", metadata={"Software": None}))

    def _nearest(self, scores, left_out, n):
        order = np.argsort(-scores, kind="stable")
        return [(self.tokens[i], float(scores[i])) for i in order[: n + len(left_out)] if i not in left_out][:n]


def shown(token):
    """A token as a table shows it: in quotes where it is, or begins with, what cannot be seen."""
    return token if token.isprintable() and token == token.strip() and token else repr(token)


def _terms(text):
    """[(1, "king"), (-1, "man"), (1, "woman")] for "king - man + woman"."""
    parts = text.replace("−", "-").split()
    signs = {"+": 1, "-": -1}
    if parts and parts[0] not in signs:
        parts.insert(0, "+")
    if len(parts) < 4 or len(parts) % 2 or [part in signs for part in parts] != [True, False] * (len(parts) // 2):
        raise ValueError(f"an analogy is a sum of tokens with spaces between, as 'king - man + woman', not {text!r}")
    return [(signs[sign], token) for sign, token in zip(parts[::2], parts[1::2])]
