"""Fixtures of the tests that bring publisher, files and warehouse together."""

from __future__ import annotations

import pytest

from varro_assets.simulator import Simulator
from varro_assets.statbank.sources import Sources
from varro_assets_tests.oracle import World


@pytest.fixture
def world(simulator: Simulator, sources: Sources) -> World:
    """Publisher, home and warehouse of this test's own; failed requests are repeated at once."""
    sources.client._session._backoff = 0.0
    return World(simulator, sources)
