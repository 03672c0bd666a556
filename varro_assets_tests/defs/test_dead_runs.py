"""Dead runs: which runs are ours, that every op of ours shows that it lives, and what follows from its death."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import FileCodePointer, ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget

from varro_assets.context import dimension_documents
from varro_assets.context.sources import open_context
from varro_assets.defs import graph, keys
from varro_assets.defs.unattended import dead_runs, retention
from varro_assets.defs.unattended.dead_runs import DEFINITIONS, alive, end_silent_runs, run_lock
from varro_assets.engine import locks, postgres
from varro_assets.settings import Settings
from varro_assets_tests.conftest import PROJECT
from varro_assets_tests.defs.conftest import Lab
from varro_assets_tests.defs.daemon import QUIET, Daemon

TABLE, ASSET_JOB = "KORN2", "__ASSET_JOB"
LAUNCHED_BY_HAND = {
    "a table": keys.summary(TABLE),
    "its document": keys.document(TABLE),
    "the poll": keys.CATALOGUE,
    "subject pages": keys.SUBJECTS,
    "a classification": keys.classification("nuts"),
    "a dimension": keys.dimension("nuts"),
    "its pages": keys.dimension_document("nuts"),
    "a map": keys.layer("kommuner"),
    "retention": None,
}
STEP = timedelta(seconds=31)


def started(
    instance: DagsterInstance, asset: AssetKey | None = None, module: str = DEFINITIONS, **tags: str
) -> DagsterRun:
    """A run as the web server or the daemon makes it of a code location, as far as its start; without tags of ours."""
    job = ASSET_JOB if asset else retention.JOB
    origin = JobPythonOrigin(job, RepositoryPythonOrigin(sys.executable, ModuleCodePointer(module, "defs", None)))
    selection = frozenset({asset}) if asset else None
    run = DagsterRun(job_name=job, asset_selection=selection, job_code_origin=origin, tags=tags)
    instance.add_run(run)
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=job)
    instance.handle_run_event(run.run_id, event)
    return run


def status(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def look(lab: Lab, times: int) -> None:
    """As the sensor does in as many ticks."""
    seconds: dict[str, float] = {}
    with contextlib.closing(postgres.connect(lab.sources.warehouse, "test")) as connection:
        for _ in range(times):
            seconds = dict(end_silent_runs(lab.instance, connection, seconds, STEP).seconds)


@pytest.mark.parametrize("what", LAUNCHED_BY_HAND)
def test_a_run_launched_in_the_ui_is_left_alone_while_it_lives_and_ends_when_it_is_dead(lab: Lab, what: str) -> None:
    run = started(lab.instance, LAUNCHED_BY_HAND[what])
    with alive(lab.sources.warehouse, run.run_id):
        look(lab, 20)
        assert status(lab.instance, run) is DagsterRunStatus.STARTED
    # between two ops, or before the first
    look(lab, 3)
    assert status(lab.instance, run) is DagsterRunStatus.STARTED
    look(lab, 4)
    assert status(lab.instance, run) is DagsterRunStatus.FAILURE


def test_a_run_of_a_backfill_is_one_like_any_other(lab: Lab) -> None:
    run = started(lab.instance, keys.published(TABLE), **{"dagster/backfill": "abcdefgh"})
    look(lab, 4)
    assert status(lab.instance, run) is DagsterRunStatus.FAILURE


def test_a_run_of_somebody_elses_code_in_the_same_dagster_is_left_alone(lab: Lab) -> None:
    """It gives no sign of life, and its names may be ours."""
    theirs = [started(lab.instance, asset, module="theirs.definitions") for asset in (keys.fact(TABLE), None)]
    unknown = DagsterRun(job_name=ASSET_JOB, asset_selection=frozenset({keys.fact(TABLE)}))
    file = RepositoryPythonOrigin(sys.executable, FileCodePointer("definitions.py", "defs", None))
    of_file = DagsterRun(job_name=ASSET_JOB, job_code_origin=JobPythonOrigin(ASSET_JOB, file))
    for run in (unknown, of_file):
        lab.instance.add_run(run)
        start = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name=ASSET_JOB)
        lab.instance.handle_run_event(run.run_id, start)
    look(lab, 20)
    assert {status(lab.instance, run) for run in (*theirs, unknown, of_file)} == {DagsterRunStatus.STARTED}


def test_a_run_that_ends_while_it_is_looked_at_stays_as_it_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    run, real = started(lab.instance, keys.summary(TABLE)), locks.held
    monkeypatch.setattr(dead_runs, "GRACE", dict.fromkeys(dead_runs.GRACE, timedelta(0)))

    def held(connection: postgres.Connection, names: Collection[str]) -> set[str]:
        found = real(connection, names)
        if status(lab.instance, run) is DagsterRunStatus.STARTED:
            ended = DagsterEvent(event_type_value=DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name)
            lab.instance.report_dagster_event(ended, run.run_id)
        return found

    monkeypatch.setattr(locks, "held", held)
    look(lab, 2)
    assert status(lab.instance, run) is DagsterRunStatus.SUCCESS


def test_a_run_that_shows_that_it_lives_while_it_is_looked_at_is_left_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real = started(lab.instance, keys.summary(TABLE)), locks.held
    monkeypatch.setattr(dead_runs, "GRACE", dict.fromkeys(dead_runs.GRACE, timedelta(0)))
    with contextlib.ExitStack() as op:

        def held(connection: postgres.Connection, names: Collection[str]) -> set[str]:
            found = real(connection, names)
            if not found:
                op.enter_context(alive(lab.sources.warehouse, run.run_id))
            return found

        monkeypatch.setattr(locks, "held", held)
        look(lab, 2)
        assert status(lab.instance, run) is DagsterRunStatus.STARTED
    monkeypatch.setattr(locks, "held", real)
    look(lab, 1)
    assert status(lab.instance, run) is DagsterRunStatus.FAILURE


def test_what_was_marked_is_to_be_mended_once_and_a_retry_that_has_its_tags_is_not(lab: Lab) -> None:
    run = started(lab.instance, keys.summary(TABLE))
    assert dead_runs.to_be_mended(lab.instance) == []
    look(lab, 4)
    (marked,) = dead_runs.to_be_mended(lab.instance)
    retry = started(lab.instance, keys.summary(TABLE), **marked.tags)
    lab.instance.report_run_failed(retry, "The disk is full.")
    assert [one.run_id for one in dead_runs.to_be_mended(lab.instance)] == [run.run_id]
    dead_runs.mended(lab.instance, marked)
    assert dead_runs.to_be_mended(lab.instance) == []


class SignOfLife(Exception):
    """In place of it."""


@pytest.mark.slow  # a run for each op
def test_every_op_executes_under_its_sign_of_life(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds an op and forgets `alive` has its runs killed after 90 seconds: here it is found."""
    context = open_context(lab.settings, lab.sources.warehouse)
    with contextlib.closing(postgres.connect(context.warehouse, "test")) as connection:
        dimension_documents.fetch(context, connection, "nuts")
    settings = lab.settings.model_copy(update={"dagster_database_url": lab.settings.database_url})
    (settings.home / "varro.toml").write_text(f'[tables]\nfollow = ["{TABLE}"]\n', encoding="utf-8")

    def told(_url: object, name: str) -> NoReturn:
        raise SignOfLife(name)

    monkeypatch.setattr(locks, "shared_lock", told)
    repository = graph.definitions(settings).get_repository_def()
    asset_job = repository.get_implicit_global_asset_job_def()
    showed: set[str] = set()
    for assets in set(repository.assets_defs_by_key.values()):
        selection = [spec.key for spec in assets.specs if spec.partitions_def is None]
        result = asset_job.execute_in_process(
            instance=lab.instance, asset_selection=selection, run_config={"loggers": QUIET}, raise_on_error=False
        )
        assert f"SignOfLife: {run_lock(result.run_id)}" in Lab.why(result), (selection, Lab.why(result))
        showed |= Lab.steps(result).keys()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    for job in jobs:
        result = job.execute_in_process(instance=lab.instance, run_config={"loggers": QUIET}, raise_on_error=False)
        assert f"SignOfLife: {run_lock(result.run_id)}" in Lab.why(result), (job.name, Lab.why(result))
        showed |= Lab.steps(result).keys()
    assert [job.name for job in jobs] == [retention.JOB]
    assert showed == {node.name for job in repository.get_all_jobs() for node in job.graph.nodes}


