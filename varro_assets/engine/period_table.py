"""Period table: a Postgres table whose rows are replaced whole period by whole period.

What belongs here: create, replace, build-and-swap, and the record of what is loaded (`meta.period_load`), always in one
transaction with the rows. Publisher-neutral: what the columns mean is the family's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg2
import pyarrow as pa
from psycopg2 import sql

from varro_assets.engine import postgres
from varro_assets.engine.copying import COPY_BUFFER, CsvStream
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.postgres import Connection, Cursor
from varro_assets.errors import DatabaseRefused, LoadMismatch

BUILD_SCHEMA = "build"
CODE_TYPE = 'text COLLATE "C"'
VALUE_TYPE = "double precision"


@dataclass(frozen=True)
class Column:
    """A code column.

    Attributes:
        name: in Postgres.
        source: its name in the parquet files.
        label: comment on the column.
        indexed: gets a btree of its own.
    """

    name: str
    source: str
    label: str = ""
    indexed: bool = False


@dataclass(frozen=True)
class PeriodTable:
    """The shape of one table: code columns, ``tid``, ``indhold``, in this order.

    Attributes:
        dataset: key in ``meta.period_load``: the publisher's id.
        shape_hash: of the parquet files that fit.
        tid_type: Postgres type of ``tid``.
        comment: on the table.
    """

    schema: str
    name: str
    dataset: str
    shape_hash: str
    columns: tuple[Column, ...]
    tid_type: str
    value_source: str
    comment: str = ""
    tid_name: str = "tid"
    value_name: str = "indhold"

    @property
    def relation(self) -> str:
        """``schema.name``, for people."""
        return f"{self.schema}.{self.name}"

    def identifier(self, schema: str | None = None) -> sql.Identifier:
        """Quoted ``schema.name``."""
        return sql.Identifier(schema or self.schema, self.name)


@dataclass(frozen=True)
class Load:
    """One period to load: its parquet file and the literal for the ``tid`` column."""

    info: PartitionInfo
    tid_value: str


@dataclass
class Loaded:
    """What `meta.period_load` says of one period."""

    content_hash: str
    shape_hash: str
    fact_oid: int
    tid_value: str
    rows: int


@dataclass(frozen=True)
class PeriodTables:
    """The period tables of one database, written through one connection by the holder of their locks."""

    connection: Connection
    run_id: str | None = None
    copy_rows: int = field(default=1 << 16)

    def oid(self, relation: tuple[str, str]) -> int | None:
        """OID of (schema, name); None when there is no such table."""
        with postgres.transaction(self.connection, "look for table", on=".".join(relation)) as cursor:
            return _oid(cursor, *relation)

    def count_rows(self, relation: tuple[str, str]) -> int:
        """Rows that really stand in (schema, name)."""
        with postgres.transaction(self.connection, "count the rows of", on=".".join(relation)) as cursor:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*relation)))
            row = cursor.fetchone()
            return int(row[0]) if row else 0

    def loaded(self, dataset: str) -> dict[str, Loaded]:
        """Period code -> what was loaded, whether or not the relation still exists."""
        with postgres.transaction(self.connection, "read what is loaded of", on=dataset) as cursor:
            cursor.execute(
                "SELECT tid_code, content_hash, shape_hash, fact_oid::bigint, tid_value, rows"
                " FROM meta.period_load WHERE table_id = %s",
                (dataset,),
            )
            return {row[0]: Loaded(*row[1:]) for row in cursor.fetchall()}

    def is_loaded(self, load: Load, oid: int | None, loaded: Mapping[str, Loaded]) -> bool:
        """Whether exactly this content stands in the present relation."""
        row = loaded.get(load.info.period)
        here = (load.info.content_hash, load.info.shape_hash, oid, load.tid_value)
        return row is not None and (row.content_hash, row.shape_hash, row.fact_oid, row.tid_value) == here

    def create(self, table: PeriodTable, extra: Iterable[sql.Composable] = ()) -> int:
        """Create the empty table, without indexes; returns its OID."""
        with postgres.transaction(self.connection, "create table", on=table.relation) as cursor:
            _create(cursor, table, table.schema)
            for statement in extra:
                cursor.execute(statement)
            return _require_oid(cursor, table)

    def replace(self, store: PartitionStore, table: PeriodTable, loads: Sequence[Load]) -> int:
        """Replace whole periods in one transaction; returns rows written. Readers are not kept waiting.

        Raises:
            LoadMismatch: the table did not take exactly the rows of the files; rolled back.
        """
        with postgres.transaction(self.connection, "replace periods in", on=table.relation) as cursor:
            _alone(cursor, table)
            oid = _require_oid(cursor, table)
            _delete(cursor, table, [load.tid_value for load in loads])
            return sum(self._copy(cursor, store, table, load, oid, table.schema) for load in loads)

    def remove(self, table: PeriodTable, codes: Sequence[str]) -> None:
        """Take periods out of the table and the record."""
        with postgres.transaction(self.connection, "remove periods from", on=table.relation) as cursor:
            _alone(cursor, table)
            cursor.execute(
                "DELETE FROM meta.period_load WHERE table_id = %s AND tid_code = ANY(%s)"
                " RETURNING tid_value, fact_oid::bigint",
                (table.dataset, list(codes)),
            )
            removed = cursor.fetchall()
            oid = _oid(cursor, table.schema, table.name)
            if oid is not None:
                _delete(cursor, table, [value for value, fact_oid in removed if fact_oid == oid])

    def rebuild(self, store: PartitionStore, table: PeriodTable, loads: Sequence[Load]) -> int:
        """Build the table anew beside the old one and swap it in, all in one transaction; returns rows written.

        Grants of the old table are carried over. Where other objects (somebody's views) depend on the old table it is
        refilled in place if its columns are the same.

        Raises:
            DatabaseRefused: the columns differ and other objects depend on the old table; names them.
        """
        with postgres.transaction(self.connection, "rebuild", on=table.relation) as cursor:
            _alone(cursor, table)
            old = _oid(cursor, table.schema, table.name)
            dependents = _dependents(cursor, old) if old else []
            if dependents:
                _refuse_other_columns(cursor, table, dependents)
                cursor.execute(sql.SQL("DELETE FROM {}").format(table.identifier()))
                self._forget(cursor, table)
                rows = sum(self._copy(cursor, store, table, load, old or 0, table.schema) for load in loads)
                label(cursor, table)
                _index(cursor, table, table.schema)
                _analyze(cursor, table, table.schema)
                return rows
            _create(cursor, table, BUILD_SCHEMA)
            oid = _require_oid(cursor, table, BUILD_SCHEMA)
            self._forget(cursor, table)
            rows = sum(self._copy(cursor, store, table, load, oid, BUILD_SCHEMA) for load in loads)
            _index(cursor, table, BUILD_SCHEMA)
            _analyze(cursor, table, BUILD_SCHEMA)
            grants = _drop(cursor, table, old) if old else []
            cursor.execute(
                sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(
                    table.identifier(BUILD_SCHEMA), sql.Identifier(table.schema)
                )
            )
            _restore_grants(cursor, table, grants)
            return rows

    def finish(self, table: PeriodTable, *, analyze: bool = True) -> None:
        """Bring indexes, labels and, if rows changed, statistics up to date."""
        with postgres.transaction(self.connection, "index", on=table.relation) as cursor:
            label(cursor, table)
            _index(cursor, table, table.schema)
            if analyze:
                _analyze(cursor, table, table.schema)

    def _forget(self, cursor: Cursor, table: PeriodTable) -> None:
        cursor.execute("DELETE FROM meta.period_load WHERE table_id = %s", (table.dataset,))

    def _copy(
        self, cursor: Cursor, store: PartitionStore, table: PeriodTable, load: Load, oid: int, schema: str
    ) -> int:
        stream = CsvStream(_typed(store.batches(load.info.period, self.copy_rows), table, load.tid_value))
        statement = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(table.identifier(schema))
        try:
            cursor.copy_expert(statement, stream, size=COPY_BUFFER)
        except psycopg2.Error as error:
            # psycopg2 reports whatever reading the file raised as a COPY that the server cancelled
            raise stream.error or error from error
        if cursor.rowcount != load.info.rows:
            raise LoadMismatch(
                "load period",
                on=f"{load.info.period} into {table.relation}",
                got=f"{cursor.rowcount} rows where the parquet file states {load.info.rows}",
                todo="Rolled back. Look at the file with: varro doctor",
            )
        cursor.execute(
            _RECORD,
            {
                "table_id": table.dataset,
                "tid_code": load.info.period,
                "tid_value": load.tid_value,
                "content_hash": load.info.content_hash,
                "shape_hash": load.info.shape_hash,
                "fact_oid": oid,
                "rows": load.info.rows,
                "updated": load.info.updated,
                "run_id": self.run_id,
            },
        )
        return load.info.rows


_RECORD = """
INSERT INTO meta.period_load
    (table_id, tid_code, tid_value, content_hash, shape_hash, fact_oid, rows, updated, run_id)
VALUES (%(table_id)s, %(tid_code)s, %(tid_value)s, %(content_hash)s, %(shape_hash)s, %(fact_oid)s, %(rows)s,
        %(updated)s, %(run_id)s)
ON CONFLICT (table_id, tid_code) DO UPDATE SET
    (tid_value, content_hash, shape_hash, fact_oid, rows, updated, run_id, loaded_at)
    = (EXCLUDED.tid_value, EXCLUDED.content_hash, EXCLUDED.shape_hash, EXCLUDED.fact_oid, EXCLUDED.rows,
       EXCLUDED.updated, EXCLUDED.run_id, now())
"""


def _alone(cursor: Cursor, table: PeriodTable) -> None:
    """Wait for any other writer's transaction on this table.

    The table lock keeps writers apart; but its connection may be lost between our last look at it and the load, and two
    writers at once would each delete the old rows, not see the other's new ones, and leave both.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('varro-load:' || %s, 0))", (table.relation,))


def _oid(cursor: Cursor, schema: str, name: str) -> int | None:
    cursor.execute(
        "SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'r'",
        (schema, name),
    )
    row = cursor.fetchone()
    return int(row[0]) if row else None


def _require_oid(cursor: Cursor, table: PeriodTable, schema: str | None = None) -> int:
    oid = _oid(cursor, schema or table.schema, table.name)
    if oid is None:
        raise DatabaseRefused(
            "write to", on=table.relation, got="there is no such table", todo=f"varro rebuild {table.dataset}"
        )
    return oid


def _create(cursor: Cursor, table: PeriodTable, schema: str) -> None:
    columns = [
        sql.SQL("{} {} NOT NULL").format(sql.Identifier(column.name), sql.SQL(CODE_TYPE)) for column in table.columns
    ]
    tid_type = CODE_TYPE if table.tid_type == "text" else table.tid_type
    columns.append(sql.SQL("{} {} NOT NULL").format(sql.Identifier(table.tid_name), sql.SQL(tid_type)))
    columns.append(sql.SQL("{} {}").format(sql.Identifier(table.value_name), sql.SQL(VALUE_TYPE)))
    cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(BUILD_SCHEMA, table.name)))
    cursor.execute(sql.SQL("CREATE TABLE {} ({})").format(table.identifier(schema), sql.SQL(", ").join(columns)))
    label(cursor, table, schema)


