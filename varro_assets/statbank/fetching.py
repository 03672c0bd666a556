"""Fetching: planned periods from the API into staged parquet files, in requests of a bearable size.

What belongs here: how much to ask for at a time, and asking for less when the service or the wire gives up. What to
fetch is the plan's, what becomes of the files is the sync's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from varro_assets.engine import clock
from varro_assets.engine.partitions import PartitionInfo, Staging
from varro_assets.errors import BrokenStream, SourceUnavailable
from varro_assets.statbank import bulk
from varro_assets.statbank.client import OVERSIZED_STATUS, StatBank
from varro_assets.statbank.models import TableInfo

TARGET_BYTES = 48 << 20
"""Of one response. Extracts of 600 MB and more reliably break (statbank-api 5.3); this leaves a wide margin."""
VALUE_BYTES = 8
SINGLE_ATTEMPTS = 3
"""How often the stream of a single period may break before we give up."""


@dataclass
class BatchSize:
    """How many periods to ask for at a time.

    Sized by what a period was seen to weigh, not by the product of its code lists: that product can be a hundred times
    too large. As long as no row was seen, one period (the newest) is asked for alone, then two, four and so on.

    Attributes:
        row_bytes: what a row weighs on the wire.
        rows: rows of the heaviest period in what was seen last; None before the first, 0 as long as all were empty.
    """

    row_bytes: float
    rows: int | None = None
    target: int = TARGET_BYTES
    _ceiling: int = field(default=1 << 30, init=False)
    _blind: int = field(default=1, init=False)

    @classmethod
    def of(cls, info: TableInfo, rows: int | None, target: int = TARGET_BYTES) -> BatchSize:
        """For a table: ``rows`` of its newest held period, if any."""
        lengths = [sum(map(len, variable.codes)) / len(variable.codes) + 1 for variable in info.variables]
        return cls(sum(lengths) + VALUE_BYTES, rows, target)

    def periods(self) -> int:
        """How many to ask for next; at least one."""
        fitting = int(self.target / (self.row_bytes * self.rows)) if self.rows else self._blind
        return max(1, min(fitting, self._ceiling))

    def seen(self, rows: Sequence[int]) -> None:
        """Learn from the periods that came."""
        # an empty newest period says nothing of the others, so the weight never falls by more than half
        self.rows = max([*rows, (self.rows or 0) // 2])
        self._blind = 2 * len(rows)

    def halve(self, failed: int) -> None:
        """A request for ``failed`` periods was too much."""
        self._ceiling = max(1, failed // 2)


def fetch(
    client: StatBank,
    info: TableInfo,
    periods: Sequence[str],
    staging: Staging,
    *,
    shape_hash: str,
    size: BatchSize,
    on_rows: Callable[[int], None] | None = None,
    on_problem: Callable[[str], None] | None = None,
) -> Iterator[dict[str, PartitionInfo]]:
    """Fetch periods in the given order; yields each batch as staged files.

    Raises:
        BrokenStream, SourceUnavailable: a single period could not be had.
        SourceRefused, UnexpectedResponse, UndeclaredCode, DuplicateKeys, InvalidValue, StorageFull: as `bulk.split`.
    """
    remaining = list(periods)
    broken = 0
    while remaining:
        batch = remaining[: size.periods()]
        try:
            staged = _fetch_batch(client, info, batch, staging, shape_hash, on_rows)
        except (BrokenStream, SourceUnavailable) as error:
            broken += 1
            if not _worth_another_try(error, batch, broken):
                raise
            size.halve(len(batch))
            if on_problem:
                on_problem(f"{error.problem} Asking again for {size.periods()} at a time.")
            continue
        broken = 0
        del remaining[: len(batch)]
        size.seen([part.rows for part in staged.values()])
        yield staged


def _worth_another_try(error: BrokenStream | SourceUnavailable, batch: Sequence[str], broken: int) -> bool:
    """Whether asking for less, or once more for a single period whose stream broke, may help."""
    if isinstance(error, SourceUnavailable):
        return len(batch) > 1 and error.status in OVERSIZED_STATUS
    return len(batch) > 1 or broken < SINGLE_ATTEMPTS


def _fetch_batch(
    client: StatBank,
    info: TableInfo,
    batch: Sequence[str],
    staging: Staging,
    shape_hash: str,
    on_rows: Callable[[int], None] | None,
) -> dict[str, PartitionInfo]:
    extract = bulk.Extract(
        table=info.id,
        columns=info.columns,
        codes={variable.id: variable.codes for variable in info.dimensions},
        periods=tuple(batch),
        updated=info.updated,
        shape_hash=shape_hash,
        fetched_at=clock.now().isoformat(timespec="seconds"),
    )
    with client.bulk(info, batch, attempts_if_oversized=2 if len(batch) > 1 else None) as chunks:
        return bulk.split(chunks, extract, staging, on_rows=on_rows)
