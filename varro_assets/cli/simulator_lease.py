"""Simulator lease: one publisher for all commands of a home, at an address that lives as long as anybody uses it.

What belongs here: which command serves, which borrow, and who goes on when the one that served has ended. What is
served is the simulator's.

Whoever serves holds `owner.lock`; whoever borrows has a share in `users.lock`. The kernel takes both back from a
process that dies. `address` says where it is served, and is removed by an owner who leaves no borrower behind: whoever
follows one who did serves at the same port.
"""

from __future__ import annotations

import contextlib
import errno
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from varro_assets.engine.files import write_text
from varro_assets.engine.server.server_locks import FileLock
from varro_assets.simulator.simulator import Simulator
from varro_assets.simulator.universe import Universe

LOOK_SECONDS = 0.05
"""Between two looks whether the owner has ended, or has begun to answer."""
SILENT_SECONDS = 10.0
"""A longer wait for another command is told."""
_WAITS = (
    "Waiting for the simulated StatBank: another `varro` of this home has it, and it does not answer."
    " If one is suspended (Ctrl-Z), go on with it or end it."
)


@contextlib.contextmanager
def running(folder: Path, on_wait: Callable[[str], None]) -> Iterator[str]:
    """The URL of the API, served while the block lasts: by us, or by another process for as long as it lives.

    Args:
        folder: of the address, the locks and the publications; one for each home.
        on_wait: told once if it takes long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lease = _Lease(folder)
    try:
        yield lease.enter(on_wait)
    finally:
        lease.leave()


class _Lease:
    """One command's part in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._address = folder / "address"
        self._owner, self._users = FileLock(folder / "owner.lock"), FileLock(folder / "users.lock")
        self._simulator: Simulator | None = None
        self._heir: threading.Thread | None = None
        self._left = threading.Event()

    def enter(self, on_wait: Callable[[str], None]) -> str:
        """Serve, or borrow from whoever does; waits where somebody holds it and does not (yet, or any more) serve."""
        told = time.monotonic() + SILENT_SECONDS
        while True:
            if served := self._served():
                return served.url
            if borrowed := self._borrowed():
                heir = threading.Thread(target=self._inherit, name="simulator-heir", daemon=True)
                heir.start()
                self._heir = heir
                return borrowed
            if time.monotonic() > told:
                told = math.inf
                on_wait(_WAITS)
            time.sleep(LOOK_SECONDS)

    def leave(self) -> None:
        """Stop serving, or borrowing; at any point of `enter` too."""
        self._left.set()
        if self._heir is not None:
            self._heir.join()
        self._users.release()
        if self._simulator is not None:
            url = self._simulator.url
            self._simulator.stop()
            if not self._is_borrowed() and _stated(self._address) == url:
                self._address.unlink(missing_ok=True)
        self._owner.release()

    def _served(self) -> Simulator | None:
        """Ours, if nobody else serves and the port can be had: where somebody borrows, it is the one they know."""
        if not self._owner.acquire():
            return None
        try:
            if not self._is_borrowed():
                # left by one that was killed
                self._address.unlink(missing_ok=True)
            known = _stated(self._address)
            port = urlsplit(known).port if known else None
            simulator = Simulator(Universe.demo(), port=port or 0, state_file=self._folder / "publications.jsonl")
            try:
                simulator.start()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return None
            self._simulator = simulator
            write_text(self._address, simulator.url)
            return simulator
        finally:
            if self._simulator is None:
                self._owner.release()

    def _borrowed(self) -> str | None:
        """Another's URL, if it answers there. From before we look it knows of us: its end leaves the address behind."""
        if not self._users.acquire(shared=True):
            return None
        url = _answering(self._address)
        if url is None:
            self._users.release()
        return url

    def _inherit(self) -> None:
        while not self._served() and not self._left.wait(LOOK_SECONDS):
            pass

    def _is_borrowed(self) -> bool:
        # by a lock of its own: on our share this would be an upgrade, which loses it when refused
        probe = FileLock(self._users.path)
        try:
            return not probe.acquire()
        finally:
            probe.release()


def _stated(address: Path) -> str | None:
    """What the file says, whether or not anybody answers there."""
    try:
        return address.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def _answering(address: Path) -> str | None:
    """The URL in the file, if a simulator answers there."""
    url = _stated(address)
    if url is None:
        return None
    try:
        # one that has ended refuses at once; one that is merely busy is waited for
        reply = requests.get(f"{url}/subjects", timeout=(2, 30))
    except requests.RequestException:
        return None
    return url if reply.headers.get("Server", "").startswith("varro-simulator") else None
