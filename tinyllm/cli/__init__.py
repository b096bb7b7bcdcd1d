"""The commands: they read flags, print, and leave the work to the library."""

from .app import main

__all__ = ["main"]
