"""Reads: when each period was last asked of the publisher, and of which publication.

What belongs here: the rows of `meta.period_read`. What follows from them for a plan is `table_plan`'s business. A read
is recorded after the file is in place; a crash in between is told by the content, which then is not what was recorded.
An answer that was not believed is recorded too, without content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg2.extras import execute_values

from varro_assets.engine import postgres
from varro_assets.engine.planning import Read
from varro_assets.engine.postgres import Connection
from varro_assets.statbank.holding import Held
from varro_assets.statbank.models import TableInfo

DOUBTED = ""
"""The content that is recorded of an answer that was not believed."""
_NO_MOMENT = datetime.min.replace(tzinfo=UTC)
_PAGE = 1000


@dataclass(frozen=True)
class Recorded:
    """A row of `meta.period_read`.

    Attributes:
        read: of which publication, when.
        content_hash: of what was found, and was put in place or stood there already; empty if it was not believed.
    """

    read: Read
    content_hash: str

    @property
    def doubted(self) -> bool:
        """Whether what came was not believed, and what was held before is held still."""
        return self.content_hash == DOUBTED


_READS = """
SELECT table_id, tid_code, to_char(updated, 'YYYY-MM-DD"T"HH24:MI:SS'), read_at, read_before, content_hash
  FROM meta.period_read WHERE table_id = ANY(%s)
"""
_RECORD = """
INSERT INTO meta.period_read (table_id, tid_code, updated, read_at, read_before, content_hash) VALUES %s
ON CONFLICT (table_id, tid_code) DO UPDATE SET
    (updated, read_at, read_before, content_hash)
    = (EXCLUDED.updated, EXCLUDED.read_at, EXCLUDED.read_before, EXCLUDED.content_hash)
"""


def reads(connection: Connection, tables: Collection[str]) -> dict[str, dict[str, Recorded]]:
    """Table -> period -> its last read, for many tables in one query; a table without any has an empty mapping."""
    found: dict[str, dict[str, Recorded]] = {table: {} for table in tables}
    with postgres.transaction(connection, "read when periods were last read") as cursor:
        cursor.execute(_READS, (list(tables),))
        for table, code, updated, read_at, read_before, content_hash in cursor:
            found[table][code] = Recorded(Read(updated, read_at, read_before), content_hash)
    return found


def record(connection: Connection, table: str, found: Mapping[str, Recorded]) -> None:
    """Note the last read of periods.

    Args:
        connection: of the lock's holder.
        table: id.
        found: period -> its read.
    """
    rows = [
        (table, code, row.read.updated, row.read.read_at, row.read.read_before, row.content_hash)
        for code, row in found.items()
    ]
    if not rows:
        return
    with postgres.transaction(connection, "record the reading of periods of", on=table) as cursor:
        execute_values(cursor, _RECORD, rows, page_size=_PAGE)


def forget(connection: Connection, table: str, codes: Collection[str]) -> None:
    """Take out periods that are no longer published: nobody watches them, so one that comes back is read again."""
    with postgres.transaction(connection, "forget the reading of periods of", on=table) as cursor:
        cursor.execute("DELETE FROM meta.period_read WHERE table_id = %s AND tid_code = ANY(%s)", (table, list(codes)))


def record_known(
    connection: Connection,
    info: TableInfo,
    held: Mapping[str, Held],
    recorded: Mapping[str, Recorded],
    known: Mapping[str, Read],
) -> None:
    """Note what is known from files and manifest of periods without a record: who plans without these plans the same.

    Args:
        connection: of the lock's holder.
        info: the table's description.
        held: its files.
        recorded: what is recorded of it.
        known: what is known of the reading of its periods.
    """
    lacking = [code for code in unrecorded(info.tids, held, recorded) if code in known]
    found = {code: Recorded(known[code], held[code].content_hash) for code in lacking}
    # what no footer dates cannot be noted; it is read before everything else
    record(connection, info.id, {code: row for code, row in found.items() if row.read.read_at > _NO_MOMENT})


def unrecorded(published: Iterable[str], held: Mapping[str, Held], recorded: Mapping[str, Recorded]) -> list[str]:
    """The held, published periods that have no record, or one that is of other content than is held.

    Files and manifest must say when these were read, and only who has the files can ask them.
    """
    found = ((code, recorded.get(code)) for code in published if code in held)
    return [
        code for code, row in found if row is None or not (row.doubted or row.content_hash == held[code].content_hash)
    ]


def is_of(recorded: Recorded | None, held: Held | None, updated: str) -> bool:
    """Whether what is held of a period is what was read of this publication."""
    if recorded is None or held is None:
        return False
    return (recorded.read.updated, recorded.content_hash) == (updated, held.content_hash)


def moment(text: str) -> datetime:
    """A time stamp as files carry it; the beginning of time where it cannot be read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _NO_MOMENT
    return found if found.tzinfo else found.replace(tzinfo=UTC)
