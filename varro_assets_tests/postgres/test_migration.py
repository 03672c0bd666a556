"""Migration: the predecessor's files become the periods that a sync would have made, or are refused and left."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from varro_assets.engine.locks import table_lock
from varro_assets.errors import ForeignSource, TableBusy
from varro_assets.statbank import manifest
from varro_assets.statbank.legacy import record, source_files
from varro_assets.statbank.legacy.migration import RECORDS, Migrated, Wanted, migrate_table
from varro_assets.statbank.legacy.record import Fate
from varro_assets.statbank.legacy.source_files import LONG_AGO
from varro_assets.statbank.sweeps.due import State
from varro_assets_tests import legacy_files
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.oracle import World

pytestmark = pytest.mark.slow  # many small homes; the command itself is tested in unit/test_cli_migrating.py

OLD = "2019-02-03T08:00:00"
ODD = ("VAN5", "STRAF42", "BIL10", "HISB7", "FT", "APP212")
"""A code that pandas takes for nothing, missing values, codes with zeros, spans, an empty period, periods as texts."""


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    """The predecessor's folder."""
    folder = tmp_path / "legacy"
    folder.mkdir()
    return folder


def migrate(world: World, legacy: Path, table: str, **wanted: object) -> Migrated:
    files = source_files.find(legacy).get(table, [])
    stated = source_files.publications(legacy).get(table)
    return migrate_table(world.sources, table, files, Wanted(legacy, stated, **wanted), Recorder())  # type: ignore[arg-type]


def hashes(world: World, table: str) -> dict[str, str]:
    return {code: part.content_hash for code, part in world.sources.store(table).infos().items()}


def problem(result: Migrated) -> str:
    return " ".join([result.problem, *(file.problem for file in result.files)])


class TestWhatItBecomes:
    @pytest.mark.parametrize("chosen", [ODD, pytest.param((), marks=pytest.mark.slow, id="all, a minute")])
    def test_every_layout_and_table_becomes_what_a_sync_makes(
        self, world: World, legacy: Path, chosen: tuple[str, ...]
    ) -> None:
        tables = [table for table in world.universe.tables() if not chosen or table.id in chosen]
        for number, table in enumerate(tables):
            if number % 3 == 0:
                legacy_files.write_whole(legacy, table)
            elif number % 3 == 1:
                half = len(table.periods) // 2
                legacy_files.write_part(legacy, table, 0, table.periods[:half])
                legacy_files.write_part(legacy, table, 1, table.periods[half:])
            else:
                legacy_files.write_periods(legacy, table)
        for table in tables:
            result = migrate(world, legacy, table.id)
            assert not result.refused, problem(result)
            # a period without a row leaves no trace in a whole file
            empty = {code for code in table.periods if not table.rows(code)}
            assert set(result.held) >= set(table.periods) - empty
            migrated = hashes(world, table.id)
            in_fact = world.rows(table.id)
            assert result.rows_written == in_fact.total() == table.row_count()
            # one that left the catalogue is not due, and can be taken over all the same
            assert world.state(table.id) is (State.CHANGED if table.active else State.GONE), table.id
            world.sync(table.id)
            world.check(table.id)
            assert migrated.items() <= hashes(world, table.id).items()

    def test_footer_and_manifest_state_where_it_comes_from(self, world: World, legacy: Path) -> None:
        path = legacy_files.write_whole(legacy, world.universe.table("KORD1"), ["2020", "2021"])
        os.utime(path, (1_600_000_000, 1_600_000_000))
        legacy_files.write_state(legacy, KORD1=OLD)
        migrate(world, legacy, "KORD1")
        part = world.sources.store("KORD1").info("2021")
        assert (part.updated, part.fetched_at) == (OLD, "2020-09-13T12:26:40+00:00")
        state = manifest.read(world.folder("KORD1"))
        assert state is not None
        assert (state.source, state.info.updated, state.info.tids) == ("simulator", OLD, ("2020", "2021"))
        assert world.query("SELECT updated::text FROM meta.table_sync") == [(OLD.replace("T", " "),)]
        world.sync("KORD1")
        world.check("KORD1")

    def test_a_table_is_due_even_if_the_old_state_says_it_is_current(self, world: World, legacy: Path) -> None:
        table = world.universe.table("KORD1")
        legacy_files.write_whole(legacy, table)
        legacy_files.write_state(legacy, KORD1=table.updated)
        migrate(world, legacy, "KORD1")
        assert world.sources.store("KORD1").info("2024").updated == LONG_AGO
        assert world.state("KORD1") is State.CHANGED

    def test_a_period_no_longer_published_is_kept(self, world: World, legacy: Path) -> None:
        legacy_files.write_whole(legacy, world.universe.table("KORD1"))
        world.universe.publish("drop_period", "KORD1")
        world.sync("KORD1")
        result = migrate(world, legacy, "KORD1")
        assert (result.count(Fate.MIGRATED), result.count(Fate.HELD)) == (1, 4)
        assert world.query("SELECT count(*) > 0 FROM fact.kord1 WHERE tid = '2020-01-01'") == [(True,)]
        assert world.state("KORD1") is State.CURRENT

    def test_the_newer_layout_wins(self, world: World, legacy: Path) -> None:
        table = world.universe.table("KORD1")
        stale = legacy_files.frame(table)
        stale["INDHOLD"] = 1
        stale.to_parquet(legacy / "KORD1.parquet")
        legacy_files.write_periods(legacy, table, ["2024"])
        result = migrate(world, legacy, "KORD1")
        assert {file.name: sorted(file.codes(Fate.MIGRATED)) for file in result.files} == {
            "KORD1/2024.parquet": ["2024"],
            "KORD1.parquet": ["2020", "2021", "2022", "2023"],
        }
        assert world.query("SELECT min(indhold), max(indhold) FROM fact.kord1 WHERE tid < '2024-01-01'") == [(1, 1)]
        assert world.query("SELECT max(indhold) > 1 FROM fact.kord1 WHERE tid = '2024-01-01'") == [(True,)]


