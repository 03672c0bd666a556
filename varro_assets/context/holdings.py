"""Holdings: what the warehouse holds of each table, and whether its documents were made of just that.

What belongs here: a few queries over `meta` for many tables at once. No document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from varro_assets.context.sources import ContextSources
from varro_assets.engine import periods, postgres
from varro_assets.engine.postgres import Connection, Cursor
from varro_assets.statbank import manifest
from varro_assets.statbank.catalog import Place

EDITION = 1
"""Of the documents; a new number has all of them written anew."""


@dataclass(frozen=True)
class Holding:
    """What the warehouse holds of one table.

    Attributes:
        periods: the publisher's codes, oldest first.
        rows: in all of them.
        stamp: changes whenever any period is loaded, or what `meta` says of the table does.
    """

    table: str
    periods: tuple[str, ...]
    rows: int
    stamp: str


# only what was loaded into the relation that stands there now
_HOLDINGS = """
SELECT p.table_id, array_agg(p.tid_code), sum(p.rows)::bigint, md5(string_agg(p.content_hash, '' ORDER BY p.tid_code))
  FROM meta.period_load p
  JOIN meta.fact_table t USING (table_id)
  JOIN pg_class c ON c.oid = p.fact_oid AND c.relnamespace = to_regnamespace('fact')
 WHERE %(tables)s IS NULL OR p.table_id = ANY(%(tables)s)
 GROUP BY p.table_id
 ORDER BY p.table_id
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


def inputs_hash(sources: ContextSources, holding: Holding, places: Sequence[Place], shared: str) -> str:
    """Hash of what a table's documents are made of, but for its links; see `with_links`.

    Args:
        sources: for the description.
        holding: the table's.
        places: where it stands in the subject tree.
        shared: hash of what all tables share.
    """
    files = [sources.tables_dir / holding.table / manifest.FILE_NAME, sources.catalogue.tableinfo_path(holding.table)]
    where = [[place.ids, place.titles] for place in places]
    content = [EDITION, holding.stamp, holding.rows, where, shared, *map(_digest, files)]
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
