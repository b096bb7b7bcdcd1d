import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinyllm.models.embeddings import Embeddings, shown

ROYAL = Embeddings(
    ["king", "queen", "man", "woman", "apple", " crown"],
    [[1, 1, 0], [1, -1, 0.1], [0, 1.1, 0], [0.1, -1, 0], [0, 0, 3], [2, 0, 0.1]])  # fmt: skip


@given(st.integers(0, 1000), st.integers(2, 30), st.sampled_from(["cosine", "dot"]))
def test_neighbours_are_torchs(seed, n, similarity):
    vectors = np.random.default_rng(seed).standard_normal((n, 4))
    names = [f"word{i}" for i in range(n)]
    x = torch.from_numpy(vectors)
    expected = torch.cosine_similarity(x, x[:1]) if similarity == "cosine" else x @ x[0]
    order = [i for i in expected.argsort(descending=True).tolist() if i]
    found = Embeddings(names, vectors).neighbours("word0", n - 1, similarity)
    assert [name for name, _ in found] == [names[i] for i in order]
    np.testing.assert_allclose([score for _, score in found], expected[order], rtol=0, atol=1e-12)


def test_king_minus_man_plus_woman():
    [(token, cosine), *_] = ROYAL.analogy("king - man + woman")
    unit = {token: vector / np.linalg.norm(vector) for token, vector in zip(ROYAL.tokens, ROYAL.vectors)}
    total = unit["king"] - unit["man"] + unit["woman"]
    assert token == "queen" and cosine == pytest.approx(total @ unit["queen"] / np.linalg.norm(total), rel=1e-12)
    expected = [token for token, _ in ROYAL.analogy("king - man + woman")]
    for form in ("king − man + woman", "+ king - man + woman", "woman - man + king"):
        assert [token for token, _ in ROYAL.analogy(form)] == expected


def test_those_in_the_question_are_no_answer():
    assert {token for token, _ in ROYAL.analogy("king - man + woman")} == {"queen", "apple", " crown"}
    assert {token for token, _ in ROYAL.neighbours("king", 100)} == {*ROYAL.tokens} - {"king"}
    assert len(ROYAL.neighbours("king", 2)) == 2


def test_long_vectors_are_nearer_by_the_product_alone():
    assert ROYAL.neighbours("king", 1)[0][0] == "man"  # at 45°, as the crown nearly is
    assert ROYAL.neighbours("king", 1, "dot") == [(" crown", 2.0)]


def test_a_vector_of_zeros_is_near_nothing():
    zero = Embeddings(["a", "b"], [[0, 0], [1, 2]])
    assert zero.neighbours("a") == [("b", 0.0)]


def test_a_token_is_found_as_a_word_or_in_lower_case():
    assert (ROYAL.id("crown"), ROYAL.id("King"), ROYAL.id(" crown")) == (5, 0, 5)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="'kings' is none of the 6 tokens of this model; did you mean 'king'?"):
        ROYAL.neighbours("kings")
    with pytest.raises(ValueError, match="'zzz' is none of the 6 tokens of this model$"):
        ROYAL.analogy("king - zzz")
    for text in ("", "king", "king-man", "king man", "king - - man", "king - man +", "- + -", "+ king"):
        with pytest.raises(ValueError, match="as 'king - man \\+ woman', not "):
            ROYAL.analogy(text)
    with pytest.raises(ValueError, match="similarity must be cosine or dot, not 'l2'"):
        ROYAL.neighbours("king", similarity="l2")
    with pytest.raises(ValueError, match="2 tokens and 3 vectors are not of one model"):
        Embeddings(["a", "b"], np.zeros((3, 2)))


@given(st.integers(0, 1000), st.integers(2, 20), st.integers(1, 6))
def test_the_plane_is_torchs(seed, n, C):
    vectors = np.random.default_rng(seed).standard_normal((n, C))
    names = [str(i) for i in range(n)]
    positions, share = Embeddings(names, vectors).pca(names)
    x = torch.from_numpy(vectors - vectors.mean(0))
    s, directions = torch.linalg.svd(x)[1:]
    expected = x @ directions[:2].T
    k = expected.shape[1]
    signs = torch.sign((expected * torch.from_numpy(positions[:, :k])).sum(0))  # a direction has no sense
    np.testing.assert_allclose(positions[:, :k], expected * signs, rtol=0, atol=1e-9)
    assert np.all(positions[:, k:] == 0)
    assert share == pytest.approx(float((s[:2] ** 2).sum() / (s**2).sum()), rel=1e-9)


def test_the_picture_is_a_png_with_a_mark_for_each_token(tmp_path):
    pytest.importorskip("matplotlib")
    Embeddings([*ROYAL.tokens, "$x_1^", "\n"], [*ROYAL.vectors, [1, 1, 1], [2, 1, 1]]).plot(
        [*ROYAL.tokens, "$x_1^", "\n"], tmp_path / "map.png")  # fmt: skip
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FileNotFoundError, match="no such folder; make it"):
        ROYAL.plot(ROYAL.tokens, tmp_path / "nowhere/map.png")
    with pytest.raises(ValueError, match="a plane needs two tokens at least, got 1"):
        ROYAL.plot(["king"], tmp_path / "map.png")


def test_the_picture_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tinyllm-numpy\[plot\]'"):
        ROYAL.plot(ROYAL.tokens, tmp_path / "map.png")


@pytest.mark.parametrize("token, text", [("king", "king"), (" king", "' king'"), ("\n", r"'\n'"), ("", "''")])
def test_what_cannot_be_seen_is_quoted(token, text):
    assert shown(token) == text
