"""Definitions: they load from what lies on disk, without network and database, and say what every asset is."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, AssetSpec, Definitions, DynamicPartitionsDefinition
from pydantic import SecretStr

from varro_assets.defs import graph, keys
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.classifications.store import Classification, ClassificationStore
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator, Universe
from varro_assets.statbank import catalog
from varro_assets.statbank.catalog import CatalogueFolder
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sources import open_sources

DEMO_TABLES = (
    "BARLOV1", "BIL10", "BY1", "BYGB70", "DNRENTM", "DNVALD", "FOLK1A", "FRDK126", "FT", "FV22TOTA", "HISB7",
    "IDRTIL01", "KORD1", "KORN2", "LABY43", "METROX1", "NABB69", "PRIS111", "STRAF42", "VAN5",
)  # fmt: skip


def _home(folder: Path, follow: str = '["*"]') -> Settings:
    (folder / "varro.toml").write_text(f"[tables]\nfollow = {follow}\n", encoding="utf-8")
    return Settings.load(folder)


def _polled(settings: Settings, universe: Universe) -> Settings:
    """The snapshot that a poll of such a publisher leaves."""
    with Simulator(universe) as simulator:
        asked = settings.model_copy(update={"dst_api_url": simulator.url, "dst_api_sleep_seconds": 0.0})
        sources = open_sources(asked, SecretStr("postgresql://nobody@127.0.0.1:1/no_database_is_needed"))
        catalog.poll(sources.client, sources.catalogue)
    return settings


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection or reads a table's description fails the test."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("loading definitions must not do that")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("psycopg2.connect", refuse)
    monkeypatch.setattr(CatalogueFolder, "raw_tableinfo", refuse)
    monkeypatch.setattr(TableInfo, "model_validate", refuse)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return _polled(_home(tmp_path_factory.mktemp("demo")), Universe.demo())


def _specs(definitions: Definitions) -> dict[str, AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


@pytest.mark.usefixtures("offline")
def test_without_a_catalogue_there_is_the_catalogue_to_materialise(tmp_path: Path) -> None:
    definitions = graph.definitions(_home(tmp_path))

    assert sorted(_specs(definitions)) == ["context/subjects", "statbank/catalog"]
    Definitions.validate_loadable(definitions)


@pytest.mark.usefixtures("offline")
def test_the_demos_graph(demo: Settings) -> None:
    definitions = graph.definitions(demo)

    Definitions.validate_loadable(definitions)
    expected = {"statbank/catalog", "context/subjects"}
    for table in DEMO_TABLES:
        expected |= {f"statbank/{table}", f"fact/{table.lower()}", f"table/{table}"}
        expected |= {f"dimension_links/{table}", f"context/fact/{table.lower()}"}
    assert set(_specs(definitions)) == expected


def test_lineage_runs_from_the_published_table_over_the_facts_to_the_summary(demo: Settings) -> None:
    specs = _specs(graph.definitions(demo))

    for table in DEMO_TABLES:
        assert [dep.asset_key for dep in specs[f"fact/{table.lower()}"].deps] == [AssetKey(["statbank", table])]
        assert [dep.asset_key for dep in specs[f"table/{table}"].deps] == [AssetKey(["fact", table.lower()])]


def test_links_and_document_follow_the_summary(demo: Settings) -> None:
    specs = _specs(graph.definitions(demo))

    for table in DEMO_TABLES:
        links, document = specs[f"dimension_links/{table}"], specs[f"context/fact/{table.lower()}"]
        assert [dep.asset_key for dep in links.deps] == [AssetKey(["table", table])]
        assert [dep.asset_key for dep in document.deps] == [AssetKey(["dimension_links", table])]
        assert links.group_name == document.group_name == specs[f"table/{table}"].group_name
        assert links.partitions_def is document.partitions_def is None


def test_every_check_says_what_it_looks_at(demo: Settings) -> None:
    definitions = graph.definitions(demo)
    ops = [definitions.resolve_assets_def(keys.links(table)) for table in DEMO_TABLES]
    specs = [spec for op in ops for spec in op.check_specs]

    assert len(specs) == 4 * len(DEMO_TABLES)
    assert {spec.name for spec in specs} == {"links_hold", "coverage", "columns_exist", "notes_intact"}
    assert all(len(spec.description or "") > 40 and not spec.blocking for spec in specs)


@pytest.mark.usefixtures("offline")
def test_dimensions_that_are_held_are_in_the_graph_with_their_layers(demo: Settings, tmp_path: Path) -> None:
    settings = _home(tmp_path).model_copy(update={"data_dir": demo.data_dir})
    settings = settings.model_copy(update={"data_dir": tmp_path / "data"})
    shutil.copytree(demo.data_dir, settings.data_dir)
    for name in ("nuts", "db"):
        (settings.classifications_dir / name).mkdir(parents=True)
        (settings.classifications_dir / name / "table_da.parquet").touch()

    definitions = graph.definitions(settings)

    Definitions.validate_loadable(definitions)
    names = {
        name for name in _specs(definitions) if not re.search(r"^(statbank|fact|table|dimension_links)/|/fact/", name)
    }
    expected = {f"{folder}/{name}" for folder in ("classification", "dim", "context/dim") for name in ("nuts", "db")}
    assert names == expected | {f"context/geo/{name}" for name in ("kommuner", "landsdele", "regioner")} | {
        "context/subjects"
    }
    _say_what_they_are(_specs(definitions))


@pytest.mark.usefixtures("offline")
def test_a_description_begins_with_the_title(demo: Settings, tmp_path: Path) -> None:
    """A list of assets cuts it after some forty characters."""
    title = "Amter og kommuner, v1:1970-2006"
    settings = _home(tmp_path).model_copy(update={"data_dir": tmp_path / "data"})
    shutil.copytree(demo.data_dir, settings.data_dir)
    rows = [PublishedRow(1, 1, "015", 1, "Københavns amt")]
    held = Classification("amt_kom", title, rows, None, "", "", "https://x.dk", "")
    ClassificationStore(settings.classifications_dir).write(held)
    (settings.classifications_dir / "nuts").mkdir()
    (settings.classifications_dir / "nuts" / "table_da.parquet").write_bytes(b"damaged")

    specs = _specs(graph.definitions(settings))

    for name in ("classification", "dim", "context/dim"):
        assert (specs[f"{name}/amt_kom"].description or "").startswith(f"{title}. ")
        # what cannot be read is for those to tell who need it
        assert "nuts" in (specs[f"{name}/nuts"].description or "")
    for table in DEMO_TABLES:
        text = specs[f"fact/{table.lower()}"].description.split(" by ")[0]  # type: ignore[union-attr]
        for name in (
            f"statbank/{table}",
            f"table/{table}",
            f"dimension_links/{table}",
            f"context/fact/{table.lower()}",
        ):
            assert (specs[name].description or "").startswith(text), name


def test_every_asset_says_what_it_is(demo: Settings) -> None:
    _say_what_they_are(_specs(graph.definitions(demo)))


def _say_what_they_are(specs: dict[str, AssetSpec]) -> None:
    for name, spec in specs.items():
        assert {"path", "dagster/table_name"} & spec.metadata.keys(), name
        assert re.fullmatch(r"[a-z0-9_]+", spec.group_name or ""), name
        assert list(spec.owners) == ["team:data"], name
        assert spec.kinds, name
        assert spec.description, name
        assert len(spec.description) > 40, name


def test_every_table_links_to_its_page_and_is_partitioned_by_its_own_periods(demo: Settings) -> None:
    specs = _specs(graph.definitions(demo))
    for table in DEMO_TABLES:
        published, fact, summary = (
            specs[f"statbank/{table}"],
            specs[f"fact/{table.lower()}"],
            specs[f"table/{table}"],
        )
        for spec in (published, fact, summary):
            assert spec.metadata["statbank.dk"].url == f"https://www.statbank.dk/{table}"
        for spec in (published, fact):
            assert isinstance(spec.partitions_def, DynamicPartitionsDefinition)
            assert spec.partitions_def.name == table
        assert summary.partitions_def is None
        assert fact.metadata["dagster/table_name"] == f"fact.{table.lower()}"
        assert len({spec.group_name for spec in (published, fact, summary)}) == 1


def test_one_op_writes_all_three_and_carries_the_tables_tag(demo: Settings) -> None:
    definitions = graph.definitions(demo)
    op = definitions.resolve_assets_def(AssetKey(["table", "FOLK1A"]))

    assert op.keys == {keys.published("FOLK1A"), keys.fact("FOLK1A"), keys.summary("FOLK1A")}
    assert op.op.tags[keys.TABLE_TAG] == "FOLK1A"
    assert op.can_subset
    assert op.backfill_policy is not None
    assert op.backfill_policy.max_partitions_per_run is None


@pytest.mark.usefixtures("offline")
def test_only_what_is_followed_is_in_the_graph(demo: Settings, tmp_path: Path) -> None:
    settings = _home(tmp_path, '["BIL*", "subject:1", "NOTTHERE"]').model_copy(update={"data_dir": demo.data_dir})

    tables = {name.removeprefix("table/") for name in _specs(graph.definitions(settings)) if "table/" in name}

    known = CatalogueFolder(demo.metadata_dir).read()
    assert known is not None
    assert tables == {"BIL10", *known.tables_by_subject["1"].intersection(known.entries)}


def test_the_owner_is_the_settings(demo: Settings) -> None:
    settings = demo.model_copy(update={"varro_owner": "ada@example.org"})
    assert {tuple(spec.owners) for spec in _specs(graph.definitions(settings)).values()} == {("ada@example.org",)}


@pytest.mark.parametrize(
    ("title", "group"),
    [
        ("Arbejde og indkomst", "arbejde_og_indkomst"),
        ("Økonomi", "okonomi"),
        ("Miljø, energi & klima", "miljo_energi_klima"),
        ("", "uden_emne"),
        (None, "uden_emne"),
        ("***", "uden_emne"),
    ],
)
def test_a_subjects_title_is_a_group_name_dagster_takes(title: str | None, group: str) -> None:
    assert keys.group(title) == group


@pytest.mark.slow
def test_the_whole_catalogue_loads(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = _polled(_home(tmp_path), Universe.catalogue(2240))
    request.getfixturevalue("offline")

    definitions = graph.definitions(settings)

    assert len(_specs(definitions)) == 5 * 2240 + 2
    Definitions.validate_loadable(definitions)


def test_the_module_dagster_loads_is_valid_in_a_process_of_its_own(demo: Settings, tmp_path: Path) -> None:
    code = "from varro_assets.definitions import defs; print(len(list(defs.resolve_all_asset_specs())))"
    environment = {**demo.environment(), "PATH": "/usr/bin:/bin", "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 5 * len(DEMO_TABLES) + 2
