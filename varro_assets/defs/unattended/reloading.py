"""Reloading: asking Dagster's web server whether the graph is loaded, and to load it anew.

What belongs here: the requests, and when one may be repeated. The web server passes a reload on to the code server,
from which the daemon takes its graph as well. Imported by `varro up` too, so nothing of Dagster itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests

from varro_assets.errors import WebServerUnavailable

AGAIN_AFTER = timedelta(minutes=5)
"""A graph of 2,240 tables takes half a minute to load; the same tables are not asked for more often than this."""
OTHERS_AFTER = timedelta(minutes=1)
TIMEOUT = (2.0, 10.0)
_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
  name locationOrLoadError { ... on PythonError { className message } } } } } }"""
_RELOAD = "mutation ($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"


def is_time(tables: Sequence[str], asked_for: Sequence[str], asked_at: datetime | None, now: datetime) -> bool:
    """Whether to ask now that these tables are not in the graph.

    Args:
        tables: that are not in it.
        asked_for: those for which it was asked last.
        asked_at: when that was.
        now: the present.
    """
    if not tables:
        return False
    # a clock that was set back must not keep anybody waiting
    if asked_at is None or asked_at > now:
        return True
    return now - asked_at >= (OTHERS_AFTER if set(tables) - set(asked_for) else AGAIN_AFTER)


@dataclass(frozen=True)
class Unloaded:
    """Why a code location is not loaded.

    Attributes:
        kind: name of the error's class.
        message: as Dagster tells it.
    """

    kind: str
    message: str

    @property
    def unreachable(self) -> bool:
        """Whether no process answers for it, rather than one that cannot make sense of what it loads."""
        return self.kind == "DagsterUserCodeUnreachableError"


def unloaded(url: str) -> list[Unloaded]:
    """What is wrong with the code locations; empty if all are loaded.

    Raises:
        WebServerUnavailable: no web server of Dagster's answers there.
    """
    errors = [entry.get("locationOrLoadError") or {} for entry in _entries(url)]
    return [Unloaded(str(e.get("className")), str(e.get("message", "")).strip()) for e in errors if "message" in e]


def reload(url: str) -> list[str]:
    """Ask for every code location to be loaded anew; returns their names. It goes on after we stop listening.

    Raises:
        WebServerUnavailable: no web server of Dagster's answers there.
    """
    names = [str(entry["name"]) for entry in _entries(url)]
    for name in names:
        try:
            _ask(url, _RELOAD, name=name)
        except requests.ReadTimeout:
            # it is being loaded, which may take longer than a tick should
            continue
    return names


def _entries(url: str) -> list[dict[str, Any]]:
    try:
        found = _ask(url, _LOCATIONS).get("workspaceOrError", {}).get("locationEntries", [])
    except requests.ReadTimeout as error:
        raise _unavailable(url, error) from None
    return list(found)


def _ask(url: str, query: str, **variables: str) -> dict[str, Any]:
    try:
        reply = requests.post(f"{url}/graphql", json={"query": query, "variables": variables}, timeout=TIMEOUT)
        reply.raise_for_status()
        data = reply.json()["data"]
    except requests.ReadTimeout:
        raise
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        raise _unavailable(url, error) from None
    return data if isinstance(data, dict) else {}


def _unavailable(url: str, error: Exception) -> WebServerUnavailable:
    return WebServerUnavailable(
        "ask Dagster's web server to load the graph anew",
        on=url,
        got=type(error).__name__,
        todo="Set VARRO_UI_URL to its address, or reload the code location in its UI.",
    )
