"""Reading: planned periods asked of the publisher, and asked again where an answer is not to be believed.

What belongs here: what comes in for one state of the table, batch by batch, staged. Putting it in place is the sync's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from varro_assets.engine.locks import TableLock
from varro_assets.engine.partitions import PartitionInfo, Staging
from varro_assets.statbank import fetching, judging
from varro_assets.statbank.client import StatBank
from varro_assets.statbank.fetching import BatchSize
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sync_report import Observer, SyncReport


@dataclass(frozen=True)
class Batch:
    """What came in with one request.

    Attributes:
        believed: period -> staged file.
        shrunk: periods that came back, twice, with so few rows that what is held is kept.
    """

    believed: Mapping[str, PartitionInfo]
    shrunk: Sequence[str] = ()


@dataclass(frozen=True)
class Reading:
    """Periods of one description of a table, on their way in.

    Attributes:
        client: the publisher.
        lock: the table's; looked after between two requests.
        observer: told of rows and problems.
        report: counts the rows.
        info: the description that is asked by.
        shape_hash: of its files.
        held: our files.
        accept_shrink: believe a period that comes back much smaller.
    """

    client: StatBank
    lock: TableLock
    observer: Observer
    report: SyncReport
    info: TableInfo
    shape_hash: str
    held: Mapping[str, PartitionInfo]
    accept_shrink: bool = False

    def batches(self, codes: Sequence[str], staging: Staging) -> Iterator[Batch]:
        """Fetch the periods in the given order.

        Raises:
            VarroError: as `fetching.fetch`.
            DatabaseUnavailable: the lock was lost; somebody else may write this table by now.
        """
        newest = next((self.held[code].rows for code in codes if code in self.held), None)
        for staged in self._fetch(codes, staging, newest):
            believed = staged if self.accept_shrink else self._believed(staged, staging)
            yield Batch(believed, [code for code in staged if code not in believed])

    def _fetch(
        self, codes: Sequence[str], staging: Staging, newest: int | None = None
    ) -> Iterator[dict[str, PartitionInfo]]:
        for staged in fetching.fetch(
            self.client,
            self.info,
            codes,
            staging,
            shape_hash=self.shape_hash,
            size=BatchSize.of(self.info, newest),
            on_rows=self._count_rows,
            on_problem=self.observer.message,
        ):
            self.lock.check()
            yield staged

    def _count_rows(self, count: int) -> None:
        self.report.rows_fetched += count
        self.observer.rows(count)

    def _believed(self, staged: Mapping[str, PartitionInfo], staging: Staging) -> dict[str, PartitionInfo]:
        """Ask again, alone, for periods that shrank; those that still do are left out."""
        believed = dict(staged)
        for code in [code for code in staged if judging.shrank(self.held.get(code), staged[code])]:
            again = next(iter(self._fetch([code], staging)))[code]
            if judging.shrank(self.held[code], again):
                self.observer.message(
                    f"{self.info.id} {code} came back with {again.rows} rows, twice,"
                    f" and {self.held[code].rows} are held."
                )
                del believed[code]
            else:
                believed[code] = again
        return believed
