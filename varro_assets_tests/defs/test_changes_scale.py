"""A tick at full size: 2,240 followed tables of which 300 changed, all storage in Postgres."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from psycopg2.extras import execute_values

from varro_assets.defs.storage_pool import pooled
from varro_assets.defs.unattended import changes
from varro_assets.defs.unattended.changes import Tick
from varro_assets.defs.unattended.changes_cursor import ChangesCursor
from varro_assets.engine import postgres
from varro_assets.settings import Settings
from varro_assets.statbank import facts, manifest
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.models import CatalogueEntry, TableInfo
from varro_assets.statbank.sources import Sources
from varro_assets_tests.table_bodies import body, entry

pytestmark = pytest.mark.slow  # it fills a database with 130,000 periods
TABLES, CHANGED, MOST = 2240, 300, 300
BEFORE, NOW = "2025-08-12T08:00:00", "2025-09-05T08:00:00"
QUARTERS = [f"{year}K{quarter}" for year in range(2008, 2023) for quarter in (1, 2, 3, 4)]
AREAS = tuple(f"{number:03}" for number in range(105))
YARD = 0.06
"""Seconds of processor time that `_yard` takes on the machine for which the two seconds are meant."""


@pytest.fixture
def instance(tmp_path: Path, warehouse_url: str) -> Iterator[DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    storage = {"storage": {"postgres": {"postgres_url": warehouse_url}}, "telemetry": {"enabled": False}}
    with DagsterInstance.local_temp(str(tmp_path / "dagster"), overrides=storage) as opened:
        yield opened


def test_a_decision_takes_two_seconds_at_most(
    settings: Settings,
    sources: Sources,
    instance: DagsterInstance,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # by the clock on the wall: on a busy machine the tick would leave tables to the next one, and seem the quicker
    monkeypatch.setattr(changes, "BUDGET_SECONDS", 240.0)
    names = [f"TAB{number:04}" for number in range(TABLES)]
    changed = names[:CHANGED]
    settings = settings.model_copy(update={"varro_max_tables": MOST})
    _publish(sources, names, changed)
    _hold(sources, names)
    for table in changed:
        instance.add_dynamic_partitions(table, QUARTERS)
    (fastest, requested), *_ = sorted(
        (_tick(settings, sources, instance, names) for _ in range(3)), key=lambda one: one[0]
    )
    with capsys.disabled():
        print(f"\n{TABLES} tables, {CHANGED} changed: {requested} runs requested in {fastest:.2f} s")
    assert requested >= CHANGED
    assert fastest <= 2.0


def _tick(settings: Settings, sources: Sources, instance: DagsterInstance, names: list[str]) -> tuple[float, int]:
    with contextlib.closing(postgres.connect(sources.warehouse, changes.NAME)) as connection:
        # the processor's time: the clock's is also that of whatever else runs on this machine; and by a yard measured
        # at the same moment, since a slow processor, or one shared with others, says nothing of the sensor
        slower = max(1.0, _yard() / YARD)
        began = time.process_time()
        with pooled(instance):
            result = Tick(settings, instance, connection, sources, set(names), lambda _text: None).run(ChangesCursor())
        return (time.process_time() - began) / slower, len(result.run_requests or ())


def _yard() -> float:
    """Seconds of processor time of some work that is always the same."""
    began = time.process_time()
    rows = [{"id": f"TAB{number:04}", "text": "A title", "periods": list(range(20))} for number in range(4000)]
    for _ in range(4):
        rows = sorted(json.loads(json.dumps(rows)), key=lambda row: str(row["id"]), reverse=True)
    return time.process_time() - began


def _publish(sources: Sources, names: list[str], changed: list[str]) -> None:
    known = sources.catalogue.read()
    assert known is not None
    entries = {
        table: CatalogueEntry.model_validate(
            entry(table) | {"updated": NOW if table in changed else BEFORE, "latestPeriod": QUARTERS[-1]}
        )
        for table in names
    }
    sources.catalogue.write(Catalogue(known.source, known.fetched_at, entries, known.subjects, known.fetched_at))
    for table in changed:
        sources.catalogue.write_tableinfo(table, _body(table, NOW))
        folder = sources.tables_dir / table
        folder.mkdir(parents=True)
        old = _body(table, BEFORE)
        shape = facts.shape_hash(TableInfo.model_validate(old), {})
        manifest.write(folder, known.source, shape, old)


def _body(table: str, updated: str) -> dict[str, object]:
    return dict(body(table, {"OMRÅDE": AREAS, "KØN": ("1", "2")}, tuple(QUARTERS)) | {"updated": updated})


def _hold(sources: Sources, names: list[str]) -> None:
    shape = facts.shape_hash(TableInfo.model_validate(_body(names[0], BEFORE)), {})
    with (
        contextlib.closing(postgres.connect(sources.warehouse, "fill")) as connection,
        postgres.transaction(connection, "fill") as cursor,
    ):
        for table in names:
            cursor.execute(f"CREATE TABLE fact.{table.lower()} ()")
        rows = [
            (table, code, 500_000, f"{number:064}", shape, BEFORE)
            for number, table in enumerate(names)
            for code in QUARTERS
        ]
        execute_values(
            cursor,
            "INSERT INTO meta.period_load (table_id, tid_code, rows, content_hash, shape_hash, updated, fact_oid,"
            " tid_value) VALUES %s",
            rows,
            template="(%s, %s, %s, %s, %s, %s, 1, '-')",
            page_size=5000,
        )
        execute_values(
            cursor,
            "INSERT INTO meta.table_sync (table_id, updated, shape_hash, fact_oid, periods, rows, new_periods,"
            " revised_periods, unchanged_periods, kept_periods) VALUES %s",
            [(table, BEFORE, shape, f"fact.{table.lower()}") for table in names],
            template="(%s, %s, %s, to_regclass(%s), 60, 1, 0, 0, 60, 0)",
            page_size=1000,
        )
