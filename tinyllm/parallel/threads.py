"""A team of threads: anywhere, in a notebook too. While numpy computes, the other threads run."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np

from .team import Team


class Threads(Team):
    """All memory is shared as it is. Each member runs in a copy of the caller's context."""

    def __init__(self, size):
        super().__init__(size)
        self.pool = ThreadPoolExecutor(max(1, size - 1), thread_name_prefix="tinyllm-worker")
        self.error = None  # the first one in the task that runs

    def empty(self, size, dtype):
        return np.empty(size, dtype)

    def start(self, tasks):
        self.tasks = tasks

    def run(self, name, *arguments):
        self.error = None
        others = [self.pool.submit(copy_context().run, self._do, name, rank, arguments) for rank in range(1, self.size)]
        results = [self._do(name, 0, arguments), *(other.result() for other in others)]
        if self.error:
            raise self.error
        return results

    def _do(self, name, rank, arguments):
        try:
            return self.tasks[name](rank, *arguments)
        except BaseException as error:  # nobody is left waiting for this member: see `check`
            self.error = self.error or error

    def check(self):
        if self.error:
            raise RuntimeError("another worker failed")

    def close(self):
        self.pool.shutdown()
