"""Which team is safe here."""

import os
import platform
import sys
import threading

from .processes import Processes
from .threads import Threads


def choose_team(size):
    """Processes where a fork is safe, else threads. Both compute the same to the bit."""
    return (Processes if fork_is_safe() else Threads)(size)


def fork_is_safe():
    """Linux, no second thread that could hold a lock, and a processor that shows stores to all in their order.

    A notebook has threads. macOS's system libraries do not work after a fork, and Windows has none.
    """
    ordered = platform.machine() in ("x86_64", "AMD64")
    return sys.platform == "linux" and ordered and threading.active_count() == 1


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
