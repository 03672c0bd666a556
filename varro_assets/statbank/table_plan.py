"""Table plan: what to fetch of one table, from what is published, held and was read before.

What belongs here: turning the publisher's description, our files, the manifest and the recorded reads into the sets
that `engine.planning` decides over. Pure: neither file nor database nor network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from varro_assets.engine import periods, planning
from varro_assets.engine.planning import History, Plan, Read, Refresh, Scope
from varro_assets.statbank import facts, fetching
from varro_assets.statbank.fetching import BatchSize
from varro_assets.statbank.holding import Held
from varro_assets.statbank.manifest import Manifest
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.reads import Recorded, is_of, moment, unrecorded


@dataclass(frozen=True)
class Standing:
    """How our copy of a table stands to what is published.

    Attributes:
        info: the publisher's description.
        usable: what counts as held.
        past: when it was read.
        reshaped: what is held is of another shape.
        complete: a sync of it was complete once.
    """

    info: TableInfo
    usable: Mapping[str, Held]
    past: History
    reshaped: bool
    complete: bool

    def policy(self, scope: Scope) -> str:
        """The refresh policy in words, as it works out for this table now."""
        if scope.refresh is Refresh.FULL:
            return "whole table each time"
        if scope.refresh is Refresh.AUTO and self.past.small:
            return "whole table each time (small)"
        window = planning.window(periods.in_order(self.info.tids), scope)
        return f"trailing window of {window} and the longest unread twelfth"

    def plan(self, scope: Scope) -> Plan:
        """What to fetch of it."""
        trusted = None if self.complete else [code for code in self.usable if self.past.is_read(code)]
        return planning.plan(self.info.tids, self.usable, scope, self.past, reshaped=self.reshaped, trusted=trusted)


def standing(
    info: TableInfo,
    held: Mapping[str, Held],
    state: Manifest | None,
    recorded: Mapping[str, Recorded],
    now: datetime,
) -> Standing:
    """Compare what is held with what is published.

    Args:
        info: the publisher's fresh description.
        held: what we have: the files' footers, or the warehouse's record of them.
        state: the folder's manifest; None while a first load is not complete.
        recorded: when its periods were last read.
        now: the present moment.
    """
    shape = facts.shape_hash(info, held)
    usable = _usable(info, held, shape, state, recorded)
    past = _history(info, usable, state, recorded, now)
    return Standing(info, usable, past, state is not None and state.shape_hash != shape, state is not None)


def make_plan(
    info: TableInfo,
    held: Mapping[str, Held],
    scope: Scope,
    state: Manifest | None,
    recorded: Mapping[str, Recorded],
    now: datetime,
) -> Plan:
    """What to fetch of a table; `standing` says what goes in."""
    return standing(info, held, state, recorded, now).plan(scope)


def _usable(
    info: TableInfo, held: Mapping[str, Held], shape: str, state: Manifest | None, recorded: Mapping[str, Recorded]
) -> dict[str, Held]:
    """What counts as held.

    Not a published period whose file is of another shape (a crash in the middle of a change), nor one that had vanished
    and is back, since nobody watched it meanwhile; unless it has been read since it is back.
    """
    published = set(info.tids)
    watched = published if state is None else published.intersection(state.info.tids)
    back = {code for code in published.difference(watched) if is_of(recorded.get(code), held.get(code), info.updated)}
    return {
        code: part
        for code, part in held.items()
        if code not in published or (code in watched | back and part.shape_hash == shape)
    }


def _history(
    info: TableInfo,
    usable: Mapping[str, Held],
    state: Manifest | None,
    recorded: Mapping[str, Recorded],
    now: datetime,
) -> History:
    """What was read of the table's usable periods before.

    A period without a record (an older home, another database) counts as read when its file was fetched, of the
    publication that the manifest vouches for. Where the file is younger than the manifest, or of other content than was
    recorded (a crash before the record), its own publication counts.
    """
    known, lacking = {}, set(unrecorded(usable, usable, recorded))
    for code, part in usable.items():
        record = recorded.get(code)
        if record and code not in lacking:
            known[code] = record.read
            continue
        fetched = moment(part.fetched_at)
        # of the very second of the manifest's own the file knows as well as the manifest, or better
        vouched = state is not None and code in state.info.tids and fetched < moment(state.completed_at)
        known[code] = Read(state.info.updated if state and vouched and not record else part.updated, fetched)
    doubted = {code for code in usable if code in recorded and recorded[code].doubted}
    return History(info.updated, known, now, fits_one_request(info, usable), doubted)


def fits_one_request(info: TableInfo, usable: Mapping[str, Held]) -> bool:
    """Whether all of the table is expected to fit one response; a new period counts as heavy as the newest held one."""
    ordered = periods.in_order(info.tids)
    rows = [usable[code].rows for code in ordered if code in usable]
    if not rows:
        return False
    expected = sum(rows) + (len(ordered) - len(rows)) * rows[-1]
    return expected * BatchSize.of(info, None).row_bytes <= fetching.TARGET_BYTES
