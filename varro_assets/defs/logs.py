"""Logs: how a run writes to the console of its process.

What belongs here: the loggers that ``VARRO_LOG`` asks for, and the run config without which Dagster does not take them
and writes every event of every run, some sixty lines of DEBUG, beside what a person would read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import LoggerDefinition, RunRequest, json_console_logger

from varro_assets.settings import Settings

_CONSOLE = "console"


def loggers(settings: Settings) -> dict[str, LoggerDefinition]:
    """For the definitions: JSON, an object a line, if that is asked for; else Dagster's own."""
    return {_CONSOLE: json_console_logger} if settings.varro_log == "json" else {}


def logged(request: RunRequest) -> RunRequest:
    """The request, its run to log what people read."""
    return request.with_replaced_attrs(run_config={**request.run_config, **run_config()})


def run_config() -> Mapping[str, Any]:
    """For run requests, to be merged: a logger that a run's config does not name is left aside by Dagster."""
    return {"loggers": {_CONSOLE: {"config": {"log_level": "INFO"}}}}
