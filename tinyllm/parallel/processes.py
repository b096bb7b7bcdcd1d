"""A team of processes that share the vectors they are given: no lock of Python's stands between them.

Each is a fork of this one: it has everything that was there when the team started. Shared memory is anonymous, so it
has no name that could be left behind, and is gone with the last process that sees it. The members live on pipes: when
this process ends, however it does, theirs close, and so do they.
"""

import mmap
import os
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np

from .team import Team, give_way

PATIENCE = 2e-3  # seconds that a member looks for its next task before it sleeps until there is one


class WorkerDied(ChildProcessError):
    """A member of the team is gone: no result will come from it."""


@dataclass
class Member:
    rank: int
    pid: int
    pipe: Connection
    answer: tuple | None = None  # (whether it worked, result or error) of the task that runs


class Processes(Team):
    def __init__(self, size):
        super().__init__(size)
        self.members, self.parent = [], os.getpid()

    def empty(self, size, dtype):
        return np.ndarray(size, dtype, mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize)))

    def start(self, tasks):
        self.tasks = tasks
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # what waits there would be written twice
        for rank in range(1, self.size):
            mine, theirs = Pipe()
            with warnings.catch_warnings():  # Python warns where BLAS has threads; they stop for a fork
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                self._serve(rank, theirs)
            theirs.close()
            self.members.append(Member(rank, pid, mine))

    def run(self, name, *arguments):
        for member in self.members:
            member.answer = None
            try:
                member.pipe.send((name, arguments))
            except OSError:
                raise self._death(member) from None
        results = [self.tasks[name](0, *arguments)]
        for member in self.members:
            while member.answer is None:
                self._listen(member, timeout=1)
            results.append(member.answer[1])
        return results

    def check(self):
        if os.getpid() != self.parent:
            if os.getppid() != self.parent:
                os._exit(1)
            return
        for member in self.members:
            if member.answer is None:
                self._listen(member, timeout=0)

    def _listen(self, member, timeout):
        try:
            if not member.pipe.poll(timeout):
                return
            member.answer = member.pipe.recv()
        except (EOFError, OSError):
            raise self._death(member) from None
        if not member.answer[0]:
            raise member.answer[1]

    def _death(self, member):
        self.members.remove(member)
        code = os.waitstatus_to_exitcode(os.waitpid(member.pid, 0)[1])
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return WorkerDied(f"worker {member.rank} of {self.size} (process {member.pid}) {how}; if memory ran out, "
                          "choose a smaller --batch-size or fewer --workers")

    def close(self):
        for member in self.members:
            os.kill(member.pid, signal.SIGKILL)  # it holds nothing that it would have to put away
            os.waitpid(member.pid, 0)
            member.pipe.close()
        self.members = []

    # in the forked process

    def _serve(self, rank, pipe):
        """Do what comes through the pipe until it closes; never returns into what this process is a copy of."""
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that was started
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            close_files_but(pipe.fileno())
            while True:
                name, arguments = hear(pipe)
                try:
                    answer = True, self.tasks[name](rank, *arguments)
                except Exception as error:
                    answer = False, error
                pipe.send(answer)
        except (EOFError, OSError):
            pass  # the other end is gone
        finally:
            os._exit(0)


def close_files_but(kept):
    """Close what was open in the process that forked: locks, and pipes whose other end waits for everyone to close."""
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 1 << 16)


def hear(pipe):
    until = time.monotonic() + PATIENCE
    while not pipe.poll() and time.monotonic() < until:
        give_way()
    return pipe.recv()