def label(cursor: Cursor, table: PeriodTable, schema: str | None = None) -> None:
    """Put the publisher's texts on the table and its columns as comments."""
    target = table.identifier(schema)
    cursor.execute(sql.SQL("COMMENT ON TABLE {} IS %s").format(target), (table.comment,))
    for column in table.columns:
        name = sql.Identifier(schema or table.schema, table.name, column.name)
        cursor.execute(sql.SQL("COMMENT ON COLUMN {} IS %s").format(name), (column.label,))


def _index(cursor: Cursor, table: PeriodTable, schema: str) -> None:
    """Add the btrees that are missing."""
    for column in (table.tid_name, *(column.name for column in table.columns if column.indexed)):
        name = sql.Identifier(f"{table.name}_{column}"[:58] + "_idx")
        on = (table.identifier(schema), sql.Identifier(column))
        cursor.execute(sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({})").format(name, *on))


def _analyze(cursor: Cursor, table: PeriodTable, schema: str) -> None:
    cursor.execute(sql.SQL("ANALYZE {}").format(table.identifier(schema)))


def _delete(cursor: Cursor, table: PeriodTable, tid_values: Sequence[str]) -> None:
    """Delete by the stored, typed value: comparing text would miss rows whose value prints otherwise than the code."""
    cursor.execute(
        sql.SQL("DELETE FROM {} WHERE {} = ANY(%s::{}[])").format(
            table.identifier(), sql.Identifier(table.tid_name), sql.SQL(table.tid_type)
        ),
        (list(tid_values),),
    )


def _dependents(cursor: Cursor, oid: int) -> list[str]:
    """Views and other relations whose rules use the table."""
    cursor.execute(
        "SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
        " WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %s"
        " AND r.ev_class <> %s ORDER BY 1",
        (oid, oid),
    )
    return [row[0] for row in cursor.fetchall()]


def _refuse_other_columns(cursor: Cursor, table: PeriodTable, dependents: Sequence[str]) -> None:
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (f'"{table.schema}"."{table.name}"',),
    )
    have = [(name, sql_type) for name, sql_type in cursor.fetchall()]
    want = [*((column.name, "text") for column in table.columns), (table.tid_name, table.tid_type)]
    if have != [*want, (table.value_name, VALUE_TYPE)]:
        raise DatabaseRefused(
            "give the table its new columns",
            on=table.relation,
            got=f"in use by {', '.join(dependents)}",
            todo="The publisher changed the table. Drop these views, sync again, and create them anew.",
        )


