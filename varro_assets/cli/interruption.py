"""Interruption: a command that is told to end, by Ctrl-C, SIGTERM or its terminal's SIGHUP, ends in order.

What belongs here: the signals and the exit code. How a command ends is its own affair; how a service does, that of
`foreground`.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHELLS_BASE = 128
"""Exit code after a signal, as shells have it: this and the signal's number."""
_CTRL_C = _SHELLS_BASE + signal.SIGINT


@contextlib.contextmanager
def orderly() -> Iterator[None]:
    """Each of the signals ends the block by KeyboardInterrupt: without that no `finally` would run, and Postgres stay.

    Not SystemExit: Dagster takes that for the failure of one run, and the next table would be begun.

    Raises:
        SystemExit: the block was interrupted.
    """
    interruption = _Interruption()
    # what `nohup` or a script's `&` has us ignore stays ignored, here and in what we start
    handled = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, interruption.handle) for number in handled}
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(interruption.code)
    except SystemExit as ended:
        # typer makes of any KeyboardInterrupt what it is after Ctrl-C
        sys.exit(interruption.code if ended.code == _CTRL_C else ended.code)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Interruption:
    """What was done about the signals so far."""

    def __init__(self) -> None:
        self._by: int | None = None
        """What makes the command end now, Ctrl-C aside."""

    @property
    def code(self) -> int:
        return _CTRL_C if self._by is None else _SHELLS_BASE + self._by

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or leave it to Dagster while that executes a run."""
        if number != signal.SIGINT:
            if self._by is not None:
                # a shell and then its terminal both say it, and `timeout` says it twice; only Ctrl-C cuts the end short
                return
            self._by = number
        # Dagster puts its own in place of SIGINT's and SIGTERM's, and knows no SIGHUP
        theirs = signal.getsignal(signal.SIGTERM)
        if number != signal.SIGHUP or not callable(theirs) or theirs == self.handle:
            raise KeyboardInterrupt
        theirs(number, frame)
        # it did not raise: noted for later, which may not come, so that another signal is to be heard
        self._by = None
