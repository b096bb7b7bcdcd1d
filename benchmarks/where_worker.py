"""Steps of ours whose ops are timed, in a process of its own: where.py asks a question a line."""

import json
import statistics
import sys
import threading
import time

from benchmarks.bench import CONFIGS
from benchmarks.roofline import flops
from benchmarks.worker import ENDS, WARM_UP, gemm_rate, tinyllm_step


class Stopwatch:
    """[calls, seconds, FLOPs of matrix products] by op and phase, of the thread that made it."""

    def __init__(self):
        self.times, self.thread = {}, threading.get_ident()

    def wrap(self, op, phase, function):
        def timed(*arrays, **options):
            start = time.perf_counter()
            result = function(*arrays, **options)
            end = time.perf_counter()
            if threading.get_ident() == self.thread:
                entry = self.times.setdefault((op.__name__, phase), [0, 0.0, 0])
                entry[0] += 1
                entry[1] += end - start
                if phase == "forward":
                    entry[2] += flops(op.__name__, [None if a is None else a.shape for a in arrays])
            return result

        return timed


    def read(self, steps):
        """[[op, phase, calls, seconds, FLOPs], …] of one step, and begin again."""
        times, self.times = self.times, {}
        products = {"forward": 1 / steps, "backward": 2 / steps}  # a backward has two for each of its forward
        return [
            [op, phase, calls / steps, seconds / steps, times[op, "forward"][2] * products[phase]]
            for (op, phase), (calls, seconds, _) in times.items()
        ]


def serve(config, threads):
    from benchmarks.intercept import intercepted

    watch = Stopwatch()
    ENDS.enter_context(intercepted(watch.wrap))  # before the other workers are made, who do the same
    step, versions = tinyllm_step(config, threads)
    for _ in range(WARM_UP):
        step()

    def measured():
        watch.read(1)
        steps = [step() for _ in range(config.steps)]
        return {"step": [statistics.fmean(part) for part in zip(*steps)], "ops": watch.read(config.steps)}

    answers = {"versions": lambda: versions, "round": measured, "gemm": lambda: gemm_rate(threads)}
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


def main(name, config_name, threads):
    try:
        with ENDS:
            serve(CONFIGS[config_name], int(threads))
    except (ImportError, MemoryError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        sys.exit(f"bench: {name} at {config_name}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
