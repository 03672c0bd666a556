"""Reports: what Dagster is told of that was written outside a run, while others write and move it."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import AssetKey

from varro_assets.context.places import SUBJECTS
from varro_assets.context.sources import open_context
from varro_assets.defs import keys, reports
from varro_assets.engine.files import below
from varro_assets_tests.defs.daemon import Daemon

pytestmark = pytest.mark.slow  # a home with documents


def test_pages_that_move_meanwhile_are_reported_all_the_same(held: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table's own run moves its page when the table moves to another subject."""
    lab = held.lab
    sources = open_context(lab.settings, lab.sources.warehouse)
    pages, real = below(sources.folder / SUBJECTS, ".md"), reports._inputs
    assert pages
    assert keys.SUBJECTS in reports.report_shared(lab.instance, sources)

    def inputs(made_of: AssetKey | None, known: Any) -> dict[str, str]:
        for page in pages:
            if page.exists():
                page.rename(page.with_suffix(".moved"))
        return real(made_of, known)

    monkeypatch.setattr(reports, "_inputs", inputs)
    assert reports.report_shared(lab.instance, sources) == []
    assert not pages[0].exists()
