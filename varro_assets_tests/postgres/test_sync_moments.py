"""Sync while the publisher publishes: what is stored is of one moment, and a first load shows as it comes."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.period_table import PeriodTables
from varro_assets.engine.planning import Scope
from varro_assets.errors import PublisherChanged, SourceUnavailable
from varro_assets.statbank import catalog, manifest
from varro_assets.statbank.fetching import BatchSize
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sync_report import Outcome
from varro_assets_tests.oracle import World, slowly

pytestmark = pytest.mark.slow  # a sync is broken at every moment

FULL = Scope(full=True)

PUBLICATIONS = [
    {"kind": "revise", "tid": "2024"},
    {"kind": "restate"},
    {"kind": "publish_period"},
    {"kind": "drop_period", "tid": "2024"},
    {"kind": "drop_period", "tid": "2021"},
    {"kind": "add_code"},
    {"kind": "change_dimensions"},
    {"kind": "touch"},
]


def _name(publication: dict[str, Any]) -> str:
    return "-".join(publication.values())


_MOMENTS = [
    pytest.param(
        path,
        nth,
        publication,
        id=f"{path}-{nth}-{_name(publication)}",
        # every publication at every moment; a few of them every time
        marks=[] if (at + place) % 4 == 0 else pytest.mark.slow,
    )
    for at, (path, nth) in enumerate([("tableinfo", 1), ("data", 1), ("data", 3), ("data", 5)])
    for place, publication in enumerate(PUBLICATIONS)
]


@pytest.fixture
def single_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request is for one period, so that there is much between the first and the last."""
    monkeypatch.setattr(BatchSize, "periods", lambda _self: 1)


def _publish(world: World, path: str, nth: int, publication: dict[str, Any], count: int | None = 1) -> None:
    world.simulator.fault(
        "publish", table="KORD1", path=path, nth=nth, count=count, then={"table": "KORD1", **publication}
    )


