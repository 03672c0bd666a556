"""Archive: where the predecessor's files go when what they hold is safely stored.

What belongs here: a copy that is complete before it is there.
"""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

from varro_assets.engine.disk import fsync, space_for
from varro_assets.errors import ConfigurationError
from varro_assets.statbank.legacy.source_files import SourceFile


def copy(file: SourceFile, folder: Path) -> Path:
    """Copy a file to its place in the archive; nothing happens if it is there already.

    Raises:
        ConfigurationError: another file of that name is there.
        StorageFull: the disk is full.
    """
    place = folder / file.name
    if place.is_file():
        if filecmp.cmp(file.path, place, shallow=False):
            return place
        raise ConfigurationError(
            "archive", on=file.name, got=f"another file is at {place}", todo="Give an --archive that has none."
        )
    with space_for(file.name, folder):
        place.parent.mkdir(parents=True, exist_ok=True)
        # one name, so that what a killed process left is written over
        staged = place.with_name(f".{place.name}.partial")
        try:
            shutil.copy2(file.path, staged)
            fsync(staged)
            staged.replace(place)
        finally:
            staged.unlink(missing_ok=True)
        fsync(place.parent)
    return place
