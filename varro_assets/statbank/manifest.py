"""Manifest: what a folder of period files is a complete copy of.

What belongs here: ``manifest.json`` in a table's folder, written when every planned period of a sync has come in, with
the description (codes, labels) that goes with exactly these files. It lets the warehouse be filled again without the
API.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varro_assets.engine import clock
from varro_assets.engine.files import write_json
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.errors import DamagedPartition, VarroError
from varro_assets.statbank import models
from varro_assets.statbank.models import TableInfo

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The state of a folder after its last complete sync.

    Attributes:
        source: host of the API, or ``simulator``.
        shape_hash: of the files that belong to this state; others are of an older shape.
        completed_at: ISO, UTC.
        info: the publisher's description of that moment.
    """

    source: str
    shape_hash: str
    completed_at: str
    info: TableInfo


def read(folder: Path) -> Manifest | None:
    """The manifest; None where no sync was ever complete.

    Raises:
        DamagedPartition: it is there and cannot be used.
    """
    path = folder / FILE_NAME
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        info = models.parse(TableInfo, body["tableinfo"], what="read", on=str(path))
        return Manifest(body["source"], body["shape_hash"], body["completed_at"], info)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, VarroError) as error:
        raise DamagedPartition(
            "read", on=str(path), got=f"not a manifest ({error})", todo="Delete it and sync the table again."
        ) from error


def read_usable(folder: Path) -> Manifest | None:
    """The manifest; None also where it is damaged, since the next sync writes it anew."""
    try:
        return read(folder)
    except DamagedPartition:
        return None


def read_complete(store: PartitionStore, held: Mapping[str, PartitionInfo]) -> Manifest:
    """The manifest, if every period of that complete sync is there, in the shape it then had.

    Raises:
        DamagedPartition: it is not, and a table loaded from these files would be a half one.
    """
    state = read(store.folder)
    got = f"no completed sync in {store.folder}"
    if state is not None:
        fitting = {code for code, part in held.items() if part.shape_hash == state.shape_hash}
        lacking = [code for code in state.info.tids if code not in fitting]
        if not lacking:
            return state
        got = f"{len(lacking)} of its periods have no file of the last complete sync: {', '.join(lacking[:3])}"
    raise DamagedPartition("rebuild table", on=store.dataset, got=got, todo=f"varro sync {store.dataset}")


def readable(store: PartitionStore, on_damaged: Callable[[str, DamagedPartition], None]) -> dict[str, PartitionInfo]:
    """Every period file that can be read; ``on_damaged`` is told the period and the error of each that cannot."""
    held = {}
    for code in store.periods():
        try:
            held[code] = store.info(code)
        except DamagedPartition as error:
            on_damaged(code, error)
    return held


def sweep(folder: Path) -> None:
    """Remove what a process that died while writing the manifest left behind; to be called under the table's lock."""
    for path in folder.glob(f".{FILE_NAME}.*.tmp"):
        path.unlink(missing_ok=True)


def write(folder: Path, source: str, shape_hash: str, raw: Mapping[str, Any]) -> None:
    """State that the folder is now a complete copy of this publication.

    Args:
        folder: the table's.
        source: host of the API, or ``simulator``.
        shape_hash: of its files.
        raw: the tableinfo as the publisher sent it.
    """
    completed_at = clock.now().isoformat(timespec="seconds")
    write_json(
        folder / FILE_NAME,
        {
            "table": raw["id"],
            "updated": raw["updated"],
            "source": source,
            "shape_hash": shape_hash,
            "completed_at": completed_at,
            "tableinfo": dict(raw),
        },
    )
