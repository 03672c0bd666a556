"""Atomic file: a small file that is either the old one or the whole new one.

What belongs here: writing text, bytes and JSON that others read while we write, and finding such files in folders where
others write and remove. Parquet partitions have their own module.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from varro_assets.engine.disk import fsync, space_for

_FOR_ALL_TO_READ = 0o644
_TRIES = 20
"""Somebody else may take a folder away as empty in the moment between its making and the first file in it."""


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of the text as UTF-8, line ends as they are.

    Raises:
        StorageFull: the disk is full; the old file is untouched.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the file by one with this content: temporary sibling, fsync, rename. Its mode stays as it was.

    Raises:
        StorageFull: the disk is full; the old file is untouched.
    """
    with space_for(path.name, path.parent):
        descriptor, temporary = _sibling(path)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(_mode(path))
            temporary.replace(path)
            fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def below(folder: Path, ending: str) -> list[Path]:
    """What lies below a folder, at any depth, with a name that ends like this, sorted.

    A folder that is not there, goes while we look (on which `Path.rglob` fails) or may not be looked into has nothing.
    """
    found = os.walk(folder)
    return sorted(
        Path(root, name) for root, folders, names in found for name in folders + names if name.endswith(ending)
    )


def by_age(paths: Iterable[Path]) -> list[tuple[float, Path]]:
    """Those of the paths that are still there, each with the time of its last change (epoch seconds), oldest first."""
    return sorted(_ages(paths))


def _ages(paths: Iterable[Path]) -> Iterator[tuple[float, Path]]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_mtime, path


def _sibling(path: Path) -> tuple[int, Path]:
    """A new temporary file beside the path: its descriptor and its name."""
    tries = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        except (FileNotFoundError, FileExistsError):
            tries += 1
            if tries == _TRIES:
                raise
        else:
            return descriptor, Path(name)


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return _FOR_ALL_TO_READ


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON, Danish letters kept."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
