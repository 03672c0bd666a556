"""The ledger of revisions: every state a table was held in is rebuilt from it, whatever died on the way."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from varro_assets.engine import clock
from varro_assets.engine.partitions import PartitionStore
from varro_assets.engine.planning import Refresh, Scope
from varro_assets.engine.revisions import ledger_files, revision_record
from varro_assets.engine.revisions.differences import Difference
from varro_assets.engine.revisions.ledger import Change, Ledger
from varro_assets.engine.revisions.ledger_files import Kind
from varro_assets.errors import DamagedPartition, UnknownVintage
from varro_assets.simulator.publications import UnknownPublication
from varro_assets.statbank import sync
from varro_assets.statbank.sync_report import SyncReport
from varro_assets.statbank.vintages import vintages
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.oracle import World
from varro_assets_tests.postgres.test_sync_recovery import Crash, _after, _before, _promoting

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ticking")]  # many syncs each

FULL = Scope(full=True)
Rows = dict[str, tuple[list[str], Counter[tuple[Any, ...]]]]
"""Period -> names of its columns and its rows."""


@dataclass
class History:
    """A table under watch: every state it was held in, by the publisher's own tables."""

    world: World
    table: str
    truth: Rows = field(default_factory=dict)
    states: list[tuple[datetime, Rows]] = field(default_factory=list)

    def sync(self, **options: Any) -> SyncReport:
        report = self.world.sync(self.table, **options)
        now = self.world.universe.table(self.table)
        names = [*(dimension.id for dimension in now.dimensions), "TID", "INDHOLD"]
        for code in now.periods:
            self.truth[code] = names, Counter((*row[:-1], code, row[-1]) for row in now.rows(code))
        self.states.append((clock.now(), dict(self.truth)))
        return report

    @property
    def store(self) -> PartitionStore:
        return self.world.sources.store(self.table)

    @property
    def ledger(self) -> Ledger:
        return self.world.sources.ledger(self.table)

    def at(self, moment: datetime) -> Rows:
        return {code: rows_of(table) for code, table in vintages.as_of(self.store, self.ledger, moment)}

    def check(self) -> None:
        """Every state is rebuilt, and the database says what the files say."""
        for moment, truth in self.states:
            assert self.at(moment) == truth
        assert self.at(self.states[0][0] - timedelta(days=1)) == {}
        assert vintages.known_since(self.store, self.ledger) is None
        self.check_record()

    def check_record(self) -> None:
        noted = {(period, stamp) for period, stamps in self.ledger.stamps().items() for stamp in stamps}
        recorded = self.recorded()
        assert {key for key, kind in recorded.items() if kind is not Kind.NEW} == noted
        assert {period for (period, _), kind in recorded.items() if kind is Kind.NEW} >= set(self.truth)
        assert [path for path in self.ledger.folder.rglob("*") if path.name.startswith(".")] == []

    def recorded(self) -> dict[tuple[str, datetime], Kind]:
        with self.world.database() as connection:
            return revision_record.recorded(connection, self.table)

    def revisions(self, **options: Any) -> list[revision_record.Revision]:
        with self.world.database() as connection:
            return revision_record.newest(connection, self.table, **options)


def rows_of(table: pa.Table) -> tuple[list[str], Counter[tuple[Any, ...]]]:
    return table.column_names, Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _publish(chance: random.Random, history: History) -> None:
    """One publication at random; some do not fit and are left out."""
    universe, table = history.world.universe, history.table
    periods = universe.table(table).periods
    steps: list[Callable[[], object]] = [
        lambda: universe.publish_period(table),
        lambda: universe.insert_period(table),
        lambda: universe.revise(table, tid=chance.choice(periods)),
        lambda: universe.revise(table, tid=chance.choice(periods), cells=1),
        lambda: universe.restate(table),
        lambda: universe.add_code(table),
        lambda: universe.change_dimensions(table),
        lambda: universe.drop_period(table, tid=chance.choice(periods)),
        lambda: universe.publish_period(table, tid=chance.choice(sorted(set(history.truth) - {*periods}) or [""])),
        lambda: universe.shrink(table, tid=chance.choice(periods), keep=0.8),
        lambda: universe.touch(table),
    ]
    try:
        chance.choice(steps)()
    except (UnknownPublication, ValueError):
        universe.touch(table)


