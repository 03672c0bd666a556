"""`dagster_home/dagster.yaml`: Dagster takes it as it is written, and does by it what unattended work needs."""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, OpExecutionContext, job, op
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test

from varro_assets.cli.session import DAGSTER_STORAGE_VARIABLE
from varro_assets.defs import keys
from varro_assets.defs.failures import named_failures
from varro_assets.errors import DatabaseRefused, SourceUnavailable

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def unattended(warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """An instance as the file sets it up."""
    monkeypatch.setenv(DAGSTER_STORAGE_VARIABLE, warehouse_url)
    shutil.copyfile(PROJECT / "dagster_home" / "dagster.yaml", tmp_path / "dagster.yaml")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_it_is_taken_as_written(unattended: DagsterInstance) -> None:
    queue = unattended.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.tag_concurrency_limits == [
        {"key": keys.TABLE_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
        {"key": keys.POLL_TAG, "limit": 1},
    ]
    assert queue.max_user_code_failure_retries * queue.user_code_failure_retry_delay >= 600
    assert unattended.run_monitoring_enabled
    assert unattended.run_monitoring_max_resume_run_attempts == 0
    assert unattended.run_monitoring_start_timeout_seconds == 600
    assert unattended.freshness_enabled
    assert not unattended.telemetry_enabled
    skipped = {
        kind: {status.value: days for status, days in unattended.get_tick_retention_settings(kind).items()}["SKIPPED"]
        for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE)
    }
    assert skipped == {InstigatorType.SENSOR: 1, InstigatorType.SCHEDULE: 7}
    assert unattended.get_sensor_settings()["use_threads"]


@pytest.mark.slow
def test_what_died_is_retried_and_a_step_that_failed_is_not(unattended: DagsterInstance) -> None:
    errors = [DatabaseRefused("load", on="T1"), SourceUnavailable("fetch", on="T1"), OSError("a bug")]

    @op(config_schema=int)
    def failing(context: OpExecutionContext) -> None:
        with named_failures():
            raise errors[context.op_config]

    @job
    def syncing() -> None:
        failing()

    for place, error in enumerate(errors):
        quiet = {"console": {"config": {"log_level": "CRITICAL"}}}
        result = syncing.execute_in_process(
            instance=unattended,
            raise_on_error=False,
            run_config={"loggers": quiet, "ops": {"failing": {"config": place}}},
        )
        assert tags(unattended, result.run_id)[WILL_RETRY_TAG] == "false", error
    for reason in (None, RunFailureReason.START_TIMEOUT, RunFailureReason.RUN_EXCEPTION):
        run = create_run_for_test(unattended, status=DagsterRunStatus.STARTED)
        unattended.report_run_failed(run, "gone", JobFailureData(None, failure_reason=reason))
        assert tags(unattended, run.run_id)[WILL_RETRY_TAG] == "true", reason


def tags(instance: DagsterInstance, run_id: str) -> Mapping[str, str]:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.tags
