"""A table as it was, asked for while a sync writes it: right, or refused with a reason that is true."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from varro_assets.engine import clock
from varro_assets.engine.partitions import PartitionInfo, PartitionStore
from varro_assets.engine.planning import Scope
from varro_assets.engine.revisions.ledger import Change, Ledger, Register
from varro_assets.errors import UnknownVintage
from varro_assets.statbank.vintages import vintages
from varro_assets_tests.oracle import World
from varro_assets_tests.postgres.test_ledger import History, rows_of
from varro_assets_tests.postgres.test_sync_recovery import Crash, _before

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ticking")]  # many syncs each

TABLE = "KORD1"
EVER_AFTER = timedelta(days=365)


def once(patch: pytest.MonkeyPatch, owner: type, name: str, act: Callable[[], object], *, first: bool) -> list[str]:
    """Do it when the method is called next, before or after what it does; returns what was done."""
    real, done = getattr(owner, name), []

    def acting() -> None:
        if not done:
            done.append(name)
            act()

    def patched(self: Any, *args: Any, **options: Any) -> Any:
        if first:
            acting()
        found = real(self, *args, **options)
        acting()
        return found

    patch.setattr(owner, name, patched)
    return done


def revised(history: History) -> None:
    history.world.universe.revise(TABLE, tid="2021")
    history.sync(scope=Scope(full=True))


def revised_twice(history: History) -> None:
    """And a period comes in and is revised at once."""
    history.world.universe.publish_period(TABLE)
    revised(history)
    history.world.universe.revise(TABLE, tid=history.world.universe.table(TABLE).periods[-1])
    revised(history)


@pytest.mark.parametrize("act", [revised, revised_twice])
@pytest.mark.parametrize("known", [False, True], ids=["its first entry", "a later entry"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(PartitionStore, "periods"), (PartitionStore, "info"), (Ledger, "stamps"), (Ledger, "entry")],
    ids=["the periods were listed", "a file was read", "the ledger was listed", "an entry was read"],
)
def test_a_sync_while_the_reader_looks(
    world: World, owner: type, name: str, known: bool, act: Callable[[History], None]
) -> None:
    history = History(world, TABLE)
    history.sync()
    if known:
        revised(history)
    elif name == "entry":
        history.world.universe.revise(TABLE, tid="2022")
        history.sync()
    moment, truth = history.states[0]
    for asked in (moment, moment + EVER_AFTER):
        with pytest.MonkeyPatch.context() as patch:
            done = once(patch, owner, name, lambda: act(history), first=False)
            found = history.at(asked)
        assert done
        # of what is held now, either that from before the sync or that from after it
        assert found in ([truth] if asked == moment else [rows for _, rows in history.states])
    history.check()


def test_a_sync_before_the_rows_are_read(world: World) -> None:
    history = History(world, TABLE)
    history.sync()
    moment, truth = history.states[0]
    for _ in range(2):  # without an entry on the way back, and with one
        held = vintages.held_at(history.store, history.ledger, moment)
        revised(history)
        assert {part.period: rows_of(part.table()) for part in held} == truth


def test_a_forgetting_before_the_rows_are_read(world: World) -> None:
    history = History(world, TABLE)
    history.sync()
    moment, truth = history.states[0]
    held = vintages.held_at(history.store, history.ledger, moment)
    history.ledger.note([Change(history.store.info("2021"), None)])
    history.store.remove("2021")
    assert {part.period: rows_of(part.table()) for part in held} == truth


def test_where_no_cells_are_kept_the_reader_is_told_to_ask_again(world: World) -> None:
    history = History(world, TABLE)
    history.sync()
    held = vintages.held_at(history.store, history.ledger, history.states[0][0])
    world.universe.revise(TABLE, tid="2021")
    history.sync(keep_revisions=False)
    (part,) = (part for part in held if part.period == "2021")
    with pytest.raises(UnknownVintage, match=r"KORD1 2021 .* replaced .* is being synced: ask again") as caught:
        part.table()
    assert "damage" not in str(caught.value)


def test_between_the_ledger_and_the_files_every_earlier_state_is_known(world: World) -> None:
    history = History(world, TABLE)
    history.sync()
    revised(history)
    before, seen = list(history.states), []
    real = PartitionStore.promote_all

    def promote_all(self: PartitionStore, staged: Any) -> list[PartitionInfo]:
        seen.extend(history.at(moment) == truth for moment, truth in before)
        seen.append(history.at(clock.now() + EVER_AFTER) == before[-1][1])
        return real(self, staged)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartitionStore, "promote_all", promote_all)
        revised(history)
    assert seen == [True] * 3
    history.check()


def test_after_a_death_between_the_ledger_and_the_files_every_earlier_state_is_known(world: World) -> None:
    history = History(world, TABLE)
    history.sync()
    revised(history)
    died(history)
    for moment, truth in history.states:
        assert history.at(moment) == truth
    # the files alone do not tell whether it was done, and then undone from outside
    noted = clock.now()
    with pytest.raises(UnknownVintage, match=r"under way or died.* ask again after the next varro sync KORD1"):
        history.at(noted)
    assert history.at(clock.now() + EVER_AFTER) == history.states[-1][1]
    held = history.states[-1][1]
    history.sync()
    assert history.at(noted) == held
    history.check()


@pytest.mark.parametrize("look", ["register", "stamps", "entry"])
def test_what_a_dead_sync_noted_is_taken_back_while_the_reader_looks(world: World, look: str) -> None:
    history = History(world, TABLE)
    history.sync()
    revised(history)
    died(history)

    def recover() -> None:
        settled = [(row.period, row.detected_at) for row in history.revisions()]
        history.ledger.recover(history.store.infos(), settled)

    with pytest.MonkeyPatch.context() as patch:
        if look == "register":
            real, done = Ledger.register.fget, []  # type: ignore[attr-defined]

            def register(self: Ledger) -> Register:
                found: Register = real(self)
                if not done:
                    done.append(look)
                    recover()
                return found

            patch.setattr(Ledger, "register", property(register))
        else:
            done = once(patch, Ledger, look, recover, first=look == "entry")
        found = history.at(history.states[0][0])
    assert done
    assert found == history.states[0][1]
    assert history.at(clock.now()) == history.states[-1][1]


def died(history: History) -> None:
    """A sync that noted what it never did."""
    history.world.universe.revise(TABLE, tid="2021")
    history.world.universe.revise(TABLE, tid="2022")
    with pytest.MonkeyPatch.context() as patch:
        _before(PartitionStore, "promote_all")(patch)
        with pytest.raises(Crash):
            history.world.sync(TABLE)
