"""Sync against a service that fails: the right name for each failure, and what was held is held still."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from varro_assets.engine import http
from varro_assets.engine.planning import Scope
from varro_assets.errors import (
    BrokenStream,
    ColumnCollision,
    DuplicateKeys,
    InvalidPeriod,
    InvalidValue,
    MaintenancePage,
    SourceRefused,
    SourceUnavailable,
    StorageFull,
    UndeclaredCode,
    UnexpectedResponse,
    UnknownTable,
    VarroError,
)
from varro_assets.simulator import api, formats
from varro_assets.simulator.cube import Dimension
from varro_assets.simulator.table import Table
from varro_assets.statbank.fetching import BatchSize
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sync_report import Outcome
from varro_assets_tests.conftest import PROJECT
from varro_assets_tests.oracle import World, slowly
from varro_assets_tests.postgres_fixture import PATIENCE

FULL = Scope(full=True)
SYNC_ONCE = "varro_assets_tests.e2e.sync_once"


@dataclass
class Held:
    """What was there before; `unchanged` asserts that it still is, byte for byte and row for row."""

    world: World
    table: str

    def __post_init__(self) -> None:
        self.files, self.versions, self.records = self._now()

    def _now(self) -> tuple[Any, ...]:
        records = [
            self.world.query(f"SELECT * FROM meta.{name} WHERE table_id = %s ORDER BY 1, 2", self.table)
            for name in ("period_load", "table_sync", "fact_table", "fact_column", "code")
        ]
        return self.world.files(self.table), self.world.versions(self.table), records

    def unchanged(self) -> None:
        assert (self.files, self.versions, self.records) == self._now()


def _published(world: World, table: str = "BY1") -> Held:
    """A table that is held and has been published anew since."""
    world.sync(table)
    world.universe.restate(table)
    return Held(world, table)


class TestRecovered:
    """Failures that pass, or that asking for less gets around."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "too_many_requests", "retry_after": 0, "count": 2},
            {"kind": "server_error", "status": 500},
            {"kind": "reset", "path": "tableinfo"},
            {"kind": "cut", "bytes": 3000},
            {"kind": "truncated"},
            {"kind": "short", "keep": 0.2},
            *slowly(
                {"kind": "too_many_requests", "retry_after": 0, "path": "tableinfo"},
                {"kind": "server_error", "status": 503, "count": 3},
                {"kind": "server_error", "status": 502, "path": "tableinfo", "count": 4},
                {"kind": "maintenance", "count": 2},
                {"kind": "reset", "count": 2},
                {"kind": "cut", "bytes": 0},
            ),
        ],
        ids=lambda fault: "-".join(str(value) for value in fault.values()),
    )
    def test_the_sync_ends_as_if_nothing_had_happened(self, world: World, fault: dict[str, Any]) -> None:
        world.sync("BY1")
        world.universe.restate("BY1")
        world.simulator.fault(**{"table": "BY1", "path": "data"} | fault)
        report = world.sync("BY1", scope=FULL)
        assert report.requests > 3
        world.check("BY1")

    def test_an_answer_that_is_too_large_is_asked_for_in_halves(self, world: World) -> None:
        world.sync("BY1")
        world.universe.restate("BY1")
        world.simulator.fault("oversized", table="BY1", rows=600, count=None)
        world.simulator.forget_requests()
        world.sync("BY1", scope=FULL)
        sizes = [len(codes) for codes in world.asked()]
        assert max(sizes) == 10
        assert sizes[-1] <= 2
        assert any("at a time" in message for message in world.observer.messages)
        world.check("BY1")

    def test_a_service_that_names_a_time_is_given_it(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        waited: list[float] = []
        # the library's own name for it: other threads of this process sleep as well
        monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=waited.append))
        world.simulator.fault("too_many_requests", path="data", retry_after=7)
        world.sync("KORD1")
        assert waited == [7.0]
        world.check("KORD1")

    def test_a_wait_too_long_is_not_waited_out(self, world: World) -> None:
        held = _published(world)
        world.simulator.fault("too_many_requests", path="data", retry_after=int(http.LONGEST_WAIT) + 1)
        with pytest.raises(SourceUnavailable) as caught:
            world.sync("BY1", scope=FULL)
        assert caught.value.retry_after == http.LONGEST_WAIT + 1
        held.unchanged()


