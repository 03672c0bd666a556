"""Fact table: what a StatBank table looks like in Postgres, and what `meta` says of it.

What belongs here: column names, types, the shape, code spans, and the rows of `meta.fact_table`, `meta.fact_column` and
`meta.code`. Rows of the fact table itself are the engine's (`period_table`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from psycopg2.extras import execute_values

from varro_assets.engine import periods
from varro_assets.engine.period_table import CODE_TYPE, VALUE_TYPE, Column, PeriodTable
from varro_assets.engine.postgres import Cursor
from varro_assets.errors import ColumnCollision
from varro_assets.statbank.models import VALUE_COLUMN, TableInfo, Variable

SCHEMA = "fact"
TID, VALUE = "tid", "indhold"
INDEX_FROM_CODES = 20
"""A dimension with at least this many codes gets a btree of its own."""
LONGEST_NAME = 49
"""Characters; leaves room for ``<table>_..._idx`` within Postgres' 63 bytes."""
_SYSTEM_COLUMNS = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
"""Every Postgres table has them already."""
_DANISH = str.maketrans({"å": "a", "ø": "o", "æ": "ae"})
_LARGEST_INT4 = 2**31 - 1
SOURCE_URL = "https://www.statbank.dk/{table}"
SOURCE = "Statistics Denmark, StatBank (CC BY 4.0)"


def column_name(variable_id: str) -> str:
    """A variable's column: lower case, å→a ø→o æ→ae, anything else but a-z 0-9 becomes ``_``."""
    name = re.sub(r"[^a-z0-9]", "_", variable_id.lower().translate(_DANISH))
    return f"_{name}" if name[:1].isdigit() else name


def relation_name(table: str) -> str:
    """A table's relation in schema ``fact``."""
    return table.lower()


def columns(info: TableInfo) -> tuple[Column, ...]:
    """The code columns, in the publisher's order.

    Raises:
        ColumnCollision: two variables share a name, or one takes the name of ``tid``, ``indhold`` or of a column that
            Postgres itself adds.
    """
    taken = dict.fromkeys(_SYSTEM_COLUMNS, "Postgres itself")
    taken |= {TID: f"the period ({info.time.id})", VALUE: "the value"}
    result = []
    for variable in info.dimensions:
        name = column_name(variable.id)
        if name in taken or len(name) > LONGEST_NAME:
            got = f"also the column of {taken[name]}" if name in taken else f"longer than {LONGEST_NAME} characters"
            raise ColumnCollision(
                "name the columns of table",
                on=info.id,
                got=f"variable {variable.id} becomes {name!r}, which is {got}",
                todo="Nothing was stored. This table cannot be followed until its columns can be told apart.",
            )
        taken[name] = variable.id
        result.append(Column(name, variable.id, label=variable.text, indexed=len(variable.values) >= INDEX_FROM_CODES))
    return tuple(result)


def shape_hash(info: TableInfo, held: Iterable[str] = ()) -> str:
    """Hash of the shape: the ordered variables and the type of ``tid`` over all codes declared or held."""
    tid_type = periods.tid_type({*info.tids, *held})
    content = [[variable.id for variable in info.dimensions], str(tid_type)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]


def period_table(info: TableInfo, held: Iterable[str] = ()) -> PeriodTable:
    """The Postgres table for this description.

    Args:
        info: the publisher's description.
        held: period codes we hold, in whatever shape; they take part in the choice of ``tid``'s type.

    Raises:
        ColumnCollision: as `columns`.
    """
    held = tuple(held)
    return PeriodTable(
        schema=SCHEMA,
        name=relation_name(info.id),
        dataset=info.id,
        shape_hash=shape_hash(info, held),
        columns=columns(info),
        tid_type=str(periods.tid_type({*info.tids, *held})),
        value_source=VALUE_COLUMN,
        comment=f"{info.description or info.text} [{info.unit}] {SOURCE_URL.format(table=info.id)}",
        tid_name=TID,
        value_name=VALUE,
    )


# more digits than these are no int4, whatever zeros they begin with
_NUMBER = re.compile(r"(\d{1,40})", re.ASCII)
_RANGE = re.compile(r"(\d{1,40})-(\d{1,40})", re.ASCII)
_OPEN = re.compile(r"(\d{1,40})(?:-|\+|OV)", re.ASCII)


