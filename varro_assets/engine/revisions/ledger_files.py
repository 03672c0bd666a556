"""One entry of the ledger as one parquet file: what changed in one period at one moment.

What belongs here: the metadata and the columns of such a file, and `Entry`, which is its footer as an object. Which
entries there are, and when one is written or taken back, is the `ledger`'s.

The rows are the changed cells (see `differences`), or none where they are not kept. All that `meta.revision` says of
the entry stands in the footer, so that any database can be filled again from the files alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.engine import periods
from varro_assets.engine.disk import space_for
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.revisions.differences import Difference
from varro_assets.errors import DamagedPartition

FORMAT = "1"
ENDING = ".parquet"
_STAMP = "%Y-%m-%dT%H-%M-%S.%fZ"
_BEFORE, _AFTER = "before", "after"


class Kind(StrEnum):
    """What happened to a period."""

    NEW = "new"
    """It came in. Has no file: the period's own file, or the next entry, says so."""
    REVISED = "revised"
    """Rows or values changed."""
    RESHAPED = "reshaped"
    """The table got other columns, or another type of period."""
    MENDED = "mended"
    """Its file could not be read, and was fetched anew; what it had held is not kept."""
    FORGOTTEN = "forgotten"
    """Taken out by hand."""


@dataclass(frozen=True)
class State:
    """A content that a period had.

    Attributes:
        content_hash: see `content`.
        shape_hash: of the table's variables then.
        updated: the publication it was read of.
        rows: how many.
        fetched_at: when it was asked for, ISO 8601 in UTC.
    """

    content_hash: str
    shape_hash: str
    updated: str
    rows: int
    fetched_at: str

    @classmethod
    def of(cls, part: PartitionInfo) -> State:
        """Of a period file."""
        return cls(part.content_hash, part.shape_hash, part.updated, part.rows, part.fetched_at)

    @property
    def since(self) -> datetime:
        """When this content came in."""
        return moment_of(self.fetched_at)


@dataclass(frozen=True)
class Entry:
    """One change of one period.

    Attributes:
        dataset: name of the dataset.
        period: code of the period.
        kind: what happened.
        detected_at: when it was noticed; later than the period's entry before, whatever the clock says.
        before: what was held; None if that is not known.
        after: what is held since; None if nothing is.
        difference: how much changed; None if that is not known.
        opens: the content before had come in new: no entry led to it.
        value: name of the value column; empty where no cells are kept.
        whole: the cells are the whole content before, rather than what changed in it.
        run_id: of the run that noticed.
    """

    dataset: str
    period: str
    kind: Kind
    detected_at: datetime
    before: State | None
    after: State | None
    difference: Difference | None
    opens: bool
    value: str = ""
    whole: bool = False
    run_id: str | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the rows stayed as they were."""
        return (
            self.before is not None and self.after is not None and self.before.content_hash == self.after.content_hash
        )

    @property
    def name(self) -> str:
        """Of its file, within the dataset's folder."""
        return f"{periods.file_stem(self.period)}/{name_of(self.detected_at)}"

    def leads_from(self, part: PartitionInfo | None) -> bool:
        """Whether the held file is the very one from before this entry."""
        return (part is None and self.before is None) or (part is not None and State.of(part) == self.before)

    def leads_to(self, part: PartitionInfo | None) -> bool:
        """Whether the held file is the very one this entry announced."""
        return (part is None and self.after is None) or (part is not None and State.of(part) == self.after)


def moment_of(text: str) -> datetime:
    """ISO 8601, UTC where it names no zone.

    Raises:
        ValueError: it is no time.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def name_of(moment: datetime) -> str:
    """File name of an entry made at that time."""
    return moment.astimezone(UTC).strftime(_STAMP) + ENDING


def stamp_of(name: str) -> datetime | None:
    """When the entry of that file name was made; None for a foreign file."""
    try:
        return datetime.strptime(name.removesuffix(ENDING), _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def write(path: Path, entry: Entry, cells: pa.Table | None) -> None:
    """Write a new file; not yet fsynced.

    Raises:
        StorageFull: the disk is full; what was written is removed.
    """
    table = cells if cells is not None else pa.table({})
    try:
        with (
            space_for(f"the revision of {entry.dataset} {entry.period}", path.parent),
            pq.ParquetWriter(
                path,
                table.schema,
                compression="zstd",
                store_schema=False,  # it would be the larger part of most entries
                write_statistics=False,
                write_page_checksum=True,
            ) as writer,
        ):
            writer.write_table(table)
            writer.add_key_value_metadata({"format": FORMAT, **_facts(entry)})
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def read(path: Path) -> Entry:
    """What the file's footer says; no cell is read.

    Raises:
        DamagedPartition: it cannot be read, or is not one of ours.
    """
    try:
        footer = pq.read_metadata(path).metadata or {}
        facts = {key.decode(): value.decode() for key, value in footer.items()}
        if facts["format"] != FORMAT:
            raise damaged(path, f"it is of format {facts['format']!r}")
        return _entry(facts)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise damaged(path, f"no entry of the ledger ({error})") from error


def cells(path: Path) -> pa.Table:
    """The changed cells.

    Raises:
        DamagedPartition: they cannot be read.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read()
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, got: str) -> DamagedPartition:
    """The error for a file that cannot be used."""
    return DamagedPartition(
        "read the revision",
        on=str(path),
        got=got,
        todo="Bring it back from a backup; what the period was before it cannot be told without it.",
    )


def _facts(entry: Entry) -> dict[str, str]:
    facts = {
        "table": entry.dataset,
        "tid": entry.period,
        "kind": str(entry.kind),
        "detected_at": entry.detected_at.isoformat(),
        "opens": str(int(entry.opens)),
        "value": entry.value,
        "whole": str(int(entry.whole)),
        "run_id": entry.run_id or "",
    }
    for side, state in ((_BEFORE, entry.before), (_AFTER, entry.after)):
        if state is not None:
            facts |= {
                f"hash_{side}": state.content_hash,
                f"shape_{side}": state.shape_hash,
                f"updated_{side}": state.updated,
                f"rows_{side}": str(state.rows),
                f"fetched_{side}": state.fetched_at,
            }
    if (found := entry.difference) is not None:
        facts |= {
            "rows_added": str(found.rows_added),
            "rows_removed": str(found.rows_removed),
            "values_changed": str(found.values_changed),
            "largest_change": "" if found.largest_change is None else repr(found.largest_change),
        }
    return facts


def _entry(facts: dict[str, str]) -> Entry:
    return Entry(
        dataset=facts["table"],
        period=facts["tid"],
        kind=Kind(facts["kind"]),
        detected_at=moment_of(facts["detected_at"]),
        before=_state(facts, _BEFORE),
        after=_state(facts, _AFTER),
        difference=_difference(facts),
        opens=facts["opens"] == "1",
        value=facts["value"],
        whole=facts["whole"] == "1",
        run_id=facts["run_id"] or None,
    )


def _state(facts: dict[str, str], side: str) -> State | None:
    if f"hash_{side}" not in facts:
        return None
    state = State(
        facts[f"hash_{side}"],
        facts[f"shape_{side}"],
        facts[f"updated_{side}"],
        int(facts[f"rows_{side}"]),
        facts[f"fetched_{side}"],
    )
    moment_of(state.fetched_at)
    return state


def _difference(facts: dict[str, str]) -> Difference | None:
    if "rows_added" not in facts:
        return None
    largest = float(facts["largest_change"]) if facts["largest_change"] else None
    return Difference(int(facts["rows_added"]), int(facts["rows_removed"]), int(facts["values_changed"]), largest)
