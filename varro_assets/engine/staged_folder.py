"""Staged folder: what a restore makes beside its place, hidden, and renames there whole; it takes nobody's place.

What belongs here: those names, who may make such a folder, whether a place is free, and the rename. What is in the
folder is its maker's.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from varro_assets.engine.disk import fsync
from varro_assets.engine.server.server_locks import FileLock
from varro_assets.errors import ConfigurationError

_STAGED = re.compile(r"\.(restore|staging-[0-9]+)-[0-9a-f]{32}(-[A-Za-z0-9_]+)?")
"""Names of folders in which we make files before they take their place: these, and those of `partitions`."""

_LOCK = ".restore.lock"
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
"""What the system says of a place where something stands."""
_LEFT = "It was left as it is. Move it away, also what an interrupted restore left, then run again."


@contextlib.contextmanager
def alone(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Be the only restore of a home until the block ends: what another one stages looks as a dead one's leavings do.

    Args:
        folder: one that all restores of the home name; the lock's empty file stays in it.
        shared: beside others that ask so, each of which stages and sweeps under names of its own.

    Raises:
        ConfigurationError: another restore is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        if not lock.acquire(shared=shared):
            todo = "Wait until it has ended, then run again if anything is left to do."
            raise ConfigurationError("restore into", on=str(folder), got="another restore is at work there", todo=todo)
        yield
    finally:
        lock.release()


def beside(folder: Path, token: str, name: str) -> Path:
    """Where something is staged; ``token`` is 32 hexadecimal digits of this process."""
    return folder / f".restore-{token}-{name}"


@contextlib.contextmanager
def swept(folders: Collection[Path]) -> Iterator[None]:
    """Staged folders that have not taken their place are gone when the block ends; those of dead processes before.

    Args:
        folders: from `beside`; no other process may be at work under their names.
    """
    for folder in folders:
        _, _, name = folder.name.split("-", 2)
        for left in folder.parent.glob(f".restore-{'[0-9a-f]' * 32}-{name}"):
            shutil.rmtree(left, ignore_errors=True)
    try:
        yield
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def refuse_unless_free(folders: Iterable[Path]) -> None:
    """See that nothing lies there, hidden or not, but empty folders and what a dead process of ours staged.

    Raises:
        ConfigurationError: something does; names it.
    """
    for folder in folders:
        if folder.is_symlink():
            got, todo = "it is a link", "Take the link away, run again, then move the folder and link it again."
            raise ConfigurationError("restore into", on=str(folder), got=got, todo=todo)
        first = [path.relative_to(folder).as_posix() for path in itertools.islice(_lying_in(folder), 3)]
        if first:
            hidden = any(part.startswith(".") for name in first for part in name.split("/"))
            todo = f"{_LEFT} What is hidden is in no backup: move it back afterwards." if hidden else _LEFT
            got = f"it is not empty: {', '.join(first)}"
            raise ConfigurationError("restore into", on=str(folder), got=got, todo=todo)


def take_place(staged: Path, target: Path) -> None:
    """Rename a staged folder to its place, once more seen to be free: only empty folders and our own leavings go.

    Raises:
        ConfigurationError: as `refuse_unless_free`.
    """
    refuse_unless_free([target])
    try:
        _clear(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        refuse_unless_free([target])  # names it
        got = "something came there meanwhile"
        raise ConfigurationError("restore into", on=str(target), got=got, todo=_LEFT) from error
    fsync(target.parent)


def _clear(target: Path) -> None:
    for left in [path for path in target.rglob(".*") if _STAGED.fullmatch(path.name)]:
        shutil.rmtree(left, ignore_errors=True)
    for root, folders, _ in os.walk(target, topdown=False):
        for name in folders:
            (Path(root) / name).rmdir()


def _lying_in(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in links and not _STAGED.fullmatch(name))
        yield from (Path(root) / name for name in sorted([*links, *files]))
