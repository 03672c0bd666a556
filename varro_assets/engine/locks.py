"""Table lock: one writer per table, over all processes that use the warehouse.

What belongs here: session-level advisory locks, so that the server itself releases the lock of a process that dies.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator

from pydantic import SecretStr

from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DatabaseUnavailable, TableBusy

_KEY = "hashtextextended('varro:' || %(name)s, 0)"
_TAKE = f"SELECT pg_try_advisory_lock({_KEY})"
_SHARE = f"SELECT pg_try_advisory_lock_shared({_KEY})"
_GIVE_BACK = f"SELECT pg_advisory_unlock({_KEY})"
_GIVE_BACK_SHARE = f"SELECT pg_advisory_unlock_shared({_KEY})"
# A bigint key shows in pg_locks as its two halves, objsubid 1.
_HOLDER = f"""
SELECT a.application_name, a.backend_start
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid::bigint = (({_KEY} >> 32) & 4294967295)
   AND l.objid::bigint = ({_KEY} & 4294967295)
"""
# the key put together again of its halves
_HELD = """
SELECT wanted.name
  FROM unnest(%(names)s::text[]) AS wanted (name)
 WHERE hashtextextended('varro:' || wanted.name, 0) IN (
       SELECT (l.classid::bigint << 32) | l.objid::bigint
         FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_POLL_SECONDS = 0.5


class TableLock:
    """A lock that is held. Losing the connection loses the lock, which `check` finds out."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name, self._connection = name, connection

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the lock's connection, and so the lock, still lives."""
        with postgres.transaction(self._connection, "keep the lock of table", on=self.name) as cursor:
            cursor.execute("SELECT 1")


@contextlib.contextmanager
def table_lock(url: SecretStr, name: str, *, wait: float = 0.0) -> Iterator[TableLock]:
    """Hold the lock of a table, on a connection of its own.

    Args:
        url: the warehouse.
        name: the table's id, as the publisher spells it.
        wait: seconds to wait for another holder.

    Raises:
        TableBusy: somebody else held it all that time; names them.
    """
    with contextlib.closing(postgres.connect(url, f"lock {name}")) as connection:
        _wait_for(connection, name, wait)
        with _given_back(connection, name):
            yield TableLock(name, connection)


@contextlib.contextmanager
def shared_lock(url: SecretStr, name: str) -> Iterator[None]:
    """Hold a lock that any number may hold at once, on a connection of its own; to `held` it is one like any other.

    Args:
        url: the warehouse.
        name: of the lock; one that nobody takes for himself alone.

    Raises:
        TableBusy: somebody has it for himself alone.
    """
    with contextlib.closing(postgres.connect(url, f"lock {name}")) as connection:
        _wait_for(connection, name, 0.0, _SHARE)
        with _given_back(connection, name, _GIVE_BACK_SHARE):
            yield


@contextlib.contextmanager
def short_lock(connection: Connection, name: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock on a connection that does the work as well: opening one costs more than a short piece of work.

    Args:
        connection: idle, of one thread; locks of the same name on it do not exclude one another.
        name: of the lock, among those of tables.
        wait: seconds to wait for another holder.

    Raises:
        TableBusy: somebody else held it all that time; names them.
    """
    _wait_for(connection, name, wait)
    with _given_back(connection, name):
        yield


def held(connection: Connection, names: Collection[str]) -> set[str]:
    """Those of the names whose lock somebody holds; one query for all."""
    with postgres.transaction(connection, "look at the locks") as cursor:
        cursor.execute(_HELD, {"names": list(names)})
        return {row[0] for row in cursor.fetchall()}


def holder(url: SecretStr, name: str) -> str | None:
    """Who holds the lock, in words; None when it is free."""
    with contextlib.closing(postgres.connect(url, f"look at lock {name}")) as connection:
        return _holder(connection, name)


@contextlib.contextmanager
def _given_back(connection: Connection, name: str, give_back: str = _GIVE_BACK) -> Iterator[None]:
    """Give back a lock at the end. Closing the connection would do, but of that the server learns a moment later."""
    try:
        yield
    finally:
        # the server itself gives back what a lost connection held
        if not connection.closed:
            with (
                contextlib.suppress(DatabaseUnavailable),
                postgres.transaction(connection, "give back the lock of", on=name) as cursor,
            ):
                cursor.execute(give_back, {"name": name})


def _wait_for(connection: Connection, name: str, wait: float, take: str = _TAKE) -> None:
    deadline = time.monotonic() + wait
    while not _taken(connection, name, take):
        if time.monotonic() >= deadline:
            raise TableBusy(
                "lock table",
                on=name,
                got=f"held by {_holder(connection, name) or 'another process'}",
                todo="Wait for it to finish, then run the command again.",
            )
        time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def _taken(connection: Connection, name: str, take: str) -> bool:
    with postgres.transaction(connection, "lock table", on=name) as cursor:
        cursor.execute(take, {"name": name})
        row = cursor.fetchone()
    return bool(row and row[0])


def _holder(connection: Connection, name: str) -> str | None:
    with postgres.transaction(connection, "look at the lock of table", on=name) as cursor:
        cursor.execute(_HOLDER, {"name": name})
        row = cursor.fetchone()
    return f"{row[0]!r} since {row[1]:%Y-%m-%d %H:%M:%S %Z}" if row else None
