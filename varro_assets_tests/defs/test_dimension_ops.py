"""Dimensions, subject pages and map layers under Dagster: each asset alone, and what a refusal leaves."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from varro_assets.context import dimension_documents
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.defs import keys
from varro_assets.defs.reports import report_shared
from varro_assets.engine import postgres
from varro_assets_tests.defs.conftest import DUE, Lab

CLASSIFICATION, TABLE, DOCUMENT = keys.classification("nuts"), keys.dimension("nuts"), keys.dimension_document("nuts")
LAYERS = [keys.layer(name) for name in ("kommuner", "landsdele", "regioner")]


@pytest.fixture
def context(lab: Lab) -> ContextSources:
    """A home that holds nuts, in files alone."""
    made = open_context(lab.settings, lab.sources.warehouse)
    with contextlib.closing(postgres.connect(made.warehouse, "test")) as connection:
        dimension_documents.fetch(made, connection, "nuts")
    return made


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.table = "VAN5"
    return lab


def asked(lab: Lab) -> list[str]:
    return [request.path for request in lab.simulator.requests]


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_dimension_is_fetched_loaded_and_documented_in_one_run(lab: Lab, context: ContextSources) -> None:
    result = lab.materialise(CLASSIFICATION, TABLE, DOCUMENT)

    assert result.success, lab.why(result)
    (fetched,), (loaded,), (documented,) = (lab.records(asset, result) for asset in (CLASSIFICATION, TABLE, DOCUMENT))
    members = lab.query("SELECT count(*) FROM dim.nuts")[0][0]
    for entry in (fetched, loaded):
        metadata = entry.asset_materialization.metadata
        assert metadata["dagster/row_count"].value == members > 100
        assert re.search(r"\| 1 \| Region \| 5 \|", metadata["levels"].value)
    path = Path(documented.asset_materialization.metadata["path"].value)
    assert path == context.folder / "dim" / "nuts.md"
    assert path.is_file()


def test_the_table_alone_is_filled_from_the_files(lab: Lab, context: ContextSources) -> None:
    lab.simulator.forget_requests()

    assert lab.materialise(TABLE).success

    assert asked(lab) == []
    assert lab.query("SELECT count(*) FROM dim.nuts WHERE niveau = 1") == [(5,)]
    assert not (context.folder / "dim").exists()


def test_the_table_alone_is_repaired(lab: Lab, context: ContextSources) -> None:
    assert lab.materialise(TABLE).success
    with contextlib.closing(postgres.connect(context.warehouse, "test")) as connection:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE dim.nuts SET titel = 'mine'")
        connection.commit()

    result = lab.materialise(TABLE)

    assert result.success
    assert lab.query("SELECT count(*) FROM dim.nuts WHERE titel = 'mine'") == [(0,)]
    assert lab.records(TABLE, result)[0].asset_materialization.metadata["changed"].value is True


def test_the_document_alone_is_written(lab: Lab, context: ContextSources) -> None:
    result = lab.materialise(DOCUMENT)

    assert result.success, lab.why(result)
    assert (context.folder / "dim" / "nuts.md").is_file()
    assert (context.folder / "column_values" / "nuts.parquet").is_file()


@pytest.mark.usefixtures("context")
def test_a_refused_classification_leaves_everything(lab: Lab) -> None:
    assert lab.materialise(CLASSIFICATION, TABLE, DOCUMENT).success
    before = state(lab.settings.classifications_dir) | state(lab.settings.context_dir)
    rows = lab.query("SELECT * FROM dim.nuts ORDER BY niveau, kode")
    lab.simulator.fault("html", path="site", count=None)

    result = lab.materialise(CLASSIFICATION, TABLE, DOCUMENT)

    assert not result.success
    assert "nuts" in lab.why(result)
    assert state(lab.settings.classifications_dir) | state(lab.settings.context_dir) == before
    assert lab.query("SELECT * FROM dim.nuts ORDER BY niveau, kode") == rows
    assert [len(lab.records(asset)) for asset in (CLASSIFICATION, TABLE, DOCUMENT)] == [1, 1, 1]


@pytest.mark.usefixtures("context")
def test_pages_of_all_subjects_are_written(lab: Lab) -> None:
    lab.good(config=DUE)

    result = lab.materialise(keys.SUBJECTS)

    assert result.success, lab.why(result)
    metadata = lab.records(keys.SUBJECTS)[0].asset_materialization.metadata
    pages = [path for path in (lab.settings.context_dir / "subjects").rglob("*.md") if path.name != "index.md"]
    assert metadata["pages"].value == len(pages) == 2  # the table stands under two subjects
    assert all("id: van5" in page.read_text("utf-8") for page in pages)


@pytest.mark.usefixtures("context")
def test_map_layers_are_made_together_with_their_index(lab: Lab) -> None:
    result = lab.materialise(*LAYERS)

    assert result.success, lab.why(result)
    folder = lab.settings.context_dir / "geo"
    for asset in LAYERS:
        (entry,) = lab.records(asset, result)
        path = folder / f"{asset.path[-1]}.parquet"
        assert entry.asset_materialization.metadata["path"].value == str(path)
        assert entry.asset_materialization.metadata["dagster/row_count"].value == pq.read_metadata(path).num_rows > 0
    index = (folder / "index.md").read_text("utf-8")
    assert all(asset.path[-1] in index for asset in LAYERS)


def test_what_the_commands_wrote_is_reported_once_and_again_when_it_changed(lab: Lab, context: ContextSources) -> None:
    assert set(report_shared(lab.instance, context)) == {CLASSIFICATION, TABLE}
    assert lab.materialise(DOCUMENT, *LAYERS).success
    assert report_shared(lab.instance, context) == []

    later = time.time() + 60
    os.utime(context.folder / "dim" / "nuts.md", (later, later))

    assert report_shared(lab.instance, context) == [DOCUMENT]
    metadata = lab.records(TABLE)[0].asset_materialization.metadata
    assert metadata["dagster/row_count"].value > 100
