"""Verifying: what is held against what the publisher says in another format, and every way in which they can differ."""

from __future__ import annotations

from typing import Any

import pytest

from varro_assets.context.total_codes import total_of
from varro_assets.engine.reconcile import Kind
from varro_assets.errors import DamagedPartition, VarroError
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator
from varro_assets.statbank.proof.verifying import Verification, verify
from varro_assets.statbank.sources import Sources
from varro_assets_tests.oracle import World
from varro_assets_tests.ready_homes import ReadyHomes

pytestmark = pytest.mark.slow  # whole tables asked for twice; the comparison is tested in properties/test_reconcile.py

TABLES = ("BARLOV1", "BIL10", "BYGB70", "DNVALD", "FT", "HISB7", "IDRTIL01", "KORN2", "METROX1", "STRAF42", "VAN5")
"""Every type of tid, absent and missing cells, tables that can be totalled and tables that cannot."""
KINDS = [pytest.param(t, marks=[] if t in {"BARLOV1", "FT", "HISB7", "VAN5"} else pytest.mark.slow) for t in TABLES]


@pytest.fixture
def world(
    simulator: Simulator, sources: Sources, settings: Settings, ready_homes: ReadyHomes, warehouse_database: str
) -> World:
    """Some tables of every kind of period, synced."""
    world = World(simulator, sources)

    def fill() -> None:
        for table in TABLES:
            world.sync(table, poll=False)

    ready_homes.bring("verified", settings.home, warehouse_database, fill)
    simulator.forget_requests()
    return world


def verified(world: World, table: str, **options: Any) -> Verification:
    with world.database() as connection:
        connection.autocommit = False
        return verify(world.sources, connection, table, total_of, **options)


def found(verification: Verification) -> set[tuple[Kind, str]]:
    return {(one.kind, one.period) for one in verification.discrepancies}


@pytest.mark.parametrize("table", KINDS)
def test_what_was_synced_is_what_the_publisher_says(world: World, table: str) -> None:
    result = verified(world, table)

    assert (result.moved, result.discrepancies, result.proved) == ("", (), True)
    assert result.telling > 0
    assert result.periods == len(world.universe.table(table).periods)
    assert result.requests == len(world.simulator.requests) <= 2 + 5
    formats = {body for body in world.requests("data") if '"BULK"' in body}
    assert formats == set(), "the way a sync asks is no second opinion"


def test_a_table_that_is_too_large_is_asked_about_in_part(world: World) -> None:
    result = verified(world, "STRAF42", limit=2_000)

    assert result.proved
    assert not result.whole
    assert len(world.requests("data")) == 2
    assert result.telling > 0
    assert result.notes == ()


@pytest.mark.parametrize("table", KINDS)
def test_every_kind_of_table_can_be_asked_about_in_part(world: World, table: str) -> None:
    result = verified(world, table, limit=400)

    assert (result.discrepancies, result.moved) == ((), "")
    assert result.telling > 0


def test_deep_asks_for_everything(world: World) -> None:
    told: list[int] = []

    result = verified(world, "KORN2", limit=60, deep=True, on_plan=told.append)

    assert result.whole
    assert result.proved
    assert told == [len(world.requests("data"))]
    assert told[0] > 5
    assert result.cells == verified(world, "KORN2").cells


def change(world: World, statement: str) -> None:
    world.query(f"{statement} RETURNING 1")


_NEWEST = "tid = (SELECT max(tid) FROM fact.straf42)"
_ONE = f"ctid = (SELECT ctid FROM fact.straf42 WHERE indhold > 0 AND {_NEWEST} LIMIT 1)"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (f"DELETE FROM fact.straf42 WHERE {_NEWEST}", Kind.MISSING_PERIOD),
        (f"DELETE FROM fact.straf42 WHERE {_ONE}", Kind.MISSING_ROWS),
        (f"UPDATE fact.straf42 SET indhold = indhold + 1 WHERE {_ONE}", Kind.VALUE),
        (f"UPDATE fact.straf42 SET indhold = NULL WHERE {_ONE}", Kind.NULL),
    ],
    ids=["period dropped", "row deleted", "value changed", "value made NULL"],
)
def test_what_was_tampered_with_is_found_and_named(world: World, statement: str, kind: Kind) -> None:
    change(world, statement)

    result = verified(world, "STRAF42")

    newest = world.universe.table("STRAF42").periods[-1]
    assert found(result) == {(kind, newest)}
    assert sum(one.cells for one in result.discrepancies) == (0 if kind is Kind.MISSING_PERIOD else 1)
    assert not result.proved
    assert str(kind) in result.text


def test_rows_of_a_period_nobody_published_are_found(world: World) -> None:
    change(world, "UPDATE fact.straf42 SET tid = '1950-01-01' WHERE tid = (SELECT min(tid) FROM fact.straf42)")

    oldest = world.universe.table("STRAF42").periods[0]
    assert found(verified(world, "STRAF42")) == {(Kind.EXTRA_PERIOD, "1950-01-01"), (Kind.MISSING_PERIOD, oldest)}


def test_a_period_that_is_kept_is_no_discrepancy_and_is_told_of(world: World) -> None:
    gone = world.universe.table("KORN2").periods[0]
    world.universe.drop_period("KORN2", gone)
    world.sync("KORN2")

    result = verified(world, "KORN2")

    assert result.proved
    assert result.notes == (f"kept, and no longer published: {gone}",)


def test_only_the_periods_that_are_wanted_are_asked_about(world: World) -> None:
    newest = world.universe.table("KORN2").periods[-2:]

    result = verified(world, "KORN2", wanted=lambda every: every[-2:])

    assert world.asked() == [list(newest)]
    assert (result.periods, result.proved) == (2, True)


def test_an_answer_with_too_few_rows_disagrees(world: World) -> None:
    world.simulator.fault("short", path="data")

    assert {kind for kind, _ in found(verified(world, "KORN2"))} == {Kind.EXTRA_ROWS}


def test_a_table_that_is_due_is_not_compared(world: World) -> None:
    world.universe.revise("KORN2", world.universe.table("KORN2").periods[0])

    result = verified(world, "KORN2")

    assert not result.proved
    assert "varro sync KORN2" in result.moved
    assert result.discrepancies == ()
    assert world.requests("data") == []


def test_a_publication_in_the_middle_is_said_to_be_one(world: World) -> None:
    oldest = world.universe.table("KORN2").periods[0]
    revision = {"kind": "revise", "table": "KORN2", "tid": oldest}
    world.simulator.fault("publish", path="tableinfo", then=revision)

    result = verified(world, "KORN2")

    assert result.moved
    assert (result.discrepancies, result.proved) == ((), False)


@pytest.mark.parametrize(
    "kind",
    [
        *("cut", "wrong_header", "error_200"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("truncated", "html", "garbage", "duplicate")),
    ],
)
def test_an_answer_that_is_none_is_an_error_not_a_discrepancy(world: World, kind: str) -> None:
    world.simulator.fault(kind, path="data", count=None)

    with pytest.raises(VarroError):
        verified(world, "KORN2")


def test_a_table_never_synced_cannot_be_verified(world: World) -> None:
    with pytest.raises(DamagedPartition, match="varro sync KORD1"):
        verified(world, "KORD1")
    assert world.simulator.requests == []
