"""Fixtures shared by all tests: a simulated StatBank, a real Postgres, a home, the recorded material if it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck
from pydantic import SecretStr

from varro_assets.engine import clock
from varro_assets.engine.partitions import PartitionInfo
from varro_assets.engine.planning import Plan
from varro_assets.settings import Settings
from varro_assets.simulator import Simulator, Universe
from varro_assets.statbank import catalog
from varro_assets.statbank.models import TableInfo
from varro_assets.statbank.sources import Sources, open_sources
from varro_assets.statbank.sync_report import Observer, Outcome
from varro_assets.warehouse import prepare

pytest_plugins = ["varro_assets_tests.postgres_fixture", "varro_assets_tests.ready_homes"]

PROJECT = Path(__file__).parent.parent
# a machine that stands still for a second meanwhile proves nothing against a test
hypothesis.settings.register_profile("varro", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("varro")
_OURS = ("VARRO_HOME", "DATA_DIR", "CONTEXT_DIR", "DAGSTER_HOME", "DATABASE_URL", "DAGSTER_DATABASE_URL", "VARRO_OWNER",
         "DST_SITE_URL", "GEO_URL", "VARRO_POLL", "VARRO_POLL_TIMEZONE", "VARRO_MAX_TABLES", "VARRO_KEEP_RUNS_DAYS",
         "VARRO_WEBHOOK_URL", "VARRO_UI_URL", "VARRO_LOG")  # fmt: skip


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*_OURS, *(name for name in os.environ if name.startswith("DST_API_"))]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second whenever it is looked at."""
    start, seen = datetime(2026, 1, 1, tzinfo=UTC), [0]

    def now() -> datetime:
        seen[0] += 1
        return start + timedelta(seconds=seen[0])

    monkeypatch.setattr(clock, "now", now)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Folder of material recorded from the real API; the test skips where it is absent."""
    folder = Path(os.environ.get("VARRO_SHARED_DATA", PROJECT.parent / "shared" / "data")) / "statbank"
    if not folder.is_dir():
        pytest.skip("no recorded material beside the project")
    return folder


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A StatBank of this test's own."""
    with Simulator(Universe.demo()) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, simulator: Simulator, warehouse_url: str) -> Settings:
    """A home of this test's own: simulated publisher, fresh database, no pacing."""
    (tmp_path / "varro.toml").write_text('[tables]\nfollow = ["*"]\n', encoding="utf-8")
    return Settings.load(tmp_path).model_copy(
        update={
            "dst_api_url": simulator.url,
            "dst_site_url": f"{simulator.root}/site",
            "geo_url": f"{simulator.root}/geo",
            "dst_api_sleep_seconds": 0.0,
            # a publisher that is merely slow is not asked again: tests count requests
            "dst_api_timeout_seconds": 120.0,
            "database_url": SecretStr(warehouse_url),
        }
    )


@pytest.fixture
def sources(settings: Settings, warehouse_url: str) -> Sources:
    """Publisher, folders and a migrated warehouse; the catalogue is polled."""
    url = SecretStr(warehouse_url)
    prepare(url)
    opened = open_sources(settings, url)
    catalog.poll(opened.client, opened.catalogue)
    return opened


@dataclass
class Recorder(Observer):
    """An observer that remembers."""

    plans: list[Plan] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    row_count: int = 0

    def planned(self, plan: Plan, info: TableInfo) -> None:
        self.plans.append(plan)

    def rows(self, count: int) -> None:
        self.row_count += count

    def settled(self, period: str, outcome: Outcome, part: PartitionInfo) -> None:
        self.outcomes[period] = outcome

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture
def observer() -> Recorder:
    return Recorder()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to account for; it is told as a property, so that it also comes from other processes."""
    for report in [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]:
        for name, text in getattr(report, "user_properties", ()):
            if name.startswith("account of") and report.when == "call":
                terminalreporter.section(f"{name}: {report.nodeid}")
                terminalreporter.line(str(text))
