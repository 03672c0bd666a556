"""Postgres connection: how every part of ours reaches the warehouse, and what its failures are called.

What belongs here: connecting, the transaction frame, and the translation of driver errors into named ones. What is
stored lies in `period_table`, `migrations` and `locks`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from pydantic import SecretStr

from varro_assets.engine import database_url
from varro_assets.errors import DatabaseRefused, DatabaseUnavailable, StorageFull, VarroError

Connection: TypeAlias = psycopg2.extensions.connection
Cursor: TypeAlias = psycopg2.extensions.cursor


def connect(url: SecretStr, purpose: str) -> Connection:
    """Open a connection.

    Args:
        url: ``postgresql+psycopg2://...``.
        purpose: what it is for; shown as application name to whoever waits for it.

    Raises:
        DatabaseUnavailable: nobody answers.
        DatabaseRefused: the server answers and refuses, or the URL holds an option nobody knows.
    """
    parts = database_url.parse(url.get_secret_value())
    arguments: dict[str, Any] = {
        "dbname": parts.database,
        "user": parts.username,
        "password": parts.password,
        "host": parts.host,
        "port": parts.port,
        "application_name": f"varro {purpose} pid {os.getpid()}"[:63],
        "connect_timeout": 30,
        # a lock must not outlive a peer that vanished without a word
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    # what the user's URL says goes before what we would say
    arguments |= {key: value if isinstance(value, str) else ",".join(value) for key, value in parts.query.items()}
    where = f"{parts.database} on {arguments['host'] or 'the local socket'}:{arguments['port'] or 5432}"
    try:
        connection: Connection = psycopg2.connect(**{k: v for k, v in arguments.items() if v is not None})
    except psycopg2.Error as error:
        raise _connect_error(error, where) from None
    return connection


# libpq gives no SQLSTATE for a failed connection, so there are only its texts to go by
_REFUSALS = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf",
    "no password supplied",
    "permission denied for database",
    "is not permitted to log in",
    "does not support SSL",
    "invalid dsn",
    "invalid connection option",
)


def _connect_error(error: psycopg2.Error, where: str) -> VarroError:
    got = _text(error)
    if any(refusal in got for refusal in _REFUSALS):
        return DatabaseRefused("connect to database", on=where, got=got, todo="Check DATABASE_URL in .env.")
    return DatabaseUnavailable(
        "connect to database", on=where, got=got, todo="Is the server up? Check DATABASE_URL in .env, then try again."
    )


@contextlib.contextmanager
def transaction(connection: Connection, tried: str, *, on: str = "") -> Iterator[Cursor]:
    """One transaction: committed at the end, rolled back by any exception; driver errors get their names.

    Raises:
        DatabaseUnavailable: the connection was lost; nothing of the transaction is kept.
        StorageFull: the server's disk is full.
        DatabaseRefused: the server refused a statement.
    """
    with named_errors(tried, on=on):
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except BaseException:
            with contextlib.suppress(psycopg2.Error):
                connection.rollback()
            raise


@contextlib.contextmanager
def named_errors(tried: str, *, on: str = "") -> Iterator[None]:
    """Translate driver errors inside the block."""
    try:
        yield
    except psycopg2.errors.DiskFull as error:
        raise StorageFull(tried, on=on, got=_text(error), todo="Free space on the database server.") from error
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise DatabaseUnavailable(
            tried, on=on, got=_text(error), todo="What was there before is still there; run the same command again."
        ) from error
    except psycopg2.Error as error:
        raise DatabaseRefused(tried, on=on, got=_text(error), todo="What was there before is still there.") from error


def _text(error: psycopg2.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
