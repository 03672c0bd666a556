"""Staleness: what Dagster shows as unsynced is out of date, and a poll without a change makes nothing so."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from dagster import DagsterInstance, Definitions
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from varro_assets.context import dimension_documents, documents
from varro_assets.context.sources import ContextSources, open_context
from varro_assets.defs import keys
from varro_assets.defs.catalogue import report_poll, version_of
from varro_assets.defs.reports import report_shared
from varro_assets.engine import postgres
from varro_assets.statbank import catalog
from varro_assets_tests.defs.conftest import DUE, Lab
from varro_assets_tests.defs.daemon import Daemon

PAGES = keys.SUBJECTS.to_user_string()
LAYERS = [keys.layer(name) for name in ("kommuner", "landsdele", "regioner")]


def unsynced(instance: DagsterInstance, definitions: Definitions) -> dict[str, list[str]]:
    """Asset -> why Dagster's UI shows it as unsynced."""
    graph = definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {
        key.to_user_string(): [
            f"{cause.key.asset_key.to_user_string()} {cause.reason}" for cause in resolver.get_stale_root_causes(key)
        ]
        for key in graph.get_all_asset_keys()
        if resolver.get_status(key) is StaleStatus.STALE
    }


@pytest.fixture
def context(lab: Lab) -> ContextSources:
    """A home that holds nuts, and of it map layers."""
    lab.table = "VAN5"
    made = open_context(lab.settings, lab.sources.warehouse)
    with contextlib.closing(postgres.connect(made.warehouse, "test")) as connection:
        dimension_documents.fetch(made, connection, "nuts")
    return made


def _settled(daemon: Daemon) -> None:
    assert daemon.poll().success
    assert all(result.success for result in daemon.settle())
    assert daemon.lab.materialise(*LAYERS).success


@pytest.mark.slow  # layers, and all definitions several times
@pytest.mark.usefixtures("context")
def test_nothing_is_unsynced_after_a_poll_without_a_change(daemon: Daemon) -> None:
    daemon.follow("VAN5")
    _settled(daemon)
    assert daemon.poll().success
    assert unsynced(daemon.lab.instance, daemon.definitions()) == {}
    # nor when others' tables are published, which the pages do not speak of
    daemon.lab.simulator.universe.publish_period("KORN2")
    assert daemon.poll().success
    assert unsynced(daemon.lab.instance, daemon.definitions()) == {}
    # what is brought in anew and is as it was makes nothing out of date
    assert daemon.lab.materialise(keys.classification("nuts"), keys.dimension("nuts")).success
    assert unsynced(daemon.lab.instance, daemon.definitions()) == {}


@pytest.mark.slow  # twenty tables
@pytest.mark.usefixtures("context")
def test_nothing_of_the_demo_is_unsynced_after_a_poll_without_a_change(daemon: Daemon) -> None:
    daemon.follow("*")
    _settled(daemon)
    assert daemon.poll().success
    definitions = daemon.definitions()
    assert len(definitions.resolve_asset_graph().get_all_asset_keys()) > 100
    assert unsynced(daemon.lab.instance, definitions) == {}


def test_nor_of_what_the_commands_wrote(daemon: Daemon, context: ContextSources) -> None:
    """Events outside a run: without a word of what they were made of Dagster goes by their time."""
    lab = daemon.lab
    daemon.follow("VAN5")
    catalogue = catalog.poll(lab.sources.client, lab.sources.catalogue).catalogue
    report_poll(lab.instance, catalogue, 1)
    lab.good(config=DUE, select=[*lab.synced_assets, *lab.documents])
    documents.write(context)
    assert keys.SUBJECTS in report_shared(lab.instance, context)
    assert daemon.poll().success
    assert unsynced(lab.instance, daemon.definitions()) == {}
    assert report_shared(lab.instance, context) == []
    # a change of the tree that leaves the pages as they were: they were looked at, and are up to date
    lab.simulator.universe.move("KORN2")
    (lab.sources.catalogue.folder / "subjects.json").unlink()  # else it is asked for once a day
    assert daemon.poll().success
    assert list(unsynced(lab.instance, daemon.definitions())) == [PAGES]
    documents.write(context)
    assert report_shared(lab.instance, context) == [keys.SUBJECTS]
    assert unsynced(lab.instance, daemon.definitions()) == {}


def test_the_catalogues_version_is_where_the_tables_stand(lab: Lab) -> None:
    def polled(**asked: Any) -> str:
        if asked:
            lab.simulator.universe.publish(table="KORN2", **asked)
        (lab.sources.catalogue.folder / "subjects.json").unlink()
        return version_of(catalog.poll(lab.sources.client, lab.sources.catalogue).catalogue)

    first = polled()
    assert polled(kind="publish_period") == first
    assert polled(kind="move") != first
