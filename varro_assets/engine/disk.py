"""What a full disk looks like, and how a file is made to last.

What belongs here: turning the operating system's complaints about space into `StorageFull`, and the fsync
calls. What a file holds is no business of this module.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from varro_assets.errors import StorageFull

# EFBIG is what a per-process limit (`ulimit -f`) answers: to the reader it is a quota like the other two.
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def space_for(what: str, folder: Path) -> Iterator[None]:
    """Run the block; an OSError that means "no space" (ours or pyarrow's) becomes `StorageFull`.

    Args:
        what: what is being written, for the message ("FOLK1A 2024K1").
        folder: where it is being written.

    Raises:
        StorageFull: the disk is full, or a quota or size limit is reached.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise StorageFull(
            "write",
            on=f"{what} in {folder}",
            got=os.strerror(error.errno or errno.ENOSPC),
            todo="Nothing was replaced. Free some space (or raise the quota) and run again.",
        ) from error


def fsync(path: Path) -> None:
    """Wait until the file (or the folder's list of names) is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