class TestAgain:
    def test_a_second_time_does_nothing(self, world: World, legacy: Path) -> None:
        legacy_files.write_whole(legacy, world.universe.table("KORD1"))
        migrate(world, legacy, "KORD1")
        before, versions = world.files("KORD1"), world.versions("KORD1")
        result = migrate(world, legacy, "KORD1")
        assert (result.files, result.done, result.refused) == ([], 1, False)
        assert (world.files("KORD1"), world.versions("KORD1")) == (before, versions)

    def test_held_periods_stay_unless_overwriting_is_asked_for(self, world: World, legacy: Path) -> None:
        table = world.universe.table("KORD1")
        stale = legacy_files.frame(table, ["2023"])
        stale["INDHOLD"] = 7.5
        stale.to_parquet(legacy / "KORD1.parquet")
        world.sync("KORD1")
        before = world.files("KORD1")
        result = migrate(world, legacy, "KORD1")
        assert result.count(Fate.HELD) == 1
        assert world.files("KORD1") == before
        result = migrate(world, legacy, "KORD1", overwrite=True)
        assert result.count(Fate.MIGRATED) == 1
        assert world.query("SELECT DISTINCT indhold FROM fact.kord1 WHERE tid = '2023-01-01'") == [(7.5,)]
        assert world.query("SELECT * FROM meta.period_read WHERE tid_code = '2023'") == []
        assert world.query("SELECT count(*) FROM meta.revision WHERE kind = 'revised'") == [(1,)]
        assert world.state("KORD1") is State.CHANGED
        world.sync("KORD1")
        world.check("KORD1")

    def test_interrupted_before_anything_is_recorded(
        self, world: World, legacy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        legacy_files.write_whole(legacy, world.universe.table("KORD1"))
        with monkeypatch.context() as patch:
            patch.setattr(manifest, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                migrate(world, legacy, "KORD1")
        assert len(world.parquet_files("KORD1")) == 5
        before = world.parquet_files("KORD1")
        result = migrate(world, legacy, "KORD1")
        assert (result.count(Fate.MIGRATED), len(result.held)) == (5, 5)
        assert world.parquet_files("KORD1") == before
        assert world.rows("KORD1").total() == 40

    def test_archived_only_when_it_is_stored(self, world: World, legacy: Path, tmp_path: Path) -> None:
        table = world.universe.table("KORD1")
        path = legacy_files.write_whole(legacy, table)
        content = path.read_bytes()
        bad = legacy / "KORD1" / "partition_1.parquet"
        bad.parent.mkdir()
        bad.write_bytes(content[:100])
        archive = tmp_path / "archive"
        result = migrate(world, legacy, "KORD1", archive=archive)
        assert result.refused
        assert not path.exists()
        assert (archive / "KORD1.parquet").read_bytes() == content
        assert bad.exists()
        assert [file.name for file in archive.rglob("*.parquet")] == ["KORD1.parquet"]

    def test_in_the_very_folder_of_the_periods(self, world: World, tmp_path: Path) -> None:
        place = world.sources.tables_dir
        files = legacy_files.write_periods(place, world.universe.table("KORD1"))
        contents = {file.name: file.read_bytes() for file in files}
        result = migrate(world, place, "KORD1")
        assert "--archive" in problem(result)
        assert {file.name: file.read_bytes() for file in files} == contents
        archive = tmp_path / "archive"
        result = migrate(world, place, "KORD1", archive=archive)
        assert not result.refused, problem(result)
        assert {file.name: file.read_bytes() for file in (archive / "KORD1").iterdir()} == contents
        assert len(result.held) == 5
        world.sync("KORD1")
        world.check("KORD1")

    def test_a_dry_run_tells_and_writes_nothing(self, world: World, legacy: Path) -> None:
        path = legacy_files.write_whole(legacy, world.universe.table("KORD1"))
        before = sorted(world.sources.tables_dir.parent.rglob("*"))
        result = migrate(world, legacy, "KORD1", dry_run=True, archive=legacy / "away")
        assert result.count(Fate.MIGRATED) == 5
        assert sorted(world.sources.tables_dir.parent.rglob("*")) == before
        assert path.exists()
        assert not (legacy / "away").exists()
        assert world.query("SELECT to_regclass('fact.kord1')") == [(None,)]


class TestRefused:
    def refuse(self, world: World, legacy: Path, frame: pd.DataFrame, table: str = "KORD1") -> str:
        """Migrate a whole and a bad part of it: the bad one is refused and nothing of it stored, the rest goes on."""
        good = world.universe.table(table)
        legacy_files.write_part(legacy, good, 0, good.periods[:1])
        frame.to_parquet(legacy / table / "partition_1.parquet")
        result = migrate(world, legacy, table)
        told = {file.name: file for file in result.files}
        assert not told[f"{table}/partition_0.parquet"].problem
        assert list(result.held) == [good.periods[0]]
        assert (legacy / table / "partition_1.parquet").exists()
        assert record.read(world.sources.tables_dir.parent / RECORDS, table).keys() == told.keys()
        return told[f"{table}/partition_1.parquet"].problem

    def frame(self, world: World, *periods: str, table: str = "KORD1") -> pd.DataFrame:
        return legacy_files.frame(world.universe.table(table), periods or ["2023"])

    def test_without_tid(self, world: World, legacy: Path) -> None:
        got = self.refuse(world, legacy, self.frame(world).drop(columns="TID"))
        assert "no column Tid" in got

    def test_a_period_file_without_tid_is_named_for_it(self, world: World, legacy: Path) -> None:
        (legacy / "KORD1").mkdir()
        self.frame(world).drop(columns="TID").to_parquet(legacy / "KORD1" / "2023.parquet")
        assert list(migrate(world, legacy, "KORD1").held) == ["2023"]

    def test_a_period_file_of_another_period(self, world: World, legacy: Path) -> None:
        (legacy / "KORD1").mkdir()
        self.frame(world).to_parquet(legacy / "KORD1" / "2022.parquet")
        assert "named for 2022 and holds rows of 2023" in problem(migrate(world, legacy, "KORD1"))

    def test_half_written(self, world: World, legacy: Path) -> None:
        whole = legacy_files.write_whole(legacy, world.universe.table("KORD1"), ["2023"]).read_bytes()
        (legacy / "KORD1.parquet").write_bytes(whole[: len(whole) // 2])
        legacy_files.write_periods(legacy, world.universe.table("KORD1"), ["2020"])
        result = migrate(world, legacy, "KORD1")
        assert "no whole parquet file" in problem(result)
        assert list(result.held) == ["2020"]

    def test_a_code_column_of_mixed_types(self, world: World, legacy: Path) -> None:
        frame = self.frame(world)
        # an object column of 1 and "TOT" is stored as text by whoever stores it at all
        frame["USER"] = [f"{value}.0" if str(value).isdigit() else value for value in frame["USER"]]
        frame.to_parquet(legacy / "KORD1.parquet")
        result = migrate(world, legacy, "KORD1")
        assert not result.refused
        assert set(world.query('SELECT DISTINCT "user" FROM fact.kord1')) == {("TOT",), ("1",), ("2",), ("3",)}

    def test_a_value_column_of_mixed_types(self, world: World, legacy: Path) -> None:
        frame = self.frame(world)
        values = frame["INDHOLD"].astype(str).tolist()
        frame["INDHOLD"] = ["..", "1,5", "2.5", None, *values[4:]]
        frame.to_parquet(legacy / "KORD1.parquet")
        assert not migrate(world, legacy, "KORD1").refused
        found = {row[0] for row in world.query("SELECT indhold FROM fact.kord1")}
        assert {None, 1.5, 2.5} <= found

    @pytest.mark.parametrize(
        "value", ["1.234,5", "inf", *(pytest.param(value, marks=pytest.mark.slow) for value in ("x", "1 000"))]
    )
    def test_a_value_that_is_no_number(self, world: World, legacy: Path, value: str) -> None:
        frame = self.frame(world)
        frame["INDHOLD"] = [value, *["1"] * (len(frame) - 1)]
        assert value in self.refuse(world, legacy, frame)

    def test_a_number_that_no_code_became(self, world: World, legacy: Path) -> None:
        frame = self.frame(world, "2007", table="BIL10")
        frame["DRIV"] = frame["DRIV"].astype(int) + 1
        got = self.refuse(world, legacy, frame, "BIL10")
        assert "DRIV" in got
        assert "no declared code" in got

    def test_labels_for_codes(self, world: World, legacy: Path) -> None:
        frame = self.frame(world)
        user = world.universe.table("KORD1").dimensions[0]
        raw = world.sources.client.tableinfo("KORD1")[0].dimensions[0]
        labels = {value.id: value.text for value in raw.values}
        frame[user.id] = [labels[str(code)] for code in frame[user.id]]
        assert "may be 'TOT'" in self.refuse(world, legacy, frame)

    def test_duplicate_keys(self, world: World, legacy: Path) -> None:
        frame = self.frame(world)
        assert "repeat the codes" in self.refuse(world, legacy, pd.concat([frame, frame.iloc[:1]]))

    def test_a_column_is_missing(self, world: World, legacy: Path) -> None:
        assert "no column ORDER" in self.refuse(world, legacy, self.frame(world).drop(columns="ORDER"))

    def test_further_columns_are_left_out_and_told(self, world: World, legacy: Path) -> None:
        frame = self.frame(world).rename(columns=str.lower)
        frame["user_text"] = "a label"
        frame.to_parquet(legacy / "KORD1.parquet")
        result = migrate(world, legacy, "KORD1")
        assert not result.refused
        assert "user_text" in result.files[0].warnings[0]

    @pytest.mark.parametrize("code", ["2024M13", "2024,5"])
    def test_a_period_that_is_none(self, world: World, legacy: Path, code: str) -> None:
        frame = self.frame(world)
        frame["TID"] = code
        assert self.refuse(world, legacy, frame)

    def test_an_empty_period(self, world: World, legacy: Path) -> None:
        frame = self.frame(world)
        frame["TID"] = [None, *frame["TID"].tolist()[1:]]
        assert "an empty cell" in self.refuse(world, legacy, frame)

    def test_an_empty_file(self, world: World, legacy: Path) -> None:
        self.frame(world).iloc[0:0].to_parquet(legacy / "KORD1.parquet")
        result = migrate(world, legacy, "KORD1")
        assert not result.refused
        assert "no rows" in result.files[0].warnings[0]
        assert not result.held

    def test_while_somebody_writes_the_table(self, world: World, legacy: Path) -> None:
        legacy_files.write_whole(legacy, world.universe.table("KORD1"))
        with table_lock(world.sources.warehouse, "KORD1"), pytest.raises(TableBusy):
            migrate(world, legacy, "KORD1")
        assert not world.folder("KORD1").exists()

    def test_into_a_home_of_another_source(self, world: World, legacy: Path) -> None:
        legacy_files.write_whole(legacy, world.universe.table("KORD1"))
        world.sync("KORD1")
        path = world.folder("KORD1") / manifest.FILE_NAME
        path.write_text(json.dumps({**json.loads(path.read_text()), "source": "api.example.org"}))
        with pytest.raises(ForeignSource):
            migrate(world, legacy, "KORD1", overwrite=True)
