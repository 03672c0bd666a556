"""A BULK extract -> one staged parquet file per period.

What belongs here: what an extract is, and the way from its bytes to its files. The bytes are judged in
`bulk_lines`, parsed and checked in `bulk_blocks`, gathered in `bulk_runs`; files are the engine's.

The calling thread reads the network and hands whole lines to a few workers; it never runs more than a few
blocks ahead of them. Rows of any order are taken. When all is received and nothing was refused, the workers
write the periods.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from varro_assets.engine import partition_files
from varro_assets.engine.disk import space_for
from varro_assets.engine.partitions import Origin, PartitionInfo, Staging
from varro_assets.engine.periods import file_stem
from varro_assets.errors import UnexpectedResponse
from varro_assets.statbank.bulk_blocks import BlockParser
from varro_assets.statbank.bulk_lines import DESCRIBED_ANEW, header_and_blocks
from varro_assets.statbank.bulk_runs import PeriodRows, Runs
from varro_assets.statbank.models import TIME_COLUMN as TIME
from varro_assets.statbank.models import VALUE_COLUMN as VALUE

BLOCK_BYTES = 2 << 20
BUDGET_BYTES = 64 << 20

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Extract:
    """What was asked.

    Attributes:
        table: id of the table. columns: the header expected: variable ids in upper case in the order of the
        table, "TID" among them, then
            "INDHOLD".
        codes: the codes asked for, per column but those two.
        periods: the periods asked for.
        updated: the publisher's time stamp of the table.
        shape_hash: of the table's ordered variables and kind of ``tid``.
        fetched_at: ISO 8601 in UTC.

    Raises (at construction):
        ValueError: the parts do not fit together; a mistake of the caller, not of the publisher.
        InvalidPeriod: a period that cannot be a partition.
    """

    table: str
    columns: tuple[str, ...]
    codes: Mapping[str, Sequence[str]]
    periods: tuple[str, ...]
    updated: str
    shape_hash: str
    fetched_at: str

    def __post_init__(self) -> None:
        *keys, value = self.columns
        if value != VALUE or len(set(self.columns)) != len(self.columns) or TIME not in keys:
            raise ValueError(f"columns must be distinct, with {TIME}, and {VALUE} last: {self.columns}")
        if set(self.codes) != set(keys) - {TIME}:
            raise ValueError(f"codes are given for {sorted(self.codes)}, the columns are {keys}")

        for period in self.periods:
            file_stem(period)

    @property
    def label(self) -> str:
        """For messages: the table and how many periods of it."""
        periods = self.periods
        few = ", ".join(periods) if len(periods) <= 3 else f"{periods[0]} … {periods[-1]}, {len(periods)} periods"
        return f"{self.table} ({few})"


def split(
    chunks: Iterable[bytes],
    extract: Extract,
    staging: Staging,
    *,
    on_rows: Callable[[int], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
    workers: int = 2,
    block_bytes: int = BLOCK_BYTES,
    budget_bytes: int = BUDGET_BYTES,
) -> dict[str, PartitionInfo]:
    """Write every period asked for to a staged file; one without rows becomes a file of 0 rows.

    Args:
        chunks: the body, in pieces of any size.
        extract: what was asked.
        staging: where the files go; on an error nothing of this call remains there.
        on_rows: called now and then in the calling thread with the rows since its last call.
        on_bytes: likewise with the bytes received.
        workers: threads that parse and write.
        block_bytes: about how much is parsed at a time; `workers` + 2 such blocks are held at most.
        budget_bytes: parsed rows held in memory; more of them go to a temporary file.

    Raises:
        BrokenStream: the connection broke, the body is empty, or its last byte is no LF.
        MaintenancePage: a page of HTML in place of data.
        SourceRefused: a JSON error body in place of data.
        UnexpectedResponse: another header, a ragged line, or not UTF-8.
        UndeclaredCode: a code or period that was not asked for.
        InvalidValue: a value that is neither a number nor `..`.
        DuplicateKeys: two rows share all their codes.
        StorageFull: the disk is full.
    """
    header, blocks = header_and_blocks(chunks, extract.label, block_bytes, on_bytes)
    _check_header(header, extract)
    codes = {name: sorted(set(extract.codes[name])) for name in extract.codes}
    asked = list(dict.fromkeys(extract.periods))
    parse = BlockParser(extract.columns, codes, asked, extract.label)
    with (
        staging.attempt() as folder,
        space_for(extract.label, folder),
        Runs(folder, len(asked), budget_bytes) as runs,
        ThreadPoolExecutor(workers, "bulk") as pool,
    ):
        for run in _in_order(pool, parse, blocks, workers):
            runs.add(run)
            if on_rows:
                on_rows(run.rows)
        write = _Writer(extract, codes, runs, staging, folder)
        infos = _in_order(pool, write, enumerate(asked), workers)
        return {info.period: info for info in infos}


class _Writer:
    """Writes one period after another; may be called from several threads at once."""

    def __init__(
        self, extract: Extract, codes: Mapping[str, Sequence[str]], runs: Runs, staging: Staging, folder: Path
    ) -> None:
        self._columns, self._codes, self._time = extract.columns, codes, extract.columns.index(TIME)
        self._runs, self._staging, self._folder = runs, staging, folder
        self._origin = Origin(extract.updated, extract.shape_hash, extract.fetched_at)

    def __call__(self, asked: tuple[int, str]) -> PartitionInfo:
        number, period = asked
        codes = [[period] if name == TIME else self._codes[name] for name in self._columns[:-1]]
        rows = PeriodRows(self._columns, codes, self._time, self._runs.pop(number))
        path = self._staging.path(self._folder, period)
        return partition_files.write(path, self._staging.dataset, period, rows, self._origin)


def _check_header(header: str, extract: Extract) -> None:
    if tuple(header.upper().split(";")) != extract.columns:
        raise UnexpectedResponse(
            "read the header of",
            on=extract.label,
            got=f"{header[:500]!r}, expected {';'.join(extract.columns)!r}",
            todo=DESCRIBED_ANEW,
        )


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[_In], _Out], items: Iterable[_In], workers: int
) -> Iterator[_Out]:
    """The work's results in the order of the items, of which one more than there are workers is waiting."""
    waiting: deque[Future[_Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
