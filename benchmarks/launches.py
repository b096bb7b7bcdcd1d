"""What a training step, or a new token, starts on a GPU: each kernel, how often, and what it reads and writes.

    python benchmarks/bench.py launches                                      gpt2 at B=8, T=1024 in bf16
    python benchmarks/bench.py launches --config gpt2-b32 --precision fp32
    python benchmarks/bench.py launches --config gpt2-1024 --token --prompt 512

Needs no GPU: on the tests' stand-in the step is captured as the graph that it is, and nothing is computed. Bytes are
those of the arrays that a kernel is given, each once (of an embedding's table the rows that are asked for). floor ms
is what they take at the rate of a copy, and for products what their FLOPs take at the rate of a large one: both
measured on one H200 with torch, and nothing else here is measured. The floor of a step is the sum of them.
"""

import argparse
import json
import sys
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from benchmarks import bench
from benchmarks.bench import CONFIGS, PRECISIONS

COPY_RATE = 4.3e12  # bytes a second, read and written
BY_ROW = ("embedding_forward", "decode_embed")  # for each row they write, to their first array, they read one
ATTENTION = {"attention_forward": 2, "attention_backward_q": 3, "attention_backward_kv": 4}  # products of each
PRODUCT_RATE = {"bf16": 790e12, "tf32": 330e12, "fp32": 50e12}  # FLOP/s; of bf16 measured, of the others estimated
COLUMNS = {  # heading: key, format
    "kernel": ("kernel", "{}"), "launches": ("launches", "{:,}"), "MB": ("megabytes", "{:,.1f}"),
    "GFLOP": ("gflop", "{:,.1f}"), "floor ms": ("floor_ms", "{:.3f}"), "share": ("share", "{:.0%}"),
}  # fmt: skip


class Recorder:
    """Counts what is captured, and computes nothing."""

    def __init__(self, device):
        self.device, self.found = device, defaultdict(lambda: [0, 0, 0])  # {kernel: launches, bytes, FLOPs}

    def start(self, kind, function, *arguments, **options):
        if self.device.graph:
            moved = 2 * arguments[2][0].nbytes if kind in BY_ROW else nbytes(arguments)
            self.add(kind, moved, attention_flops(kind, arguments) if kind in ATTENTION else 0)

    def matmul(self, plan, a, b, out, *, add=False, vector=None, alpha=None):
        if self.device.graph:
            m, n, k = plan.sizes
            self.add("cublasLt", a.nbytes + b.nbytes + out.nbytes * (1 + add), 2 * m * n * k * plan.batch)
        return True

    def add(self, kernel, bytes_, flops=0):
        for i, number in enumerate((1, bytes_, flops)):
            self.found[kernel][i] += number


def attention_flops(kind, arguments):
    """Of the products of a kernel of attention, whose largest array is qkv (B, T, 3C): half of T · T · C each."""
    B, T, C3 = max((x.shape for x in arguments[2] if getattr(x, "ndim", 0) == 3), key=lambda shape: shape[2])
    return ATTENTION[kind] * B * T * T * C3 // 3


def nbytes(arguments):
    """Of all arrays among the arguments, each part of memory once."""
    import numpy as np

    found, left = {}, list(arguments)
    while left:
        x = left.pop()
        if isinstance(x, (list, tuple)):
            left += x
        elif isinstance(x, dict):
            left += x.values()
        elif isinstance(x, np.ndarray):
            address = x.ctypes.data
            found[address] = max(found.get(address, 0), x.nbytes)
    return sum(found.values())


@contextmanager
def recording():
    """Inside, cupy is the stand-in, whose memory is never touched, and gives a Recorder."""
    import numpy as np

    from tests.fake_cupy import DEVICE, pool, stand_in
    from tinyllm.kernels.cuda import products

    recorder = Recorder(DEVICE)
    with ExitStack() as stack:
        stack.enter_context(stand_in())
        stack.enter_context(np.errstate(all="ignore"))
        for where, name, what in (
            (DEVICE, "start", recorder.start), (DEVICE, "poison", lambda pool, block: None),
            (pool, "guarded", np.zeros), (products, "matmul", recorder.matmul),
        ):  # fmt: skip
            stack.enter_context(patch.object(where, name, what))
        yield recorder


