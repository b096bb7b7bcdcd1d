"""bench.py ops and --profile: what they count is what a step does; how fast anything is decides no test."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ops, ops_worker, roofline, where
from benchmarks.bench import CONFIGS, Config
from benchmarks.intercept import arrays_in, calls_of, intercepted, memory_of
from benchmarks.torch_ops import TORCH_OPS
from benchmarks.where_worker import Stopwatch
from tinyllm import GPT, GPTConfig
from tinyllm.autograd import OPS, gradients
from tinyllm.ops import layer_norm

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench.py"
SMALL = Config(2, 2, 16, 8, 3, 11, steps=1)
RATES = {"gemm": 50e9, "bandwidth": 10e9}


def bench(*arguments):
    return subprocess.run([sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=120)


def model_and_batch(config=SMALL):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, config.vocab_size, (config.batch_size, config.block_size))
    return GPT(GPTConfig(**config.sizes)), ids, ids


# what is counted


@pytest.mark.parametrize("config", [SMALL, CONFIGS["micro"]], ids=["small", "micro"])
def test_the_flops_of_all_calls_are_those_of_a_step(config):
    calls = calls_of(*model_and_batch(config))
    shapes = [[described and described[0] for described in call["arrays"]] for call in calls]
    forward = sum(call["calls"] * roofline.flops(call["op"], each) for call, each in zip(calls, shapes))
    assert 3 * forward == config.flops


def test_the_calls_are_those_of_the_model():
    counted = {}
    for call in calls_of(*model_and_batch()):
        counted[call["op"]] = counted.get(call["op"], 0) + call["calls"]
    assert counted == {"embedding": 1, "getitem": 1, "add": 5, "layer_norm": 5, "linear": 8, "causal_attention": 2,
                       "gelu_tanh": 2, "reshape": 2, "linear_cross_entropy": 1}  # fmt: skip


def test_an_array_that_two_ops_keep_is_counted_once_and_parameters_never():
    """In float32: layer_norm x̂ and rstd, linear its x, attention q, k, v, y, the weights and two numbers a row."""
    B, T, C, H = 3, 8, 16, 2
    rows = B * T
    calls = calls_of(*model_and_batch())
    saved = {(call["op"], call["arrays"][0][0][-1]): call["saved"] // 4 for call in calls}
    assert saved["layer_norm", C] == 5 * (rows * C + rows)
    assert saved["causal_attention", 3 * C] == 2 * (rows * 3 * C + rows * C + B * H * T * T + 2 * B * H * T)
    assert saved["gelu_tanh", 4 * C] == 2 * rows * 4 * C
    assert saved["linear", 4 * C] == 2 * rows * 4 * C  # c_proj of the MLP: x
    by_shape = {call["arrays"][1][0]: call["saved"] // 4 for call in calls if call["op"] == "linear"}
    assert by_shape[C, 3 * C] == by_shape[C, 4 * C] == 2 * rows * C
    assert by_shape[C, C] == 0  # its x is attention's y


def test_a_view_keeps_the_whole_array():
    whole = np.zeros((2, 3))
    assert memory_of(whole[0].reshape(3, 1)[1:]) is memory_of(whole) is whole
    assert [a is whole for a in arrays_in((whole, None, 3, [whole, (whole,)]))] == [True] * 3


def test_the_ops_are_put_back_also_after_an_error():
    before = [(op.forward, op.backward, dict(op.kernels)) for op in OPS.values()]
    with pytest.raises(KeyError), intercepted(lambda op, phase, function: lambda *arrays, **options: 1 / 0):
        with pytest.raises(ZeroDivisionError):
            layer_norm(np.ones((2, 3), np.float32))
        raise KeyError
    assert [(op.forward, op.backward, op.kernels) for op in OPS.values()] == before


def test_the_stopwatch_hears_each_call_of_a_step_and_changes_nothing():
    model, *batch = model_and_batch()
    plain = gradients(model.loss(*batch))
    watch = Stopwatch()
    with intercepted(watch.wrap):
        timed = gradients(model.loss(*batch))
    assert all(np.array_equal(plain[p], timed[p]) for p in plain)
    heard = watch.read(1)
    calls = {(name, phase): n for name, phase, n, _, _ in heard}
    assert calls["linear", "forward"] == calls["linear", "backward"] == 8 and calls["layer_norm", "backward"] == 5
    assert sum(flops for *_, flops in heard) == SMALL.flops and watch.read(1) == []


@pytest.mark.parametrize("name", sorted(TORCH_OPS))
def test_torch_computes_the_same(name):
    """Values and gradients, on the arrays that both sides of the benchmark get."""
    found = [call for call in ops_worker_calls() if call["op"] == name]
    for call in found or [{"op": name, "arrays": [[[6, 11], "f"], [[6], "i"]], "options": {}}]:
        ours, theirs = ops_worker.tinyllm_op(call, SMALL), ops_worker.torch_op(call, SMALL)
        y, torch_y = ours[0](), theirs[0]()
        np.testing.assert_allclose(y.data, torch_y.detach().numpy(), rtol=1e-4, atol=1e-5)
        grads, torch_grads = list(ours[1](y).values()), theirs[1](torch_y)
        if name == "linear":
            torch_grads = [g.T if i == 1 else g for i, g in enumerate(torch_grads)]
        assert len(grads) == len(torch_grads)
        for theirs_one in torch_grads:  # the engine gives them in the order in which it finds them
            assert any(g.shape == theirs_one.shape and np.allclose(g, theirs_one, rtol=1e-3, atol=1e-4) for g in grads)


def ops_worker_calls():
    return json.loads(json.dumps(ops_worker.tinyllm_calls(SMALL)))


def test_torch_has_every_op_of_a_step():
    assert {call["op"] for call in ops_worker_calls()} <= set(TORCH_OPS)
    assert ops_worker.torch_op({"op": "word2vec"}, SMALL) is None and ops_worker.timed(None) is None


def test_the_roof_is_the_longer_of_products_and_bytes():
    assert roofline.seconds(100e9, 1e9, RATES) == 2 and roofline.seconds(1e9, 100e9, RATES) == 10
    arrays = [[[4, 8], "f"], [[8, 6], "f"], None]
    assert roofline.moved("linear", arrays, (4, 6)) == (4 * (32 + 48 + 24), 4 * (24 + 2 * 80))
    ids = [[[2, 3], "i"], [[11, 8], "f"]]
    assert roofline.moved("embedding", ids, (2, 3, 8)) == (2 * 192 + 48, 192 + 48 + 4 * 88)


# what is said of it


def test_the_rows_are_medians_and_the_last_their_sum():
    linear = {"op": "linear", "arrays": [[[4, 8], "f"], [[8, 6], "f"], None], "options": {}, "calls": 3, "saved": 500}
    gelu = {"op": "gelu_tanh", "arrays": [[[4, 8], "f"]], "options": {}, "calls": 2, "saved": 700}
    measured = [[[1.0, 2.0], [2.0, 2.0]], [[3.0, 2.0], [1.0, 2.0]], [[2.0, 8.0], [2.0, 2.0]]]
    row = ops.numbers(linear, measured, RATES)
    assert (row["arrays"], row["forward_ms"], row["forward_torch_ms"], row["forward_ratio"]) == ("4×8 8×6", 2e3, 2e3, 1)
    assert (row["backward_ms"], row["backward_ratio"], row["saved_mb"]) == (2e3, 1, 5e-4)
    assert row["backward_roof"] == pytest.approx(max(4 * 4 * 8 * 6 / 50e9, 4 * 184 / 10e9) / 2)
    of_products = ops.numbers(linear, measured, {**RATES, "bandwidth": 1e15})
    assert of_products["backward_roof"] == pytest.approx(2 * of_products["forward_roof"])  # and as many seconds
    other = ops.numbers(gelu, [[[1.0, 1.0], None]], RATES)
    assert other["forward_ratio"] is None
    total = ops.total([row, other])
    assert (total["calls"], total["forward_ms"], total["forward_torch_ms"], total["forward_ratio"]) == (5, 8e3, 6e3, 1)
    assert total["saved_mb"] == pytest.approx(1.2e-3) and total["gflop"] == pytest.approx(3 * row["gflop"])
    assert ops.total([other])["forward_ratio"] is None


def test_the_parts_of_a_profile_add_up_to_the_step():
    measured = {"step": [1.0, 0.4, 0.5, 0.1], "ops": [
        ["gelu_tanh", "forward", 2, 0.1, 0], ["linear", "forward", 4, 0.25, 10e9],
        ["linear", "backward", 4, 0.3, 20e9], ["gelu_tanh", "backward", 2, 0.1, 0]]}  # fmt: skip
    rows = where.rows("micro", [measured] * 3, 100e9)
    assert [row["what"] for row in rows] == ["linear", "gelu_tanh", "engine, model", "linear", "gelu_tanh",
                                             "engine, sums, waiting", "clip, update", "all"]  # fmt: skip
    assert sum(row["ms"] for row in rows[:-1]) == pytest.approx(rows[-1]["ms"]) == pytest.approx(1e3)
    assert [row["floor_ms"] for row in rows] == [pytest.approx(100), None, None, pytest.approx(200), None, None, None,
                                                 pytest.approx(300)]  # fmt: skip


def test_ops_writes_a_row_for_each_call(tmp_path):
    result = bench("ops", "--rounds", "1", "--json", tmp_path / "rows.json")
    assert (result.returncode, result.stderr) == (0, "")
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert {row["op"] for row in rows} == {call["op"] for call in ops_worker_calls()} | {"all"}
    for row in rows:
        assert row["forward_ms"] > 0 and row["backward_ratio"] > 0
        assert row["threads"] == 1 and "torch" in row["versions"]
    assert rows[-1]["calls"] == 44 and rows[-1]["gflop"] == pytest.approx(CONFIGS["micro"].flops / 1e9)
    assert len(result.stdout.splitlines()) == len(rows) + 3


@pytest.mark.parametrize("threads", ["1", "2"])
def test_profile_hears_the_ops_of_a_step_with_its_workers(tmp_path, threads):
    result = bench("--profile", "--rounds", "2", "--threads", threads, "--json", tmp_path / "rows.json")
    assert (result.returncode, result.stderr) == (0, "")
    rows = json.loads((tmp_path / "rows.json").read_text())
    calls = {(row["part"], row["what"]): row["calls"] for row in rows}
    assert calls["forward", "linear"] == calls["backward", "linear"] == 16
    assert sum(row["ms"] for row in rows[:-1]) == pytest.approx(rows[-1]["ms"], rel=0.5)
    floor = CONFIGS["micro"].flops / rows[0]["gemm_gflops"] / 1e6
    assert rows[-1]["floor_ms"] == pytest.approx(floor)  # of half of the sequences at half of the rate, with two


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ops", "--config", "mini"], "invalid choice: 'mini'"),
        (["ops", "--peer", "torch-compile"], "invalid choice: 'torch-compile'"),
        (["ops", "--rounds", "0"], "must be a whole number, 1 or more, not '0'"),
        (["ops", "--json", "/no/rows.json"], "cannot write '/no/rows.json'"),
        (["--profile", "--backend", "cupy"], "--profile looks at numpy's kernels; leave out --backend"),
    ],
)
def test_mistakes_end_it_with_a_line(arguments, message):
    result = bench(*arguments)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr
