"""Oracle: whether files, warehouse and records hold exactly what the simulated publisher published.

What belongs here: the comparison, computed from the simulator's own tables. Names, types and values of `tid` are
derived here a second time on purpose: an oracle that borrowed them from the code under test would share its mistakes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2.extras
import pyarrow.parquet as pq
import pytest
from psycopg2 import sql

from varro_assets.engine import content, postgres
from varro_assets.engine.postgres import Connection
from varro_assets.simulator import Simulator, Universe
from varro_assets.simulator.table import Table
from varro_assets.statbank import catalog, manifest
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps.due import State, states, synced
from varro_assets.statbank.sync import sync_table
from varro_assets.statbank.sync_report import SyncReport
from varro_assets_tests.conftest import Recorder

Rows = Counter[tuple[Any, ...]]


def slowly(*cases: Any) -> list[Any]:
    """Cases of a parametrised test that run among the slow ones."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]


_MONTHS = {"M": 1, "K": 3, "H": 6}


@dataclass
class World:
    """A publisher, a home and a warehouse, and what must be true of them together.

    Attributes:
        observer: of the last sync.
    """

    simulator: Simulator
    sources: Sources
    observer: Recorder = field(default_factory=Recorder)
    _connection: Connection | None = field(default=None, init=False, repr=False)

    @property
    def universe(self) -> Universe:
        """The publisher."""
        return self.simulator.universe

    def sync(self, table: str, *, poll: bool = True, **options: Any) -> SyncReport:
        """Poll as every command does, then sync a table; afterwards `observer` is the one that watched it."""
        if poll:
            catalog.poll(self.sources.client, self.sources.catalogue)
        self.observer = Recorder()
        return sync_table(self.sources, table, self.observer, **options)

    @contextlib.contextmanager
    def database(self, name: str = "test") -> Iterator[Connection]:
        """A connection of one's own, by autocommit."""
        with contextlib.closing(postgres.connect(self.sources.warehouse, name)) as connection:
            connection.autocommit = True
            yield connection

    def query(self, statement: str | sql.Composable, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query, by a connection that is kept open."""
        if self._connection is None or self._connection.closed:
            self._connection = postgres.connect(self.sources.warehouse, "oracle")
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def folder(self, table: str) -> Path:
        """Of the table's period files."""
        return self.sources.store(table).folder

    def state(self, table: str) -> State:
        """How the table stands, after a poll that sees the publisher as it is."""
        known = catalog.poll(self.sources.client, self.sources.catalogue).catalogue
        with self.database() as connection:
            return states([table], known, synced(connection), self.sources.tables_dir)[table]

    def requests(self, function: str) -> list[str]:
        """Bodies of the requests to one function so far."""
        return [line.body for line in self.simulator.requests if line.function == function]

    def asked(self) -> list[list[str]]:
        """Periods of each data request so far."""
        return [
            next(variable["values"] for variable in json.loads(body)["variables"] if variable["code"] == "Tid")
            for body in self.requests("data")
        ]

    def environment(self) -> dict[str, str]:
        """For a process that is to sync the same home."""
        return {
            **os.environ,
            "VARRO_HOME": str(self.sources.tables_dir.parents[2]),
            "DATABASE_URL": self.sources.warehouse.get_secret_value(),
            "DST_API_URL": self.simulator.url,
            "DST_API_SLEEP_SECONDS": "0",
        }

    def files(self, table: str) -> dict[str, tuple[int, int, bytes]]:
        """Name -> inode, mtime and bytes of everything in the table's folder, hidden names included."""
        found = sorted(path for path in self.folder(table).rglob("*") if path.is_file())
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in found}

    def parquet_files(self, table: str) -> dict[str, tuple[int, int, bytes]]:
        """`files`, only the period files."""
        return {name: state for name, state in self.files(table).items() if name.endswith(".parquet")}

    def versions(self, table: str) -> dict[tuple[Any, ...], str]:
        """Row without its value -> (xmin, ctid) of that row: tells whether it was written anew."""
        names = [name for name, *_ in self.columns(table)][:-2]
        columns = ", ".join([*(f'"{name}"' for name in names), "tid::text"])
        found = self.query(f"SELECT xmin::text || ctid::text, {columns} FROM fact.{table.lower()}")
        rows = {row[1:]: row[0] for row in found}
        assert len(rows) == len(found), "rows stand twice"
        return rows

    def rows(self, table: str) -> Rows:
        """Every row of the fact table with how often it stands there: codes, tid, value."""
        return Counter(self.query(f"SELECT * FROM fact.{table.lower()}"))

    def columns(self, table: str) -> list[tuple[str, str, bool, str | None]]:
        """Name, type, NOT NULL and collation of each column of the fact table."""
        return self.query(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, c.collname FROM pg_attribute a"
            " LEFT JOIN pg_collation c ON c.oid = a.attcollation"
            " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            f"fact.{table.lower()}",
        )

    # -- the comparison --------------------------------------------------------------------------------------------

    def check(
        self,
        table: str,
        kept: Mapping[str, Table] | None = None,
        left: Mapping[str, Table] | None = None,
        as_published: Mapping[str, Table] | None = None,
    ) -> None:
        """Assert that everything held of a table is what its publisher says.

        Args:
            table: id.
            kept: periods no longer published -> the table when they last were; still in fact.
            left: the same for those of an older shape: in parquet only.
            as_published: periods that are published -> an older state of the table that must still be held of them.
        """
        now = self.universe.table(table)
        in_fact = dict.fromkeys(now.periods, now) | dict(kept or {}) | dict(as_published or {})
        held = in_fact | dict(left or {})
        self._check_files(table, held)
        self._check_manifest(now)
        kind = tid_type(held)
        self._check_columns(now, kind)
        expected: Rows = Counter()
        for code, state in in_fact.items():
            expected.update((*row[:-1], tid_value(code, kind), row[-1]) for row in state.rows(code))
        assert differing(self.rows(table), expected) == ([], [])
        self._check_records(now, in_fact)
        self._check_codes(now)
        assert self.query("SELECT relname FROM pg_class WHERE relnamespace = 'build'::regnamespace") == []

    def check_files(self, table: str) -> None:
        """Assert only of the files that they are what is published now."""
        now = self.universe.table(table)
        self._check_files(table, dict.fromkeys(now.periods, now))

    def _check_files(self, table: str, held: Mapping[str, Table]) -> None:
        store = self.sources.store(table)
        assert set(store.periods()) == set(held)
        foreign = [path.name for path in store.folder.iterdir() if path.suffix != ".parquet"]
        assert foreign == [manifest.FILE_NAME], "something was left behind"
        for code, state in held.items():
            info = store.info(code)
            stored = pq.read_table(info.path)
            names = [*(dimension.id for dimension in state.dimensions), "TID", "INDHOLD"]
            assert stored.column_names == names
            columns = [stored.column(name).to_pylist() for name in names]
            expected = Counter((*row[:-1], code, row[-1]) for row in state.rows(code))
            assert differing(Counter(zip(*columns, strict=True)), expected) == ([], []), f"{table} {code}"
            assert info.rows == expected.total()
            assert info.nulls == sum(1 for row in state.rows(code) if row[-1] is None)
            assert content.of_parquet(info.path) == info.content_hash

    def _check_manifest(self, now: Table) -> None:
        state = manifest.read(self.folder(now.id))
        assert state is not None
        assert (state.source, state.info.updated, state.info.tids) == ("simulator", now.updated, now.periods)
        codes = {variable.id: variable.codes for variable in state.info.dimensions}
        assert codes == {dimension.id: tuple(code.id for code in dimension.codes) for dimension in now.dimensions}

    def _check_columns(self, now: Table, kind: str) -> None:
        found = self.columns(now.id)
        codes = [(_folded(dimension.id), "text", True, "C") for dimension in now.dimensions]
        tid = ("tid", kind, True, "C" if kind == "text" else None)
        assert found == [*codes, tid, ("indhold", "double precision", False, None)]
        indexed = self.query(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
            " WHERE i.indrelid = %s::regclass AND i.indisvalid",
            f"fact.{now.id.lower()}",
        )
        large = [_folded(dimension.id) for dimension in now.dimensions if len(dimension.codes) >= 20]
        assert sorted(name for (name,) in indexed) == sorted([*large, "tid"])

    def _check_records(self, now: Table, in_fact: Mapping[str, Table]) -> None:
        store = self.sources.store(now.id)
        ((oid,),) = self.query("SELECT to_regclass(%s)::oid::bigint", f"fact.{now.id.lower()}")
        loaded = self.query(
            "SELECT tid_code, content_hash, shape_hash, fact_oid::bigint, rows FROM meta.period_load"
            " WHERE table_id = %s",
            now.id,
        )
        infos = {code: store.info(code) for code in in_fact}
        expected = [(code, info.content_hash, info.shape_hash, oid, info.rows) for code, info in infos.items()]
        assert sorted(loaded) == sorted(expected)
        synced = self.query(
            "SELECT to_char(updated, 'YYYY-MM-DD\"T\"HH24:MI:SS'), fact_oid::bigint, periods, rows, shape_hash"
            " FROM meta.table_sync WHERE table_id = %s",
            now.id,
        )
        state = manifest.read(store.folder)
        assert state is not None
        rows = sum(info.rows for info in infos.values())
        assert synced == [(now.updated, oid, len(infos), rows, state.shape_hash)]

    def _check_codes(self, now: Table) -> None:
        found = self.query(
            "SELECT column_name, code, text FROM meta.code WHERE table_id = %s AND declared ORDER BY column_name,"
            " position",
            now.id,
        )
        expected = [
            (_folded(dimension.id), code.id, code.text("da"))
            for dimension in now.dimensions
            for code in dimension.codes
        ]
        assert sorted(row for row in found if row[0] != "tid") == sorted(expected)
        assert [code for column, code, _text in found if column == "tid"] == list(now.periods)


