"""Foreground: a long-running service that ends when we are told to end, with everything it started.

What belongs here: passing on signals, waiting for an orderly end, beginning again. Which service, and whether it is to
begin again, is the caller's choice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAST_GRACE_SECONDS = 5.0
ORDERLY_SECONDS = 120.0
"""How long a service that is to begin again may take to end; Dagster gives its parts a minute each."""
PAUSE_SECONDS = 5.0
"""Before it begins again: one that ends at once must not keep the machine busy."""
LIFE_LINE = "<life line>"
"""Stands in a command for the descriptor of a pipe whose other end we hold: at its end we are gone (see `tether`)."""
QUIET = "ignore:Function `dev_command` is superseded"
"""Dagster advises another command of its own on every start; users here have not typed this one."""


class _Begun:
    """A process of the service, which is told once to end, however many find at the same time that it is to."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._untold = threading.Lock()

    def interrupt(self, *, again: bool) -> None:
        """Send it an interrupt; unless ``again``, only if nobody has: a second one cuts its end short."""
        # taking the lock is all in one, for threads and for a signal that comes in between
        if self._untold.acquire(blocking=False) or again:
            self.process.send_signal(signal.SIGINT)


class Service:
    """A service that ends when we are told to end.

    It gets a session of its own, so that a Ctrl-C in the terminal reaches it once, through us, and so that whatever it
    leaves behind can be found.

    Args:
        command: what to run; may contain `LIFE_LINE`.
        environment: of the service.
        folder: where it runs.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._command, self._folder = command, folder
        self._environment = {**environment, "PYTHONWARNINGS": QUIET}
        self._begun: _Begun | None = None
        self._told = False
        self._code: int | None = None

    def run(self, again: Callable[[int], bool] = lambda _code: False) -> int:
        """Run it until we are told to end, or it ends by itself and is not to begin again; returns its exit code.

        Its own end may take a while; a second Ctrl-C cuts that short.

        Args:
            again: asked with the exit code when it has ended without our being told to end.
        """
        # handled, not ignored (as it is for what a script starts with `&`): what is ignored stays so in the child
        before = {number: signal.signal(number, self._pass_on) for number in ENDING}
        held, ours = os.pipe()
        try:
            code = self._run_once(held)
            while not self._is_told() and again(code):
                self._wait_out(PAUSE_SECONDS)
                if not self._is_told():
                    code = self._run_once(held)
        finally:
            os.close(held)
            os.close(ours)
            for number, handler in before.items():
                signal.signal(number, handler)
        return code if self._code is None else self._code

    def end(self, code: int) -> None:
        """End it for good, from another thread; `run` then returns this code."""
        self._code, self._told = code, True
        self.interrupt()

    def interrupt(self) -> None:
        """End it, from another thread: in order, or after `ORDERLY_SECONDS` without."""
        begun = self._begun
        if begun is None or begun.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            begun.interrupt(again=False)
            deadline = time.monotonic() + ORDERLY_SECONDS
            while begun.process.poll() is None:
                if time.monotonic() > deadline:
                    os.killpg(begun.process.pid, signal.SIGKILL)
                    return
                time.sleep(0.2)

    def _run_once(self, held: int) -> int:
        words = [str(held) if word == LIFE_LINE else word for word in self._command]
        self._begun = None
        process = subprocess.Popen(
            words, env=self._environment, cwd=self._folder, start_new_session=True, pass_fds=(held,)
        )
        self._begun = begun = _Begun(process)
        try:
            # a signal that came before there was anybody to pass it on to
            if self._is_told():
                begun.interrupt(again=False)
            code = process.wait()
        finally:
            _sweep(process.pid)
        return code if code >= 0 else 128 - code

    def _pass_on(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True
        if self._begun is not None:
            self._begun.interrupt(again=True)

    def _is_told(self) -> bool:
        # a signal comes at any moment, which no reader of the code can see
        return self._told

    def _wait_out(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_told() and time.monotonic() < deadline:
            time.sleep(0.1)


def _sweep(group: int) -> None:
    """End what is left of the service's process group."""
    deadline = time.monotonic() + LAST_GRACE_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.1)
        os.killpg(group, signal.SIGKILL)
