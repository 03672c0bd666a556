"""Joint documents: whether what speaks of many tables is as new as these tables are.

What belongs here: the state of the warehouse that pages, dimensions' documents and the index of maps are written for,
and whether a run has done so. Writing them is `pages`'.
"""

from __future__ import annotations

from datetime import datetime

from dagster import DagsterInstance, RunRequest

from varro_assets.defs import keys
from varro_assets.defs.unattended import attempts, requests
from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection

# not the newest moment: of two syncs the one that began first may be stored last
_STATE = """
SELECT md5(string_agg(table_id || ' ' || extract(epoch FROM synced_at)::text, ',' ORDER BY table_id))
  FROM meta.table_sync
"""


def state_of(connection: Connection) -> str | None:
    """A word that changes with every sync that is completed; None before the first."""
    with postgres.transaction(connection, "read what is synced") as cursor:
        cursor.execute(_STATE)
        row = cursor.fetchone()
    return str(row[0]) if row and row[0] else None


def request(instance: DagsterInstance, connection: Connection, sweep_id: str, now: datetime) -> RunRequest | None:
    """The run that brings them up to date; None while there is no need, or an attempt has failed not long ago.

    To be called when nothing is under way: while tables come in, every one of them would make them old again.
    """
    state = state_of(connection)
    if state is None:
        return None
    tried = attempts.with_tag(instance, {keys.SHARED_TAG: state}, now)
    if tried.succeeded or tried.under_way or tried.attempts.wait_until(now) is not None:
        return None
    return requests.of_shared(state, tried.attempts.last + 1, sweep_id)
