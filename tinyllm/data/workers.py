"""Work done ahead, by threads.

Threads and not processes: reading a file, slicing a memory map and numpy's arithmetic let other threads run, a batch
changes hands without being copied, and nothing can be left behind, be it a process or shared memory. (A forked process
would also inherit locks of BLAS or CUDA that nobody there ever opens.) What they cannot do is run two items' Python
code at once: they hide the time that batches take behind the training, not more.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from threading import Event


class Stopped(Exception):
    """Nobody waits for this piece of work any more."""


def in_order(work, jobs, num_workers):
    """work(job, check) of every job, in the order of the jobs, made by num_workers threads.

    They are at most 2 · num_workers jobs ahead of what is asked for, as torch's workers are. When the consumer stops,
    for whatever reason, jobs that have not begun are dropped, and those that have end at their next check().
    """
    stopped = Event()

    def check():
        if stopped.is_set():
            raise Stopped

    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="DataLoader")
    jobs, ahead = iter(jobs), deque()

    def submit(n):
        for job in islice(jobs, n):
            ahead.append(pool.submit(copy_context().run, work, job, check))

    try:
        submit(2 * num_workers)
        while ahead:
            result = ahead.popleft().result()  # raises what the worker raised, with the worker's traceback
            submit(1)
            yield result
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
