"""Migration record: what became of each file of the predecessor, one JSON file per table.

What belongs here: ``data/dst/migrations/<TABLE>.json``, which lets an interrupted migration go on and a finished one
find nothing to do. It is written last: what it states is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from varro_assets.engine import clock
from varro_assets.engine.files import write_json
from varro_assets.errors import DamagedPartition
from varro_assets.statbank.legacy.source_files import SourceFile

NOTE = (
    "Rows that the publisher did not send, because their value is suppressed or zero, are not in these files either:"
    " absent means what it means in the table. Every period counts as read when its file was written."
)


class Fate(StrEnum):
    """What became of a period of a file."""

    MIGRATED = "migrated"
    HELD = "held already"
    NEWER = "taken from a newer file"
    REFUSED = "refused"


@dataclass
class FileRecord:
    """What became of one file.

    Attributes:
        name: path below the folder searched.
        size, mtime_ns: by which it is known again.
        rows: in the file.
        problem: why it, or a period of it, was refused; empty if nothing was.
        periods: code -> `Fate` and, if it was stored, rows and content hash.
        warnings: what a reader should know.
        archived_to: where it was moved; empty if it lies where it lay.
    """

    name: str
    size: int
    mtime_ns: int
    rows: int = 0
    problem: str = ""
    periods: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    archived_to: str = ""

    @classmethod
    def of(cls, file: SourceFile) -> FileRecord:
        """An empty one."""
        return cls(file.name, file.size, file.mtime_ns)

    def codes(self, fate: Fate) -> list[str]:
        """The periods with that fate."""
        return [code for code, entry in self.periods.items() if entry["fate"] == fate]

    def settles(self, file: SourceFile, *, overwrite: bool) -> bool:
        """Whether the file is done with: unchanged since, and nothing of it is left that could be stored."""
        same = (self.name, self.size, self.mtime_ns) == (file.name, file.size, file.mtime_ns)
        return same and not self.problem and not (overwrite and self.codes(Fate.HELD))


def path(folder: Path, table: str) -> Path:
    """Where the table's record lies.

    Args:
        folder: ``data/dst/migrations``.
        table: id.
    """
    return folder / f"{table}.json"


def read(folder: Path, table: str) -> dict[str, FileRecord]:
    """File name -> what became of it; empty before the first migration.

    Raises:
        DamagedPartition: it is there and cannot be used.
    """
    place = path(folder, table)
    try:
        body = json.loads(place.read_text(encoding="utf-8"))
        return {entry["name"]: FileRecord(**entry) for entry in body["files"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedPartition(
            "read", on=str(place), got=f"no record of a migration ({error})", todo="Delete it and migrate again."
        ) from error


def write(folder: Path, table: str, source: Path, updated: str, files: Iterable[FileRecord]) -> None:
    """Replace the table's record.

    Args:
        folder: ``data/dst/migrations``.
        table: id.
        source: the folder searched.
        updated: the publication that the files are taken to be of.
        files: what became of each.
    """
    body = {
        "table": table,
        "migrated_at": clock.now().isoformat(timespec="seconds"),
        "source": str(source),
        "updated": updated,
        "note": NOTE,
        "files": [asdict(file) for file in sorted(files, key=lambda file: file.name)],
    }
    write_json(path(folder, table), body)