def of_a_step(config, precision):
    """{kernel: (launches, bytes, FLOPs)} of a captured training step."""
    from benchmarks.gpu.ours import tinyllm_step
    from tinyllm.training.graph import WARM_UP

    with recording() as recorder, tinyllm_step(config, precision) as (step, _, _):
        for _ in range(WARM_UP + 1):
            step()
        if reason := step.keywords["team"].why_not:
            raise RuntimeError(f"the step is not one graph: {reason}")
    return dict(recorder.found)


def of_a_token(config, precision, prompt):
    """The same of a greedy token at batch 1, after so many."""
    import numpy as np

    from benchmarks.gpu.ours import new_model
    from tinyllm import GPTConfig
    from tinyllm.generation.decode import DecodeStep
    from tinyllm.observe import no_grad
    from tinyllm.precision import precision as policy

    with recording() as recorder, policy(precision), no_grad():
        model = new_model(GPTConfig(**config.sizes)).to("cupy")
        if precision == "bf16":
            model.to("bfloat16")
        step = DecodeStep(model.new_cache(1, prompt))
        for _ in range(2):
            step.likeliest(np.zeros(1, np.int64), prompt - 1)
        if reason := step.go.why_not:
            raise RuntimeError(f"the step is not one graph: {reason}")
    return dict(recorder.found)


def rows(found, precision):
    """A row for each kernel, the slowest first, and one for all of them."""
    made = []
    for kernel, (launches, moved, flops) in found.items():
        floor = max(moved / COPY_RATE, flops / PRODUCT_RATE[precision])
        made.append({"kernel": kernel, "launches": launches, "megabytes": moved / 1e6, "gflop": flops / 1e9,
                     "floor_ms": 1e3 * floor})  # fmt: skip
    made.sort(key=lambda row: -row["floor_ms"])
    total = {"kernel": "all"} | {key: sum(row[key] for row in made) for key in list(made[0])[1:]}
    return [row | {"share": row["floor_ms"] / total["floor_ms"]} for row in (*made, total)]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench.py launches", description=__doc__.partition("\n")[0])
    parser.add_argument("--config", choices=CONFIGS, default="gpt2-b8", help="the model and the batch")
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16", help="in which it computes")
    parser.add_argument("--token", action="store_true", help="a greedy token at batch 1, and no training step")
    parser.add_argument("--prompt", type=bench.positive, default=512, help="tokens that are there before it")
    parser.add_argument("--json", type=bench.writable, help="also write the rows to this file")
    flags = parser.parse_args(arguments)
    if flags.token and flags.prompt > CONFIGS[flags.config].block_size:
        parser.error(f"--prompt {flags.prompt} is more than the {CONFIGS[flags.config].block_size} that "
                     f"{flags.config} sees; choose fewer")
    return flags


def main(arguments):
    flags = parse(arguments)
    config = CONFIGS[flags.config]
    try:
        found = (of_a_token(config, flags.precision, flags.prompt) if flags.token
                 else of_a_step(config, flags.precision))  # fmt: skip
    except (ImportError, RuntimeError) as error:
        sys.exit(f"bench: {error}")
    made = rows(found, flags.precision)
    what = f"a token after {flags.prompt - 1}" if flags.token else f"a step of {config.tokens:,} tokens"
    rates = f"{COPY_RATE / 1e12:.1f} TB/s and {PRODUCT_RATE[flags.precision] / 1e12:.0f} TFLOP/s"
    print(f"{flags.config} {flags.precision}, {what}; floors at {rates}; no GPU was used\n\n"
          f"{bench.table(made, COLUMNS)}")  # fmt: skip
    if flags.json:
        flags.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
