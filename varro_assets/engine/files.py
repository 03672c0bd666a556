"""Atomic file: a small file that is either the old one or the whole new one.

What belongs here: writing text, bytes and JSON that others read while we write. Parquet partitions have their own
module.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

from varro_assets.engine.disk import fsync, space_for

_FOR_ALL_TO_READ = 0o644


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
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
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


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return _FOR_ALL_TO_READ


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON, Danish letters kept."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
