"""A document that was not written after a good sync is written by the run for what tables share."""

from __future__ import annotations

import pytest

from varro_assets.context import table_documents
from varro_assets.defs import keys
from varro_assets.errors import StorageFull
from varro_assets_tests.defs.daemon import Daemon

TABLE = "KORN2"


def test_a_document_that_failed_is_written_by_the_shared_run(held: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = held.lab

    def document() -> str:
        (path,) = lab.settings.context_dir.rglob("korn2.md")
        return path.read_text(encoding="utf-8")

    lab.simulator.universe.publish_period(TABLE, "2025H1")
    assert held.poll().success
    (request,) = held.tick()
    with monkeypatch.context() as broken:

        def full(*_: object) -> None:
            raise StorageFull("write", on="korn2.md", got="no space left", todo="Free some.")

        broken.setattr(table_documents, "write", full)
        assert not held.execute(request).success
    assert "2025H1" not in document()
    # the table itself is current, so nothing asks for it again
    (shared,) = held.tick()
    assert shared.asset_selection == [keys.SUBJECTS]
    assert held.execute(shared).success
    assert "2025H1" in document()
    # and Dagster shows it as written
    assert lab.records(keys.document(TABLE))
    assert held.tick() == []
