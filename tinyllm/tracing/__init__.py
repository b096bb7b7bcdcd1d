"""Step through a training step: its recording, and the ways to look at it."""

from .recorder import Trace, trace

__all__ = ["Trace", "trace"]