def test_shared_documents_whose_run_died_are_asked_for_again(
    held: Daemon, time_goes: Callable[[timedelta], None]
) -> None:
    held.lab.query("UPDATE meta.table_sync SET synced_at = synced_at + interval '1 s' RETURNING 1")
    (request,) = held.tick()
    assert request.asset_selection == [keys.SUBJECTS]
    run = held.begin(request)
    assert held.tick() == [], "it is under way"
    with alive(held.lab.sources.warehouse, run.run_id):
        for _ in range(4):
            time_goes(STEP)
            assert held.tick() == []
        assert held.status(run) is DagsterRunStatus.STARTED
    for _ in range(4):
        time_goes(STEP)
        assert held.tick() == []
    assert held.status(run) is DagsterRunStatus.FAILURE
    time_goes(timedelta(minutes=6))
    (again,) = held.tick()
    assert again.asset_selection == [keys.SUBJECTS]
    assert again.tags[keys.ATTEMPT_TAG] == "2"


def test_a_table_whose_run_in_the_ui_died_is_asked_for_all_the_same(
    daemon: Daemon, time_goes: Callable[[timedelta], None]
) -> None:
    daemon.poll()
    run = started(daemon.lab.instance, keys.summary(TABLE))
    with locks.table_lock(daemon.lab.sources.warehouse, TABLE), alive(daemon.lab.sources.warehouse, run.run_id):
        for _ in range(4):
            time_goes(STEP)
            assert daemon.tick() == []
    assert daemon.status(run) is DagsterRunStatus.STARTED
    (request,) = daemon.tick()
    assert request.tags[keys.TABLE_TAG] == TABLE
    for _ in range(4):
        time_goes(STEP)
        daemon.tick()
    assert daemon.status(run) is DagsterRunStatus.FAILURE
    (_same,) = [one for one in daemon.evaluate().run_requests if one.tags[keys.TABLE_TAG] == TABLE]