@pytest.mark.parametrize(
    ("table", "seed"), [("KORD1", 1), *(pytest.param(t, s, marks=pytest.mark.slow) for t, s in
                        [("KORD1", 2), ("HISB7", 3), ("NABB69", 4), ("BARLOV1", 5), ("APP212", 6), ("IDRTIL01", 7)])]
)  # fmt: skip
def test_every_state_is_rebuilt_from_the_ledger(world: World, table: str, seed: int) -> None:
    chance = random.Random(seed)
    history = History(world, table)
    history.sync()
    for _ in range(12):
        for _ in range(chance.choice((1, 1, 3))):
            _publish(chance, history)
        history.sync(accept_shrink=True)
    assert len(set(history.recorded().values())) >= 2
    history.check()
    # any database is filled again from the files
    before = history.recorded()
    world.query("TRUNCATE meta.revision")
    history.sync()
    assert history.recorded() == before


class TestKinds:
    def test_of_a_revision_the_cells_and_counts_are_kept(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync(run_id="one")
        before = world.universe.table("KORD1")
        world.universe.revise("KORD1", tid="2021", cells=1)
        report = history.sync(run_id="two")
        now = world.universe.table("KORD1")
        old, new = ({row[:-1]: row[-1] for row in table.rows("2021")} for table in (before, now))
        changed = {key for key in new if old[key] != new[key]}
        largest = max(abs(new[key] - old[key]) for key in changed)
        assert report.revisions == {"2021": Difference(0, 0, len(changed), largest)}
        (revision,) = history.revisions()
        assert (revision.period, revision.kind, revision.run_id) == ("2021", Kind.REVISED, "two")
        assert (revision.updated_before, revision.updated) == (before.updated, now.updated)
        assert revision.difference == report.revisions["2021"]
        cells = ledger_files.cells(world.sources.revisions_dir / str(revision.cells))
        found = {row[:2]: row[3:] for row in zip(*(column.to_pylist() for column in cells.columns), strict=True)}
        assert found == {key: (old[key], new[key], "changed") for key in changed}
        new_rows = history.revisions(kinds=[Kind.NEW])
        assert {(row.period, row.run_id, row.rows_before) for row in new_rows} == {
            (code, "one", 0) for code in before.periods
        }

    def test_nothing_is_noted_where_nothing_changed(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        world.universe.touch("KORD1")
        assert history.sync(scope=FULL).revisions == {}
        assert history.revisions() == []
        assert history.ledger.stamps() == {}

    def test_there_and_back_again(self, world: World) -> None:
        history = History(world, "KORD1")
        for _ in range(5):  # another variable, and without it again: the same content comes back
            history.sync()
            world.universe.change_dimensions("KORD1")
        assert set(history.recorded().values()) == {Kind.NEW, Kind.RESHAPED}
        history.check()

    def test_the_clock_may_go_back(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        history = History(world, "KORD1")
        history.sync()
        for _ in range(3):
            world.universe.revise("KORD1", tid="2021")
            with monkeypatch.context() as patch:
                patch.setattr(clock, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
                world.sync("KORD1", scope=FULL)
        stamps = history.ledger.stamps()["2021"]
        assert len(stamps) == 3
        assert stamps == sorted(set(stamps))
        entries = history.ledger.entries("2021")
        assert [e.after and e.after.content_hash for e in entries[:-1]] == [
            e.before and e.before.content_hash for e in entries[1:]
        ]

    def test_what_is_taken_out_by_hand_stays_in_the_ledger(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        world.universe.drop_period("KORD1", tid="2020")
        history.sync()
        part = history.store.info("2020")
        history.ledger.note([Change(part, None)])
        history.store.remove("2020")
        del history.truth["2020"]
        history.sync()
        history.check()
        world.universe.publish_period("KORD1", tid="2020")
        history.sync()
        world.universe.revise("KORD1", tid="2020")
        history.sync()
        history.check()
        kinds = [kind for (period, _), kind in sorted(history.recorded().items()) if period == "2020"]
        assert kinds == [Kind.NEW, Kind.FORGOTTEN, Kind.NEW, Kind.REVISED]


class TestGaps:
    """What cannot be known is refused; a wrong figure is never handed out."""

    def test_of_a_table_that_keeps_no_cells_only_counts_are_known(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        world.universe.revise("KORD1", tid="2021", cells=1)
        history.sync(keep_revisions=False)
        (revision,) = history.revisions()
        assert revision.cells is None
        assert revision.difference is not None
        assert revision.difference.values_changed > 0
        assert history.at(history.states[-1][0]) == history.states[-1][1]
        with pytest.raises(UnknownVintage) as caught:
            history.at(history.states[0][0])
        assert "KORD1 2021" in str(caught.value)
        assert "Every state since 2026-01-01" in str(caught.value)
        assert vintages.known_since(history.store, history.ledger) == revision.detected_at
        world.universe.revise("KORD1", tid="2021", cells=1)
        history.sync()
        assert [history.at(moment) for moment, _ in history.states[1:]] == [truth for _, truth in history.states[1:]]

    def test_of_a_home_older_than_the_ledger(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        shutil.rmtree(history.ledger.folder)
        world.query("TRUNCATE meta.revision")
        world.universe.revise("KORD1", tid="2021")
        world.universe.publish_period("KORD1")
        history.sync()
        # a file tells from when on its content was held
        assert [history.at(moment) for moment, _ in history.states] == [truth for _, truth in history.states]
        with pytest.raises(UnknownVintage, match="before the ledger began"):
            history.at(history.states[0][0] - timedelta(days=1))
        new = [period for (period, _), kind in history.recorded().items() if kind is Kind.NEW]
        assert new == [world.universe.table("KORD1").periods[-1]]

    @pytest.mark.parametrize("damage", ["gone", "pages", pytest.param("cut", marks=pytest.mark.slow)])
    def test_of_a_file_that_was_lost(self, world: World, damage: str) -> None:
        history = History(world, "KORD1")
        history.sync()
        path = world.folder("KORD1") / "2021.parquet"
        body = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(body[:50] if damage == "cut" else body[:8] + bytes(40) + body[48:])
        world.universe.revise("KORD1", tid="2021")
        history.sync(scope=FULL)
        (revision,) = history.revisions()
        assert (revision.kind, revision.difference) == (Kind.MENDED, None)
        assert history.at(history.states[1][0]) == history.states[1][1]
        with pytest.raises(UnknownVintage, match="2021"):
            history.at(history.states[0][0])

    def test_of_a_file_that_is_mended_with_what_it_had_held(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        path = world.folder("KORD1") / "2021.parquet"
        body = path.read_bytes()
        path.write_bytes(body[:8] + bytes(40) + body[48:])
        history.sync(scope=FULL)
        assert [revision.kind for revision in history.revisions()] == [Kind.MENDED]
        history.check()

    def test_of_a_damaged_entry(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        world.universe.revise("KORD1", tid="2021")
        history.sync()
        (stamp,) = history.ledger.stamps()["2021"]
        history.ledger.path("2021", stamp).write_bytes(b"no parquet")
        with pytest.raises(UnknownVintage):
            history.at(history.states[0][0])
        world.query("TRUNCATE meta.revision")
        world.universe.revise("KORD1", tid="2021")
        history.sync()  # goes on, and says so
        assert any("revision" in message for message in world.observer.messages)

    def test_of_a_damaged_entry_the_states_since_are_known(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        for tid in ("2021", "2021", "2022", "2021"):
            world.universe.revise("KORD1", tid=tid)
            history.sync()
        damaged = history.ledger.stamps()["2021"][1]
        history.ledger.path("2021", damaged).write_bytes(b"no parquet")
        for moment, truth in history.states[2:]:
            assert history.at(moment) == truth
        assert vintages.known_since(history.store, history.ledger) == damaged
        for moment, _ in history.states[:2]:
            with pytest.raises(UnknownVintage, match="Could not read the revision") as caught:
                history.at(moment)
            assert "bring it back from a backup. Every state since 2026-01-01" in str(caught.value)

    def test_of_the_last_entry_damaged_the_present_is_known(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        world.universe.revise("KORD1", tid="2021")
        history.sync()
        (stamp,) = history.ledger.stamps()["2021"]
        path = history.ledger.path("2021", stamp)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(UnknownVintage) as caught:
            history.at(history.states[0][0])
        assert "bring it back from a backup. Every state since" in str(caught.value)
        assert "varro sync" not in str(caught.value)
        assert history.at(history.states[1][0]) == history.states[1][1]

    def test_of_a_period_file_damaged_the_ledger_is_not_blamed(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        path = world.folder("KORD1") / "2021.parquet"
        body = path.read_bytes()
        path.write_bytes(body[:8] + bytes(40) + body[48:])
        with pytest.raises(UnknownVintage, match="varro doctor --deep") as caught:
            history.at(history.states[0][0])
        assert "data/dst/revisions" not in str(caught.value)

    def test_of_a_file_that_was_replaced_from_outside(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        world.universe.revise("KORD1", tid="2021")
        history.sync()
        shutil.copyfile(world.folder("KORD1") / "2021.parquet", world.folder("KORD1") / "kept")
        world.universe.revise("KORD1", tid="2021")
        history.sync()
        (world.folder("KORD1") / "kept").replace(world.folder("KORD1") / "2021.parquet")
        # what it holds leads back as before, proved by its hash; when it came back nobody knows
        assert [history.at(moment) for moment, _ in history.states[:2]] == [truth for _, truth in history.states[:2]]
        with pytest.raises(UnknownVintage, match="put back from outside"):
            history.at(history.states[2][0])
        assert history.at(clock.now() + timedelta(days=1)) == history.states[1][1]
        world.universe.revise("KORD1", tid="2021")
        history.sync()
        with pytest.raises(UnknownVintage, match="replaced from outside"):
            history.at(history.states[2][0])
        assert [history.at(moment) for moment, _ in history.states[3:]] == [history.states[3][1]]

    def test_of_a_forgotten_file_that_was_put_back(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        path = world.folder("KORD1") / "2021.parquet"
        shutil.copyfile(path, path.with_name("kept"))
        history.ledger.note([Change(history.store.info("2021"), None)])
        history.store.remove("2021")
        forgotten = clock.now()
        path.with_name("kept").replace(path)
        assert history.at(history.states[0][0]) == history.states[0][1]
        with pytest.raises(UnknownVintage, match="put back from outside"):
            history.at(forgotten)
        assert history.at(clock.now() + timedelta(days=1)) == history.states[0][1]

    @pytest.mark.parametrize(
        "lost",
        [
            "those of one period",
            "the last",
            *(pytest.param(lost, marks=pytest.mark.slow) for lost in ("all", "the first")),
        ],
    )
    def test_of_lost_entries(self, world: World, lost: str) -> None:
        history = History(world, "KORD1")
        history.sync()
        for tid in ("2021", "2022", "2021"):
            world.universe.revise("KORD1", tid=tid)
            history.sync()
        entries = sorted(history.ledger.folder.glob("*/*.parquet"), key=lambda path: path.name)
        of_one = [path for path in entries if path.parent.name == "2022"]
        which = {"all": entries, "those of one period": of_one, "the first": entries[:1], "the last": entries[-1:]}
        for path in which[lost]:
            path.unlink()
        self._only_the_present_is_known(history)
        history.sync(scope=FULL)
        world.universe.revise("KORD1", tid="2022")
        history.sync()
        assert history.at(history.states[-1][0]) == history.states[-1][1]
        # what came after the loss is known again
        assert history.at(history.states[-2][0]) == history.states[-2][1]
        with pytest.raises(UnknownVintage, match="Every state since 2026"):
            history.at(history.states[2][0])

    def test_of_a_ledger_older_than_the_files(self, world: World, tmp_path: Path) -> None:
        history = History(world, "KORD1")
        history.sync()
        shutil.copytree(history.ledger.folder, tmp_path / "older")
        world.universe.revise("KORD1", tid="2021")
        history.sync()
        shutil.rmtree(history.ledger.folder)
        shutil.copytree(tmp_path / "older", history.ledger.folder)
        self._only_the_present_is_known(history)

    def test_of_a_ledger_that_no_longer_says_what_there_was(self, world: World) -> None:
        history = History(world, "KORD1")
        history.sync()
        for _ in range(2):
            world.universe.revise("KORD1", tid="2021")
            history.sync()
        register = history.ledger.folder / "ledger.json"
        register.unlink()
        with pytest.raises(DamagedPartition, match=r"it is gone\. Bring it back from a backup"):
            history.at(history.states[0][0])
        register.write_text("{", encoding="utf-8")
        min(history.ledger.folder.glob("*/*.parquet")).unlink()
        with pytest.raises(DamagedPartition, match=r"ledger\.json"):
            history.at(history.states[0][0])
        history.sync(scope=FULL)
        with pytest.raises(UnknownVintage, match="lost"):
            history.at(history.states[0][0])

    @staticmethod
    def _only_the_present_is_known(history: History) -> None:
        for moment, _ in history.states[:-1]:
            with pytest.raises(UnknownVintage, match="entries of the ledger were lost"):
                history.at(moment)
        assert history.at(history.states[-1][0]) == history.states[-1][1]
        known = vintages.known_since(history.store, history.ledger)
        assert known is not None
        assert history.states[-2][0] < known <= history.states[-1][0]


DEATHS = {
    "before anything is noted": _before(Ledger, "note"),
    "while the third entry is written": _before(ledger_files, "write", 3),
    "after the entries, before the files": _before(PartitionStore, "promote_all"),
    "after two entries took their place": _promoting(2, "revisions"),
    "after one file took its place": _promoting(1),
    "after the files, before the reads": _after(PartitionStore, "promote_all"),
    "before the database is told": _before(revision_record, "record"),
    "after the database was told": _after(revision_record, "record"),
}
_SAME = {
    "before anything is noted",
    "after two entries took their place",
    "after the files, before the reads",
    "after the database was told",
}


@pytest.mark.parametrize(
    "death",
    [pytest.param(death, id=name, marks=pytest.mark.slow if name in _SAME else []) for name, death in DEATHS.items()],
)
@pytest.mark.parametrize("then", ["the same", pytest.param("another", marks=pytest.mark.slow)])
def test_a_death_at_any_step_loses_nothing_and_doubles_nothing(
    world: World, death: Callable[[pytest.MonkeyPatch], None], then: str
) -> None:
    history = History(world, "KORD1")
    history.sync()
    world.universe.restate("KORD1")
    with pytest.MonkeyPatch.context() as patch:
        death(patch)
        with pytest.raises(Crash):
            world.sync("KORD1")
    if then == "another":
        world.universe.restate("KORD1")
    history.sync()
    world.check("KORD1")
    history.check()
    per_period = Counter(period for period, _ in history.recorded())
    if then == "the same":
        assert set(per_period.values()) == {2}  # came in, revised once
    history.sync(scope=FULL)
    assert Counter(period for period, _ in history.recorded()) == per_period


def test_a_death_in_a_first_load(world: World) -> None:
    history = History(world, "KORD1")
    with pytest.MonkeyPatch.context() as patch:
        _promoting(3)(patch)
        with pytest.raises(Crash):
            world.sync("KORD1")
    history.sync()
    assert set(history.recorded().values()) == {Kind.NEW}
    history.check()


def test_a_forgetting_that_died_before_the_file_was_removed_is_taken_back(world: World) -> None:
    history = History(world, "KORD1")
    history.sync()
    history.ledger.note([Change(history.store.info("2021"), None)])
    history.sync()
    assert history.revisions() == []
    history.check()


def test_an_analyst_may_read_it(world: World, reader_url: str) -> None:
    import psycopg2

    world.sync("KORD1")
    with psycopg2.connect(reader_url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM meta.revision WHERE kind = 'new'")
        assert cursor.fetchone() == (5,)


def test_a_deep_revision_is_noted_when_it_is_noticed(world: World) -> None:
    """By the trailing window alone an old period is seen late; the ledger tells when, not since when."""
    history = History(world, "PRIS111")
    narrow = Scope(trailing=2, refresh=Refresh.TRAILING)
    history.sync(scope=narrow)
    held = history.store.info("2023M06").content_hash
    world.universe.revise("PRIS111", tid="2023M06")
    world.sync("PRIS111", scope=Scope(only=("2025M08",)))
    assert history.store.info("2023M06").content_hash == held
    seen = clock.now()
    history.sync(scope=Scope(since="2023M01"))
    assert [row.detected_at > seen for row in history.revisions()] == [True]
    assert history.at(seen) == history.states[0][1]


def test_a_table_filled_from_files_gets_its_record(world: World) -> None:
    history = History(world, "KORD1")
    history.sync()
    world.universe.revise("KORD1")
    history.sync()
    before = history.recorded()
    world.query("TRUNCATE meta.revision")
    sync.load_table(world.sources, "KORD1", Recorder())
    assert history.recorded() == before


def test_without_a_ledger_nothing_is_claimed(world: World, tmp_path: Path) -> None:
    with pytest.raises(DamagedPartition, match="none was begun"):
        list(vintages.as_of(world.sources.store("KORD1"), Ledger(tmp_path / "none", "KORD1"), clock.now()))
