"""Atomic file: a small file that is either the old one or the whole new one.

What belongs here: writing text and JSON that others read while we write. Parquet partitions have their own module.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from varro_assets.errors import StorageFull

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def write_text(path: Path, text: str) -> None:
    """Replace the file by one with this text: temporary sibling, fsync, rename.

    Raises:
        StorageFull: the disk is full; the old file is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StorageFull(
                "write", on=str(path), got=os.strerror(error.errno), todo="Free some space and run the command again."
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON, Danish letters kept."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")
