"""Sweeps: what belongs together of all that was run, and the words for how it went.

What belongs here: the records a report is made from and the report itself, as plain values. Reading the records is the
orchestrator's side; judging them is `sweep_report`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """A kind of work; the order is that of the work."""

    POLL = "poll"
    FETCH = "fetch"
    """From the publisher to files."""
    LOAD = "load"
    """From files to the warehouse."""
    SUMMARY = "summary"
    LINKS = "links"
    DOCUMENTS = "documents"
    SHARED = "shared"
    """What speaks of many tables: dimensions, pages, maps."""


SYNC_STAGES = (Stage.FETCH, Stage.LOAD, Stage.SUMMARY)
"""One step does these three of a table."""
DOCUMENT_STAGES = (Stage.LINKS, Stage.DOCUMENTS)
"""Another does these, after it."""


class Asked(StrEnum):
    """Which periods a sync was asked to read."""

    SELECTED = "SELECTED"
    """Exactly the partition keys of its run."""
    DUE_SELECTED = "DUE_SELECTED"
    """Those of them that are due."""
    DUE = "DUE"
    ALL = "ALL"

    @classmethod
    def of(cls, wish: Mapping[str, Any]) -> Asked:
        """As the wish says; without a word, as in the UI, what is selected; a word nobody knows names no period."""
        said = str(wish.get("periods") or cls.SELECTED).upper()
        return cls(said) if said in cls.__members__ else cls.DUE


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    STARTED = "started"
    """Under way, or dead without a word."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    """Taken back by somebody."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self in {RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED}


class SweepStatus(StrEnum):
    """How a sweep went."""

    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    """Some of it came in, or periods were kept as they were because they shrank."""
    FAILED = "FAILED"
    """Nothing came in."""
    INCOMPLETE = "INCOMPLETE"
    """Something is queued, under way or still to be asked for, or died without a word."""
    NO_WORK = "NO_WORK"
    """Nothing was due, or what was due waited its turn after a failure, or other sweeps did it."""


class TableStatus(StrEnum):
    """How a table fared in a sweep."""

    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    NOTHING = "nothing to do"


@dataclass(frozen=True, order=True)
class Target:
    """Something a run is to write.

    Attributes:
        asset: its key, parts joined by ``/``.
    """

    stage: Stage
    asset: str


@dataclass(frozen=True)
class RunRecord:
    """One run as the orchestrator remembers it; of a run of several tables what it does of one, or of none.

    Attributes:
        sweep: id of what it belongs to.
        targets: what it was to write.
        launcher: who launched it: ``command``, ``schedule``, ``sensor``, ``UI``, ``backfill``.
        created: seconds since 1970; so are the next three.
        touched: when anything of it last changed.
        table: it writes; empty for what tables share. A run of several has a record for each.
        segment: the stretch of periods it reads, where a table's work is cut into several runs.
        updated: the publication that made the table due.
        wish: config of the sync that is not the default, such as ``{"since": "2020"}``.
        will_retry: it failed, and will be tried again without anybody's doing.
    """

    run_id: str
    sweep: str
    state: RunState
    targets: frozenset[Target]
    launcher: str
    created: float
    started: float | None = None
    ended: float | None = None
    touched: float = 0.0
    table: str = ""
    segment: str = ""
    updated: str = ""
    wish: Mapping[str, Any] = field(default_factory=dict)
    will_retry: bool = False

    @property
    def seconds(self) -> float:
        """How long it ran; 0 for one that did not begin or has not ended."""
        return max(0.0, self.ended - self.started) if self.started and self.ended else 0.0


class EventKind(StrEnum):
    """What an event says."""

    WRITTEN = "written"
    PLANNED = "planned"
    STEP_FAILED = "step failed"
    RUN_FAILED = "run failed"


@dataclass(frozen=True)
class EventRecord:
    """One event of a run.

    Attributes:
        at: seconds since 1970.
        asset: written or planned.
        table: that this is about; empty if it is about none, or the whole run.
        period: of the asset; None for all of it.
        stages: of a failed step: what it was to do; empty if nobody knows.
        figures: numbers and lists that came with it.
        text: the error in words.
    """

    run_id: str
    kind: EventKind
    at: float
    asset: str = ""
    period: str | None = None
    stages: frozenset[Stage] = frozenset()
    figures: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    table: str = ""


@dataclass(frozen=True)
class Failed:
    """The first failure of an asset, or of one period of it.

    Attributes:
        table: empty for what tables share.
        period: None where the whole asset failed, or nobody knows at which it did.
        shrank: nothing broke: the period came back too small to be believed, and what was held is kept.
    """

    asset: str
    table: str
    stage: Stage
    period: str | None
    error: str
    run_id: str
    at: float
    shrank: bool = False


@dataclass
class StageCount:
    """How many assets of a stage got how far; those that neither completed nor failed wait, or were not reached."""

    planned: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0


