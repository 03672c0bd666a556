"""Refresh policy: which periods a publication has read again, whatever breaks in between, and what is found by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from varro_assets.engine import clock, planning
from varro_assets.engine.planning import Reason, Refresh, Scope
from varro_assets.errors import DatabaseRefused, PublisherChanged, SourceUnavailable
from varro_assets.statbank import fetching, manifest, reads
from varro_assets.statbank.fetching import BatchSize
from varro_assets.statbank.holding import holdings_of
from varro_assets.statbank.loading import FactLoader
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sweeps.sweep import Candidate
from varro_assets.statbank.sweeps.workload import Workload
from varro_assets.statbank.sync import held_periods, load_table, standing_now
from varro_assets.statbank.sync_report import Outcome, SyncReport
from varro_assets.statbank.table_plan import make_plan
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.oracle import World

pytestmark = pytest.mark.slow  # many syncs each

TRAILING = Scope(refresh=Refresh.TRAILING)
NARROW = Scope(refresh=Refresh.TRAILING, trailing=1)
"""A window so narrow that the turn of the others is seen."""
YEARS = [str(year) for year in range(2016, 2026)]
"""The periods of BY1: a window of four, and six beyond it."""


def _reasons(report: SyncReport) -> dict[str, Reason]:
    assert report.plan is not None
    return dict(report.plan.fetch)


def _recorded(world: World, table: str = "BY1") -> dict[str, reads.Recorded]:
    with world.database() as connection:
        return reads.reads(connection, [table])[table]


def _read_of(world: World, table: str = "BY1") -> dict[str, str]:
    return {code: row.read.updated for code, row in sorted(_recorded(world, table).items()) if not row.doubted}


def _plan(world: World, table: str, scope: Scope) -> dict[str, Reason]:
    """What a sync would fetch now."""
    info, _raw = world.sources.client.tableinfo(table)
    return dict(standing_now(world.sources, info, held_periods(world.sources, table)).plan(scope).fetch)


def _refuse(*_arguments: Any, **_options: Any) -> int:
    raise DatabaseRefused("load", on="BY1", got="no", todo="again")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let days pass."""
    passed = timedelta()

    def wait(days: float) -> None:
        nonlocal passed
        passed += timedelta(days=days)

    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + passed)
    return wait


