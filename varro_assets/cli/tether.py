"""Tether: a service that does not outlive the command that started it.

What belongs here: the other end of the life line of `foreground`. Run as
``python -m varro_assets.cli.tether <life line> <module> [arguments]``.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Run a module as ``python -m`` does, until it ends or the command is gone."""
    line, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(line),), name="life-line", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with(line: int) -> None:
    """Wait until nobody holds the other end, then end with everything that was started from here.

    At once and without asking: the command was killed. What is left of Dagster would go on for a while with a database
    that the last one to leave has stopped, beside the services of the next start.
    """
    while os.read(line, 1):
        continue
    # only ever a group of our own
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
