"""What is due, with a real warehouse: after syncs, publications, lost tables and lost databases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from varro_assets.engine import postgres
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DatabaseRefused, InvalidValue
from varro_assets.statbank import catalog, sync
from varro_assets.statbank.sources import Sources
from varro_assets.statbank.sweeps import due
from varro_assets.statbank.sweeps.due import State
from varro_assets_tests.oracle import World


@pytest.fixture
def connection(sources: Sources) -> Iterator[Connection]:
    with contextlib.closing(postgres.connect(sources.warehouse, "test due")) as opened:
        yield opened


@pytest.fixture
def tables(world: World) -> tuple[str, str]:
    """The two smallest tables of the demo."""
    by_size = sorted(
        (table for table in world.universe.tables() if table.active),
        key=lambda table: len(table.periods) * world.sources.client.tableinfo(table.id)[0].dense_rows,
    )
    return by_size[0].id, by_size[1].id


def states_of(sources: Sources, connection: Connection, *tables: str) -> list[State]:
    catalogue = catalog.poll(sources.client, sources.catalogue).catalogue
    return list(due.states(tables, catalogue, due.synced(connection), sources.tables_dir).values())


def test_the_life_of_a_table(world: World, connection: Connection, tables: tuple[str, str]) -> None:
    table, other = tables
    sources = world.sources
    assert due.synced(connection) == {}
    assert states_of(sources, connection, table, other) == [State.NEVER, State.NEVER]
    report = world.sync(table)
    assert states_of(sources, connection, table, other) == [State.CURRENT, State.NEVER]
    row = due.synced(connection)[table]
    entry = sources.catalogue.read().entries[table]  # type: ignore[union-attr]
    assert (row.updated, row.present) == (entry.updated, True)
    assert (row.periods, row.rows) == (len(report.outcomes), report.rows_written)
    assert row.synced_at.endswith("Z")
    world.universe.touch(table)
    assert states_of(sources, connection, table) == [State.CHANGED]
    world.sync(table)
    assert states_of(sources, connection, table) == [State.CURRENT]
    world.universe.regress(table)
    assert states_of(sources, connection, table) == [State.CHANGED]
    world.sync(table)
    assert states_of(sources, connection, table) == [State.CURRENT]
    world.universe.withdraw(table)
    assert states_of(sources, connection, table) == [State.GONE]


@pytest.mark.parametrize("how", ["DROP TABLE {}", "ALTER TABLE {} SET SCHEMA build"])
def test_a_lost_table_is_refilled_from_its_files(
    world: World, connection: Connection, tables: tuple[str, str], how: str
) -> None:
    table = tables[0]
    world.sync(table)
    with postgres.transaction(connection, "lose") as cursor:
        cursor.execute(how.format(f"fact.{table.lower()}"))
    assert not due.synced(connection)[table].present
    assert states_of(world.sources, connection, table) == [State.REFILL]
    requests = world.sources.client.request_count
    sync.load_table(world.sources, table, world.observer)
    assert world.sources.client.request_count == requests
    assert states_of(world.sources, connection, table) == [State.CURRENT]


def test_a_table_somebody_made_anew_is_not_the_one_that_was_synced(
    world: World, connection: Connection, tables: tuple[str, str]
) -> None:
    table = tables[0]
    world.sync(table)
    name = f"fact.{table.lower()}"
    with postgres.transaction(connection, "restore") as cursor:
        cursor.execute(f"CREATE TABLE build.copy AS TABLE {name}; DROP TABLE {name}")
        cursor.execute(f"ALTER TABLE build.copy RENAME TO {table.lower()}")
        cursor.execute(f"ALTER TABLE build.{table.lower()} SET SCHEMA fact")
    assert states_of(world.sources, connection, table) == [State.REFILL]


def test_a_failed_sync_leaves_the_table_due(world: World, connection: Connection, tables: tuple[str, str]) -> None:
    table = tables[0]
    world.sync(table)
    world.universe.touch(table)
    world.simulator.fault("garbage", path="data", count=None)
    with pytest.raises(InvalidValue, match=table):
        world.sync(table)
    assert states_of(world.sources, connection, table) == [State.CHANGED]
    world.simulator.faults.clear()
    world.sync(table)
    assert states_of(world.sources, connection, table) == [State.CURRENT]


def test_a_warehouse_that_was_never_prepared(warehouse_url: str) -> None:
    with (
        contextlib.closing(postgres.connect(SecretStr(warehouse_url), "test")) as connection,
        pytest.raises(DatabaseRefused, match="read what is synced"),
    ):
        due.synced(connection)
