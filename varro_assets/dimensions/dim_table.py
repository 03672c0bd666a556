"""Dimension table: `dim.<name>` in Postgres, with the tree view beside it.

What belongs here: making a table equal to a dimension in one transaction, and the record of it in `meta.dimension`.
Which dimensions there are is `library`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg2
import pyarrow as pa
from psycopg2 import sql

from varro_assets.dimensions.classifications import hierarchy
from varro_assets.dimensions.models import SCHEMA, Dimension, Member, dimension_name
from varro_assets.engine import postgres
from varro_assets.engine.copying import COPY_BUFFER, CsvStream
from varro_assets.engine.postgres import Connection, Cursor
from varro_assets.errors import ConfigurationError, DatabaseRefused, InvalidHierarchy, LoadMismatch

TREE_SUFFIX = "_tree"
_COPY_ROWS = 1 << 14
# every column: type, NOT NULL, collation other than the database's own
_SHAPE = [
    ("kode", "text", True, "C"),
    ("niveau", "integer", True, None),
    ("titel", "text", True, None),
    ("parent_kode", "text", False, "C"),
    ("parent_niveau", "integer", False, None),
]
_KEY = ["kode", "niveau"]

_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('varro-dim:' || %s, 0))"
# whoever holds a stronger lock than reading needs is not waited for without end: others queue up behind us
_PATIENCE = "SET LOCAL lock_timeout = '30s'"
_RELATION = """
SELECT c.oid::bigint, c.relkind = %s
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s
"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       (SELECT l.collname FROM pg_collation l WHERE l.oid = a.attcollation AND l.collname <> 'default')
  FROM pg_attribute a
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""
_PRIMARY_KEY = """
SELECT a.attname
  FROM pg_index i
 CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, place)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = %s AND i.indisprimary
 ORDER BY k.place
"""
_CREATE = """
CREATE TABLE {table} (
    kode text COLLATE "C" NOT NULL,
    niveau integer NOT NULL,
    titel text NOT NULL,
    parent_kode text COLLATE "C",
    parent_niveau integer,
    PRIMARY KEY (kode, niveau)
);
CREATE INDEX ON {table} (niveau);
CREATE INDEX ON {table} (parent_kode, parent_niveau)
"""
# a code repeats across levels, so that a parent is found by both of its columns
_TREE = """
CREATE OR REPLACE VIEW {tree} AS
WITH RECURSIVE tree AS (
    SELECT d.kode, d.niveau, d.titel, d.parent_kode, d.parent_niveau,
           d.titel AS path, ARRAY[d.kode] AS path_codes, d.kode AS root_kode, d.titel AS root_titel
      FROM {table} d
     WHERE d.parent_kode IS NULL
    UNION ALL
    SELECT d.kode, d.niveau, d.titel, d.parent_kode, d.parent_niveau,
           t.path || ' / ' || d.titel, t.path_codes || d.kode, t.root_kode, t.root_titel
      FROM tree t
      JOIN {table} d ON d.parent_kode = t.kode AND d.parent_niveau = t.niveau
)
SELECT kode, niveau, titel, parent_kode, parent_niveau, path, path_codes, root_kode, root_titel FROM tree
"""
_TREE_COMMENT = "Each member with its way from the top: path (titles), path_codes, root_kode, root_titel; edition 1"
"""A view with another comment is of another edition of this program and is made anew."""
_COMMENT_OF = "SELECT obj_description(%s, 'pg_class')"
_RECORDED = "SELECT content_hash, relation_oid::bigint FROM meta.dimension WHERE name = %s"
_RECORD = """
INSERT INTO meta.dimension (name, title, source, page, levels, members, content_hash, relation_oid)
VALUES (%(name)s, %(title)s, %(source)s, %(page)s, %(levels)s, %(members)s, %(content_hash)s, %(oid)s)
ON CONFLICT (name) DO UPDATE SET
    (title, source, page, levels, members, content_hash, relation_oid, loaded_at)
    = (EXCLUDED.title, EXCLUDED.source, EXCLUDED.page, EXCLUDED.levels, EXCLUDED.members, EXCLUDED.content_hash,
       EXCLUDED.relation_oid, now())
"""
_ROWS = "SELECT kode, niveau, titel, parent_kode, parent_niveau FROM {}"
_NAMES = """
SELECT m.name
  FROM meta.dimension m
  JOIN pg_class c ON c.oid = m.relation_oid AND c.relname = m.name
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %s
 ORDER BY m.name COLLATE "C"
"""


