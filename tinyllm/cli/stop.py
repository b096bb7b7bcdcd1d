"""Ways to end a training early that lose nothing: Ctrl-C, SIGTERM, a reader that has gone."""

import signal
import sys

from ..training.run import resume_command

CODES = {"Ctrl-C": 130, "SIGTERM": 143, "standard output was closed": 141}


class Stop:
    """`with Stop(display) as stop:` turns the first Ctrl-C (or SIGTERM) into stop.asked(); the next one interrupts."""

    def __init__(self, display):
        self.display, self.reason, self.progress, self._before = display, None, None, {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number, frame):
        if self.reason:
            raise KeyboardInterrupt
        self.reason = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        self.display.stopping()

    def asked(self):
        return self.reason is not None

    def report(self, progress):
        """Show a step; a standard output that was closed is a reason to stop, not one to lose the training."""
        self.progress = progress
        try:
            self.display(progress)
        except BrokenPipeError:
            self.reason = self.reason or "standard output was closed"
        except OSError as error:
            self.reason = self.reason or f"standard output: {error.strerror or error}"

    def leave(self, state, folder, max_iters):
        """Where the training was stopped, say how to go on, and leave with the exit code of the reason."""
        if self.reason and state.step < max_iters:
            print(f"tinyllm: stopped after step {state.step:,} ({self.reason}), and saved. Go on with: "
                  f"{resume_command(folder)}", file=sys.stderr)  # fmt: skip
            raise SystemExit(CODES.get(self.reason, 2))
