"""Plans as laws, whatever is published, held and asked for."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.engine import periods
from varro_assets.engine.planning import OVERDUE, ROTATION, History, Read, Reason, Refresh, Scope, plan, segments
from varro_assets_tests.properties.test_periods import codes

_months = st.tuples(st.integers(2015, 2024), st.integers(1, 12)).map(lambda it: f"{it[0]}M{it[1]:02}")
_sets = st.one_of(st.sets(_months, max_size=40), st.sets(codes, max_size=12))
_scopes = st.builds(
    Scope,
    full=st.booleans(),
    since=st.none() | _months,
    only=st.none() | st.lists(_months, max_size=5).map(tuple),
    trailing=st.none() | st.integers(0, 50),
    refresh=st.sampled_from(Refresh),
)
_START = datetime(2024, 1, 1, tzinfo=UTC)
# a clock may be wrong by years in either direction
_moments = st.integers(-2000, 2000).map(lambda days: _START + timedelta(days=days))
_reads = st.builds(Read, st.sampled_from(["now", "before", "long ago"]), _moments, st.none() | _moments)


@st.composite
def _histories(draw: st.DrawFn, held: set[str]) -> History:
    known = draw(st.sets(st.sampled_from(sorted(held)))) if held else set()
    doubted = draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    return History("now", {code: draw(_reads) for code in known}, draw(_moments), draw(st.booleans()), doubted)


@given(_sets, _sets, _scopes, st.booleans(), st.none() | _sets, st.data())
@settings(deadline=None)
def test_any_plan(
    published: set[str], held: set[str], scope: Scope, reshaped: bool, trusted: set[str] | None, data: st.DataObject
) -> None:
    history = data.draw(_histories(held))
    made = plan(published, held, scope, history, reshaped=reshaped, trusted=trusted)
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
    if set(made.fetch.values()) <= {Reason.NEW, Reason.TRAILING, Reason.ROTATION, Reason.WHOLE}:
        assert not any(history.is_read(code) for code in fetch & held)


@given(_sets, _sets, _scopes, st.none() | _sets, st.data())
@settings(deadline=None)
def test_the_parts_of_a_plan_add_up_to_it_and_then_nothing_is_due(
    published: set[str], held: set[str], scope: Scope, trusted: set[str] | None, data: st.DataObject
) -> None:
    """Runs that share the work, one after another, whatever part each takes and in whatever order."""
    scope = replace(scope, full=False, since=None, only=None)
    history = data.draw(_histories(held))
    never = Read("long ago", datetime.min.replace(tzinfo=UTC))
    history = replace(history, reads=dict.fromkeys(held, never) | dict(history.reads))
    whole = plan(published, held, scope, history, trusted=trusted)
    done: set[str] = set()
    groups = {code: data.draw(st.integers(0, 3)) for code in whole.fetch}
    for group in [*range(3), None]:
        within = None if group is None else tuple(code for code in groups if groups[code] == group)
        part = plan(published, held, replace(scope, within=within), history, trusted=trusted)
        wanted = {code for code in whole.fetch if code not in done and (within is None or code in within)}
        assert dict(part.fetch) == {code: reason for code, reason in whole.fetch.items() if code in wanted}
        reads = dict(history.reads) | {code: history.again(code, history.now) for code in part.fetch}
        history = replace(history, reads=reads, doubted=set(history.doubted).difference(part.fetch))
        held, done = held | set(part.fetch), done | set(part.fetch)
        trusted = None if trusted is None else trusted | set(part.fetch)
    assert done == set(whole.fetch)
    assert not plan(published, held, scope, history, trusted=trusted).fetch


@given(
    st.integers(1, 150),
    st.none() | st.integers(0, 30),
    st.lists(st.integers(0, 2), min_size=ROTATION, max_size=3 * ROTATION),
    st.data(),
)
@settings(deadline=None, max_examples=40)
def test_every_held_period_is_asked_for_within_twelve_publications(
    count: int, trailing: int | None, extended: list[int], data: st.DataObject
) -> None:
    """Whatever was read before, asked for in between and not believed, and however the table grows; never too late."""
    months = [f"{1990 + month // 12}M{month % 12 + 1:02}" for month in range(count + sum(extended))]
    scope, held, now = Scope(trailing=trailing, refresh=Refresh.TRAILING), set(months[:count]), _START
    reads = {code: Read("0", _START - timedelta(days=data.draw(st.integers(1, 399)))) for code in held}
    last_read, doubted = dict.fromkeys(held, 0), set[str]()
    for publication, more in enumerate(extended, start=1):
        now += timedelta(days=7)
        count += more
        asked = data.draw(st.lists(st.sampled_from(sorted(held)), max_size=3))
        history = History(str(publication), dict(reads), now, doubted=frozenset(doubted))
        fetch = plan(months[:count], held, scope, history).fetch
        assert doubted <= set(fetch)
        # a period may come back ever smaller, the same one each time or another
        refused = data.draw(st.sets(st.sampled_from(sorted(held))))
        doubted = (doubted - {*fetch, *asked}) | refused.intersection([*fetch, *asked])
        for code in [*fetch, *asked]:
            reads[code] = history.again(code, now)
            last_read[code] = publication
        held.update(fetch)
        assert held == set(months[:count])
        assert all(publication - last <= ROTATION for last in last_read.values())
        assert all(now - read.read_at <= OVERDUE for read in reads.values())


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