class TestRefused:
    """Failures that last, or that nobody should try to get around."""

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ({"kind": "server_error", "status": 500}, SourceUnavailable),
            ({"kind": "timeout", "seconds": 600.0}, SourceUnavailable),
            ({"kind": "cut", "bytes": 500}, BrokenStream),
            ({"kind": "html"}, MaintenancePage),
            ({"kind": "error_200"}, SourceRefused),
            *slowly(
                ({"kind": "maintenance"}, SourceUnavailable),
                ({"kind": "reset"}, SourceUnavailable),
                ({"kind": "truncated"}, BrokenStream),
                ({"kind": "oversized", "rows": 10}, SourceUnavailable),
                ({"kind": "maintenance", "status": 200}, MaintenancePage),
            ),
            ({"kind": "garbage"}, InvalidValue),
            ({"kind": "duplicate"}, DuplicateKeys),
            ({"kind": "wrong_header"}, UnexpectedResponse),
        ],
        ids=lambda value: value["kind"] if isinstance(value, dict) else value.__name__,
    )
    def test_what_was_held_is_held_still(self, world: World, fault: dict[str, Any], kind: type[VarroError]) -> None:
        held = _published(world)
        world.simulator.fault(table="BY1", path="data", count=None, **fault)
        with pytest.MonkeyPatch.context() as patch:
            if fault["kind"] == "timeout":
                _hasty_for_data(patch, world)
            with pytest.raises(kind) as caught:
                world.sync("BY1", scope=FULL)
        assert type(caught.value) is kind
        assert "BY1" in str(caught.value)
        held.unchanged()
        assert world.state("BY1") is State.CHANGED
        world.simulator.faults.clear()
        world.sync("BY1", scope=FULL)
        world.check("BY1")

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ({"kind": "cut", "bytes": 100}, BrokenStream),
            ({"kind": "error_200"}, SourceRefused),
            *slowly(({"kind": "html"}, MaintenancePage), ({"kind": "server_error"}, SourceUnavailable)),
        ],
        ids=lambda value: value["kind"] if isinstance(value, dict) else value.__name__,
    )
    def test_a_description_that_fails_after_the_data(
        self, world: World, fault: dict[str, Any], kind: type[VarroError]
    ) -> None:
        held = _published(world)
        world.simulator.fault(table="BY1", path="tableinfo", nth=2, count=None, **fault)
        with pytest.raises(kind):
            world.sync("BY1", scope=FULL)
        held.unchanged()
        world.simulator.faults.clear()
        world.sync("BY1", scope=FULL)
        world.check("BY1")

    def test_a_late_failure_leaves_the_early_batches_out_too(self, world: World) -> None:
        held = _published(world, "STRAF42")
        world.simulator.fault("garbage", table="STRAF42", path="data", nth=2, count=None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BatchSize, "periods", lambda _self: 3)
            with pytest.raises(InvalidValue):
                world.sync("STRAF42", scope=FULL)
        held.unchanged()

    def test_a_table_that_is_withdrawn_is_kept(self, world: World) -> None:
        held = _published(world)
        world.universe.withdraw("BY1", vanish=True)
        with pytest.raises(UnknownTable):
            world.sync("BY1")
        held.unchanged()

    def test_a_table_that_is_withdrawn_while_it_is_read_is_kept(self, world: World) -> None:
        held = _published(world)
        world.simulator.fault(
            "publish", table="BY1", path="data", then={"kind": "withdraw", "table": "BY1", "vanish": True}
        )
        with pytest.raises(UnknownTable):
            world.sync("BY1", scope=FULL)
        held.unchanged()

    def test_a_code_nobody_declared_is_refused(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        held = _published(world)
        bulk = formats.bulk
        monkeypatch.setattr(
            api.formats, "bulk", lambda extract: (piece.replace(b";TOT;", b";XXX;") for piece in bulk(extract))
        )
        with pytest.raises(UndeclaredCode):
            world.sync("BY1", scope=FULL)
        held.unchanged()


class TestShrink:
    def test_a_passing_shrink_is_asked_for_again_and_believed(self, world: World) -> None:
        world.sync("BY1")
        world.universe.shrink("BY1", tid="2024", keep=0.2, answers=1)
        report = world.sync("BY1")
        assert report.outcomes["2024"] is Outcome.UNCHANGED
        assert report.updated == world.universe.table("BY1").updated
        world.check("BY1")

    def test_a_lasting_shrink_is_kept_out_until_it_is_accepted(self, world: World) -> None:
        world.sync("BY1")
        before = world.universe.table("BY1")
        world.universe.shrink("BY1", tid="2024", keep=0.2)
        world.universe.revise("BY1", tid="2025")
        for _ in range(2):
            report = world.sync("BY1")
            assert report.outcomes["2024"] is Outcome.SHRUNK
            assert world.observer.outcomes["2024"] is Outcome.SHRUNK
            assert report.unsettled == ["2024"]
            assert report.updated == ""
            assert world.state("BY1") is State.CHANGED
            assert any("varro sync BY1 --accept-shrink" in message for message in world.observer.messages)
            assert world.query("SELECT to_char(updated, 'YYYY-MM-DD') FROM meta.table_sync") == [(before.updated[:10],)]
            ours = world.sources.store("BY1").info("2024")
            assert ours.rows == len(before.rows("2024"))
            # the others came in
            assert world.query("SELECT count(*) FROM fact.by1 WHERE tid = '2024-01-01'") == [(ours.rows,)]
            assert world.sources.store("BY1").info("2025").updated == world.universe.table("BY1").updated
        report = world.sync("BY1", accept_shrink=True)
        assert report.outcomes["2024"] is Outcome.REVISED
        world.check("BY1")

    def test_a_period_that_comes_back_empty_is_not_believed(self, world: World) -> None:
        world.sync("BY1")
        before = world.universe.table("BY1")
        world.universe.shrink("BY1", tid="2023", keep=0.0)
        report = world.sync("BY1")
        assert report.outcomes["2023"] is Outcome.SHRUNK
        assert world.sources.store("BY1").info("2023").rows == len(before.rows("2023"))
        world.sync("BY1", accept_shrink=True)
        world.check("BY1")

    @pytest.mark.parametrize(
        ("scope", "hint"), [(FULL, "varro sync BY1 --full --accept"), (Scope(since="2017"), "--since 2017 --accept")]
    )
    def test_the_advice_asks_for_the_same_periods(self, world: World, scope: Scope, hint: str) -> None:
        world.sync("BY1")
        world.universe.shrink("BY1", tid="2017", keep=0.2)
        report = world.sync("BY1", scope=scope)
        assert report.outcomes["2017"] is Outcome.SHRUNK
        assert any(hint in message for message in world.observer.messages)
        world.sync("BY1", scope=scope, accept_shrink=True)
        world.check("BY1")

    def test_a_short_body_shows_as_a_shrink(self, world: World) -> None:
        world.sync("BY1")
        before = world.universe.table("BY1")
        world.simulator.fault("short", table="BY1", path="data", keep=0.3, count=None)
        world.universe.touch("BY1")
        report = world.sync("BY1")
        assert set(report.outcomes.values()) == {Outcome.SHRUNK}
        assert world.query("SELECT count(*) FROM fact.by1") == [(before.row_count(),)]
        assert world.state("BY1") is State.CHANGED
        world.simulator.faults.clear()
        world.sync("BY1")
        world.check("BY1")

    def test_a_table_of_another_shape_is_not_measured_by_the_old_one(self, world: World) -> None:
        world.sync("IDRTIL01")
        world.universe.change_dimensions("IDRTIL01", remove="TILSKUER")
        report = world.sync("IDRTIL01")
        assert set(report.outcomes.values()) == {Outcome.REVISED}
        world.check("IDRTIL01")

    def test_a_period_that_was_always_empty_is_legal(self, world: World) -> None:
        world.sync("FT")
        world.universe.touch("FT")
        report = world.sync("FT", scope=FULL)
        assert report.outcomes["1834"] is Outcome.UNCHANGED
        world.check("FT")

    def test_it_is_guarded_in_a_first_load_that_reads_again_too(self, world: World) -> None:
        world.simulator.fault("garbage", table="BY1", path="data", nth=2, count=None)
        with pytest.raises(InvalidValue):
            world.sync("BY1")
        before = world.universe.table("BY1")
        world.simulator.faults.clear()
        world.universe.shrink("BY1", tid="2025", keep=0.2)
        report = world.sync("BY1")
        assert report.outcomes["2025"] is Outcome.SHRUNK
        assert world.query("SELECT count(*) FROM fact.by1 WHERE tid = '2025-01-01'") == [(len(before.rows("2025")),)]
        assert world.state("BY1") is State.NEVER
        world.sync("BY1", accept_shrink=True)
        world.check("BY1")


class TestImpossibleDescriptions:
    @pytest.mark.parametrize(
        ("variable", "todo"), [("OMRÅDE", "omrade"), ("TID", "tid"), *slowly(("INDHOLD", "indhold"), ("CTID", "ctid"))]
    )
    def test_two_variables_of_one_name_are_refused_before_any_data(
        self, world: World, variable: str, todo: str
    ) -> None:
        world.sync("VAN5")
        held = Held(world, "VAN5")
        old = world.universe.table("VAN5").dimensions[-1]
        other = "OMRADE" if variable == "OMRÅDE" else variable
        _replace(world, "VAN5", _with_dimension(Dimension(other, "x", "x", old.codes, False)))
        world.simulator.forget_requests()
        with pytest.raises(ColumnCollision) as caught:
            world.sync("VAN5")
        assert todo in str(caught.value)
        assert world.requests("data") == []
        held.unchanged()

    @pytest.mark.parametrize("tid", ["2024M13", "../../etc/passwd", *slowly("2024,2025", "a...b", "2024U60", "x" * 41)])
    def test_a_period_that_cannot_be_one_is_refused_before_any_data(self, world: World, tid: str) -> None:
        world.sync("KORD1")
        held = Held(world, "KORD1")
        _replace(world, "KORD1", lambda table: _with(table, periods=(*table.periods, tid)))
        world.simulator.forget_requests()
        with pytest.raises(InvalidPeriod):
            world.sync("KORD1")
        assert world.requests("data") == []
        held.unchanged()

    def test_variables_named_like_sql_keywords_are_columns(self, world: World) -> None:
        world.sync("KORD1")
        assert world.query('SELECT DISTINCT "user", "order" FROM fact.kord1 WHERE "user" = \'TOT\' ORDER BY 2') == [
            ("TOT", "0-99"),
            ("TOT", "100-"),
        ]


class TestFullDisk:
    @pytest.mark.parametrize("name", ["promote_all", "staging"])
    def test_it_leaves_the_old_state(self, world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        held = _published(world)
        with monkeypatch.context() as patch:
            _no_space_in(patch, name)
            with pytest.raises(StorageFull):
                world.sync("BY1", scope=FULL)
        held.unchanged()
        world.sync("BY1", scope=FULL)
        world.check("BY1")

    def test_a_limit_of_the_operating_system(self, world: World) -> None:
        """Files of more than a few KB cannot be written at all; by a process of its own, for the limit is for good."""
        held = _published(world, "STRAF42")
        with _file_size_limit(2000):
            done = subprocess.run(
                [sys.executable, "-m", SYNC_ONCE, "STRAF42", "--full"],
                # the limit would cut what Python writes beside its modules, for all who load them later
                env={**world.environment(), "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=PROJECT,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        assert "StorageFull" in done.stderr, done.stderr
        held.unchanged()
        world.sync("STRAF42", scope=FULL)
        world.check("STRAF42")


def _hasty_for_data(patch: pytest.MonkeyPatch, world: World) -> None:
    """A fifth of a second for data, which never comes; whatever else is asked for may come as slowly as it likes."""
    client = world.sources.client
    bulk = client.bulk

    def hasty(*arguments: Any, **options: Any) -> Any:
        patch.setattr(client._session, "_timeout", 0.2)
        return bulk(*arguments, **options)

    patch.setattr(client, "bulk", hasty)


def _no_space_in(patch: pytest.MonkeyPatch, name: str) -> None:
    """No file can be synced (or no folder made) any more."""
    full = OSError(28, os.strerror(28))

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise full

    if name == "promote_all":
        patch.setattr("varro_assets.engine.partitions.fsync", refuse)
    else:
        mkdir = Path.mkdir

        def refuse_staging(self: Path, *arguments: Any, **options: Any) -> None:
            if ".staging-" in str(self):
                raise full
            mkdir(self, *arguments, **options)

        patch.setattr(Path, "mkdir", refuse_staging)


@contextmanager
def _file_size_limit(limit: int) -> Iterator[None]:
    """For children started inside the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _replace(world: World, table: str, change: Any) -> None:
    """Put a state of a table into the universe that no publication leads to."""
    world.universe.touch(table)
    world.universe._tables[table] = change(world.universe.table(table))


def _with(table: Table, **fields: Any) -> Table:
    return replace(table, **fields)


def _with_dimension(added: Dimension) -> Any:
    return lambda table: _with(table, dimensions=(*table.dimensions, added))
