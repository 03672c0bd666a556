"""Worker: a process started to execute one run builds that run's tables; any other builds all."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Collection
from multiprocessing.queues import Queue
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, DagsterRun
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import serialize_value

from varro_assets.defs import keys, worker

OF_TABLE = [make("KORD1") for make in (keys.published, keys.fact, keys.summary, keys.links, keys.document)]


def _run(assets: Collection[AssetKey], checks: Collection[AssetCheckKey] | None = None) -> DagsterRun:
    return DagsterRun(
        job_name="__ASSET_JOB",
        asset_selection=frozenset(assets),
        asset_check_selection=None if checks is None else frozenset(checks),
    )


@pytest.mark.parametrize("asset", OF_TABLE)
def test_every_asset_of_a_table_is_of_it(asset: AssetKey) -> None:
    assert keys.table(asset) == "KORD1"
    assert worker.of_run(_run([asset])) == ["KORD1"]


@pytest.mark.parametrize(
    "asset",
    [
        keys.CATALOGUE,
        keys.SUBJECTS,
        keys.classification("nuts"),
        keys.dimension("nuts"),
        keys.dimension_document("nuts"),
        keys.layer("kommuner"),
        AssetKey(["statbank", "kord1"]),
        AssetKey(["somebodys", "own", "KORD1"]),
    ],
)
def test_what_is_of_no_table_needs_the_whole_graph(asset: AssetKey) -> None:
    assert keys.table(asset) is None
    assert worker.of_run(_run([*OF_TABLE, asset])) is None


def test_a_run_may_be_of_several_tables_or_of_checks_alone() -> None:
    assert worker.of_run(_run([keys.fact("KORD1"), keys.fact("BY1")])) == ["BY1", "KORD1"]
    assert worker.of_run(_run([], [AssetCheckKey(keys.fact("BY1"), "keys_unique")])) == ["BY1"]
    assert worker.of_run(_run([keys.fact("BY1")], [AssetCheckKey(keys.CATALOGUE, "complete")])) is None
    assert worker.of_run(_run([])) is None


def test_this_process_executes_no_run() -> None:
    assert worker.tables() is None


def _tell(_argument: str, told: Queue[Any]) -> None:
    told.put(worker.tables())


def _asked_in_a_process_of(argument: str) -> Any:
    """What a process learns that is started as Dagster's code server starts its workers."""
    context = multiprocessing.get_context("spawn")
    told: Queue[Any] = context.Queue()
    process = context.Process(target=_tell, args=[argument, told])
    process.start()
    try:
        # it imports Dagster, which takes seconds of processor time: this only ends a wait without hope
        return told.get(timeout=240)
    finally:
        process.join()


@pytest.fixture
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance


def _arguments(instance: DagsterInstance, run_id: str) -> str:
    location = RegisteredCodeLocationOrigin("varro_assets")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "__ASSET_JOB")
    return serialize_value(ExecuteExternalJobArgs(job_origin=origin, run_id=run_id, instance_ref=instance.get_ref()))


def test_a_worker_learns_its_tables_and_says_so_in_the_log_of_the_run(stored: DagsterInstance) -> None:
    run = stored.add_run(_run([keys.published("KORD1"), keys.fact("KORD1")]))

    assert _asked_in_a_process_of(_arguments(stored, run.run_id)) == ["KORD1"]

    [entry] = stored.all_logs(run.run_id)
    assert entry.message == "Loading the definitions of KORD1 alone."


@pytest.mark.slow  # five processes that import dagster
def test_in_doubt_a_worker_builds_everything(stored: DagsterInstance) -> None:
    catalogue = stored.add_run(_run([keys.CATALOGUE]))
    arguments = _arguments(stored, catalogue.run_id)
    broken = json.dumps({**json.loads(arguments), "instance_ref": {"__class__": "Unknown"}})

    for argument in (arguments, _arguments(stored, "no such run"), "", '"ExecuteExternalJobArgs"', broken):
        assert _asked_in_a_process_of(argument) is None
    assert stored.all_logs(catalogue.run_id) == []
