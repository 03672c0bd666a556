"""Lookup: the values of a column or of a dimension, found by what somebody types.

What belongs here: which table and column are meant, and the rows of the answer out of `meta` and `dim`. The order by
likeness lies in `likeness`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from varro_assets.context.asking import likeness
from varro_assets.engine import periods, postgres
from varro_assets.engine.postgres import Connection, Cursor
from varro_assets.errors import ConfigurationError, UnknownColumn, UnknownTable

CODE, TITLE = "kode", "titel"
"""The columns of a dimension that can be asked for; either gives its members."""
_FACT, _DIMENSION = "fact.", "dim."


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value.

    Attributes:
        code: as published.
        label: its text.
        level: of the dimension, 1 = top; None where the column has no dimension or the code no member.
        parent, parent_label: the member above.
        first_period, last_period: held periods with a row of it, as the publisher codes them; None where no row has it
            or, for a dimension, no table was named.
    """

    code: str
    label: str
    level: int | None = None
    parent: str | None = None
    parent_label: str | None = None
    first_period: str | None = None
    last_period: str | None = None


@dataclass(frozen=True, slots=True)
class _Link:
    """A column that joins a dimension which is there."""

    table: str
    column: str
    dimension: str
    join: str
    levels: tuple[int, ...]


_TABLES = "SELECT table_id FROM meta.fact_table ORDER BY table_id"
_DIMENSIONS = "SELECT name FROM meta.dimension WHERE to_regclass('dim.' || quote_ident(name)) IS NOT NULL ORDER BY name"
_COLUMNS = """
SELECT column_name, variable_id FROM meta.fact_column WHERE table_id = %s AND role <> 'value' ORDER BY position
"""
_LINKS = """
SELECT column_name, dimension, join_sql, levels FROM meta.dimension_link WHERE table_id = %s ORDER BY column_name
"""
_CODES = """
SELECT code, text, NULL, NULL, NULL, first_period, last_period
  FROM meta.code WHERE table_id = %(table)s AND column_name = %(column)s ORDER BY position, code
"""
# no column of a fact table has a capital: none is taken for another
_LINKED = """
WITH f AS (
    SELECT code AS {column}, text AS "Label", position AS "Position", first_period AS "First", last_period AS "Last"
      FROM meta.code WHERE table_id = %(table)s AND column_name = %(column)s
)
SELECT f.{column}, f."Label", d.niveau, d.parent_kode, p.titel, f."First", f."Last"
  FROM f
  LEFT JOIN dim.{dimension} d ON ({join}) AND d.niveau = ANY(coalesce(CAST(%(levels)s AS integer[]), ARRAY[d.niveau]))
  LEFT JOIN dim.{dimension} p ON p.kode = d.parent_kode AND p.niveau = d.parent_niveau
 ORDER BY f."Position", f.{column}, d.niveau, d.kode
"""
_MEMBERS = """
SELECT d.kode, d.titel, d.niveau, d.parent_kode, p.titel, NULL, NULL
  FROM dim.{dimension} d LEFT JOIN dim.{dimension} p ON p.kode = d.parent_kode AND p.niveau = d.parent_niveau
 ORDER BY d.niveau, d.kode COLLATE "C"
"""
_OCCURRING = """
WITH f AS (
    SELECT code AS {column}, first_period AS "First", last_period AS "Last" FROM meta.code
     WHERE table_id = %(table)s AND column_name = %(column)s AND first_period IS NOT NULL
)
SELECT d.kode, d.titel, d.niveau, d.parent_kode, p.titel, f."First", f."Last"
  FROM f
  JOIN dim.{dimension} d ON ({join}) AND d.niveau = ANY(coalesce(CAST(%(levels)s AS integer[]), ARRAY[d.niveau]))
  LEFT JOIN dim.{dimension} p ON p.kode = d.parent_kode AND p.niveau = d.parent_niveau
 ORDER BY d.niveau, d.kode COLLATE "C"
"""


def values(
    connection: Connection, table: str, column: str, *, match: str | None, for_table: str | None, limit: int
) -> list[ValueRow]:
    """Values of a column, in the publisher's order (a dimension's by level and code), or the likest first.

    A code that stands on several levels of its dimension has a row for each.

    Args:
        connection: to the warehouse; the reader's will do. Outside of a transaction.
        table: a table (``FOLK1A``, ``fact.folk1a``) or a dimension (``nuts``, ``dim.nuts``).
        column: by its name or the publisher's id; of a dimension ``kode`` or ``titel``.
        match: text to look for in codes and labels, see `likeness`; None for all.
        for_table: of a dimension, only members that occur in this table, with the periods in which they do.
        limit: most rows.

    Raises:
        UnknownTable, UnknownColumn: there is none of that name; the error names the nearest.
        ConfigurationError: ``for_table`` with a table that is no dimension.
        InvalidLink: the join of the column's link is none we may run.
        DatabaseUnavailable, DatabaseRefused: the warehouse cannot be asked.
    """
    with postgres.transaction(connection, "look up values of", on=f"{table} {column}") as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        rows = _rows(cursor, table, column, for_table)
    if match is None:
        return rows[:limit]
    order = likeness.ranked(match, [(row.code, row.label) for row in rows])
    return [rows[position] for position in order[:limit]]


