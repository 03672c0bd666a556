"""What Dagster shows of a revision: how much of the period changed, and of the table in all."""

from __future__ import annotations

import math

from varro_assets.defs.events import difference_metadata
from varro_assets.engine.revisions.differences import Difference
from varro_assets_tests.defs.conftest import DUE, Lab


def test_an_event_says_how_much_was_revised(lab: Lab) -> None:
    lab.synced()
    universe = lab.simulator.universe
    code = lab.periods[-2]
    old = {row[:-1]: row[-1] for row in universe.table(lab.table).rows(code)}
    universe.revise(lab.table, tid=code, cells=1)
    new = {row[:-1]: row[-1] for row in universe.table(lab.table).rows(code)}
    changed = {key: abs(new[key] - old[key]) for key in new if new[key] != old[key]}
    lab.good(config=DUE)
    expected = {
        "rows_added": 0,
        "rows_removed": 0,
        "values_changed": len(changed),
        "largest_change": max(changed.values()),
    }
    for asset in (lab.published, lab.fact):
        shown = {
            record.asset_materialization.partition: record.asset_materialization.metadata
            for record in lab.records(asset)
        }
        assert {name: shown[code][name].value for name in expected} == expected
        assert not set(expected).intersection(shown[lab.periods[0]])
    summary = lab.records(lab.summary)[-1].asset_materialization.metadata
    # beside the rows of a new period, which are none of these
    assert {name: summary[f"{name}_in_revised_periods"].value for name in expected} == expected


def test_what_is_no_number_in_json_is_left_out() -> None:
    assert "largest_change" not in difference_metadata(Difference(values_changed=1))
    assert "largest_change" not in difference_metadata(Difference(values_changed=1, largest_change=math.inf))
