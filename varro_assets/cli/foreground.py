"""Foreground: a long-running service that ends when we are told to end, with everything it started.

What belongs here: passing on signals and waiting for an orderly end. Which service is the caller's choice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAST_GRACE_SECONDS = 5.0
QUIET = "ignore:Function `dev_command` is superseded"
"""Dagster advises another command of its own on every start; users here have not typed this one."""


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run a service until it ends or we are told to end; returns its exit code.

    It gets a session of its own, so that a Ctrl-C in the terminal reaches it once, through us, and so that whatever it
    leaves behind can be found. Its own end may take a while; a second Ctrl-C cuts that short.
    """
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        for service in started:
            service.send_signal(signal.SIGINT)

    # handled, not ignored (as it is for what a script starts with `&`): what is ignored stays so in the child
    before = {number: signal.signal(number, pass_on) for number in ENDING}
    try:
        quiet = {**environment, "PYTHONWARNINGS": QUIET}
        service = subprocess.Popen(command, env=quiet, cwd=folder, start_new_session=True)
        started.append(service)
        try:
            code = service.wait()
        finally:
            _sweep(service.pid)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _sweep(group: int) -> None:
    """End what is left of the service's process group."""
    deadline = time.monotonic() + LAST_GRACE_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.1)
        os.killpg(group, signal.SIGKILL)