class TestPolicy:
    def test_a_deep_revision_of_a_small_table_is_found_at_once(self, world: World) -> None:
        world.sync("BY1")
        world.universe.revise("BY1", tid="2016", cells=1)
        report = world.sync("BY1")
        assert _reasons(report) == dict.fromkeys(YEARS, Reason.WHOLE)
        assert report.outcomes["2016"] is Outcome.REVISED
        world.check("BY1")

    def test_full_is_everything_whatever_it_weighs(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.sync("BY1")
        monkeypatch.setattr(fetching, "TARGET_BYTES", 1)
        world.universe.restate("BY1")
        assert set(_reasons(world.sync("BY1", scope=Scope(refresh=Refresh.FULL))).values()) == {Reason.WHOLE}
        world.check("BY1")

    @pytest.mark.slow
    def test_a_deep_revision_of_a_large_table_is_found_within_twelve_publications(
        self, world: World, monkeypatch: pytest.MonkeyPatch, later: Any
    ) -> None:
        world.sync("PRIS111")
        first = world.universe.table("PRIS111").periods[0]
        later(7)
        world.universe.touch("PRIS111")
        # more than one request would take it all: not read whole any more
        monkeypatch.setattr(fetching, "TARGET_BYTES", 1 << 10)
        world.sync("PRIS111")  # reads the first two of the 14 months before the window
        world.universe.revise("PRIS111", tid=first, cells=1)
        found = []
        for publication in range(1, 13):
            later(7)
            if publication > 1:
                world.universe.touch("PRIS111")
            report = world.sync("PRIS111")
            assert Reason.WHOLE not in _reasons(report).values()
            assert len([why for why in _reasons(report).values() if why is Reason.ROTATION]) == 2
            assert world.state("PRIS111") is State.CURRENT
            found += [publication] if report.outcomes.get(first) is Outcome.REVISED else []
        assert found == [7]
        world.check("PRIS111")

    def test_nothing_stays_unread_for_longer_than_the_bound(self, world: World, later: Any) -> None:
        world.sync("BY1")
        later(401)
        world.universe.touch("BY1")
        report = world.sync("BY1", scope=TRAILING)
        assert [_reasons(report)[code] for code in YEARS[:6]] == [Reason.ROTATION] * 6
        now = clock.now()
        assert all(now - row.read.read_at < planning.OVERDUE for row in _recorded(world).values())

    def test_mending_by_a_deep_look_is_the_users_wish_alone(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.sync("BY1")
        monkeypatch.setattr("varro_assets.statbank.judging.intact", lambda _part: pytest.fail("read all of it"))
        world.universe.touch("BY1")
        assert set(_reasons(world.sync("BY1")).values()) == {Reason.WHOLE}


class TestReads:
    def test_unchanged_periods_are_read_too(self, world: World, later: Any) -> None:
        world.sync("BY1")
        before, first = _recorded(world), world.universe.table("BY1").updated
        later(30)
        world.universe.touch("BY1")
        world.sync("BY1", scope=TRAILING)
        second = world.universe.table("BY1").updated
        # the window, and the one of the six years before it whose turn it is
        turn = {*YEARS[6:], "2016"}
        assert _read_of(world) == {year: second if year in turn else first for year in YEARS}
        after = _recorded(world)
        assert {year for year in YEARS if after[year].read.read_before == before[year].read.read_at} == turn
        # the files still say when their content first came
        assert {part.updated for part in world.sources.store("BY1").infos().values()} == {first}

    def test_a_table_that_is_current_asks_for_nothing(self, world: World) -> None:
        world.sync("BY1")
        world.simulator.forget_requests()
        for scope in (Scope(), TRAILING, Scope(within=tuple(YEARS))):
            assert world.sync("BY1", scope=scope).updated == world.universe.table("BY1").updated
        assert world.requests("data") == []
        world.sync("BY1", scope=Scope(only=("2017",)))
        assert world.asked() == [["2017"]]

    def test_a_home_older_than_the_records_is_not_read_again_for_it(self, world: World, later: Any) -> None:
        world.sync("BY1")
        later(7)  # of the very second of the files the manifest vouches for nothing
        world.universe.touch("BY1")
        world.sync("BY1")
        world.query("TRUNCATE meta.period_read")
        world.simulator.forget_requests()
        report = world.sync("BY1")
        assert (report.updated, world.requests("data")) == (world.universe.table("BY1").updated, [])
        world.universe.touch("BY1")
        assert list(_reasons(world.sync("BY1", scope=TRAILING))) == [*reversed(YEARS[6:]), "2016"]
        assert world.state("BY1") is State.CURRENT

    def test_a_period_that_was_away_is_read_again_though_the_publication_is_an_old_one(self, world: World) -> None:
        world.sync("BY1")
        first = world.universe.table("BY1")
        world.universe.drop_period("BY1", tid="2017")
        world.sync("BY1")
        assert "2017" not in _read_of(world)
        world.universe._tables["BY1"] = first  # taken back
        report = world.sync("BY1", scope=replace(TRAILING, trailing=0))
        assert _reasons(report)["2017"] is Reason.NEW
        world.check("BY1")

    def test_what_a_moved_publication_made_worthless_is_not_recorded(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.sync("BY1")
        before = _read_of(world)
        world.universe.touch("BY1")
        world.simulator.fault(
            "publish", table="BY1", path="data", nth=1, count=None, then={"table": "BY1", "kind": "restate"}
        )
        with pytest.raises(PublisherChanged):
            world.sync("BY1")
        assert _read_of(world) == before

    def test_a_shrunk_period_is_not_read(self, world: World) -> None:
        world.sync("BY1")
        world.universe.shrink("BY1", tid="2017", keep=0.2)
        for again in (YEARS, ["2017"]):
            report = world.sync("BY1", scope=replace(TRAILING, trailing=9))
            assert report.outcomes["2017"] is Outcome.SHRUNK
            assert set(again) - {"2016"} == set(_reasons(report)) - {"2016"}
            assert "2017" not in _read_of(world)
            assert world.state("BY1") is State.CHANGED
        report = world.sync("BY1", scope=replace(TRAILING, trailing=9), accept_shrink=True)
        assert list(report.outcomes) == ["2017"]
        assert world.state("BY1") is State.CURRENT
        world.check("BY1")

    def test_a_shrunk_period_keeps_no_other_from_its_turn(self, world: World, later: Any) -> None:
        world.sync("BY1")
        world.universe.shrink("BY1", tid="2016", keep=0.2)
        expected = {"2016": Reason.ROTATION}
        for turn in ("2017", "2018"):
            assert world.sync("BY1", scope=TRAILING).outcomes["2016"] is Outcome.SHRUNK
            # of this publication nothing else is due instead
            assert _reasons(world.sync("BY1", scope=TRAILING)) == expected
            later(7)
            world.universe.touch("BY1")
            expected = {"2016": Reason.DOUBTED}
            made = _plan(world, "BY1", TRAILING)
            turns = {code: why for code, why in made.items() if why is not Reason.TRAILING}
            assert turns == {**expected, turn: Reason.ROTATION}
        assert world.state("BY1") is State.CHANGED
        world.sync("BY1", scope=TRAILING, accept_shrink=True)
        assert _read_of(world)["2016"] == world.universe.table("BY1").updated
        assert world.state("BY1") is State.CURRENT
        world.check("BY1")

    def test_what_was_not_believed_when_asked_for_explicitly_is_due_from_then_on(self, world: World) -> None:
        world.sync("BY1")
        world.universe.shrink("BY1", tid="2020", keep=0.2)
        world.sync("BY1", scope=replace(TRAILING, only=("2020",)))
        assert "2020" in _plan(world, "BY1", TRAILING)
        world.sync("BY1", scope=TRAILING)
        assert world.state("BY1") is State.CHANGED
        world.sync("BY1", scope=TRAILING, accept_shrink=True)
        world.check("BY1")


class TestParts:
    """Several runs share the work of one publication."""

    def test_the_last_one_completes_the_table(self, world: World) -> None:
        world.sync("BY1")
        world.universe.restate("BY1")
        world.universe.publish_period("BY1")
        world.simulator.forget_requests()
        for part, state in (
            (("2026", "2025"), State.CHANGED),
            (("2016", "2017", "2018", "2019"), State.CHANGED),
            (("2016", "2020", "2021", "2022"), State.CHANGED),
            (("2023", "2024", "1066"), State.CURRENT),
        ):
            report = world.sync("BY1", scope=Scope(within=part))
            assert set(report.outcomes) <= set(part)
            assert bool(report.updated) is (state is State.CURRENT)
            assert world.state("BY1") is state
        asked = [code for codes in world.asked() for code in codes]
        assert sorted(asked) == [*YEARS, "2026"]
        world.check("BY1")

    def test_a_rotation_in_parts_reads_what_it_would_have_read_at_once(self, world: World) -> None:
        world.sync("PRIS111")
        world.universe.touch("PRIS111")
        with world.database() as connection:
            recorded = reads.reads(connection, ["PRIS111"])["PRIS111"]
        info = world.sources.client.tableinfo("PRIS111")[0]
        held = held_periods(world.sources, "PRIS111")
        state = manifest.read(world.folder("PRIS111"))
        whole = make_plan(info, held, TRAILING, state, recorded, clock.now())
        done: list[str] = []
        for place in range(0, len(whole.fetch), 7):
            part = tuple(list(whole.fetch)[place : place + 7])
            done += world.sync("PRIS111", scope=replace(TRAILING, within=part)).outcomes
        assert sorted(done) == sorted(whole.fetch)
        assert world.state("PRIS111") is State.CURRENT

    def test_a_publication_between_two_parts(self, world: World) -> None:
        world.sync("BY1")
        world.universe.restate("BY1")
        world.sync("BY1", scope=Scope(within=tuple(YEARS[:5])))
        world.universe.restate("BY1")
        report = world.sync("BY1", scope=Scope(within=tuple(YEARS[5:])))
        assert report.updated == ""
        assert world.state("BY1") is State.CHANGED
        # the first part was of an older publication: due again
        assert sorted(_reasons(world.sync("BY1"))) == YEARS[:5]
        world.check("BY1")

    def test_a_first_load_in_parts(self, world: World) -> None:
        world.sync("BY1", scope=Scope(within=tuple(YEARS[5:])))
        assert world.state("BY1") is State.NEVER
        world.sync("BY1", scope=Scope(within=tuple(YEARS[:5])))
        world.check("BY1")
        assert world.state("BY1") is State.CURRENT

    def test_the_warehouse_alone_says_the_same_as_the_files(self, world: World) -> None:
        for table in ("BY1", "KORD1"):
            world.sync(table)
        world.universe.touch("BY1")
        info = world.sources.client.tableinfo("BY1")[0]
        with world.database() as connection:
            held = holdings_of(connection, ["BY1", "KORD1", "FOLK1A"])
            recorded = reads.reads(connection, ["BY1", "KORD1", "FOLK1A"])
        assert {table: len(rows) for table, rows in held.items()} == {"BY1": 10, "KORD1": 5, "FOLK1A": 0}
        files = standing_now(world.sources, info, held_periods(world.sources, "BY1"))
        state = manifest.read(world.folder("BY1"))
        for scope in (Scope(), TRAILING, Scope(within=("2025", "2016"))):
            assert make_plan(info, held["BY1"], scope, state, recorded["BY1"], clock.now()) == files.plan(scope)


def _lose_the_warehouse(world: World) -> None:
    world.query("DROP TABLE IF EXISTS fact.by1")
    world.query("TRUNCATE meta.period_read, meta.period_load, meta.table_sync")


def _lose_and_refill(world: World) -> None:
    _lose_the_warehouse(world)
    load_table(world.sources, "BY1", Recorder())


def _lose_some_records(world: World) -> None:
    world.query("DELETE FROM meta.period_read WHERE tid_code IN ('2018', '2024')")


def _doubt(world: World) -> None:
    world.universe.shrink("BY1", tid="2024", keep=0.2)
    assert world.sync("BY1", scope=NARROW).outcomes["2024"] is Outcome.SHRUNK


def _die_before_the_record(world: World) -> None:
    world.universe.revise("BY1", tid="2024")
    real = reads.record
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads, "record", lambda *about: _refuse() if about[-1] else real(*about))
        with pytest.raises(DatabaseRefused):
            world.sync("BY1", scope=replace(NARROW, within=("2024",)))
    assert world.sources.store("BY1").info("2024").content_hash != _recorded(world)["2024"].content_hash


def _die_before_the_load(world: World) -> None:
    world.universe.revise("BY1", tid="2025")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FactLoader, "load_all", _refuse)
        with pytest.raises(DatabaseRefused):
            world.sync("BY1", scope=NARROW)


def _lose_a_file(world: World) -> None:
    (world.folder("BY1") / "2020.parquet").unlink()


def _nothing(_world: World) -> None:
    """That happens too."""


_ACCIDENTS = [
    _nothing,
    _lose_and_refill,
    _lose_the_warehouse,
    _lose_some_records,
    _doubt,
    _die_before_the_record,
    _die_before_the_load,
    _lose_a_file,
]


class TestSensorAndRun:
    """The sensor plans from the warehouse, the run from the files; they must choose the same."""

    @pytest.mark.parametrize("accident", _ACCIDENTS, ids=lambda accident: accident.__name__.strip("_"))
    def test_what_the_sensor_demands_is_due_in_the_plan_of_the_run(
        self, world: World, later: Any, monkeypatch: pytest.MonkeyPatch, accident: Callable[[World], None]
    ) -> None:
        monkeypatch.setattr(BatchSize, "periods", lambda _self: 1)
        real = fetching._fetch_batch

        def slow(*arguments: Any, **options: Any) -> Any:
            later(1 / 1440)  # as at the real publisher, whose requests are seconds apart: the newest is read first
            return real(*arguments, **options)

        monkeypatch.setattr(fetching, "_fetch_batch", slow)
        world.sync("BY1")
        accident(world)
        for publication in range(3):
            later(7)
            world.universe.touch("BY1")
            runs = list(self._bring_in(world))
            if publication:
                # what the run before found out by itself is known now
                assert len(runs) == 1
                assert runs[0][0] is not None
            # files that are ahead of the warehouse nobody sees from there; the first run sets that right
            for demanded, due in runs[1 if accident is _die_before_the_record and not publication else 0 :]:
                assert demanded is None or demanded <= due
            assert world.state("BY1") is (State.CHANGED if accident is _doubt else State.CURRENT)

    def _bring_in(self, world: World) -> Iterator[tuple[frozenset[str] | None, set[str]]]:
        """Look and run until the table is complete or nothing more comes of it.

        Yields:
            Of each run, what it is demanded to read (None: to find out by itself), and what is due by the files.
        """
        for _ in range(4):
            info, raw = world.sources.client.tableinfo("BY1")
            world.sources.catalogue.write_tableinfo("BY1", raw)
            plan = standing_now(world.sources, info, held_periods(world.sources, "BY1")).plan(NARROW)
            doubted = {
                code for code, row in _recorded(world).items() if row.doubted and row.read.updated == info.updated
            }
            if world.state("BY1") is State.CURRENT or (plan.fetch and doubted.issuperset(plan.fetch)):
                return
            known = world.sources.catalogue.read()
            assert known is not None
            with world.database() as connection:
                lookup = Workload(
                    world.sources, known, connection, ["BY1"], lambda _: NARROW, lambda _: (), clock.now()
                )
                work = lookup.of(Candidate("BY1", State.CHANGED))
            within = tuple(work.due) if work.due else None
            yield work.due, set(plan.fetch)
            world.sync("BY1", scope=replace(NARROW, within=within))
        raise AssertionError("no end of it")


class TestResume:
    """What was read of this publication is not read again."""

    def test_after_the_load_failed(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.sync("BY1")
        world.universe.revise("BY1", tid="2019")

        with monkeypatch.context() as patch:
            patch.setattr(FactLoader, "load_all", _refuse)
            with pytest.raises(DatabaseRefused):
                world.sync("BY1")
        assert world.state("BY1") is State.CHANGED
        world.simulator.forget_requests()
        world.sync("BY1")
        assert world.requests("data") == []
        assert world.state("BY1") is State.CURRENT
        world.check("BY1")

    def test_after_the_publisher_failed_in_a_first_load(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BatchSize, "periods", lambda _self: 1)
        world.simulator.fault("server_error", path="data", table="BY1", nth=5, count=None)
        with pytest.raises(SourceUnavailable):
            world.sync("BY1")
        assert sorted(_recorded(world)) == YEARS[6:]
        world.simulator.faults.clear()
        assert sorted(_reasons(world.sync("BY1"))) == YEARS[:6]
        world.check("BY1")

    @pytest.mark.parametrize("killed_at", [1, 3])
    def test_a_file_in_place_that_was_not_recorded_is_read_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch, killed_at: int
    ) -> None:
        """Killed between files and record, and then the publication is taken back: the record alone would lie."""
        world.sync("BY1")
        first = world.universe.table("BY1")
        world.universe.restate("BY1")
        original, seen = Path.replace, []

        def crashing(self: Path, target: Path) -> Path:
            result = original(self, target)
            seen.extend([target] if target.parent == world.folder("BY1") and target.suffix == ".parquet" else [])
            if len(seen) == killed_at:
                raise KeyboardInterrupt
            return result

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", crashing)
            with pytest.raises(KeyboardInterrupt):
                world.sync("BY1")
        assert len(seen) == killed_at
        world.universe._tables["BY1"] = first
        report = world.sync("BY1", scope=TRAILING)
        assert sorted(_reasons(report)) == sorted(path.stem for path in seen)
        world.check("BY1")
