"""The decision of the sweep, whatever the tables are like: nothing due is lost, nothing is asked for twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.errors import DamagedPartition
from varro_assets.statbank.sweeps import sweep
from varro_assets.statbank.sweeps.due import State
from varro_assets.statbank.sweeps.sweep import Attempts, Candidate, Decision, Demand, How, Situation, Work

NOW = datetime(2025, 9, 7, 22, 5, tzinfo=UTC)
YEARS = [str(year) for year in range(1990, 2030)]
ended = st.one_of(st.none(), st.integers(-3000, 3000).map(lambda minutes: NOW - timedelta(minutes=minutes)))
attempts = st.builds(Attempts, st.integers(0, 9), st.integers(0, 9), ended)
candidates = st.lists(
    st.builds(
        Candidate,
        st.from_regex(r"[A-Z]{2}[0-9]{2}", fullmatch=True),
        st.sampled_from(State),
        updated=st.sampled_from(["2025-09-05T08:00:00", "2025-09-06T08:00:00"]),
        rows=st.integers(0, 5),
        described=st.booleans(),
        under_way=st.booleans(),
        in_graph=st.booleans(),
        later_held=st.booleans(),
        attempts=attempts,
    ),
    max_size=12,
    unique_by=lambda one: one.table,
)
situations = st.builds(Situation, candidates, st.integers(1, 6), st.booleans(), st.sampled_from(["", "AA00", "ZZ99"]))


@st.composite
def works(draw: st.DrawFn) -> Work:
    known = draw(st.lists(st.sampled_from(YEARS), min_size=1, unique=True))
    stored = draw(st.permutations(draw(st.lists(st.sampled_from(known), unique=True))))
    due = draw(st.one_of(st.none(), st.sets(st.sampled_from(known))))
    return Work(stored, known, None if due is None else frozenset(due), draw(st.booleans()))


def spanned(order: list[str], demand: Demand) -> list[str]:
    """The keys a run sees: a range follows the stored order."""
    return order[order.index(demand.first) : order.index(demand.last) + 1]


@given(situations, works())
@settings(deadline=None)
def test_every_table_has_its_place_and_only_one(situation: Situation, work: Work) -> None:
    decision = sweep.decide(situation, NOW, lambda _one: work)
    due = {one.table for one in situation.tables if one.state in {State.CHANGED, State.NEVER, State.REFILL}}
    due -= {one.table for one in situation.tables if one.later_held and one.in_graph}
    groups = [decision.asked, decision.under_way, [*decision.waiting], decision.later, decision.undescribed]
    placed = [table for group in groups for table in group]
    assert len(placed) == len(set(placed))
    # what is not in the graph is told apart, due or not
    assert set(placed) == due - set(decision.unloaded)
    assert decision.gone == [one.table for one in situation.tables if one.state is State.GONE]


@given(situations, works())
@settings(deadline=None)
def test_who_is_under_way_is_left_alone_and_there_are_never_too_many(situation: Situation, work: Work) -> None:
    decision = sweep.decide(situation, NOW, lambda _one: work)
    busy = {one.table for one in situation.tables if one.under_way}
    assert busy.isdisjoint(decision.asked)
    assert len(decision.asked) <= max(0, situation.max_tables - len(busy))
    keys = [demand.key for demand in decision.demands]
    assert len(keys) == len(set(keys))


@given(works(), st.sampled_from([State.CHANGED, State.NEVER, State.REFILL]))
@settings(deadline=None)
def test_the_runs_of_a_table_cover_what_is_due(work: Work, state: State) -> None:
    situation = Situation([Candidate("AB1", state, "2025-09-06T08:00:00")], 1)
    decision = sweep.decide(situation, NOW, lambda _one: work)
    fresh = decision.register.get("AB1", ())
    assert list(fresh) == sorted(set(work.known) - set(work.stored))
    order = [*work.stored, *fresh]
    seen = [key for demand in decision.demands for key in spanned(order, demand)]
    assert len(seen) == len(set(seen))
    if state is State.CHANGED and work.due:
        assert {demand.how for demand in decision.demands} == {How.SEGMENT}
        assert set(seen) >= work.due
        # at both ends of a range there is something to do
        assert all({demand.first, demand.last} <= work.due for demand in decision.demands)
        assert len(set(seen) - work.due) <= sweep.SMALL_GAP * len(work.due)
    else:
        (demand,) = decision.demands
        assert demand.how is (How.REFILL if state is State.REFILL and work.refillable else How.DUE)
        assert max(work.known) in seen
        assert len(seen) <= sweep.LONGEST_RANGE


@given(st.integers(1, 60), st.integers(0, 10_000))
@settings(deadline=None)
def test_the_wait_grows_and_is_never_longer_than_a_day(vain: int, minutes: int) -> None:
    end = NOW - timedelta(minutes=minutes)
    one, more = (Attempts(vain + extra, vain + extra, end).wait_until(NOW) for extra in (0, 1))
    assert one is None or NOW < one <= end + sweep.LONGEST_WAIT
    assert one is None or (more is not None and more >= one)
    assert minutes < 24 * 60 or one is None
    # set back, the clock says nothing of how long ago it was
    assert Attempts(vain, vain, NOW + timedelta(minutes=1 + minutes)).wait_until(NOW) is None


def test_a_publisher_that_is_away_for_a_week_is_asked_some_times_and_then_daily() -> None:
    asked, now = 0, NOW
    attempts = Attempts()
    while now < NOW + timedelta(days=7):
        if attempts.wait_until(now) is None:
            asked += 1
            attempts = Attempts(asked, asked, now)
        now += timedelta(minutes=1)
    assert asked == 9 + 6


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 4), st.sampled_from(["", "AA01", "nonsense"]))
@settings(deadline=None)
def test_every_due_table_has_its_turn_whatever_is_remembered(
    count: int, max_tables: int, in_time: int, after: str
) -> None:
    """Runs that end at once and in vain; a clock that stops every decision after some tables; a cursor of any kind."""
    tables = {f"AA{number:02}": Candidate(f"AA{number:02}", State.CHANGED, "u", number) for number in range(count)}
    asked: set[str] = set()
    keys: set[str] = set()
    now = NOW
    for _tick in range(count):
        looked = iter(range(1000))
        decision = sweep.decide(
            Situation(list(tables.values()), max_tables, after=after),
            now,
            lambda _one: Work(YEARS, YEARS, frozenset({"2001"})),
            lambda looked=looked: next(looked) + 1 >= in_time,
        )
        assert decision.asked, "somebody is due, nobody under way, and nothing is asked for"
        assert keys.isdisjoint(demand.key for demand in decision.demands)
        keys.update(demand.key for demand in decision.demands)
        for table in decision.asked:
            last = tables[table].attempts
            tables[table] = replace(tables[table], attempts=Attempts(last.last + 1, last.vain + 1, now))
        asked.update(decision.asked)
        after, now = decision.after, now + timedelta(seconds=1)
        if asked == set(tables):
            return
    raise AssertionError(f"never asked for: {set(tables) - asked}")


def test_one_table_that_cannot_be_read_keeps_no_other_waiting() -> None:
    def work(one: Candidate) -> Work:
        if one.table == "BAD1":
            raise DamagedPartition("read", on="BAD1", got="nothing")
        return Work(["2001"], ["2001"])

    tables = [Candidate("BAD1", State.CHANGED), Candidate("GOOD1", State.CHANGED)]
    decision = sweep.decide(Situation(tables, 1), NOW, work)
    assert decision.asked == ["GOOD1"]
    assert "BAD1" in decision.problems
    assert "BAD1: Could not read BAD1" in sweep.say(decision, 2, {})


@pytest.mark.parametrize(
    ("due", "expected"),
    [
        ("ab", ["ab"]),
        ("ae", ["a...e"]),  # three between them
        ("af", ["a", "f"]),
        ("hx", ["h", "x"]),  # x is late: it stands at the end
        ("ghx", ["gh", "x"]),
        ("kx", ["k...x"]),
    ],
)
def test_ranges(due: str, expected: list[str]) -> None:
    order = list("abcdefghijklx")
    found = sweep.ranges(order, frozenset(due))
    short = [first if first == last else f"{first}{last}" for first, last in found]
    assert short == [text.replace("...", "") for text in expected]


def test_new_and_small_tables_have_their_turn_in_this_order() -> None:
    tables = [
        Candidate("NEW1", State.NEVER),
        Candidate("BIG1", State.CHANGED, rows=9),
        Candidate("SMALL1", State.CHANGED, rows=1),
        Candidate("REFILL1", State.REFILL, rows=99),
    ]
    work: Callable[[Candidate], Work] = lambda _one: Work(["2001"], ["2001"])  # noqa: E731
    assert sweep.decide(Situation(tables, 9), NOW, work).asked == ["REFILL1", "SMALL1", "BIG1", "NEW1"]
    # it waits for the description that the poll under way will bring
    late = [replace(tables[1], described=False), tables[2]]
    decision = sweep.decide(Situation(late, 9, polling=True), NOW, work)
    assert (decision.asked, decision.undescribed) == (["SMALL1"], ["BIG1"])


def test_the_words() -> None:
    decision = Decision(
        under_way=["A1", "B1", "C1"],
        waiting={"FOLK1A": NOW.replace(hour=23, minute=5), "D1": NOW.replace(hour=23, minute=10)},
        gone=["X1"],
    )
    assert sweep.say(decision, 9, {"FOLK1A": "the publisher answered 503"}) == (
        "5 tables are due: 3 under way, 2 wait after a failure; the next is tried again at 23:05 UTC (FOLK1A: the"
        " publisher answered 503). Followed and not in the catalogue: X1."
    )
    assert sweep.say(Decision(), 3, {}) == "Nothing is due: 3 of 3 followed tables are up to date."


def test_the_words_where_one_table_waits_and_where_what_tables_share_is_requested() -> None:
    waiting = Decision(waiting={"D1": NOW.replace(hour=23, minute=10)})
    one = "1 table is due: 1 waits after a failure and is tried again at 23:10 UTC (D1)."
    assert sweep.say(waiting, 9, {}) == one
    shared = "Subject pages and other shared documents are brought up to date (1 run)."
    assert sweep.say(waiting, 9, {}, documents=True) == f"{one} {shared}"
    # the run requested beside it must not follow upon "nothing is due"
    assert sweep.say(Decision(gone=["X1"]), 9, {}, documents=True) == (
        f"No table is due. {shared} Followed and not in the catalogue: X1."
    )


def test_a_run_names_the_stretch_it_reads_and_no_other() -> None:
    """The range of a run for the whole table only places it: it is the newest twelve keys at most."""
    keys = [str(year) for year in range(2001, 2021)]
    cut = Work(keys, keys, frozenset({"2003", "2004", "2020"}))
    whole = [
        (Candidate("A1", State.NEVER), Work(keys, keys)),
        (Candidate("A1", State.NEVER), Work([], [])),
        (Candidate("A1", State.CHANGED), Work(keys, keys)),
        (Candidate("A1", State.REFILL), cut),
    ]

    def segments(candidate: Candidate, work: Work) -> list[str]:
        demands = sweep.decide(Situation([candidate], 1), NOW, lambda _one: work).demands
        return [demand.segment for demand in demands]

    assert [segments(*case) for case in whole] == [["whole table"]] * 4
    assert segments(Candidate("A1", State.CHANGED), cut) == ["2003...2004", "2020...2020"]
