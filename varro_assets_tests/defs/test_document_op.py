"""Links and documents under Dagster: in the run of a table's sync, after it, and what turns red."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckSeverity, AssetKey

from varro_assets.context import dimension_documents
from varro_assets.context.sources import open_context
from varro_assets.defs import keys
from varro_assets.engine import postgres
from varro_assets.statbank import catalog
from varro_assets_tests.defs.conftest import DUE, Lab

pytestmark = pytest.mark.slow  # a whole run each

CHECKS = {"links_hold", "coverage", "columns_exist", "notes_intact"}
SYNC, DOCUMENT = "sync_van5", "document_van5"


@pytest.fixture
def van5(lab: Lab) -> Lab:
    """A table with two columns that join: OMRÅDE nuts, INDVLAND lande_uhv."""
    lab.table = "VAN5"
    context = open_context(lab.settings, lab.sources.warehouse)
    with contextlib.closing(postgres.connect(context.warehouse, "test")) as connection:
        for name in ("nuts", "lande_uhv"):
            dimension_documents.fetch(context, connection, name)
    return lab


@pytest.fixture
def documented(van5: Lab) -> Lab:
    van5.good(config=DUE, select=[*van5.synced_assets, *van5.documents])
    return van5


def link_file(lab: Lab) -> Path:
    return lab.settings.links_dir / "VAN5.json"


def document(lab: Lab) -> Path:
    (found,) = (lab.settings.context_dir / "fact").rglob("van5.md")
    return found


def set_by_hand(lab: Lab, column: str, **said: object) -> None:
    listed = [entry for entry in json.loads(link_file(lab).read_text("utf-8")) if entry["column"] != column]
    listed.append({"column": column, "made_by": "hand", "note": "mine"} | said)
    link_file(lab).write_text(json.dumps(listed, ensure_ascii=False), "utf-8")


def execute(lab: Lab, statement: str) -> None:
    with contextlib.closing(postgres.connect(lab.sources.warehouse, "test")) as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()


def failed_checks(lab: Lab, result: Any) -> dict[str, str]:
    return {name: one.description for name, one in lab.checks(result).items() if not one.passed and name in CHECKS}


# -- in the run of a sync ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [(), ("2011",), ("2010", "2012")], ids=["due", "one key", "range"])
def test_links_and_document_follow_the_sync_in_the_same_run(van5: Lab, wanted: tuple[str, ...]) -> None:
    periods = {str(year): code for year, code in enumerate(van5.periods, 2010)}
    chosen = [periods[year] for year in wanted]

    result = van5.good(*chosen, config={} if chosen else DUE, select=[*van5.synced_assets, *van5.documents])

    assert van5.steps(result) == {SYNC: "SUCCESS", DOCUMENT: "SUCCESS"}
    for asset in van5.documents:
        assert van5.reported(asset, result) == [None]
    assert set(van5.checks(result)) > CHECKS
    assert failed_checks(van5, result) == {}
    assert [entry["dimension"] for entry in json.loads(link_file(van5).read_text("utf-8"))] == ["nuts", "lande_uhv"]
    assert document(van5).read_text("utf-8").startswith("table: fact.van5\n")


@pytest.mark.parametrize("alone", ["published", "fact", "summary"])
def test_an_asset_of_the_table_alone_works_without_documents(documented: Lab, alone: str) -> None:
    asset: AssetKey = getattr(documented, alone)
    written = document(documented).stat().st_mtime_ns

    result = documented.good(select=[asset], unpartitioned=alone == "summary")

    assert documented.steps(result) == {SYNC: "SUCCESS"}
    assert CHECKS.isdisjoint(documented.checks(result))
    assert document(documented).stat().st_mtime_ns == written


def test_one_of_the_two_alone_brings_only_its_own_checks(documented: Lab) -> None:
    result = documented.good(select=[keys.links("VAN5")], unpartitioned=True)

    assert set(documented.checks(result)) == {"links_hold", "coverage"}
    assert documented.reported(keys.document("VAN5"), result) == []


def test_documents_alone_ask_the_publisher_of_tables_nothing(documented: Lab) -> None:
    documented.simulator.forget_requests()

    result = documented.good(select=documented.documents, unpartitioned=True)

    assert documented.steps(result) == {DOCUMENT: "SUCCESS"}
    assert documented.simulator.requests == []
    entry = documented.records(keys.document("VAN5"), result)[0]
    assert entry.asset_materialization.metadata["files rewritten"].value == 0


def test_the_events_show_joins_and_document(documented: Lab) -> None:
    links, doc = (documented.records(asset)[0].asset_materialization.metadata for asset in documented.documents)
    assert (links["links"].value, links["exact"].value, links["columns"].value) == (2, 2, 3)
    assert "| OMRÅDE | dim.nuts | exact | 100% |" in links["joins"].value
    assert doc["path"].value == str(document(documented))
    assert doc["document"].value == document(documented).read_text("utf-8")


# -- what fails, and what it says ----------------------------------------------------------------------------------


def test_a_sync_that_fails_leaves_the_documents_alone(documented: Lab) -> None:
    documented.simulator.universe.touch("VAN5")
    catalog.poll(documented.sources.client, documented.sources.catalogue)
    documented.simulator.fault("garbage", table="VAN5", path="data")
    written = document(documented).read_bytes()

    result = documented.run(config=DUE, select=[*documented.synced_assets, *documented.documents])

    assert not result.success
    assert documented.steps(result) == {SYNC: "FAILURE"}  # the other is not even begun
    assert documented.reported(keys.document("VAN5"), result) == []
    assert document(documented).read_bytes() == written


def test_a_document_edited_above_its_notes_fails_and_the_periods_stay_green(documented: Lab) -> None:
    edited = document(documented).read_text("utf-8").replace("table: fact.van5", "table: mine")
    document(documented).write_text(edited, "utf-8")

    result = documented.run(config=DUE, select=[*documented.synced_assets, *documented.documents])

    assert documented.steps(result) == {SYNC: "SUCCESS", DOCUMENT: "FAILURE"}
    assert "notes:" in documented.why(result)
    assert str(document(documented)) in documented.why(result)
    assert set(documented.colours(documented.fact).values()) == {"MATERIALIZED"}
    assert document(documented).read_text("utf-8") == edited


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{broken", "VAN5.json"),
        (
            '[{"column": "OMRÅDE", "dimension": "nowhere", "match_type": "exact", "made_by": "hand"}]',
            "nowhere",
        ),
    ],
)
def test_a_broken_link_file_fails_and_stays_as_it_is(documented: Lab, content: str, told: str) -> None:
    link_file(documented).write_text(content, "utf-8")

    result = documented.run(select=documented.documents, unpartitioned=True)

    assert not result.success
    assert told in documented.why(result)
    assert link_file(documented).read_text("utf-8") == content


def test_a_link_by_hand_that_does_not_hold_fails_its_check(documented: Lab) -> None:
    set_by_hand(documented, "OMRÅDE", dimension="lande_uhv", match_type="exact", join="f.omrade = d.kode")

    result = documented.good(select=documented.documents, unpartitioned=True)

    assert "OMRÅDE" in failed_checks(documented, result)["links_hold"]
    assert documented.checks(result)["links_hold"].severity is AssetCheckSeverity.ERROR
    assert documented.checks(result)["coverage"].severity is AssetCheckSeverity.WARN
    assert set(failed_checks(documented, result)) == {"links_hold", "coverage"}


def test_rows_missing_from_a_dimension_fail_the_check_until_it_is_materialised(documented: Lab) -> None:
    execute(documented, "DELETE FROM dim.nuts WHERE niveau = 1 AND kode = '081'")

    result = documented.good(select=documented.documents, unpartitioned=True)
    assert "codes do not join" in failed_checks(documented, result)["links_hold"]

    assert documented.materialise(keys.dimension("nuts")).success
    result = documented.good(select=documented.documents, unpartitioned=True)
    assert failed_checks(documented, result) == {}


def test_a_column_that_somebody_added_fails_its_check(documented: Lab) -> None:
    execute(documented, "ALTER TABLE fact.van5 ADD COLUMN mine text")

    result = documented.good(select=documented.documents, unpartitioned=True)

    assert failed_checks(documented, result) == {"columns_exist": "mine is there and not documented"}


def test_notes_are_kept_and_counted(documented: Lab) -> None:
    notes = "notes:\nAsk Åse before adding up.\n"
    kept = document(documented).read_text("utf-8").split("\nnotes:")[0]
    document(documented).write_text(f"{kept}\n{notes}", "utf-8")

    result = documented.good(select=documented.documents, unpartitioned=True)

    assert document(documented).read_text("utf-8").endswith(notes)
    check = documented.checks(result)["notes_intact"]
    assert check.passed
    assert check.metadata["bytes of notes"].value > 20


def test_a_table_that_is_not_held_says_what_to_do(van5: Lab) -> None:
    result = van5.run(select=van5.documents, unpartitioned=True)

    assert not result.success
    assert "varro sync VAN5" in van5.why(result)
