"""Logs: an object a line where that is asked for, and Dagster's own otherwise."""

# no `from __future__ import annotations` here: Dagster reads the annotations of op bodies at definition time

import json

import pytest
from dagster import AssetExecutionContext, DagsterInstance, Definitions, asset

from varro_assets.defs import graph, logs
from varro_assets.settings import Settings


@asset
def greeting(context: AssetExecutionContext) -> None:
    context.log.debug("The sun is up.")
    context.log.info("Good morning.")


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_run_logs_as_the_settings_say(
    settings: Settings, instance: DagsterInstance, capsys: pytest.CaptureFixture[str], format_: str
) -> None:
    chosen = settings.model_copy(update={"varro_log": format_})
    definitions = Definitions(assets=[greeting], loggers=logs.loggers(chosen))

    definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, run_config=logs.run_config()
    )

    written = capsys.readouterr().err
    [line] = [line for line in written.splitlines() if "Good morning." in line]
    assert "DEBUG" not in written
    assert "The sun is up." not in written
    if format_ == "json":
        assert json.loads(line)["dagster_meta"]["orig_message"] == "Good morning."
    else:
        assert not line.startswith("{")


def test_the_graph_has_the_loggers(settings: Settings) -> None:
    chosen = settings.model_copy(update={"varro_log": "json"})
    assert set(graph.definitions(chosen, only=[]).loggers or {}) == {"console"}
    assert not graph.definitions(settings, only=[]).loggers
