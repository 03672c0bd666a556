"""Sync: whatever the publisher does, files and warehouse end as exactly what it says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from varro_assets.engine.planning import Reason, Refresh, Scope
from varro_assets.errors import ForeignSource
from varro_assets.simulator.table import Table
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sync_report import Outcome
from varro_assets_tests.oracle import World, slowly

FULL = Scope(full=True)
TRAILING = Scope(refresh=Refresh.TRAILING)


class TestFirstSync:
    @pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_every_demo_table_becomes_what_is_published(self, world: World, large: bool) -> None:
        tables = [table.id for table in world.universe.tables()]
        assert len(tables) == 22
        for table in [table for table in tables if (table == "FOLK1A") is large]:
            report = world.sync(table)
            assert set(report.outcomes.values()) == {Outcome.NEW}
            assert report.updated == world.universe.table(table).updated
            assert report.rows_written == report.rows_fetched == world.universe.table(table).row_count()
            world.check(table)

    def test_values_zero_null_and_absent_stay_apart(self, world: World) -> None:
        for table in ("STRAF42", "PRIS111", "VAN5"):
            world.sync(table)
        nulls = world.query("SELECT count(*) FROM fact.straf42 WHERE indhold IS NULL")
        published = [row for tid in _table(world, "STRAF42").periods for row in _table(world, "STRAF42").rows(tid)]
        assert nulls == [(sum(1 for row in published if row[-1] is None),)] != [(0,)]
        # a total over suppressed cells only is published as a zero, and zero it stays
        zeros = world.query("SELECT count(*) FROM fact.straf42 WHERE indhold = 0")
        assert zeros == [(sum(1 for row in published if row[-1] == 0),)] != [(0,)]
        assert world.query("SELECT count(*) > 0 FROM fact.pris111 WHERE indhold = 0") == [(True,)]
        # a combination that is not stored gets no row: the table is sparse
        ((rows,),) = world.query("SELECT count(*) FROM fact.van5")
        van5 = _table(world, "VAN5")
        combinations = math.prod(len(dimension.codes) for dimension in van5.dimensions) * len(van5.periods)
        assert 0 < rows == van5.row_count() < combinations
        assert world.query("SELECT count(*) > 0 FROM fact.van5 WHERE indvland = 'NA'") == [(True,)]

    def test_a_period_without_rows_is_held_and_recorded(self, world: World) -> None:
        world.sync("FT")
        assert world.sources.store("FT").info("1834").rows == 0
        assert world.query("SELECT rows FROM meta.period_load WHERE table_id = 'FT' AND tid_code = '1834'") == [(0,)]

    def test_without_the_warehouse_only_files_are_written(self, world: World) -> None:
        world.sync("KORD1", load=False)
        world.check_files("KORD1")
        assert world.query("SELECT to_regclass('fact.kord1')") == [(None,)]
        assert world.query("SELECT * FROM meta.table_sync") == []
        assert world.state("KORD1") is State.REFILL


class TestNothingNew:
    @pytest.mark.parametrize("table", ["KORD1", "HISB7", *slowly("BARLOV1", "METROX1", "IDRTIL01")])
    def test_the_second_sync_writes_nothing(self, world: World, table: str) -> None:
        world.sync(table)
        files, versions = world.parquet_files(table), world.versions(table)
        loaded = world.query("SELECT * FROM meta.period_load ORDER BY tid_code")
        for scope in (Scope(), FULL):
            report = world.sync(table, scope=scope)
            # all of it was read of this publication: only who insists reads it again
            assert set(report.outcomes.values()) == ({Outcome.UNCHANGED} if scope.full else set())
            assert report.updated == world.universe.table(table).updated
            assert report.rows_written == 0
            assert world.parquet_files(table) == files
            assert world.versions(table) == versions
            assert world.query("SELECT * FROM meta.period_load ORDER BY tid_code") == loaded
            world.check(table)

    def test_a_publication_without_changes_moves_only_the_records(self, world: World) -> None:
        world.sync("KORD1")
        files, versions = world.parquet_files("KORD1"), world.versions("KORD1")
        world.universe.touch("KORD1")
        assert world.state("KORD1") is State.CHANGED
        world.sync("KORD1")
        assert (world.parquet_files("KORD1"), world.versions("KORD1")) == (files, versions)
        assert world.state("KORD1") is State.CURRENT
        world.check("KORD1")


class TestRevisions:
    def test_a_revised_period_is_replaced_and_no_other(self, world: World) -> None:
        world.sync("PRIS111")
        files, versions = world.parquet_files("PRIS111"), world.versions("PRIS111")
        world.universe.revise("PRIS111", tid="2025M03", cells=2)
        report = world.sync("PRIS111", scope=TRAILING)
        assert [code for code, outcome in report.outcomes.items() if outcome is Outcome.REVISED] == ["2025M03"]
        assert report.count(Outcome.UNCHANGED) == 17 + 2  # the window, and two of the 14 months before it
        after = world.versions("PRIS111")
        assert {row[-1] for row, version in after.items() if versions[row] != version} == {"2025-03-01"}
        changed = {name for name, state in world.parquet_files("PRIS111").items() if files[name] != state}
        assert changed == {"2025M03.parquet"}
        # the predecessor deleted '2025M03' where 2025-03-01 was stored, and every replaced month stood twice
        assert world.query("SELECT count(*) FROM fact.pris111 WHERE tid = '2025-03-01'") == [(27,)]
        world.check("PRIS111")

    @pytest.mark.parametrize(
        ("table", "tid"),
        [
            ("METROX1", "2021U05"),
            ("HISB7", "2022:2023"),
            ("BARLOV1", "AUG - DEC 2022"),
            *slowly(
                ("IDRTIL01", "2022/2023"),
                ("DNVALD", "2025M09D03"),
                ("KORN2", "2024H1"),
                ("BIL10", "2024"),
                ("FOLK1A", "2025K2"),
            ),
        ],
    )
    def test_every_kind_of_period_is_replaced_whole(self, world: World, table: str, tid: str) -> None:
        world.sync(table, scope=Scope())
        world.universe.revise(table, tid=tid)
        report = world.sync(table, scope=Scope(only=(tid,)))
        assert report.outcomes == {tid: Outcome.REVISED}
        # not everything that is due was asked for, so it stays due
        assert world.state(table) is State.CHANGED
        world.sync(table)
        world.check(table)

    def test_history_outside_the_window_is_read_when_asked_for(self, world: World) -> None:
        world.sync("BY1")
        before = _table(world, "BY1")
        world.universe.restate("BY1")
        world.sync("BY1", scope=TRAILING)
        # beyond the window of four only one year's turn has come
        world.check("BY1", as_published=dict.fromkeys(map(str, range(2017, 2022)), before))
        report = world.sync("BY1", scope=replace(TRAILING, since="2017"))
        assert report.outcomes["2017"] is Outcome.REVISED
        world.check("BY1")

    def test_a_restated_history_is_rebuilt_at_once(self, world: World) -> None:
        world.sync("STRAF42")
        world.universe.restate("STRAF42")
        report = world.sync("STRAF42", scope=FULL)
        assert set(report.outcomes.values()) == {Outcome.REVISED}
        world.check("STRAF42")

    def test_a_publication_taken_back_is_due(self, world: World) -> None:
        world.sync("KORD1")
        world.universe.regress("KORD1")
        assert world.state("KORD1") is State.CHANGED
        world.sync("KORD1")
        assert world.state("KORD1") is State.CURRENT
        world.check("KORD1")


class TestPeriods:
    def test_a_new_period_is_loaded(self, world: World) -> None:
        world.sync("KORD1")
        world.universe.publish_period("KORD1")
        report = world.sync("KORD1")
        assert report.outcomes["2025"] is Outcome.NEW
        world.check("KORD1")

    @pytest.mark.parametrize(("table", "tid"), [("FT", "1921"), ("KORD1", "2010"), ("METROX1", "2019U52")])
    def test_a_period_in_the_middle_or_before_the_first_is_loaded(self, world: World, table: str, tid: str) -> None:
        world.sync(table)
        world.universe.insert_period(table, tid=tid)
        report = world.sync(table)
        assert report.outcomes[tid] is Outcome.NEW
        assert report.plan is not None
        assert report.plan.fetch[tid] is Reason.NEW
        world.check(table)

    def test_a_vanished_period_is_kept_and_never_asked_for(self, world: World) -> None:
        world.sync("KORD1")
        before = _table(world, "KORD1")
        world.universe.drop_period("KORD1", tid="2023")
        world.universe.revise("KORD1", tid="2024")
        world.simulator.forget_requests()
        for scope in (Scope(), FULL, Scope(only=("2023", "2024")), Scope(since="2020")):
            report = world.sync("KORD1", scope=scope)
            assert report.outcomes["2023"] is Outcome.KEPT
            world.check("KORD1", kept={"2023": before})
        assert not [body for body in world.requests("data") if '"2023"' in body]
        assert world.query("SELECT kept_periods FROM meta.table_sync") == [(1,)]

    def test_a_vanished_period_that_is_back_is_read_again(self, world: World) -> None:
        world.sync("BY1")
        world.universe.drop_period("BY1", tid="2017")
        world.sync("BY1")
        world.universe.insert_period("BY1", tid="2017")
        world.universe.revise("BY1", tid="2017")
        report = world.sync("BY1")
        assert report.outcomes["2017"] is Outcome.REVISED
        world.check("BY1")

    def test_one_period_on_its_own_is_replaced(self, world: World) -> None:
        world.sync("FV22TOTA")
        world.universe.revise("FV22TOTA")
        world.sync("FV22TOTA")
        world.check("FV22TOTA")


class TestShape:
    def test_a_new_code_is_no_change_of_shape(self, world: World) -> None:
        world.sync("BIL10")
        ((oid,),) = world.query("SELECT 'fact.bil10'::regclass::oid::bigint")
        world.universe.add_code("BIL10", code="0601X")
        world.sync("BIL10")
        assert world.query("SELECT 'fact.bil10'::regclass::oid::bigint") == [(oid,)]
        world.check("BIL10")

    def test_a_dimension_comes_and_goes(self, world: World) -> None:
        world.sync("KORD1")
        for _ in range(2):
            world.universe.change_dimensions("KORD1")
            report = world.sync("KORD1")
            assert report.plan is not None
            assert set(report.plan.fetch.values()) == {Reason.RESHAPED}
            world.check("KORD1")

    def test_a_removed_dimension(self, world: World) -> None:
        world.sync("IDRTIL01")
        world.universe.change_dimensions("IDRTIL01", remove="TILSKUER")
        world.sync("IDRTIL01")
        world.check("IDRTIL01")

    def test_vanished_periods_of_the_old_shape_leave_the_table_and_keep_their_file(self, world: World) -> None:
        world.sync("KORD1")
        before = _table(world, "KORD1")
        world.universe.drop_period("KORD1", tid="2020")
        world.sync("KORD1")
        world.universe.change_dimensions("KORD1")
        report = world.sync("KORD1")
        assert report.outcomes["2020"] is Outcome.KEPT
        world.check("KORD1", left={"2020": before})
        world.universe.publish_period("KORD1")
        world.sync("KORD1")
        world.check("KORD1", left={"2020": before})

    def test_even_a_narrow_wish_reads_everything_of_a_changed_shape(self, world: World) -> None:
        world.sync("KORD1")
        world.universe.change_dimensions("KORD1")
        world.sync("KORD1", scope=Scope(only=("2024",)))
        world.check("KORD1")

    def test_years_become_text_when_a_quarter_would_share_their_date(self, world: World) -> None:
        world.sync("KORD1")
        assert world.query("SELECT pg_typeof(tid)::text FROM fact.kord1 LIMIT 1") == [("date",)]
        world.universe.publish_period("KORD1", tid="2024K1")
        world.sync("KORD1")
        assert world.query("SELECT pg_typeof(tid)::text FROM fact.kord1 LIMIT 1") == [("text",)]
        world.check("KORD1")

    def test_a_kept_period_still_counts_for_the_type_of_tid(self, world: World) -> None:
        world.sync("KORD1")
        before = _table(world, "KORD1")
        world.universe.drop_period("KORD1", tid="2024")
        world.sync("KORD1")
        world.universe.publish_period("KORD1", tid="2024K1")
        world.sync("KORD1")
        world.check("KORD1", left={"2024": before})
        assert world.query("SELECT DISTINCT pg_typeof(tid)::text FROM fact.kord1") == [("text",)]

    def test_shape_and_content_of_a_table_can_change_at_once(self, world: World) -> None:
        world.sync("HISB7")
        world.universe.change_dimensions("HISB7")
        world.universe.restate("HISB7")
        world.universe.publish_period("HISB7")
        world.sync("HISB7")
        world.check("HISB7")


def test_a_foreign_source_is_refused(world: World) -> None:
    world.sync("KORD1")
    files = world.files("KORD1")
    text = (world.folder("KORD1") / "manifest.json").read_text("utf-8")
    (world.folder("KORD1") / "manifest.json").write_text(text.replace('"simulator"', '"api.statbank.dk"'), "utf-8")
    world.simulator.forget_requests()
    with pytest.raises(ForeignSource):
        world.sync("KORD1")
    assert world.requests("data") == []
    assert set(world.files("KORD1")) == set(files)


def _table(world: World, table: str) -> Table:
    return world.universe.table(table)
