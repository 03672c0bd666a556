"""Workload: what a due table needs, looked up when its turn comes.

What belongs here: putting description, holdings and plan together for `sweep.decide`. One table's description is read,
no period's file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from varro_assets.engine import periods
from varro_assets.engine.planning import Reason, Scope
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DamagedPartition, InvalidPeriod
from varro_assets.statbank import manifest, table_plan
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.holding import HeldPeriod, holdings_of
from varro_assets.statbank.manifest import Manifest
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.reads import Recorded, reads, unrecorded
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sweeps.sweep import Candidate, Work

_ALL_OF_IT = {Reason.BOOTSTRAP, Reason.RESHAPED, Reason.FULL, Reason.WHOLE}
"""Reasons that go for a table as a whole: such a run finds out by itself, and needs no range to say what it reads."""


@dataclass(frozen=True)
class Workload:
    """The work of due tables.

    Attributes:
        sources: folders.
        catalogue: the last poll.
        connection: to the warehouse.
        tables: those that may be asked about; what is held of all of them is read at once.
        scope: table -> what is to be read again of it when it was published anew.
        stored: table -> its partition keys, in stored order.
        now: the present.
    """

    sources: Sources
    catalogue: Catalogue
    connection: Connection
    tables: Collection[str]
    scope: Callable[[str], Scope]
    stored: Callable[[str], Sequence[str]]
    now: datetime

    @cached_property
    def _held(self) -> dict[str, dict[str, HeldPeriod]]:
        return holdings_of(self.connection, self.tables)

    @cached_property
    def _reads(self) -> dict[str, dict[str, Recorded]]:
        return reads(self.connection, self.tables)

    def of(self, candidate: Candidate) -> Work:
        """What is to be done for this table.

        Raises:
            VarroError: what is held of it, or known of it, cannot be used.
        """
        table, stored = candidate.table, self.stored(candidate.table)
        entry = self.catalogue.entries[table]
        if candidate.state is State.REFILL:
            return self._refill(table, stored, entry.latestPeriod)
        info = self.sources.catalogue.tableinfo(table)
        if info is None or info.updated != entry.updated:
            # the run asks for the description itself, and registers what is new in it
            return Work(stored, stored or (info.tids if info else _code(entry.latestPeriod)))
        if candidate.state is State.NEVER:
            return Work(stored, info.tids)
        held, recorded = self._held.get(table, {}), self._reads.get(table, {})
        state = manifest.read_usable(self.sources.store(table).folder)
        if not _is_told(info, held, state, recorded):
            return Work(stored, info.tids)
        plan = table_plan.make_plan(info, held, self.scope(table), state, recorded, self.now)
        if _ALL_OF_IT.intersection(plan.fetch.values()):
            return Work(stored, info.tids)
        return Work(stored, [*info.tids, *plan.vanished], frozenset(plan.fetch))

    def _refill(self, table: str, stored: Sequence[str], latest: str) -> Work:
        store = self.sources.store(table)
        held = manifest.readable(store, lambda _code, _error: None)
        try:
            state = manifest.read_complete(store, held)
        except DamagedPartition:
            return Work(stored, [*held, *stored] or _code(latest), refillable=False)
        return Work(stored, [*held, *state.info.tids])


def _is_told(
    info: TableInfo, held: Mapping[str, HeldPeriod], state: Manifest | None, recorded: Mapping[str, Recorded]
) -> bool:
    """Whether the warehouse says of each period what its file says, so that a run plans the same as is planned here.

    It does not when it was lost, or filled anew from the files: when a period without a record was read, its file alone
    tells. The run that finds out by itself records it before it asks for anything.
    """
    expected = {*recorded, *(state.info.tids if state else ())}.intersection(info.tids)
    return expected <= held.keys() and not unrecorded(info.tids, held, recorded)


def _code(label: str) -> list[str]:
    """The period's code, as far as its label tells: the catalogue has labels, and those in words need not be codes.

    A key made of one that is none would never be filled.
    """
    try:
        return [label] if periods.parse(label).kind is not periods.Kind.TEXT else []
    except InvalidPeriod:
        return []
