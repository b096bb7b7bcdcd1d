"""What a team is."""

import os
import time

SPINS = 200  # looks before the first rest: what is waited for is mostly a few microseconds away


class Team:
    """`size` members, of ranks 0 (who calls) to size − 1. `with team:` ends the others, whatever happened.

    The numbers that a task computes may depend on its rank, never on who is faster.
    """

    def __init__(self, size):
        self.size, self.tasks = size, {}

    def empty(self, size, dtype):
        """A vector that all members see, made before `start`."""
        raise NotImplementedError

    def start(self, tasks):
        """tasks: {name: task(rank, *arguments)}, what the members can be asked to do."""
        raise NotImplementedError

    def run(self, name, *arguments):
        """[result of rank 0, result of rank 1, …], once all are done; raises what one of them raised."""
        raise NotImplementedError

    def check(self):
        """Called again and again while a member waits for another: raises where that one will never come."""

    def wait(self, ready):
        """Inside of a task: return as soon as ready() is true, which another member will see to."""
        looks = 0
        while not ready():
            looks += 1
            if looks % SPINS == 0:
                self.check()
            if looks > 100 * SPINS:
                time.sleep(1e-4)
            elif looks > SPINS:
                give_way()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """End all members but the caller."""


give_way = getattr(os, "sched_yield", lambda: time.sleep(0))  # let others have this core, if there are any