@dataclass(frozen=True)
class DimTables:
    """The dimension tables of one database, written through one connection."""

    connection: Connection

    def read_names(self) -> list[str]:
        """Names of the dimensions whose table stands, A to Z."""
        with postgres.transaction(self.connection, "read the names of dimensions") as cursor:
            cursor.execute(_NAMES, (SCHEMA,))
            return [row[0] for row in cursor.fetchall()]

    def difference(self, dimension: Dimension) -> str | None:
        """What is not in ``dim.<name>`` as in the dimension, in words; None if all of it is. Changes nothing.

        Unlike `load`, which believes the record, this reads the rows: they may have been changed since.

        Raises:
            DatabaseRefused: something that we did not make stands in the place of the table or the view.
        """
        with postgres.transaction(self.connection, "compare dimension", on=dimension.relation) as cursor:
            recorded = _recorded(cursor, dimension.name)
            oid = _own_table(cursor, dimension.name, known=recorded is not None)
            if oid is None:
                return "there is no such table"
            cursor.execute(sql.SQL(_ROWS).format(_identifier(dimension.name)))
            there = set(cursor.fetchall())
            wanted = {(m.kode, m.niveau, m.titel, m.parent_kode, m.parent_niveau) for m in dimension.members}
            if there != wanted:
                missing, foreign = len(wanted - there), len(there - wanted)
                return f"{missing} of {len(wanted)} members are not in it, {foreign} other rows are"
            if recorded != (dimension.content_hash, oid):
                return "it is not recorded as loaded from the file"
            tree = _own_tree(cursor, dimension.name, known=True)
            return None if tree else "its tree view is gone, or of another edition of this program"

    def load(self, dimension: Dimension, *, anew: bool = False) -> bool:
        """Make ``dim.<name>`` hold exactly this dimension; returns whether anything had to be done.

        One transaction: rows are replaced in place, so that readers go on reading the old ones until the new ones are
        complete, and people's views and grants stay. Two loads of one dimension at once follow one another.

        Args:
            dimension: what it is to hold.
            anew: also where the record says that it does.

        Raises:
            ConfigurationError: the name cannot be a dimension's.
            InvalidHierarchy: the members are no tree.
            DatabaseRefused: something that we did not make stands in the place of the table or the view; it is left
                as it is.
            LoadMismatch: the table did not take exactly the members; rolled back.
        """
        _refuse_name(dimension.name)
        hierarchy.check(dimension)
        _refuse_nul(dimension)
        name = dimension.name
        with postgres.transaction(self.connection, "load dimension", on=dimension.relation) as cursor:
            _begin(cursor, name)
            recorded = _recorded(cursor, name)
            oid = _own_table(cursor, name, known=recorded is not None)
            tree = _own_tree(cursor, name, known=recorded is not None)
            # a view may still read from a table that was renamed
            tree = tree and recorded is not None and recorded[1] == oid
            filled = recorded == (dimension.content_hash, oid) and not anew
            if tree and filled:
                return False
            if not filled:
                _fill(cursor, dimension, oid)
            if not tree:
                _create_tree(cursor, name)
            return True

    def drop(self, name: str) -> bool:
        """Drop the table, its view and the record of it; returns whether there was any.

        Raises:
            ConfigurationError: the name cannot be a dimension's.
            DatabaseRefused: the table is not ours, or somebody's view stands on it; nothing is dropped.
        """
        _refuse_name(name)
        with postgres.transaction(self.connection, "drop dimension", on=f"{SCHEMA}.{name}") as cursor:
            _begin(cursor, name)
            known = _recorded(cursor, name) is not None
            there = _own_table(cursor, name, known=known) is not None
            _own_tree(cursor, name, known=known)
            cursor.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(_identifier(name + TREE_SUFFIX)))
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_identifier(name)))
            cursor.execute("DELETE FROM meta.dimension WHERE name = %s", (name,))
            return known or there


def _refuse_name(name: str) -> None:
    if dimension_name(name) != name or name.endswith(TREE_SUFFIX):
        raise ConfigurationError(
            "name the table of dimension",
            on=repr(name),
            got=f"{name.removesuffix(TREE_SUFFIX)}{TREE_SUFFIX} is the name of a view"
            if name.endswith(TREE_SUFFIX)
            else "a name has lower case letters, digits and _",
            todo="Choose another name.",
        )


def _refuse_nul(dimension: Dimension) -> None:
    """Postgres holds no NUL in a text, and the driver's own word for it names no place."""
    texts = [dimension.title, dimension.source, dimension.page, *dimension.level_names.values()]
    for text in (*texts, *(text for member in dimension.members for text in (member.kode, member.titel))):
        if "\0" in text:
            raise InvalidHierarchy(
                "store", on=dimension.relation, got=f"a NUL character in {text[:60]!r}", todo="Nothing was stored."
            )


def _begin(cursor: Cursor, name: str) -> None:
    cursor.execute(_PATIENCE)
    cursor.execute(_ALONE, (name,))


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, name)


def _recorded(cursor: Cursor, name: str) -> tuple[str, int] | None:
    """Content hash and OID of what was loaded; None if nothing ever was."""
    cursor.execute(_RECORDED, (name,))
    row = cursor.fetchone()
    return (str(row[0]), int(row[1])) if row else None


def _find(cursor: Cursor, kind: str, name: str) -> int | None:
    """OID of the relation of that name; None if there is none.

    Raises:
        DatabaseRefused: it is of another kind.
    """
    cursor.execute(_RELATION, (kind, SCHEMA, name))
    row = cursor.fetchone()
    if row is None:
        return None
    if not row[1]:
        raise _not_ours(name, "is no table" if kind == "r" else "is no view")
    return int(row[0])


