"""Generation on a GPU, on the stand-in: a token is a replayed graph; numpy's tokens, and how little moves for each."""

import numpy as np
import pytest

from tinyllm import GPT, GPTConfig
from tinyllm.generation import KVCache, NoCache, Rules, beam_search, stream
from tinyllm.observe import plain_ops
from tinyllm.precision import precision

SIZES = {"vocab_size": 11, "block_size": 12, "n_layer": 2, "n_head": 2, "n_embd": 8}  # the shim takes its time
IDS = np.random.default_rng(0).integers(0, 11, (2, 8))
GREEDY = Rules(temperature=0)


def model(**more):
    """With weights so large that its scores differ."""
    made = GPT(GPTConfig(**SIZES | more)).eval()
    made.load_state_dict({name: (5 if array.ndim > 1 else 1) * array for name, array in made.state_dict().items()})
    return made


PENALTY = {"repetition_penalty": 1.3, "temperature": 0}


CASES = [({}, {}), ({"bias": False, "tie_weights": False}, {"temperature": 0}), ({"qkv_bias": False}, PENALTY),
         ({}, {"top_k": 3, "num_samples": 2})]  # fmt: skip


@pytest.mark.parametrize("sizes, options", CASES, ids=repr)
def test_numpys_tokens(sizes, options, cupy):
    made = model(**sizes)
    here = made.generate(IDS[:, :3], 11, seed=5, **options).data  # beyond the block: the window moves
    assert np.array_equal(made.to("cupy").generate(IDS[:, :3], 11, seed=5, **options).data, here)


def test_scores_are_numpys(cupy):
    made = model()
    steps = [list(stream(made, IDS[:, :3], 8, rules)) for rules in (GREEDY, Rules())]
    made.to("cupy")
    for rules, here in zip((GREEDY, Rules()), steps):
        for ours, theirs in zip(list(stream(made, IDS[:, :3], 8, rules)), here, strict=True):
            np.testing.assert_allclose(ours.logits, theirs.logits, rtol=0, atol=1e-4)
            np.testing.assert_allclose(ours.log_probs(), theirs.log_probs(), rtol=0, atol=1e-4)
            assert np.array_equal(ours.ids, theirs.ids) and ours.ids.dtype == theirs.ids.dtype


@pytest.mark.parametrize("rules, uploads", [(GREEDY, 0), (Rules(), 1)], ids=["greedy", "drawn"])
def test_what_a_token_costs(rules, uploads, cupy):
    """One replayed graph and one copy to the host: of a greedy token 8 bytes a row, and its position."""
    made = model().to("cupy")
    steps = stream(made, IDS[:1, :3], 7, rules)
    for _ in range(4):  # the prompt; a token as it comes; one that is captured; one that is replayed
        next(steps)
    for _ in range(3):
        before = cupy.counts
        next(steps)
        made = cupy.counts - before
        assert (made.graphs, made.uploads, made.downloads) == (1, uploads, 1)
        assert made.bytes == (16 if rules is GREEDY else 16 + 4 * 11)
        assert made.launches == (1 if rules is GREEDY else 0), "the scores of a greedy token are copied on the GPU"


def test_launches_of_a_captured_token(cupy):
    """What gpt2 has in 12 layers: 10 a layer, and 4."""
    made = model().to("cupy")
    cache = KVCache(made, 1, 12)
    for n in (3, 4, 5):
        with made.evaluating():
            cache(IDS[:1, :n])
    kinds = cache.step.go.graph.kinds
    assert kinds.total() == 10 * 2 + 4, kinds


@pytest.mark.parametrize("use_cache", [True, False])
def test_beams_branch(use_cache, cupy):
    made = model()
    here = beam_search(made, IDS[0, :3], 8, 3, use_cache=use_cache)
    there = beam_search(made.to("cupy"), IDS[0, :3], 8, 3, use_cache=use_cache)
    assert [ids.tolist() for _, ids in here] == [ids.tolist() for _, ids in there]
    np.testing.assert_allclose([score for score, _ in here], [score for score, _ in there], rtol=1e-4)


def test_a_chat_goes_on_with_its_cache(cupy):
    """Ids that go on, go back, begin anew; weights that were exchanged in between; another precision."""
    made, other = model().to("cupy"), model(bias=True)
    cache = KVCache(made, 2, 12)
    with made.evaluating():
        for n in (3, 4, 5, 6, 4, 8, 1, 2):
            with plain_ops():
                expected = NoCache(made)(IDS[:, :n])
            np.testing.assert_allclose(cache(IDS[:, :n]), expected, rtol=0, atol=1e-4)
        made.load_state_dict({name: 2 * array for name, array in other.state_dict().items()})
        cache.ids = cache.ids[:, :0]  # keys of other weights
        for n in (3, 4, 5, 6):
            with plain_ops():
                expected = NoCache(made)(IDS[:, :n])
            np.testing.assert_allclose(cache(IDS[:, :n]), expected, rtol=0, atol=1e-3)
        step = cache.step
        with precision("tf32"):
            cache(IDS[:, :7])
        assert cache.step is not step


def test_scores_that_are_not_finite_are_told(cupy):
    made = model().to("cupy")
    steps = stream(made, IDS[:, :3], 9, GREEDY)
    next(steps), next(steps)
    made.ln_f.weight.data[...] = np.nan
    with pytest.raises(ValueError, match="scores are not finite numbers"):
        next(steps)


def test_an_end_of_text_ends_it(cupy):
    made = model()
    rows = made.generate(IDS[:, :3], 8, temperature=0).data
    end = int(rows[0, 5])
    here = made.generate(IDS[:, :3], 8, temperature=0, eos_token_id=end).data
    assert np.array_equal(made.to("cupy").generate(IDS[:, :3], 8, temperature=0, eos_token_id=end).data, here)


def test_what_cannot_be_captured_is_told_once(cupy, caplog, monkeypatch):
    def refuse(stream, mode=None):
        raise RuntimeError("no graphs today\nand more")

    monkeypatch.setattr(cupy.cuda.Stream, "begin_capture", refuse)
    made = model()
    here = made.generate(IDS[:, :3], 8, temperature=0).data
    assert np.array_equal(made.to("cupy").generate(IDS[:, :3], 8, temperature=0).data, here)
    [record] = caplog.records
    assert record.getMessage() == ("the kernels of a new token are started one by one, and not as one CUDA graph: "
                                   "RuntimeError: no graphs today")  # fmt: skip


def test_bfloat16(cupy):
    made = model()
    here = [step.logits for step in stream(made, IDS[:, :3], 6, GREEDY)]
    made.to("cupy").to("bfloat16")
    with precision("bf16"):
        there = list(stream(made, IDS[:, :3], 6, GREEDY))
    assert np.abs(there[0].logits - here[0]).max() < 0.05 * np.abs(here[0]).max()
    assert made.new_cache(1, 3).kv.dtype == "bfloat16"
