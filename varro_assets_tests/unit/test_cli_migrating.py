"""`varro migrate-legacy` and `varro forget`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from pydantic import SecretStr

from varro_assets.defs import keys
from varro_assets.simulator.table import Table
from varro_assets.statbank import catalog
from varro_assets.statbank.sources import open_sources
from varro_assets.statbank.sync import sync_table
from varro_assets_tests import legacy_files
from varro_assets_tests.conftest import Recorder
from varro_assets_tests.unit.conftest import Varro


@pytest.fixture
def legacy(varro: Varro, tmp_path: Path) -> Path:
    """The predecessor's folder: a followed table, one that is not, one broken file."""
    folder = tmp_path / "legacy"
    legacy_files.write_whole(folder, table(varro, "KORD1"), ["2021", "2022", "2023", "2024"])
    legacy_files.write_whole(folder, table(varro, "HISB7"))
    return folder


def table(varro: Varro, name: str) -> Table:
    return varro.simulator.universe.table(name)


def test_dry_run_then_migrate_then_nothing_to_do_then_sync(varro: Varro, legacy: Path, tmp_path: Path) -> None:
    said = varro.good("migrate-legacy", str(legacy), "--dry-run").words
    assert "4 periods to be migrated (2021 to 2024)" in said
    assert "HISB7" in said
    assert "not followed" in said
    assert not (varro.settings.tables_dir / "KORD1").exists()

    said = varro.good("migrate-legacy", str(legacy), "--archive", str(tmp_path / "away")).words
    assert "4 periods migrated" in said
    assert "suppressed or zero" in said
    assert (tmp_path / "away" / "KORD1.parquet").exists()
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(32,)]
    with varro.dagster() as instance:
        for key in (keys.published("KORD1"), keys.fact("KORD1")):
            assert instance.get_materialized_partitions(key) == {"2021", "2022", "2023", "2024"}

    assert "No legacy file of a followed table" in varro.good("migrate-legacy", str(legacy)).words


def test_what_is_refused_is_an_exit_code(varro: Varro, legacy: Path) -> None:
    part = legacy_files.write_part(legacy, table(varro, "KORD1"), 0, ["2020"])
    part.write_bytes(part.read_bytes()[:-7])
    said = varro("migrate-legacy", str(legacy), "--table", "kord1")
    assert said.code == 1
    assert "no whole parquet file" in said.words
    assert "4 periods migrated" in said.words
    again = varro("migrate-legacy", str(legacy))
    assert (again.code, "0 periods of 1 table migrated" in again.words) == (1, True)


def test_no_such_folder(varro: Varro) -> None:
    said = varro("migrate-legacy", "nowhere")
    assert (said.code, "No such file" in said.words) == (1, True)


def test_forget_asks_and_takes_out_the_partition_key(varro: Varro, legacy: Path) -> None:
    legacy_files.write_part(legacy, table(varro, "KORD1"), 0, ["2020"])
    varro.simulator.universe.publish("drop_period", "KORD1")
    varro.good("migrate-legacy", str(legacy))
    assert varro("forget", "kord1", "2024", "--yes").code == 1
    said = varro("forget", "KORD1", "2020", answer="n\n")
    assert said.code == 1
    assert varro.query("SELECT count(*) FROM meta.period_load") == [(5,)]
    said = varro("forget", "KORD1", "2020", answer="y\n")
    assert said.code == 0, said.words
    assert "Forgotten: 1 period" in said.words
    assert varro.query("SELECT count(*) FROM meta.period_load") == [(4,)]
    with varro.dagster() as instance:
        assert "2020" not in instance.get_dynamic_partitions("KORD1")
    assert varro("forget", "KORD1", "2020", "--yes").code == 1


def test_forget_goes_by_what_is_published_now(varro: Varro) -> None:
    varro.synced()
    # what this home knows is that it is published; the publisher says otherwise now
    varro.simulator.universe.publish("drop_period", "KORD1", tid="2021")
    varro.good("forget", "KORD1", "2021", "--yes")
    varro.simulator.universe.publish("insert_period", "KORD1", tid="2021")
    said = varro("forget", "KORD1", "2021", "2022", "--yes")
    assert (said.code, "KORD1 2021, 2022: it is published" in said.words) == (1, True)
    assert varro.query("SELECT count(*) FROM meta.period_load") == [(4,)]


def test_forget_goes_by_what_is_published_once_it_was_answered(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    varro.synced()
    sources = open_sources(varro.settings, SecretStr(varro.database))

    def sync() -> None:
        catalog.poll(sources.client, sources.catalogue)
        sync_table(sources, "KORD1", Recorder())

    varro.simulator.universe.publish("drop_period", "KORD1", tid="2021")
    sync()

    def published_again(*_arguments: object, **_options: object) -> bool:
        varro.simulator.universe.publish("insert_period", "KORD1", tid="2021")
        sync()
        return True

    monkeypatch.setattr(typer, "confirm", published_again)
    said = varro("forget", "KORD1", "2021")
    assert "2021: 8 rows, no longer published" in said.words
    assert (said.code, "KORD1 2021: it is published" in said.words) == (1, True)
    assert varro.query("SELECT count(*) FROM meta.period_load") == [(5,)]


@pytest.mark.parametrize("vanish", [False, True])
def test_any_period_of_a_table_that_left_the_catalogue_may_be_forgotten(
    varro: Varro, legacy: Path, *, vanish: bool
) -> None:
    varro.good("migrate-legacy", str(legacy))
    varro.simulator.universe.withdraw("KORD1", vanish=vanish)
    said = varro("forget", "KORD1", "2021", answer="n\n")
    assert said.code == 1
    assert "2021: 8 rows, of a table that the catalogue no longer lists" in said.words
    assert "cannot be fetched again unless it is listed again" in said.words
    assert varro("forget", "KORD1", "2019", "--yes").code == 1
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(32,)]

    varro.good("forget", "KORD1", "2021", "--yes")
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(24,)]
    varro.good("forget", "KORD1", "2022", "2023", "2024", "--yes")
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(0,)]
    assert varro.query("SELECT count(*) FROM meta.revision WHERE kind = 'forgotten'") == [(4,)]
    with varro.dagster() as instance:
        assert instance.get_dynamic_partitions("KORD1") == []
    assert "nothing of it is held" in varro("forget", "KORD1", "2022", "--yes").words