def _rows(cursor: Cursor, table: str, column: str, for_table: str | None) -> list[ValueRow]:
    dimensions = _names(cursor, _DIMENSIONS)
    tables = _names(cursor, _TABLES)
    if fact := _table(table, tables):
        if for_table is not None:
            raise ConfigurationError(
                "limit the values of",
                on=f"{fact} to {for_table}",
                got="only a dimension's values can be limited to a table",
                todo="Leave --for-table out, or name a dimension.",
            )
        return _fact_rows(cursor, fact, column, dimensions)
    name = _dimension(table, dimensions)
    if name is None:
        raise _unknown_table(table, [*(f"{_FACT}{known.lower()}" for known in tables), *map(_dim, dimensions)])
    if column.strip().lower() not in (CODE, TITLE):
        raise _unknown_column(column, _dim(name), [CODE, TITLE])
    if for_table is None:
        cursor.execute(sql.SQL(_MEMBERS).format(dimension=sql.Identifier(name)))
        return [ValueRow(*row) for row in cursor.fetchall()]
    limiting = _table(for_table, tables)
    if limiting is None:
        raise _unknown_table(for_table, [f"{_FACT}{known.lower()}" for known in tables])
    return _occurring(cursor, name, limiting, dimensions)


def _fact_rows(cursor: Cursor, table: str, column: str, dimensions: Sequence[str]) -> list[ValueRow]:
    name = _column(cursor, table, column)
    parameters: dict[str, object] = {"table": table, "column": name}
    link = next((link for link in _links(cursor, table, dimensions) if link.column == name), None)
    if link is None:
        cursor.execute(_CODES, parameters)
    else:
        cursor.execute(_composed(_LINKED, link), {**parameters, "levels": list(link.levels) or None})
    return [ValueRow(*row) for row in cursor.fetchall()]


def _occurring(cursor: Cursor, dimension: str, table: str, dimensions: Sequence[str]) -> list[ValueRow]:
    links = [link for link in _links(cursor, table, dimensions) if link.dimension == dimension]
    if not links:
        raise UnknownColumn(
            "find a column of",
            on=f"{table} that joins {_dim(dimension)}",
            got="none does",
            todo=f"varro links show {table}",
        )
    found: dict[tuple[str, int | None], ValueRow] = {}
    for link in links:
        parameters = {"table": table, "column": link.column, "levels": list(link.levels) or None}
        cursor.execute(_composed(_OCCURRING, link), parameters)
        for row in map(_value_row, cursor.fetchall()):
            known = found.get((row.code, row.level))
            found[row.code, row.level] = _spanning(known, row) if known else row
    return sorted(found.values(), key=lambda row: (row.level or 0, row.code))


def _value_row(row: tuple[object, ...]) -> ValueRow:
    return ValueRow(*row)  # type: ignore[arg-type]


def _spanning(one: ValueRow, other: ValueRow) -> ValueRow:
    """The member with the life of both: it may occur by several codes or in several columns."""
    codes = [one.first_period, one.last_period, other.first_period, other.last_period]
    held = periods.in_order(code for code in codes if code is not None)
    return ValueRow(one.code, one.label, one.level, one.parent, one.parent_label, held[0], held[-1])


def _links(cursor: Cursor, table: str, dimensions: Sequence[str]) -> list[_Link]:
    """Links whose dimension is there."""
    cursor.execute(_LINKS, (table,))
    found = [_Link(table, column, name, join, tuple(levels)) for column, name, join, levels in cursor.fetchall()]
    return [link for link in found if link.dimension in dimensions]


def _composed(statement: str, link: _Link) -> sql.Composed:
    # imported here, as in `link_file`
    from varro_assets.dimensions.links.join_condition import checked_join

    join = checked_join(link.join, link.column, on=f"the link of {link.table} {link.column}")
    return sql.SQL(statement).format(
        column=sql.Identifier(link.column),
        dimension=sql.Identifier(link.dimension),
        # a % in it is no parameter
        join=sql.SQL(join.replace("%", "%%")),
    )


# -- names -----------------------------------------------------------------------------------------------------------


def _names(cursor: Cursor, query: str) -> list[str]:
    cursor.execute(query)
    return [name for (name,) in cursor.fetchall()]


def _table(text: str, known: Iterable[str]) -> str | None:
    """``FOLK1A`` for any way to write it."""
    name = text.strip().removeprefix(_FACT).upper()
    return name if name in known else None


def _dimension(text: str, known: Iterable[str]) -> str | None:
    name = text.strip().lower().removeprefix(_DIMENSION).replace("-", "_")
    return name if name in known else None


def _dim(name: str) -> str:
    return f"{_DIMENSION}{name}"


def _column(cursor: Cursor, table: str, text: str) -> str:
    cursor.execute(_COLUMNS, (table,))
    columns = cursor.fetchall()
    wanted = likeness.folded(text)
    for name, variable in columns:
        if wanted in (likeness.folded(name), likeness.folded(variable)):
            return str(name)
    raise _unknown_column(text, f"{_FACT}{table.lower()}", [str(name) for name, _ in columns])


def _unknown_table(text: str, known: Sequence[str]) -> UnknownTable:
    near = likeness.nearest(text, known)
    return UnknownTable(
        "find table or dimension",
        on=text,
        got=f"the warehouse holds none of that name; near: {', '.join(near)}" if near else "the warehouse holds none",
        todo="Tables come with: varro follow TABLE and varro sync TABLE.",
    )


def _unknown_column(text: str, relation: str, known: Sequence[str]) -> UnknownColumn:
    return UnknownColumn("find column", on=f"{text} of {relation}", got=f"it has: {', '.join(known)}", todo="Name one.")
