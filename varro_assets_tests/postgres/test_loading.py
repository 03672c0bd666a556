"""Loading: what readers, grants and views live through when a fact table is filled, replaced and swapped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
from psycopg2 import sql
from pydantic import SecretStr

from varro_assets.engine import postgres
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.planning import Scope
from varro_assets.engine.server.server import Endpoint
from varro_assets.errors import DatabaseRefused, LoadMismatch
from varro_assets.statbank.sync import load_table
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.oracle import World
from varro_assets_tests.postgres_fixture import administrator

FULL = Scope(full=True)


@pytest.fixture
def reader(world: World, reader_url: str) -> Iterator[postgres.Connection]:
    """The analyst's connection, by autocommit."""
    with contextlib.closing(postgres.connect(SecretStr(reader_url), "reader")) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def role(postgres_server: Endpoint, warehouse_database: str) -> Iterator[str]:
    """A role of the user's own; to be taken before anything is granted to it."""
    name = f'me "{warehouse_database}"'
    administration = contextlib.closing(administrator(postgres_server, warehouse_database))
    with administration as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        yield name
        cursor.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        cursor.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _read(connection: postgres.Connection, statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


class TestReader:
    def test_it_reads_after_the_first_load_after_a_swap_and_after_a_refill(
        self, world: World, reader: postgres.Connection
    ) -> None:
        world.sync("KORD1")
        assert _read(reader, "SELECT count(*) FROM fact.kord1") == [(40,)]
        assert _read(reader, "SELECT sum(rows) FROM meta.period_load") == [(40,)]
        for table in ("table_sync", "fact_table", "fact_column", "code"):
            assert _read(reader, f"SELECT count(*) > 0 FROM meta.{table} WHERE table_id = 'KORD1'") == [(True,)]
        world.universe.change_dimensions("KORD1")
        world.sync("KORD1")
        assert _read(reader, "SELECT count(*) FROM fact.kord1 WHERE datatype = 'TOT'") == [(40,)]
        world.query("DROP TABLE fact.kord1")
        load_table(world.sources, "KORD1", Recorder())
        assert _read(reader, "SELECT count(*) FROM fact.kord1 WHERE datatype = 'TOT'") == [(40,)]

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM fact.kord1",
            "INSERT INTO fact.kord1 SELECT * FROM fact.kord1",
            "UPDATE meta.table_sync SET rows = 0",
            "DROP TABLE fact.kord1",
            "CREATE TABLE fact.mine (x int)",
        ],
    )
    def test_it_cannot_write_even_if_it_asks_to(
        self, world: World, reader: postgres.Connection, statement: str
    ) -> None:
        world.sync("KORD1")
        _execute(reader, "SET default_transaction_read_only = off")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            _execute(reader, statement)
        world.check("KORD1")

    def test_it_sees_the_old_period_or_the_new_one_and_never_half(
        self, world: World, reader: postgres.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.sync("KORD1")
        world.universe.revise("KORD1", tid="2024")
        before = _read(reader, "SELECT * FROM fact.kord1 WHERE tid = '2024-01-01' ORDER BY 1, 2")
        seen = []
        copy = PeriodTables._copy

        def looking(self: PeriodTables, *arguments: Any) -> int:
            rows = copy(self, *arguments)
            seen.append(_read(reader, "SELECT * FROM fact.kord1 WHERE tid = '2024-01-01' ORDER BY 1, 2"))
            return rows

        monkeypatch.setattr(PeriodTables, "_copy", looking)
        world.sync("KORD1")
        assert seen == [before]
        assert _read(reader, "SELECT * FROM fact.kord1 WHERE tid = '2024-01-01' ORDER BY 1, 2") != before
        world.check("KORD1")


class TestGrants:
    def test_those_given_by_hand_survive_a_swap(self, world: World, role: str) -> None:
        world.sync("KORD1")
        quoted = sql.Identifier(role)
        world.query(sql.SQL("GRANT SELECT ON fact.kord1 TO {} WITH GRANT OPTION").format(quoted))
        world.query(sql.SQL("GRANT INSERT ON fact.kord1 TO {}").format(quoted))
        world.query("GRANT SELECT ON fact.kord1 TO PUBLIC")
        before = _rights(world)
        assert len(before) == 4  # with the reader's own
        world.universe.change_dimensions("KORD1")
        world.sync("KORD1")
        assert _rights(world) == before
        world.check("KORD1")
        # also where rows are replaced by building anew
        world.universe.restate("KORD1")
        world.sync("KORD1", scope=FULL)
        assert _rights(world) == before


class TestViews:
    def test_a_view_survives_building_anew_in_the_same_shape(self, world: World) -> None:
        world.sync("KORD1")
        world.query("CREATE VIEW mine AS SELECT tid, sum(indhold) AS total FROM fact.kord1 GROUP BY tid")
        before = world.query("SELECT * FROM mine ORDER BY 1")
        world.universe.restate("KORD1")
        world.sync("KORD1", scope=FULL)
        assert world.query("SELECT * FROM mine ORDER BY 1") != before
        world.check("KORD1")
        load_table(world.sources, "KORD1", Recorder())
        world.check("KORD1")

    def test_a_first_load_that_was_interrupted_gets_its_indexes_under_a_view_too(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("varro_assets.statbank.manifest.write", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                world.sync("KORD1")
        world.query("CREATE VIEW mine AS SELECT * FROM fact.kord1")
        world.universe.restate("KORD1")
        world.sync("KORD1")
        load_table(world.sources, "KORD1", Recorder())
        world.check("KORD1")

    @pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
    def test_a_change_of_shape_is_refused_while_a_view_needs_the_table(self, world: World, kind: str) -> None:
        world.sync("KORD1")
        before = world.universe.table("KORD1")
        world.query(f"CREATE {kind} mine AS SELECT * FROM fact.kord1")
        versions, records = world.versions("KORD1"), world.query("SELECT * FROM meta.table_sync")
        world.universe.change_dimensions("KORD1")
        for _ in range(2):
            with pytest.raises(DatabaseRefused) as caught:
                world.sync("KORD1")
            assert "mine" in str(caught.value)
            assert "Drop these views" in str(caught.value)
            assert world.versions("KORD1") == versions
            assert world.query("SELECT * FROM meta.table_sync") == records
            assert world.query("SELECT count(*) FROM mine") == [(before.row_count(),)]
        world.query(f"DROP {kind} mine")
        world.sync("KORD1")
        world.check("KORD1")

    def test_a_foreign_key_to_it_is_a_named_refusal(self, world: World) -> None:
        world.sync("KORD1")
        versions = world.versions("KORD1")
        world.query('ALTER TABLE fact.kord1 ADD UNIQUE ("user", "order", tid)')
        world.query(
            "CREATE TABLE notes (u text, o text, t date, FOREIGN KEY (u, o, t) REFERENCES"
            ' fact.kord1 ("user", "order", tid))'
        )
        world.universe.change_dimensions("KORD1")
        with pytest.raises(DatabaseRefused) as caught:
            world.sync("KORD1")
        assert "notes" in str(caught.value)
        assert world.versions("KORD1") == versions


class TestLies:
    def test_a_file_that_states_other_rows_than_it_holds_is_not_loaded(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.sync("KORD1")
        versions = world.versions("KORD1")
        batches = PartitionStore.batches

        def short(self: PartitionStore, period: str, rows: int) -> Iterator[Any]:
            for batch in batches(self, period, rows):
                yield batch.slice(0, batch.num_rows - 1) if period == "2022" else batch

        with monkeypatch.context() as patch:
            patch.setattr(PartitionStore, "batches", short)
            with pytest.raises(LoadMismatch) as caught:
                load_table(world.sources, "KORD1", Recorder())
        assert "7 rows where the parquet file states 8" in str(caught.value)
        assert "2022" in str(caught.value)
        assert world.versions("KORD1") == versions
        world.check("KORD1")

    def test_a_null_code_is_refused_by_the_table_itself(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.sync("KORD1")
        versions = world.versions("KORD1")
        info = PartitionStore.info
        monkeypatch.setattr(
            PartitionStore, "info", lambda self, period: replace(info(self, period), content_hash="another")
        )
        monkeypatch.setattr("varro_assets.engine.period_table.pa.repeat", _nulls)
        with pytest.raises(DatabaseRefused):
            world.sync("KORD1")
        assert world.versions("KORD1") == versions


class TestRecords:
    def test_the_run_and_the_publication_of_each_period_are_recorded(self, world: World) -> None:
        world.sync("KORD1", run_id="run-1")
        first = world.universe.table("KORD1").updated.replace("T", " ")
        world.universe.revise("KORD1", tid="2024")
        world.sync("KORD1", run_id="run-2")
        second = world.universe.table("KORD1").updated.replace("T", " ")
        assert world.query("SELECT tid_code, run_id, updated::text FROM meta.period_load ORDER BY 1") == [
            *((year, "run-1", first) for year in ("2020", "2021", "2022", "2023")),
            ("2024", "run-2", second),
        ]
        counted = "SELECT new_periods, revised_periods, unchanged_periods, kept_periods, run_id FROM meta.table_sync"
        assert world.query(counted) == [(0, 1, 4, 0, "run-2")]

    def test_a_table_has_statistics_as_soon_as_it_is_loaded(self, world: World) -> None:
        world.sync("STRAF42")
        statistics = "SELECT count(*) FROM pg_stats WHERE schemaname = 'fact' AND tablename = 'straf42'"
        assert world.query(statistics) == [(6,)]


def _execute(connection: postgres.Connection, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _rights(world: World) -> list[tuple[Any, ...]]:
    return sorted(
        world.query(
            "SELECT coalesce(r.rolname, 'PUBLIC'), a.privilege_type, a.is_grantable FROM pg_class c,"
            " aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
            " WHERE c.oid = 'fact.kord1'::regclass AND a.grantee <> c.relowner"
        )
    )


def _interrupted(*_arguments: Any) -> None:
    raise KeyboardInterrupt


def _nulls(_value: Any, count: int) -> Any:
    return pa.nulls(count, pa.string())
