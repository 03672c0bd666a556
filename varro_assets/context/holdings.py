"""Holdings: what the warehouse holds of each table, and whether its documents were made of just that.

What belongs here: a few queries over `meta` for many tables at once. No document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.engine import periods, postgres
from varro_assets.engine.postgres import Connection, Cursor
from varro_assets.statbank import manifest

EDITION = 2
"""Of the documents; a new number has all of them written anew."""


@dataclass(frozen=True)
class Holding:
    """What the warehouse holds of one table.

    Attributes:
        periods: the publisher's codes, oldest first.
        rows: in all of them.
        stamp: changes whenever a period comes, goes or is loaded with other content, or the relation is another.
    """

    table: str
    periods: tuple[str, ...]
    rows: int
    stamp: str


# only what was loaded into the relation that stands there now
_HOLDINGS = """
SELECT p.table_id, array_agg(p.tid_code), sum(p.rows)::bigint,
       md5(min(p.fact_oid)::text || string_agg(p.tid_code || '=' || p.content_hash, ' ' ORDER BY p.tid_code))
  FROM meta.period_load p
  JOIN meta.fact_table t USING (table_id)
  JOIN pg_class c ON c.oid = p.fact_oid AND c.relnamespace = to_regnamespace('fact')
 WHERE %(tables)s IS NULL OR p.table_id = ANY(%(tables)s)
 GROUP BY p.table_id
 ORDER BY p.table_id
"""
_MAPPED = """
SELECT DISTINCT table_id, t.updated::text FROM meta.fact_column c JOIN meta.fact_table t USING (table_id)
 WHERE c.map IS NOT NULL
"""
_WRITTEN = "SELECT table_id, inputs_hash FROM meta.document"
_REMEMBER = """
INSERT INTO meta.document (table_id, inputs_hash) VALUES (%s, %s)
ON CONFLICT (table_id) DO UPDATE SET (inputs_hash, written_at) = (EXCLUDED.inputs_hash, now())
"""


def holdings(connection: Connection, tables: Collection[str] | None = None) -> dict[str, Holding]:
    """What is held of these tables, or of all; tables without a loaded period are left out."""
    with postgres.transaction(connection, "read what is held") as cursor:
        cursor.execute(_HOLDINGS, {"tables": None if tables is None else list(tables)})
        return {
            table: Holding(table, tuple(periods.in_order(codes)), rows, stamp)
            for table, codes, rows, stamp in cursor.fetchall()
        }


def mapped(connection: Connection) -> dict[str, str]:
    """Table with a geographic column -> the publication whose description is held."""
    with postgres.transaction(connection, "read which tables have maps") as cursor:
        cursor.execute(_MAPPED)
        return dict(cursor.fetchall())


def inputs_hash(sources: ContextSources, snapshot: Snapshot, holding: Holding) -> str:
    """Hash of what a table's documents are made of, but for its links; see `with_links`.

    Args:
        sources: for the description.
        snapshot: places, paths, dimensions and what people want unlinked.
        holding: the table's.
    """
    table = holding.table
    files = [sources.tables_dir / table / manifest.FILE_NAME, sources.catalogue.tableinfo_path(table)]
    # a page's path depends on the subjects beside it, too
    where = [[place.ids, place.titles, snapshot.paths.subject_path(place)] for place in snapshot.places(table)]
    unlinked = None if snapshot.unlinked is None else sorted(snapshot.unlinked.get(table, ()))
    content = [EDITION, holding.stamp, holding.rows, where, unlinked, snapshot.shared, *map(_digest, files)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def with_links(inputs: str, sources: ContextSources, table: str) -> str:
    """The hash with the table's link file in it as it now lies on disk: people edit it, and linking writes it."""
    return hashlib.sha256(f"{inputs}{_digest(sources.links_dir / f'{table}.json')}".encode()).hexdigest()


def written(connection: Connection) -> dict[str, str]:
    """Table -> the inputs its documents were last written of."""
    with postgres.transaction(connection, "read what is documented") as cursor:
        cursor.execute(_WRITTEN)
        return dict(cursor.fetchall())


def remember(cursor: Cursor, table: str, inputs: str) -> None:
    """Record what a table's documents were written of."""
    cursor.execute(_REMEMBER, (table, inputs))


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        # whoever needs the file will say what is wrong with it; here it is only not what it was
        return f"unreadable: {error.errno}"