def differing(found: Rows, expected: Rows) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Some rows too many and some too few; both empty when the two are the same."""
    return sorted((found - expected).elements(), key=repr)[:5], sorted((expected - found).elements(), key=repr)[:5]


def tid_type(codes: Sequence[str] | Mapping[str, Any]) -> str:
    """The type `tid` must have for these codes."""
    if all(re.fullmatch(r"\d{4}:\d{4}", code) for code in codes):
        return "int4range"
    dated = re.compile(r"\d{4}([HKMU]\d+)?(D\d+)?")
    if all(dated.fullmatch(code) for code in codes) and len({_day(code) for code in codes}) == len(codes):
        return "date"
    return "text"


def tid_value(code: str, kind: str) -> Any:
    """What psycopg2 reads from `tid` for this code."""
    if kind == "date":
        return _day(code)
    if kind == "int4range":
        first, last = code.split(":")
        return psycopg2.extras.NumericRange(int(first), int(last) + 1, "[)")
    return code


def _day(code: str) -> date:
    year, rest = int(code[:4]), code[4:]
    if "D" in rest:
        return date(year, int(rest[1:3]), int(rest[4:6]))
    if rest.startswith("U"):
        return date.fromisocalendar(year, int(rest[1:]), 1)
    return date(year, (int(rest[1:]) - 1) * _MONTHS[rest[0]] + 1, 1) if rest else date(year, 1, 1)


def _folded(variable: str) -> str:
    name = variable.lower().replace("å", "a").replace("ø", "o").replace("æ", "ae")
    return re.sub(r"[^a-z0-9]", "_", name)
