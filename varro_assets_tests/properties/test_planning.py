"""Plans as laws, whatever is published, held and asked for."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.engine import periods
from varro_assets.engine.planning import Scope, plan, segments
from varro_assets_tests.properties.test_periods import codes

_months = st.tuples(st.integers(2015, 2024), st.integers(1, 12)).map(lambda it: f"{it[0]}M{it[1]:02}")
_sets = st.one_of(st.sets(_months, max_size=40), st.sets(codes, max_size=12))
_scopes = st.builds(
    Scope,
    full=st.booleans(),
    since=st.none() | _months,
    only=st.none() | st.lists(_months, max_size=5).map(tuple),
    trailing=st.none() | st.integers(0, 50),
)


@given(_sets, _sets, _scopes, st.booleans(), st.none() | _sets)
@settings(deadline=None)
def test_any_plan(published: set[str], held: set[str], scope: Scope, reshaped: bool, trusted: set[str] | None) -> None:
    made = plan(published, held, scope, reshaped=reshaped, trusted=trusted)
    fetch = set(made.fetch)
    assert fetch <= published
    assert set(made.vanished) == held - published
    assert set(made.unread) == (held & published) - fetch
    assert list(made.fetch) == periods.in_order(fetch)[::-1]
    assert list(made.unread) == periods.in_order(made.unread)
    assert list(made.vanished) == periods.in_order(made.vanished)
    assert sum(made.count().values()) == len(fetch)
    if scope.only is None or reshaped:
        assert published - held <= fetch
    else:
        assert fetch == published & set(scope.only)
    if reshaped or (scope.full and scope.only is None):
        assert fetch == published


@given(_sets, _sets)
@settings(deadline=None)
def test_after_a_plan_is_carried_out_nothing_is_new(published: set[str], held: set[str]) -> None:
    first = plan(published, held)
    again = plan(published, held | set(first.fetch), Scope(trailing=0))
    assert not again.fetch


@given(st.lists(_months, unique=True, max_size=60), st.data())
@settings(deadline=None)
def test_segments_hold_exactly_what_is_wanted(stored: list[str], data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.sampled_from(stored))) if stored else set()
    ranges = segments(stored, wanted)
    covered = [key for first, last in ranges for key in stored[stored.index(first) : stored.index(last) + 1]]
    assert sorted(covered) == sorted(wanted)
    # as few as can be: two neighbouring ranges always have something unwanted between them
    for (_, last), (first, _) in itertools.pairwise(ranges):
        assert stored.index(first) - stored.index(last) > 1
