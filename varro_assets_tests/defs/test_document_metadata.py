"""What Dagster shows of a document, when the file is no longer there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dagster import DagsterInstance

from varro_assets.context.table_documents import TableReport
from varro_assets.defs import documents, keys


def test_a_document_that_another_run_has_moved_is_reported_all_the_same(
    tmp_path: Path, instance: DagsterInstance
) -> None:
    card: Any = SimpleNamespace(columns=())

    documents.report_written(instance, TableReport("KORN2", card, (), tmp_path / "moved.md"))

    (record,) = instance.fetch_materializations(keys.document("KORN2"), limit=2).records
    event = record.event_log_entry.asset_materialization
    assert event is not None
    assert "moved" in str(event.metadata["document"].value)