def test_a_dead_run_that_nobody_asks_for_again_is_begun_again_by_dagster(
    make_lab: Callable[[DagsterInstance], Lab],
) -> None:
    """Retention, say. With what dagster.yaml says of retries; that Dagster then does so is shown end to end."""
    retries = {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False}
    with DagsterInstance.ephemeral(settings={"run_retries": retries}) as instance:
        run = started(instance)
        look(make_lab(instance), 4)
        ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is DagsterRunStatus.FAILURE
    assert ended.tags[WILL_RETRY_TAG] == "true"


@pytest.mark.slow  # a code server starts
def test_dagster_tells_of_a_run_which_module_its_code_location_loads(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VARRO_HOME", str(settings.home))
    target = ModuleTarget(DEFINITIONS, attribute=None, working_directory=str(PROJECT), location_name="any name")
    folder = tmp_path / "dagster"
    folder.mkdir()
    with (
        DagsterInstance.local_temp(str(folder)) as instance,
        create_test_daemon_workspace_context(target, instance) as process,
    ):
        (repository,) = process.create_request_context().get_code_location("any name").get_repositories().values()
        jobs = repository.get_all_jobs()
        assert {ASSET_JOB, retention.JOB} <= {job.name for job in jobs}
        for job in jobs:
            assert dead_runs.is_ours(DagsterRun(job_name=job.name, job_code_origin=job.get_python_origin()))