def _own_table(cursor: Cursor, name: str, *, known: bool) -> int | None:
    """OID of our table; None if there is none. One with another OID, from a backup, is ours if it has our shape."""
    oid = _find(cursor, "r", name)
    if oid is None:
        return None
    if not known:
        raise _not_ours(name, "is not recorded in meta.dimension")
    cursor.execute(_COLUMNS, (oid,))
    columns = cursor.fetchall()
    cursor.execute(_PRIMARY_KEY, (oid,))
    if columns != _SHAPE or [row[0] for row in cursor.fetchall()] != _KEY:
        raise _not_ours(name, f"has other columns: {', '.join(row[0] for row in columns)}, or another primary key")
    return oid


def _own_tree(cursor: Cursor, name: str, *, known: bool) -> bool:
    """Whether our view stands, in the edition of this program."""
    oid = _find(cursor, "v", name + TREE_SUFFIX)
    if oid is None:
        return False
    if not known:
        raise _not_ours(name + TREE_SUFFIX, f"was there before {SCHEMA}.{name}")
    cursor.execute(_COMMENT_OF, (oid,))
    row = cursor.fetchone()
    return row is not None and row[0] == _TREE_COMMENT


def _not_ours(name: str, why: str) -> DatabaseRefused:
    return DatabaseRefused(
        "write to",
        on=f"{SCHEMA}.{name}",
        got=f"it {why}: it is not, or no longer, as varro made it",
        todo=f"Nothing was changed. Move it out of schema {SCHEMA} or drop it, then load the dimension again.",
    )


def _fill(cursor: Cursor, dimension: Dimension, oid: int | None) -> None:
    """Table, rows, labels, statistics and record; ``oid`` is that of the table there is."""
    table = _identifier(dimension.name)
    if oid is None:
        cursor.execute(sql.SQL(_CREATE).format(table=table))
        oid = _find(cursor, "r", dimension.name)
    else:
        cursor.execute(sql.SQL("DELETE FROM {}").format(table))
    _copy(cursor, dimension)
    _label(cursor, dimension)
    cursor.execute(sql.SQL("ANALYZE {}").format(table))
    content = {
        "name": dimension.name,
        "title": dimension.title,
        "source": dimension.source,
        "page": dimension.page,
        "levels": len(dimension.levels),
        "members": len(dimension.members),
        "content_hash": dimension.content_hash,
        "oid": oid,
    }
    cursor.execute(_RECORD, content)


def _create_tree(cursor: Cursor, name: str) -> None:
    tree = _identifier(name + TREE_SUFFIX)
    cursor.execute(sql.SQL(_TREE).format(tree=tree, table=_identifier(name)))
    cursor.execute(sql.SQL("COMMENT ON VIEW {} IS %s").format(tree), (_TREE_COMMENT,))


def _copy(cursor: Cursor, dimension: Dimension) -> None:
    stream = CsvStream(_batches(dimension.members))
    names = sql.SQL(", ").join(sql.Identifier(name) for name, *_ in _SHAPE)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(_identifier(dimension.name), names)
    try:
        cursor.copy_expert(statement, stream, size=COPY_BUFFER)
    except psycopg2.Error as error:
        # psycopg2 reports whatever making the lines raised as a COPY that the server cancelled
        raise stream.error or error from error
    if cursor.rowcount != len(dimension.members):
        raise LoadMismatch(
            "load dimension",
            on=dimension.relation,
            got=f"{cursor.rowcount} rows where there are {len(dimension.members)} members",
            todo="Rolled back. Is there a trigger or a rule on the table?",
        )


def _batches(members: Sequence[Member]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(members), _COPY_ROWS):
        part = members[start : start + _COPY_ROWS]
        yield pa.RecordBatch.from_pydict(
            {
                "kode": pa.array([member.kode for member in part], pa.string()),
                "niveau": pa.array([member.niveau for member in part], pa.int32()),
                "titel": pa.array([member.titel for member in part], pa.string()),
                "parent_kode": pa.array([member.parent_kode for member in part], pa.string()),
                "parent_niveau": pa.array([member.parent_niveau for member in part], pa.int32()),
            }
        )


def _label(cursor: Cursor, dimension: Dimension) -> None:
    """Comments for whoever has only psql."""
    target = _identifier(dimension.name)
    comment = ". ".join(filter(None, (dimension.title, f"Source: {dimension.source}", dimension.page)))
    cursor.execute(sql.SQL("COMMENT ON TABLE {} IS %s").format(target), (comment,))
    named = ", ".join(f"{niveau} {name}" for niveau, name in sorted(dimension.level_names.items()))
    comments = {
        "kode": "Code as published; it may stand on several levels: unique only together with niveau",
        "niveau": f"Level, 1 = top{f': {named}' if named else ''}",
        "titel": "Label",
        "parent_kode": "Code of the member above; NULL on level 1. Join on parent_niveau too",
        "parent_niveau": "Its level, niveau - 1",
    }
    for column, text in comments.items():
        name = sql.Identifier(SCHEMA, dimension.name, column)
        cursor.execute(sql.SQL("COMMENT ON COLUMN {} IS %s").format(name), (text,))