def code_span(code: str) -> str | None:
    """The whole numbers a code covers, as an ``int4range`` literal; None when it is not about numbers.

    ``7`` → ``[7,8)``, ``0-4`` → ``[0,5)``, ``100-`` and ``80OV`` → ``[100,)`` and ``[80,)``.
    """
    if match := _NUMBER.fullmatch(code):
        low, high = int(match[1]), int(match[1]) + 1
        return f"[{low},{high})" if high <= _LARGEST_INT4 else None
    if match := _RANGE.fullmatch(code):
        low, high = int(match[1]), int(match[2]) + 1
        return f"[{low},{high})" if low < high <= _LARGEST_INT4 else None
    if match := _OPEN.fullmatch(code):
        return f"[{int(match[1])},)" if int(match[1]) <= _LARGEST_INT4 else None
    return None


_FACT_TABLE = """
INSERT INTO meta.fact_table
    (table_id, relation, title, description, unit, frequency, tid_type, first_period, last_period, updated,
     absent_value, footnote, documentation_url, subject_path, source)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (table_id) DO UPDATE SET
    (relation, title, description, unit, frequency, tid_type, first_period, last_period, updated, absent_value,
     footnote, documentation_url, subject_path, source)
    = (EXCLUDED.relation, EXCLUDED.title, EXCLUDED.description, EXCLUDED.unit, EXCLUDED.frequency,
       EXCLUDED.tid_type, EXCLUDED.first_period, EXCLUDED.last_period, EXCLUDED.updated, EXCLUDED.absent_value,
       EXCLUDED.footnote, EXCLUDED.documentation_url, EXCLUDED.subject_path, EXCLUDED.source)
"""
_FACT_COLUMN = """
INSERT INTO meta.fact_column
    (table_id, column_name, variable_id, position, role, sql_type, label, elimination, map)
VALUES %s
ON CONFLICT (table_id, column_name) DO UPDATE SET
    (variable_id, position, role, sql_type, label, elimination, map)
    = (EXCLUDED.variable_id, EXCLUDED.position, EXCLUDED.role, EXCLUDED.sql_type, EXCLUDED.label,
       EXCLUDED.elimination, EXCLUDED.map)
"""
_CODE = """
INSERT INTO meta.code (table_id, column_name, code, text, position, span)
VALUES %s
ON CONFLICT (table_id, column_name, code) DO UPDATE SET
    (text, position, declared, span) = (EXCLUDED.text, EXCLUDED.position, true, EXCLUDED.span)
"""
# A code the publisher has withdrawn may still stand in periods that are kept: it keeps its label.
_WITHDRAW = "UPDATE meta.code SET declared = false WHERE table_id = %s"
_DROP_COLUMNS = "DELETE FROM meta.fact_column WHERE table_id = %s AND column_name <> ALL(%s)"


def describe(cursor: Cursor, info: TableInfo, table: PeriodTable, *, subject_path: str | None) -> None:
    """Write what `meta` says of a table, in the caller's transaction."""
    ordered = periods.in_order(info.tids)
    cursor.execute(
        _FACT_TABLE,
        (
            info.id,
            table.relation,
            info.text,
            info.description,
            info.unit,
            str(periods.frequency(ordered)),
            table.tid_type,
            ordered[0],
            ordered[-1],
            info.updated,
            info.suppressedDataValue,
            info.footnote.text if info.footnote else None,
            info.documentation.url if info.documentation else None,
            subject_path,
            f"{SOURCE} {SOURCE_URL.format(table=info.id)}",
        ),
    )
    rows = _column_rows(info, table)
    cursor.execute(_DROP_COLUMNS, (info.id, [row[1] for row in rows]))
    cursor.execute(_WITHDRAW, (info.id,))
    execute_values(cursor, _FACT_COLUMN, rows)
    execute_values(cursor, _CODE, _code_rows(info), page_size=5000)


def _column_rows(info: TableInfo, table: PeriodTable) -> list[Sequence[object]]:
    sql_types = {True: table.tid_type, False: CODE_TYPE}
    rows: list[Sequence[object]] = [
        (
            info.id,
            _column_of(variable),
            variable.id,
            position,
            "time" if variable.time else "dimension",
            sql_types[variable.time],
            variable.text,
            variable.elimination,
            variable.map,
        )
        for position, variable in enumerate([*info.dimensions, info.time], 1)
    ]
    value = (info.id, VALUE, VALUE_COLUMN, len(rows) + 1, "value", VALUE_TYPE, info.unit, False, None)
    return [*rows, value]


def _code_rows(info: TableInfo) -> list[Sequence[object]]:
    return [
        (info.id, _column_of(variable), value.id, value.text, position, None if variable.time else code_span(value.id))
        for variable in info.variables
        for position, value in enumerate(variable.values, 1)
    ]


def _column_of(variable: Variable) -> str:
    return TID if variable.time else column_name(variable.id)