def test_a_description_that_a_poll_replaces_while_it_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stated goes by the description that was read, not by the one that lies there a moment later."""
    world.sync("KORD1")
    before = manifest.read(world.folder("KORD1"))
    world.universe.revise("KORD1", "2024")
    folder = type(world.sources.catalogue)
    read, told = folder.raw_tableinfo, world.sources.client.tableinfo("KORD1")[1]

    def replaced(self: catalog.CatalogueFolder, table: str) -> dict[str, Any] | None:
        body = read(self, table)
        self.write_tableinfo(table, told)
        return body

    monkeypatch.setattr(folder, "raw_tableinfo", replaced)
    world.sync("KORD1", poll=False)
    monkeypatch.undo()
    after = manifest.read(world.folder("KORD1"))
    assert before
    assert after
    assert after.info.updated == before.info.updated
    world.sync("KORD1")
    world.check("KORD1")


@pytest.mark.usefixtures("single_periods")
class TestPublishedMeanwhile:
    """The publication falls after the answer to some request: before, between or after the data."""

    @pytest.mark.parametrize(("path", "nth", "publication"), _MOMENTS)
    def test_later_sync(self, world: World, path: str, nth: int, publication: dict[str, Any]) -> None:
        world.sync("KORD1")
        world.universe.touch("KORD1")
        before = world.universe.table("KORD1")
        _publish(world, path, nth, publication)
        world.sync("KORD1", scope=FULL)
        gone = {code: before for code in before.periods if code not in world.universe.table("KORD1").periods}
        assert world.universe.table("KORD1").updated != before.updated
        if publication["kind"] == "drop_period":
            world.check("KORD1", kept=gone)
        else:
            world.check("KORD1")

    @pytest.mark.parametrize(("path", "nth", "publication"), _MOMENTS)
    def test_first_sync(self, world: World, path: str, nth: int, publication: dict[str, Any]) -> None:
        before = world.universe.table("KORD1")
        _publish(world, path, nth, publication)
        world.sync("KORD1")
        now = world.universe.table("KORD1")
        assert now.updated != before.updated
        # periods come newest first; one that was stored before it vanished is kept
        stored = list(reversed(before.periods))[:nth] if path == "data" else []
        world.check("KORD1", kept={code: before for code in stored if code not in now.periods})


class TestPublishedTwice:
    def test_a_later_sync_gives_up_and_leaves_all_as_it_was(self, world: World) -> None:
        world.sync("KORD1")
        before = world.universe.table("KORD1")
        files, versions = world.files("KORD1"), world.versions("KORD1")
        records = world.query("SELECT * FROM meta.table_sync")
        world.universe.touch("KORD1")
        _publish(world, "data", 1, {"kind": "restate"}, count=None)
        with pytest.raises(PublisherChanged) as caught:
            world.sync("KORD1", scope=FULL)
        assert caught.value.transient
        assert world.files("KORD1") == files
        assert world.versions("KORD1") == versions
        assert world.query("SELECT * FROM meta.table_sync") == records
        assert set(world.observer.outcomes) == set()
        assert world.state("KORD1") is State.CHANGED
        assert before.restated == 0
        world.simulator.faults.clear()
        world.sync("KORD1", scope=FULL)
        world.check("KORD1")

    def test_a_first_sync_gives_up_and_the_next_one_reads_everything_again(self, world: World) -> None:
        _publish(world, "data", 1, {"kind": "restate"}, count=None)
        with pytest.raises(PublisherChanged):
            world.sync("KORD1")
        assert world.state("KORD1") is State.NEVER
        assert world.query("SELECT * FROM meta.table_sync") == []
        world.simulator.faults.clear()
        world.sync("KORD1")
        world.check("KORD1")


class TestOutdatedDescription:
    """A description cached minutes ago saves a request; the publisher may have published since."""

    @pytest.mark.parametrize(
        "publication",
        [*PUBLICATIONS[3:5], PUBLICATIONS[6], *slowly(*PUBLICATIONS[:3], PUBLICATIONS[5], PUBLICATIONS[7])],
    )
    def test_it_is_found_out(self, world: World, publication: dict[str, Any]) -> None:
        world.sync("KORD1")
        before = world.universe.table("KORD1")
        world.universe.publish(table="KORD1", **publication)
        now = world.universe.table("KORD1")
        world.sync("KORD1", poll=False, scope=FULL)
        world.check("KORD1", kept={code: before for code in before.periods if code not in now.periods})

    def test_it_saves_a_request_while_it_is_right(self, world: World) -> None:
        world.sync("KORD1")
        for scope, asked in ((Scope(), 0), (FULL, 1)):
            world.simulator.forget_requests()
            world.sync("KORD1", scope=scope)
            # the look at the end; where nothing is read there is no end to look after
            assert len(world.requests("tableinfo")) == asked


class TestFirstLoadShows:
    @pytest.mark.usefixtures("single_periods")
    def test_newest_periods_are_visible_while_the_rest_is_still_to_come(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[list[int], list[str]]] = []
        bulk = world.sources.client.bulk

        def watched(*arguments: Any, **options: Any) -> Any:
            if seen or world.query("SELECT to_regclass('fact.by1')") != [(None,)]:
                years = world.query("SELECT DISTINCT extract(year FROM tid)::int FROM fact.by1 ORDER BY 1 DESC")
                seen.append(([year for (year,) in years], list(world.observer.outcomes)))
            return bulk(*arguments, **options)

        monkeypatch.setattr(world.sources.client, "bulk", watched)
        world.sync("BY1")
        newest = list(range(2025, 2016, -1))
        assert [years for years, _settled in seen] == [newest[:count] for count in range(1, 10)]
        assert [settled for _years, settled in seen] == [[str(y) for y in newest[:count]] for count in range(1, 10)]
        world.check("BY1")

    @pytest.mark.usefixtures("single_periods")
    def test_an_interrupted_first_load_goes_on_where_it_stopped(self, world: World) -> None:
        world.simulator.fault("server_error", path="data", table="BY1", nth=5, count=None)
        with pytest.raises(SourceUnavailable):
            world.sync("BY1")
        assert [row[0].year for row in world.query("SELECT DISTINCT tid FROM fact.by1 ORDER BY 1")] == [
            2022,
            2023,
            2024,
            2025,
        ]
        assert world.state("BY1") is State.NEVER
        world.simulator.faults.clear()
        world.simulator.forget_requests()
        report = world.sync("BY1")
        assert {code: report.outcomes.get(code) for code in ("2022", "2021")} == {"2022": None, "2021": Outcome.NEW}
        assert world.asked() == [[str(year)] for year in range(2021, 2015, -1)]
        world.check("BY1")

    @pytest.mark.usefixtures("single_periods")
    def test_a_table_that_changes_shape_during_an_interrupted_first_load(self, world: World) -> None:
        world.simulator.fault("server_error", path="data", table="BY1", nth=5, count=None)
        with pytest.raises(SourceUnavailable):
            world.sync("BY1")
        before = world.universe.table("BY1")
        world.universe.change_dimensions("BY1")
        world.universe.drop_period("BY1", tid="2024")
        world.simulator.faults.clear()
        world.sync("BY1")
        world.check("BY1", left={"2024": before})

    def test_a_shape_that_changes_right_after_the_table_was_made(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_arguments: Any) -> int:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(PeriodTables, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                world.sync("KORD1")
        assert world.query("SELECT count(*) FROM fact.kord1") == [(0,)]
        world.universe.change_dimensions("KORD1")
        world.sync("KORD1")
        world.check("KORD1")

    def test_the_first_request_is_small_and_the_next_are_not(self, world: World) -> None:
        world.sync("METROX1")
        asked = world.asked()
        assert [len(codes) for codes in asked] == [1, 54]
        assert asked[0] == ["2021U08"]


class TestBatchSize:
    def test_empty_newest_periods_do_not_open_the_gates(self) -> None:
        size = BatchSize(row_bytes=20, rows=0)
        asked = []
        for _ in range(4):
            asked.append(size.periods())
            size.seen([0] * asked[-1])
        assert asked == [1, 2, 4, 8]
        size.seen([10**9])
        assert size.periods() == 1

    def test_what_failed_is_never_asked_for_again_at_once(self) -> None:
        size = BatchSize(row_bytes=20, rows=1)
        assert size.periods() > 1000
        size.halve(1000)
        assert size.periods() == 500
        size.halve(1)
        assert size.periods() == 1


def test_a_shrunken_period_is_asked_for_again_before_the_last_look_at_the_description(world: World) -> None:
    """The second answer, too, must be of the publication that is recorded."""
    world.sync("BY1")
    world.universe.shrink("BY1", tid="2024", keep=0.2, answers=1)
    # data request 1 is short, request 2 asks for 2024 alone; the publication falls behind the second
    world.simulator.fault(
        "publish", table="BY1", path="data", nth=2, then={"kind": "revise", "table": "BY1", "tid": "2025"}
    )
    world.sync("BY1")
    world.check("BY1")


def test_settled_is_told_after_everything_is_stored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sync("KORD1")
    world.universe.revise("KORD1", tid="2024")
    told: list[tuple[str, str, int]] = []

    def settled(period: str, outcome: Outcome, part: PartitionInfo) -> None:
        ((loaded,),) = world.query("SELECT count(*) FROM meta.period_load WHERE content_hash = %s", part.content_hash)
        told.append((period, str(outcome), loaded))

    monkeypatch.setattr("varro_assets_tests.conftest.Recorder.settled", lambda _self, *told_of: settled(*told_of))
    world.sync("KORD1")
    assert told == [(str(year), "unchanged", 1) for year in range(2020, 2024)] + [("2024", "revised", 1)]


def test_a_description_that_a_sweep_brought_is_not_asked_for_again_half_an_hour_later(world: World) -> None:
    def time_goes() -> None:
        path = world.sources.catalogue.tableinfo_path("KORD1")
        os.utime(path, (time.time() - 1800, time.time() - 1800))
        world.simulator.forget_requests()

    def functions() -> list[str]:
        return [line.function for line in world.simulator.requests]

    world.sync("KORD1")
    world.universe.revise("KORD1", tid="2024")
    known = catalog.poll(world.sources.client, world.sources.catalogue).catalogue
    catalog.describe(world.sources.client, world.sources.catalogue, ["KORD1"], known)
    time_goes()
    world.sync("KORD1", poll=False)
    assert functions() == ["data", "tableinfo"]
    time_goes()
    world.sync("KORD1", poll=False)
    assert functions() == ["tableinfo"]  # that there is nothing to do is not believed of an old one
    world.universe.revise("KORD1", tid="2024")
    time_goes()
    world.sync("KORD1", poll=False)
    assert functions() == ["tableinfo", "data", "tableinfo"]
    world.check("KORD1")
