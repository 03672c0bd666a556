"""Fixtures of the simulator's own tests: a running one, and a small client without any of the platform's code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from varro_assets.simulator import Simulator, Universe

Post = Callable[..., requests.Response]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Universe.demo()) as running:
        yield running


@pytest.fixture(scope="session")
def steady() -> Iterator[Simulator]:
    """One simulator for all tests that only read."""
    with Simulator(Universe.demo()) as running:
        yield running


def _ask(running: Simulator, table: str, form: str = "BULK", **fields: Any) -> requests.Response:
    values = fields.pop("values", None)
    if values is None:
        values = {held.id: ["*"] for held in running.universe.table(table).dimensions} | {"Tid": ["*"]}
    variables = [held if isinstance(held, dict) else {"code": code, "values": held} for code, held in values.items()]
    body = {"table": table, "format": form, "valuePresentation": "Code", "variables": variables} | fields
    return requests.post(f"{running.url}/data", json=body, timeout=120)


@pytest.fixture(scope="session")
def ask(steady: Simulator) -> Post:
    """POST /data to the steady simulator; ``values`` maps variables to lists, all of everything when left out."""
    return lambda table, form="BULK", **fields: _ask(steady, table, form, **fields)


@pytest.fixture
def ask_anew(simulator: Simulator) -> Post:
    """The same, to a simulator of the test's own."""
    return lambda table, form="BULK", **fields: _ask(simulator, table, form, **fields)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded answers; tests that need it skip where it is absent."""
    beside = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    folder = Path(os.environ.get("VARRO_SHARED_DATA", beside)) / "statbank"
    if not folder.is_dir():
        pytest.skip("no recorded material here (VARRO_SHARED_DATA)")
    return folder
