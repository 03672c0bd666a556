"""Reads: when each period was last asked of the publisher, and of which publication.

What belongs here: the rows of `meta.period_read`. What follows from them for a plan is `table_plan`'s business. A read
is recorded after the file is in place; a crash in between is told by the content, which then is not what was recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg2.extras import execute_values

from varro_assets.engine import postgres
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Read
from varro_assets.engine.postgres import Connection
from varro_assets.statbank.holding import Held

_PAGE = 1000


@dataclass(frozen=True)
class Recorded:
    """A row of `meta.period_read`.

    Attributes:
        read: of which publication, when.
        content_hash: of what was found, and was put in place or stood there already.
    """

    read: Read
    content_hash: str


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


def record(
    connection: Connection, table: str, updated: str, found: Iterable[tuple[PartitionInfo, datetime, Read | None]]
) -> None:
    """Note that periods were read of a publication.

    Args:
        connection: of the lock's holder.
        table: id.
        updated: the publication.
        found: what is held of each period now, when it was asked for, and its read before this one (None: it came in).
    """
    rows = []
    for part, read_at, before in found:
        read = before.again(updated, read_at) if before else Read(updated, read_at)
        rows.append((table, part.period, updated, read.read_at, read.read_before, part.content_hash))
    if not rows:
        return
    with postgres.transaction(connection, "record the reading of periods of", on=table) as cursor:
        execute_values(cursor, _RECORD, rows, page_size=_PAGE)


def forget(connection: Connection, table: str, codes: Collection[str]) -> None:
    """Take out periods that are no longer published: nobody watches them, so one that comes back is read again."""
    with postgres.transaction(connection, "forget the reading of periods of", on=table) as cursor:
        cursor.execute("DELETE FROM meta.period_read WHERE table_id = %s AND tid_code = ANY(%s)", (table, list(codes)))


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
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