def _drop(cursor: Cursor, table: PeriodTable, oid: int) -> list[tuple[str, str, bool]]:
    """Drop the table; returns the grants on it.

    From before they are read nobody can give or take one. Older servers let a GRANT pass by every lock; but each
    must write the table's row of pg_class, which setting an option has written, here to its default.
    """
    name = table.identifier()
    cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name))
    cursor.execute(sql.SQL("ALTER TABLE {} SET (fillfactor = 100)").format(name))
    grants = _grants(cursor, oid)
    cursor.execute(sql.SQL("DROP TABLE {}").format(name))
    return grants


def _grants(cursor: Cursor, oid: int) -> list[tuple[str, str, bool]]:
    cursor.execute(
        "SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable"
        " FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = %s AND a.grantee <> c.relowner",
        (oid,),
    )
    return [(grantee, privilege, grantable) for grantee, privilege, grantable in cursor.fetchall()]


def _restore_grants(cursor: Cursor, table: PeriodTable, grants: Sequence[tuple[str, str, bool]]) -> None:
    for grantee, privilege, grantable in grants:
        cursor.execute(
            sql.SQL("GRANT {} ON {} TO {}{}").format(
                sql.SQL(privilege),
                table.identifier(),
                sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grantable else ""),
            )
        )


def _typed(batches: Iterable[pa.RecordBatch], table: PeriodTable, tid_value: str) -> Iterator[pa.RecordBatch]:
    """Parquet columns -> table columns, with the period as its typed literal."""
    names = [*(column.name for column in table.columns), table.tid_name, table.value_name]
    for batch in batches:
        codes = [batch.column(column.source) for column in table.columns]
        tid = pa.repeat(pa.scalar(tid_value), batch.num_rows)
        yield pa.RecordBatch.from_arrays([*codes, tid, batch.column(table.value_source)], names=names)
