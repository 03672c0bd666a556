"""Books: what was published and what of it must be held now, kept beside the program under test.

What belongs here: every state of every table by its publication, which of them a sync brought in, and the requests
that were needed for that at least. It is told by the driver after every run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from varro_assets.simulator import Universe
from varro_assets.simulator.table import Table
from varro_assets.simulator.universe import Publication
from varro_assets.statbank.catalog import Catalogue
from varro_assets_tests.oracle import World, tid_type


@dataclass
class Snapshot:
    """What was held at a moment: table -> period -> the state of the table that its rows are of."""

    moment: datetime
    tables: Mapping[str, Mapping[str, Table]]


@dataclass
class Books:
    """The books of a year.

    Attributes:
        states: table and ``updated`` -> the table as it then was.
        seen: table -> its publications that a complete sync brought in, oldest first.
        read: table -> period -> the publication that it was last read of.
        polled: table -> its publications as polls saw them, oldest first.
        polls: that came to their end.
    """

    world: World
    states: dict[tuple[str, str], Table] = field(default_factory=dict)
    seen: dict[str, list[str]] = field(default_factory=dict)
    read: dict[str, dict[str, str]] = field(default_factory=dict)
    polled: dict[str, list[str]] = field(default_factory=dict)
    polls: list[str] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    made: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        universe = self.world.universe
        for table in Universe.tables(universe):
            self.states[table.id, table.updated] = table
        universe.journal = self.published

    def published(self, publication: Publication) -> None:
        """A publication was made."""
        self.made[str(publication["kind"])] += 1
        table = self.world.universe.table(str(publication["table"]))
        before = self.states.setdefault((table.id, table.updated), table)
        if before is not table and publication["kind"] != "move":
            assert before == table, f"{table.id}: two publications of {table.updated}"
        self.states[table.id, table.updated] = table

    def note_poll(self, catalogue: Catalogue | None) -> None:
        """A poll may have been made."""
        if catalogue is None or catalogue.fetched_at in self.polls:
            return
        self.polls.append(catalogue.fetched_at)
        for table, entry in catalogue.entries.items():
            known = self.polled.setdefault(table, [])
            if not known or known[-1] != entry.updated:
                known.append(entry.updated)

    def note_runs(self) -> None:
        """Runs were made."""
        synced = self.world.query("SELECT table_id, to_char(updated, 'YYYY-MM-DD\"T\"HH24:MI:SS') FROM meta.table_sync")
        for table, updated in synced:
            known = self.seen.setdefault(table, [])
            if not known or known[-1] != updated:
                known.append(updated)
        reads = self.world.query(
            "SELECT table_id, tid_code, to_char(updated, 'YYYY-MM-DD\"T\"HH24:MI:SS') FROM meta.period_read"
            " WHERE content_hash <> ''"  # what was not believed is not held
        )
        for table, period, updated in reads:
            self.read.setdefault(table, {})[period] = updated

    def take_snapshot(self, moment: datetime) -> None:
        """Remember what is held now."""
        self.snapshots.append(Snapshot(moment, {table: self.held(table) for table in self.seen}))

    def held(self, table: str) -> dict[str, Table]:
        """Period -> the state whose rows must be held, for a table that a sync brought in completely."""
        held: dict[str, Table] = {}
        for updated in self.seen[table]:
            state = self.states[table, updated]
            held |= dict.fromkeys(state.periods, state)
        for period, updated in self.read.get(table, {}).items():
            if period in held:
                held[period] = self.states[table, updated]
        return held

    def present(self, table: str) -> Table:
        """The table as the last complete sync found it."""
        return self.states[table, self.seen[table][-1]]

    def kept(self, table: str) -> tuple[dict[str, Table], dict[str, Table]]:
        """Periods no longer published: those that are still in the fact table, and those of an older shape."""
        held, now = self.held(table), self.present(table)
        gone = {period: state for period, state in held.items() if period not in now.periods}
        shape = _shape(now, held)
        in_fact = {period: state for period, state in gone.items() if _shape(state, held) == shape}
        return in_fact, {period: state for period, state in gone.items() if period not in in_fact}


def _shape(table: Table, held: Mapping[str, Table]) -> tuple[tuple[str, ...], str]:
    return tuple(dimension.id for dimension in table.dimensions), tid_type(held)
