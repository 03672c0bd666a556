"""Locks between processes that the kernel gives back when their holder dies, however it dies.

What belongs here: one wrapper around ``flock``. Which lock means what is told in `server.py`.

A flock belongs to an *open file*, so a forked child would go on holding its parent's lock. Ours are closed in
every forked child (and never survive an exec unless handed on by name, see `FileLock.fileno`): a process that
uses the server takes a lock of its own.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path

_POLL_SECONDS = 0.02

_open_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """One lock on one file; two objects on the same path exclude each other, even in one process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        _open_locks.add(self)

    def acquire(self, *, shared: bool = False, wait: float = 0.0) -> bool:
        """Take the lock, waiting at most ``wait`` seconds; False when somebody else kept it all that time.

        On a held shared lock this is the upgrade to an exclusive one. It is not atomic (flock lets go first),
        so all who upgrade must be kept apart by another lock; a refused upgrade has lost the shared lock as
        well.
        """
        if self._fd is None:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._fd, mode)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_POLL_SECONDS)
            else:
                return True

    def fileno(self) -> int:
        """The descriptor, for a child process that shall hold the lock too."""
        if self._fd is None:
            raise ValueError(f"{self.path} is not open")
        return self._fd

    @property
    def is_open(self) -> bool:
        """Whether this object still has its file; False in a forked child."""
        return self._fd is not None

    def release(self) -> None:
        """Unlock for everybody who shares the open file, even a child forked in an unlucky moment."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.forget()

    def forget(self) -> None:
        """Close our copy without unlocking: a process the lock was handed to keeps it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _close_in_child() -> None:
    for lock in list(_open_locks):
        lock.forget()


os.register_at_fork(after_in_child=_close_in_child)
