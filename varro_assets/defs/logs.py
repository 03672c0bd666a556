"""Logs: how a run writes to the console of its process.

What belongs here: the loggers that ``VARRO_LOG`` asks for, and the run config without which Dagster does not take them.
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


def logged(request: RunRequest, settings: Settings) -> RunRequest:
    """The request, its run to log as the settings ask."""
    more = run_config(settings)
    return request.with_replaced_attrs(run_config={**request.run_config, **more}) if more else request


def run_config(settings: Settings) -> Mapping[str, Any]:
    """For run requests, to be merged: a logger that a run's config does not name is left aside by Dagster."""
    return {"loggers": {_CONSOLE: {"config": {"log_level": "INFO"}}}} if settings.varro_log == "json" else {}
