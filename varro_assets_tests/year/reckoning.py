"""Reckoning: whether everything that is held at the end of a year is what the publisher's history says.

What belongs here: the comparisons of files, warehouse, Dagster, documents and ledger with the books, and the account
of requests. Each returns what is wrong in words, so that one fault does not hide another.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from dagster import AssetKey, DagsterEventType, EventRecordsFilter

from varro_assets.context import documents
from varro_assets.context.sources import open_context
from varro_assets.defs import keys
from varro_assets.engine.revisions.ledger import Ledger
from varro_assets.errors import VarroError
from varro_assets.simulator.control import LoggedRequest
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.vintages import vintages
from varro_assets_tests.oracle import differing
from varro_assets_tests.year.books import Snapshot
from varro_assets_tests.year.calendar import TRAILING, WITHOUT_CELLS
from varro_assets_tests.year.machine import Machine, Ran

PUBLICATIONS_AT_MOST = 12
"""A held period is read at least in every so many publications of its table,"""
DAYS_AT_MOST = 400
"""and was last read at most so many days before the table's last complete sync."""


@dataclass
class Reckoning:
    """The end of a year on a machine.

    Attributes:
        wrong: what is not as it should be, in words.
    """

    machine: Machine
    wrong: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Every comparison; returns what is wrong."""
        self.standing()
        self.tables()
        self.partitions()
        self.reads()
        self.ledger()
        self.documents()
        return self.wrong

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (AssertionError, VarroError, OSError, LookupError) as error:
            self.wrong.append(f"{what}: {error}"[:600])

    def standing(self) -> None:
        """Nothing is due, no run hangs, nobody holds a lock."""
        due = {table: state for table, state in self.machine.standing().items() if state in _DUE}
        if due:
            self.wrong.append(f"still due: {due}; the sensor says {self.machine.ticks[-1].skipped!r}")
        if left := self.machine.unfinished():
            self.wrong.append(f"runs that never ended: {left}")
        locks = self.machine.world.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        if locks != [(0,)]:
            self.wrong.append(f"advisory locks are held: {locks}")

    def tables(self) -> None:
        """Files, manifest, fact table, records and codes of every table that was ever synced."""
        books, world = self.machine.books, self.machine.world
        for table in books.seen:
            if self._is_away(table):
                # as it was when it was last published; the oracle compares with what is published now
                continue
            kept, left = books.kept(table)
            now = books.present(table)
            older = {
                period: state
                for period, state in books.held(table).items()
                if period in now.periods and state is not now and table in TRAILING
            }
            with self._told(table):
                assert now.updated == world.universe.table(table).updated, "not of the present publication"
                world.check(table, kept=kept, left=left, as_published=older)

    def _is_away(self, table: str) -> bool:
        now = self.machine.world.universe.table(table)
        return not (now.listed and now.active)

    def partitions(self) -> None:
        """Every held period is green in Dagster, in both assets; nothing is red."""
        instance, books = self.machine.instance, self.machine.books
        for table in books.seen:
            held = books.held(table)
            stored = instance.get_dynamic_partitions(table)
            if missing := sorted(set(held).difference(stored)):
                self.wrong.append(f"{table}: no partition keys for {missing[:5]}")
            for asset in (keys.published(table), keys.fact(table)):
                found = instance.get_status_by_partition(asset, stored, keys.partitions(table)) or {}
                colours = {code: status.value if (status := found.get(code)) else "MISSING" for code in held}
                bad = {code: colour for code, colour in colours.items() if colour != "MATERIALIZED"}
                red = [code for code, status in found.items() if status and status.value in {"FAILED", "IN_PROGRESS"}]
                if bad or red:
                    told = [line for code in [*bad, *red][:1] for line in self._events(asset, code)]
                    name = asset.to_user_string()
                    self.wrong.append(f"{name}: {dict(list(bad.items())[:5])}, red: {red[:5]}; {told}")

    def _events(self, asset: AssetKey, code: str) -> list[str]:
        """What Dagster stored of a key, oldest first."""
        instance = self.machine.instance
        kinds = (DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION)
        found = []
        for kind in kinds:
            wanted = EventRecordsFilter(kind, asset_key=asset, asset_partitions=[code])
            found += instance.event_log_storage.get_event_records(wanted)
        lines = []
        for record in sorted(found, key=lambda one: one.storage_id)[-8:]:
            run = instance.get_run_by_id(record.run_id)
            event = record.event_log_entry.get_dagster_event()
            tags = {tag: value for tag, value in run.tags.items() if "range" in tag or "key" in tag} if run else {}
            when = f"{datetime.fromtimestamp(record.timestamp, UTC):%m-%d %H:%M:%S}"
            lines.append(f"{record.storage_id} {when} {event.event_type_value} {run and run.status.value} {tags}")
        return lines

    def reads(self) -> None:
        """What was read of which publication: all of the present one, or within the stated bound."""
        world, books = self.machine.world, self.machine.books
        for table in books.seen:
            if self._is_away(table):
                continue
            now, seen = books.present(table), books.seen[table]
            rows = world.query(
                "SELECT tid_code, to_char(updated, 'YYYY-MM-DD\"T\"HH24:MI:SS'), read_at FROM meta.period_read"
                " WHERE table_id = %s",
                table,
            )
            read: dict[str, tuple[str, datetime]] = {code: (updated, at) for code, updated, at in rows}
            if lacking := [code for code in now.periods if code not in read]:
                self.wrong.append(f"{table}: no reading recorded of {lacking[:5]}")
            for code in now.periods:
                updated, at = read.get(code, ("", self.machine.clock.now()))
                late = table not in TRAILING and updated != now.updated
                late |= updated in seen and len(seen) - seen.index(updated) > PUBLICATIONS_AT_MOST + 1
                late |= self.machine.clock.now() - at > timedelta(days=DAYS_AT_MOST + 7)
                if late:
                    self.wrong.append(f"{table} {code}: last read of {updated}, {at}; now {now.updated}")

    # -- ledger ----------------------------------------------------------------------------------------------------

    def ledger(self) -> None:
        """Every table as it was held at each snapshot, rebuilt."""
        for snapshot in self.machine.books.snapshots:
            for table in snapshot.tables:
                if table != WITHOUT_CELLS:
                    with self._told(f"{table} as of {snapshot.moment:%Y-%m-%d}"):
                        self._vintage(snapshot, table)
        rows = self.machine.world.query(
            "SELECT count(*) FROM meta.revision WHERE table_id = %s AND kind = 'revised' AND cells IS NOT NULL",
            WITHOUT_CELLS,
        )
        if rows != [(0,)]:
            self.wrong.append(f"{WITHOUT_CELLS} keeps no cells, and {rows} rows name some")

    def _vintage(self, snapshot: Snapshot, table: str) -> None:
        sources = self.machine.world.sources
        ledger = Ledger(self.machine.settings.revisions_dir / table, table)
        found = dict(vintages.as_of(sources.store(table), ledger, snapshot.moment))
        expected = snapshot.tables[table]
        assert sorted(found) == sorted(expected), "other periods"
        for period, state in expected.items():
            wanted = Counter((*row[:-1], period, row[-1]) for row in state.rows(period))
            got = Counter(_rows(found[period]))
            assert (period, *differing(got, wanted)) == (period, [], [])

    # -- documents -------------------------------------------------------------------------------------------------

    def documents(self) -> None:
        """Writing every document anew changes no file."""
        settings, world = self.machine.settings, self.machine.world
        context = open_context(settings, world.sources.warehouse)
        folders = (settings.context_dir, settings.links_dir)
        before = _contents(folders)
        report = documents.write(context, everything=True)
        after = _contents(folders)
        changed = sorted(str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        if report.problems or changed:
            problems = dict(list(report.problems.items())[:5])
            self.wrong.append(f"documents were stale: {changed[:8]}, problems: {problems}")


_DUE = (State.CHANGED, State.NEVER, State.REFILL)


def _contents(folders: Sequence[Path]) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


# -- requests ------------------------------------------------------------------------------------------------------


NEEDED = "needed"
"""The cause of a request that nobody could do without."""
_ERROR, _BROKEN = "answered by an error", "asked by a run that broke or was killed"
_CLOSING = "description after the data: both are of one publication"
_OPENING = "description asked again before the data"
_AGAIN = "data in pieces or again: a first load, a doubt, an answer of no use, published meanwhile"
_TREE = "subject tree: may have changed with any publication"


@dataclass(frozen=True)
class Account:
    """Requests by function: how many there were, how many were needed at least, and why there were more."""

    function: str
    least: int
    causes: Counter[str]

    @property
    def asked(self) -> int:
        """All there were."""
        return self.causes.total()


def account(machine: Machine) -> list[Account]:
    """The requests of a year.

    Least: one list of tables for every week's poll; one description and one data request for every publication that
    a poll saw; the subject tree for the first poll.
    """
    books = machine.books
    publications = sum(len(updated) for table, updated in books.polled.items() if table in books.seen)
    least = {"tables": len(books.polls), "subjects": 1, "tableinfo": publications, "data": publications}
    causes: dict[str, Counter[str]] = {function: Counter() for function in least}
    log, read = machine.world.simulator.requests, set[str]()
    for ran in machine.runs:
        lines = [line for line in log[ran.first : ran.last] if line.service == "api"]
        for at, line in enumerate(lines):
            closing = any(other.function == "data" for other in lines[:at])
            causes[line.function][_cause(ran, line, closing, read)] += 1
    return [Account(name, least[name], causes[name]) for name in least]


def _cause(ran: Ran, line: LoggedRequest, after_data: bool, read: set[str]) -> str:
    """Why a request was made; ``read`` remembers whose tree was asked for."""
    if line.status != 200:
        return _ERROR
    if ran.ended != "success":
        return _BROKEN
    if line.function == "subjects":
        first = not read
        read.add(line.function)
        return NEEDED if first else _TREE
    if line.function == "data":
        return _AGAIN if after_data else NEEDED
    if line.function == "tableinfo" and ran.table is not None:
        return _CLOSING if after_data else _OPENING
    return NEEDED


def as_text(accounts: Sequence[Account], machine: Machine) -> str:
    """The account as a table, the causes of each function below it."""
    lines = [f"{'requests':<12}{'asked':>8}{'least':>8}"]
    for one in accounts:
        lines.append(f"{one.function:<12}{one.asked:>8}{one.least:>8}")
        lines += [f"{'':<12}{count:>8}  {cause}" for cause, count in one.causes.most_common()]
    asked, least = sum(one.asked for one in accounts), sum(one.least for one in accounts)
    ended = Counter(ran.ended for ran in machine.runs)
    lines.append(f"{'all':<12}{asked:>8}{least:>8}   {asked / least:.2f} times the least")
    lines.append(f"runs: {dict(ended)}; ticks of the sensor: {len(machine.ticks)}")
    lines.append(f"publications: {dict(machine.books.made.most_common())}")
    return "\n".join(lines)
