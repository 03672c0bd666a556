"""Source files: where the predecessor's parquet files lie and what their names say.

What belongs here: its three layouts (``<TABLE>.parquet`` with the whole table, ``<TABLE>/partition_*.parquet`` with
parts of it, ``<TABLE>/<Tid>.parquet`` with one period) and its ``_sync/state.json``. What is inside a file is
`extract`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.statbank.models import TABLE_ID

STATE_FILE = Path("_sync") / "state.json"
LONG_AGO = "1970-01-01T00:00:00"
"""Stands for a publication nobody wrote down: older than any, so that the table is due."""
_OURS = {b"format", b"table", b"tid", b"content_hash"}


class Layout(IntEnum):
    """How much of a table a file holds; of two files with the same period the lower one wins, being the newer."""

    PERIOD = 0
    PART = 1
    WHOLE = 2


@dataclass(frozen=True)
class SourceFile:
    """One file of the predecessor.

    Attributes:
        table: id.
        path: where it lies.
        name: path below the folder searched, with slashes.
        layout: how much it holds.
        period: the code that its name says; None where it says none.
        size: bytes.
        mtime_ns: when it was last written, nanoseconds since 1970.
    """

    table: str
    path: Path
    name: str
    layout: Layout
    period: str | None
    size: int
    mtime_ns: int

    @property
    def written_at(self) -> str:
        """When it was last written, ISO 8601 in UTC."""
        return datetime.fromtimestamp(self.mtime_ns / 1e9, UTC).isoformat(timespec="seconds")


def find(folder: Path) -> dict[str, list[SourceFile]]:
    """Every file of the predecessor below a folder, by table; periods before parts before whole tables.

    Files of our own are passed over, so the folder may be the very one our periods lie in.
    """
    found: dict[str, list[SourceFile]] = {}
    for file in sorted(_files(folder), key=lambda file: (file.table, file.layout, file.name)):
        found.setdefault(file.table, []).append(file)
    return found


def _files(folder: Path) -> Iterator[SourceFile]:
    for path in folder.iterdir():
        if path.suffix == ".parquet" and path.is_file():
            yield from _file(folder, path, path.stem, Layout.WHOLE)
        elif path.is_dir():
            for part in path.glob("*.parquet"):
                is_part = part.name.startswith("partition_")
                yield from _file(folder, part, path.name, Layout.PART if is_part else Layout.PERIOD)


def _file(folder: Path, path: Path, table: str, layout: Layout) -> Iterator[SourceFile]:
    table = table.upper() if table.isascii() else table
    if path.name.startswith(".") or not TABLE_ID.fullmatch(table) or _is_ours(path):
        return
    state = path.stat()
    period = unquote(path.stem) if layout is Layout.PERIOD else None
    name = path.relative_to(folder).as_posix()
    yield SourceFile(table, path, name, layout, period, state.st_size, state.st_mtime_ns)


def _is_ours(path: Path) -> bool:
    try:
        return (pq.read_metadata(path).metadata or {}).keys() >= _OURS
    except (OSError, pa.ArrowException):
        return False  # half-written, say: whoever reads it tells


def publications(folder: Path) -> dict[str, str]:
    """Table -> the publication it was last read of, as far as the predecessor wrote that down and it can be read."""
    try:
        tables = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))["tables"]
        stated = {table: entry.get("last_seen_updated") for table, entry in tables.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {table: moment for table, text in stated.items() if (moment := _to_the_second(text))}


def _to_the_second(text: object) -> str | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.isoformat(timespec="seconds") if moment.tzinfo is None else None
