"""Migrations: the `meta` schema, step by step.

What belongs here: applying the numbered `.sql` files of `migrations/` in order, each once. A file that has been applied
must never be edited: its checksum is kept.
"""

from __future__ import annotations

import hashlib
from importlib import resources

from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection, Cursor
from varro_assets.errors import DatabaseRefused

_LEDGER = """
CREATE SCHEMA IF NOT EXISTS meta;
CREATE TABLE IF NOT EXISTS meta.schema_migration (
    version text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('varro:migrations', 0))"


def scripts() -> list[tuple[str, str]]:
    """(version, SQL) of every migration, in order."""
    folder = resources.files("varro_assets.engine") / "migrations"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8")) for entry in files]


def migrate(connection: Connection) -> list[str]:
    """Bring the schema up to date; returns the versions applied now.

    Raises:
        DatabaseRefused: an applied migration is not the one we know, or is newer than this program.
    """
    known = dict(scripts())
    with postgres.transaction(connection, "look at the schema version") as cursor:
        if _applied(cursor) == {version: _checksum(sql) for version, sql in known.items()}:
            return []
    with postgres.transaction(connection, "migrate the schema meta") as cursor:
        # two processes may start at once on a fresh database
        cursor.execute(_LOCK)
        cursor.execute(_LEDGER)
        applied = _applied(cursor)
        _refuse_strangers(applied, known)
        fresh = [version for version in known if version not in applied]
        for version in fresh:
            cursor.execute(known[version])
            cursor.execute(
                "INSERT INTO meta.schema_migration (version, checksum) VALUES (%s, %s)",
                (version, _checksum(known[version])),
            )
    return fresh


def _applied(cursor: Cursor) -> dict[str, str]:
    cursor.execute("SELECT to_regclass('meta.schema_migration') IS NOT NULL")
    row = cursor.fetchone()
    if not row or not row[0]:
        return {}
    cursor.execute("SELECT version, checksum FROM meta.schema_migration")
    return dict(cursor.fetchall())


def _refuse_strangers(applied: dict[str, str], known: dict[str, str]) -> None:
    for version, checksum in applied.items():
        if version not in known:
            raise DatabaseRefused(
                "migrate the schema meta",
                on=version,
                got="the database was migrated by a newer varro-assets",
                todo="Update this installation.",
            )
        if checksum != _checksum(known[version]):
            raise DatabaseRefused(
                "migrate the schema meta",
                on=version,
                got="the applied migration differs from the one in this version",
                todo="Never edit an applied migration: add a new one.",
            )


def _checksum(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()
