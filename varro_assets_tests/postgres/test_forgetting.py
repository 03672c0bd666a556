"""Forgetting: a period that is no longer published goes from everywhere, and nothing else does."""

from __future__ import annotations

import pytest

from varro_assets.engine.locks import table_lock
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.revisions.ledger_files import Kind
from varro_assets.errors import InvalidPeriod, TableBusy
from varro_assets.statbank.forgetting import Published, Trace, forget
from varro_assets.statbank.sweeps.due import State
from varro_assets_tests.oracle import World

TABLE = "KORD1"
GONE = "2020"


@pytest.fixture
def vanished(world: World) -> World:
    """All five years are held; the oldest is no longer published."""
    world.sync(TABLE)
    world.universe.publish("drop_period", TABLE)
    world.sync(TABLE)
    return world


def take_out(world: World, *codes: str, **options: object) -> list[Trace]:
    return forget(world.sources, TABLE, codes, lambda: published(world), on_damaged=pytest.fail, **options)  # type: ignore[arg-type]


def published(world: World) -> Published:
    return Published(world.sources.client.tableinfo(TABLE)[0], listed=True)


def test_file_rows_and_records_go_and_a_sync_does_not_miss_them(vanished: World) -> None:
    (trace,) = take_out(vanished, GONE)
    assert (trace.period, trace.rows) == (GONE, 8)
    vanished.check(TABLE)
    assert vanished.query("SELECT * FROM meta.period_read WHERE tid_code = %s", GONE) == []
    assert vanished.query("SELECT periods, rows, kept_periods FROM meta.table_sync") == [(4, 32, 0)]
    assert vanished.state(TABLE) is State.CURRENT
    before = vanished.files(TABLE)
    vanished.sync(TABLE)
    assert vanished.files(TABLE).keys() == before.keys()


@pytest.mark.parametrize("code", ["2024", "2019"])
def test_published_and_unknown_periods_are_refused(vanished: World, code: str) -> None:
    before = vanished.files(TABLE), vanished.rows(TABLE)
    with pytest.raises(InvalidPeriod, match=code):
        take_out(vanished, GONE, code)
    assert (vanished.files(TABLE), vanished.rows(TABLE)) == before


def test_refused_while_somebody_writes_the_table(vanished: World) -> None:
    with table_lock(vanished.sources.warehouse, TABLE), pytest.raises(TableBusy, match=f"lock {TABLE}"):
        take_out(vanished, GONE)
    assert GONE in vanished.sources.store(TABLE).periods()


def test_what_is_published_is_asked_when_nobody_can_sync_it_any_more(vanished: World) -> None:
    vanished.universe.insert_period(TABLE, tid=GONE)
    vanished.sync(TABLE)
    before = vanished.files(TABLE)

    def ask() -> Published:
        with pytest.raises(TableBusy):
            vanished.sync(TABLE)
        return published(vanished)

    with pytest.raises(InvalidPeriod, match="it is published"):
        forget(vanished.sources, TABLE, [GONE], ask, on_damaged=pytest.fail)
    assert vanished.files(TABLE) == before


def test_interrupted_it_is_finished_by_asking_again(vanished: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            take_out(vanished, GONE)
    take_out(vanished, GONE)
    vanished.check(TABLE)
    with pytest.raises(InvalidPeriod):
        take_out(vanished, GONE)
    assert take_out(vanished, GONE, shown={GONE}) == []


def test_of_a_withdrawn_table_all_may_go_also_where_it_is_interrupted(
    vanished: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = vanished.sources.client.tableinfo(TABLE)[0]
    vanished.universe.withdraw(TABLE, vanish=True)
    vanished.sources.catalogue.tableinfo_path(TABLE).unlink(missing_ok=True)

    def forget_all() -> list[Trace]:
        now = Published(info, listed=False)
        return forget(vanished.sources, TABLE, [GONE, *info.tids], lambda: now, on_damaged=pytest.fail)

    with monkeypatch.context() as patch:
        patch.setattr(PartitionStore, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            forget_all()
    assert vanished.sources.catalogue.tableinfo(TABLE) == info
    assert len(forget_all()) == 5
    assert vanished.sources.store(TABLE).periods() == []
    assert not vanished.rows(TABLE)


def test_the_ledger_keeps_what_it_was(vanished: World) -> None:
    rows = vanished.sources.store(TABLE).info(GONE).rows
    take_out(vanished, GONE)
    entry = vanished.sources.ledger(TABLE).entries(GONE)[-1]
    assert (entry.kind, entry.after) == (Kind.FORGOTTEN, None)
    noted = vanished.query("SELECT rows_before, rows_after FROM meta.revision WHERE kind = 'forgotten'")
    assert noted == [(rows, 0)]


def test_a_damaged_file_goes_too(vanished: World) -> None:
    vanished.sources.store(TABLE).path(GONE).write_bytes(b"PAR1")
    take_out(vanished, GONE)
    vanished.check(TABLE)