@dataclass
class TableReport:
    """How a table fared.

    Attributes:
        outcomes: period -> outcome, where it is known by name.
        counts: outcome -> periods.
        planned: reason -> periods that were fetched for it, where that is known.
        requests: of its syncs that ended well, each attempt of a request counted; a run that failed leaves no figure.
        updated: of the publication that is held completely; empty if none is.
        seconds: of its runs, all that they did beside it included.
        wish: of the run that failed last, else of the last.
        failed_stages: those in which something failed.
        runs: their ids, oldest first.
    """

    table: str
    status: TableStatus
    outcomes: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    planned: dict[str, list[str]] = field(default_factory=dict)
    rows_fetched: int = 0
    rows_written: int = 0
    requests: int = 0
    seconds: float = 0.0
    due: str = ""
    updated: str = ""
    error: str = ""
    wish: Mapping[str, Any] = field(default_factory=dict)
    failed_stages: frozenset[Stage] = frozenset()
    runs: tuple[str, ...] = ()

    def periods(self, *outcomes: str) -> list[str]:
        """The periods with one of these outcomes."""
        return [period for period, outcome in self.outcomes.items() if outcome in outcomes]


@dataclass
class SweepReport:
    """How a sweep went.

    Attributes:
        started: seconds since 1970; so is ``ended``, which is None while something is under way.
        retries: runs that were tried again, in whatever way.
        tables: id -> report, in the order begun.
        failures: the first of each asset and period that nothing mended.
        poll: what the poll said of itself; empty where it was no run, as that of ``varro sync`` is none.
    """

    sweep: str
    status: SweepStatus
    launcher: str
    started: float
    ended: float | None
    runs: int
    retries: int
    stages: Mapping[Stage, StageCount]
    tables: Mapping[str, TableReport]
    failures: Sequence[Failed]
    poll: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first run's beginning to the last one's end."""
        return max(0.0, self.ended - self.started) if self.ended is not None else 0.0

    @property
    def rows_fetched(self) -> int:
        """Rows received."""
        return sum(table.rows_fetched for table in self.tables.values())

    @property
    def rows_written(self) -> int:
        """Rows written to the warehouse."""
        return sum(table.rows_written for table in self.tables.values())

    @property
    def requests(self) -> int:
        """Requests of its tables' syncs that ended well, and of its poll as far as that tells.

        What a command asks for outside its runs, the catalogue and descriptions, is told by the command alone.
        """
        return sum(table.requests for table in self.tables.values()) + self._polled("requests")

    @property
    def awaited(self) -> int:
        """Tables that its poll found due, where no run of the sweep followed."""
        return 0 if self.tables else self._polled("due")

    @property
    def idle(self) -> bool:
        """Whether it had no work: it looked for some, and at most brought up to date what tables share, unasked.

        Pages follow a sync by themselves, often under the name of the next poll; they must not hide the sync.
        """
        if self.status in {SweepStatus.FAILED, SweepStatus.PARTIAL}:
            return False
        by_itself = self.launcher in {"schedule", "sensor"} and set(self.stages) <= {Stage.POLL, Stage.SHARED}
        return self.status is SweepStatus.NO_WORK or by_itself or set(self.stages) == {Stage.POLL}

    def _polled(self, name: str) -> int:
        value = self.poll.get(name)
        return int(value) if isinstance(value, int | float) else 0

    def count(self, status: TableStatus) -> int:
        """Tables that fared so."""
        return sum(1 for table in self.tables.values() if table.status is status)

    def periods(self, outcome: str) -> int:
        """Periods of all tables with that outcome."""
        return sum(table.counts.get(outcome, 0) for table in self.tables.values())

    def as_json(self) -> dict[str, Any]:
        """The whole of it for programs: plain values, times in ISO."""
        return {
            "sweep": self.sweep,
            "status": str(self.status),
            "launcher": self.launcher,
            "started_at": iso(self.started),
            "ended_at": iso(self.ended),
            "seconds": round(self.seconds, 3),
            "runs": self.runs,
            "retries": self.retries,
            "rows_fetched": self.rows_fetched,
            "rows_written": self.rows_written,
            "requests": self.requests,
            "stages": {str(stage): vars(count) for stage, count in self.stages.items()},
            "poll": dict(self.poll),
            "tables": {name: _table_json(table) for name, table in self.tables.items()},
            "failures": [
                {**vars(failed), "stage": str(failed.stage), "at": iso(failed.at)} for failed in self.failures
            ],
        }


def _table_json(table: TableReport) -> dict[str, Any]:
    return {
        **{name: value for name, value in vars(table).items() if name != "table"},
        "status": str(table.status),
        "seconds": round(table.seconds, 3),
        "wish": dict(table.wish),
        "failed_stages": sorted(map(str, table.failed_stages)),
        "runs": list(table.runs),
    }


def iso(moment: float | None) -> str | None:
    """Seconds since 1970 as ``2026-03-01T22:00:00Z``."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
