"""Plans: which periods are read, and why; which stretches of partitions they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from varro_assets.engine.periods import Frequency
from varro_assets.engine.planning import (
    ROTATION,
    TRAILING_WINDOW,
    History,
    Plan,
    Read,
    Reason,
    Refresh,
    Scope,
    plan,
    segments,
)
from varro_assets.errors import InvalidPeriod

YEARS = [str(year) for year in range(2010, 2025)]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD, PRESENT = "2026-08-01T08:00:00", "2026-11-20T08:00:00"


def ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def past(codes: Iterable[str], days: Mapping[str, int] | None = None, *, small: bool = False) -> History:
    """All of these were read of the publication before, 100 days ago unless ``days`` says otherwise."""
    reads = {code: Read(OLD, ago((days or {}).get(code, 100))) for code in codes}
    return History(PRESENT, reads, NOW, small)


def test_new_and_trailing_periods_and_the_longest_unread_newest_first() -> None:
    made = plan(YEARS, YEARS[:-1], history=past(YEARS[:-1], {"2014": 101}))
    assert list(made.fetch.items()) == [
        ("2024", Reason.NEW),
        ("2023", Reason.TRAILING),
        ("2022", Reason.TRAILING),
        ("2021", Reason.TRAILING),
        ("2014", Reason.ROTATION),
    ]
    assert made.unread == tuple(year for year in YEARS[:-4] if year != "2014")
    assert made.vanished == ()
    assert made.count() == {Reason.NEW: 1, Reason.TRAILING: 3, Reason.ROTATION: 1}


def test_a_hole_in_the_middle_is_new() -> None:
    made = plan(YEARS, [year for year in YEARS if year != "2012"])
    assert made.fetch["2012"] is Reason.NEW


def test_what_is_no_longer_published_is_kept_and_never_asked_for() -> None:
    made = plan(YEARS[5:], YEARS)
    assert made.vanished == tuple(YEARS[:5])
    assert not set(made.fetch) & set(YEARS[:5])


@pytest.mark.parametrize(
    ("codes", "frequency"),
    [
        ([f"2024M{month:02}D{day:02}" for month in (1, 2) for day in range(1, 29)], Frequency.DAILY),
        ([f"2024U{week:02}" for week in range(1, 41)], Frequency.WEEKLY),
        ([f"{year}M{month:02}" for year in range(2015, 2025) for month in range(1, 13)], Frequency.MONTHLY),
        ([f"{year}K{quarter}" for year in range(2015, 2025) for quarter in range(1, 5)], Frequency.QUARTERLY),
        ([f"{year}H{half}" for year in range(2015, 2025) for half in (1, 2)], Frequency.HALF_YEARLY),
        (YEARS, Frequency.YEARLY),
        ([f"{year}/{year + 1}" for year in range(2000, 2024)], Frequency.OTHER),
        ([f"{year}:{year + 4}" for year in range(1900, 2000)], Frequency.OTHER),
        ([f"AUG - DEC {year}" for year in range(2000, 2024)], Frequency.OTHER),
    ],
)
def test_the_window_follows_the_frequency(codes: list[str], frequency: Frequency) -> None:
    window = TRAILING_WINDOW[frequency]
    made = plan(codes, codes, history=past(codes))
    assert [code for code, reason in made.fetch.items() if reason is Reason.TRAILING] == codes[-window:][::-1]
    share = -(-(len(codes) - window) // ROTATION)
    # none longer unread than the others: the oldest first
    assert [code for code, reason in made.fetch.items() if reason is Reason.ROTATION] == codes[:share][::-1]
    assert len(made.unread) == len(codes) - window - share


def test_a_window_wider_than_the_table_is_the_table() -> None:
    assert list(plan(YEARS, YEARS, Scope(trailing=10_000)).fetch) == YEARS[::-1]


def test_without_a_window_there_is_still_the_rotation() -> None:
    days = {year: 10 + place for place, year in enumerate(YEARS)}
    made = plan(YEARS, YEARS, Scope(trailing=0), past(YEARS, days))
    assert made == Plan(dict.fromkeys(["2024", "2023"], Reason.ROTATION), unread=tuple(YEARS[:-2]))


@pytest.mark.parametrize(("refresh", "small"), [(Refresh.FULL, False), (Refresh.FULL, True), (Refresh.AUTO, True)])
def test_the_whole_table(refresh: Refresh, small: bool) -> None:
    made = plan(YEARS, YEARS[1:], Scope(refresh=refresh, trailing=3), past(YEARS[1:], small=small))
    assert list(made.fetch) == YEARS[::-1]
    assert made.count() == {Reason.WHOLE: len(YEARS) - 1, Reason.NEW: 1}


@pytest.mark.parametrize(("refresh", "small"), [(Refresh.TRAILING, True), (Refresh.AUTO, False)])
def test_not_the_whole_table(refresh: Refresh, small: bool) -> None:
    made = plan(YEARS, YEARS, Scope(refresh=refresh), past(YEARS, small=small))
    assert made.count() == {Reason.TRAILING: 4, Reason.ROTATION: 1}


def test_what_was_read_too_long_ago_is_read_whatever_the_rotation_says() -> None:
    days = {"2010": 500, "2012": 600, "2013": 401, "2014": 400}
    made = plan(YEARS, YEARS, history=past(YEARS, days))
    assert sorted(code for code, reason in made.fetch.items() if reason is Reason.ROTATION) == ["2010", "2012", "2013"]


def test_what_was_read_of_this_publication_is_not_due_and_nothing_takes_its_place() -> None:
    days = {year: 10 + place for place, year in enumerate(reversed(YEARS))}
    before = past(YEARS, days)
    whole = plan(YEARS, YEARS, history=before)
    reads = dict(before.reads)
    for code in ("2023", "2010"):
        reads[code] = before.again(code, NOW)
    rest = plan(YEARS, YEARS, history=History(PRESENT, reads, NOW))
    assert dict(rest.fetch) == {code: why for code, why in whole.fetch.items() if code not in {"2023", "2010"}}
    for code in whole.fetch:
        reads[code] = before.again(code, NOW)
    assert plan(YEARS, YEARS, history=History(PRESENT, reads, NOW)).fetch == {}
    # asked for explicitly it is read again
    present = History(PRESENT, reads, NOW)
    assert list(plan(YEARS, YEARS, Scope(only=("2023",)), present).fetch) == ["2023"]
    assert list(plan(YEARS, YEARS, Scope(since="2023"), present).fetch) == ["2024", "2023"]
    assert list(plan(YEARS, YEARS, Scope(full=True), present).fetch) == YEARS[::-1]


def test_reading_the_same_publication_again_does_not_move_the_rotation() -> None:
    first = past(["2024"]).again("2024", NOW)
    assert first == Read(PRESENT, NOW, ago(100))
    later = NOW + timedelta(hours=1)
    assert History(PRESENT, {"2024": first}, later).again("2024", later) == Read(PRESENT, later, ago(100))
    assert past([]).again("2024", NOW) == Read(PRESENT, NOW)


def test_a_publication_that_was_taken_back_is_another_one() -> None:
    history = History(OLD, {year: Read(PRESENT, ago(1)) for year in YEARS}, NOW, small=True)
    assert list(plan(YEARS, YEARS, history=history).fetch) == YEARS[::-1]


def test_a_read_dated_by_a_clock_that_was_ahead_goes_first() -> None:
    days = {"2010": 399, "2015": -3650, "2016": -3000}
    made = plan(YEARS, YEARS, Scope(trailing=0), past(YEARS, days))
    assert list(made.fetch) == ["2016", "2015"]


def test_a_clock_years_ahead_reads_too_much_and_loses_nothing() -> None:
    history = History(PRESENT, past(YEARS).reads, NOW + timedelta(days=3650))
    assert list(plan(YEARS, YEARS, history=history).fetch) == YEARS[::-1]


def test_what_was_not_believed_stays_due_and_its_place_is_not_taken() -> None:
    days = {year: 10 + place for place, year in enumerate(reversed(YEARS))}
    before = past(YEARS, days)
    whole = plan(YEARS, YEARS, history=before)
    reads = dict(before.reads) | {code: before.again(code, NOW) for code in whole.fetch}
    rest = plan(YEARS, YEARS, history=History(PRESENT, reads, NOW, doubted={"2010"}))
    assert dict(rest.fetch) == {"2010": Reason.ROTATION}
    # of the next publication it is asked for beside the one whose turn it is
    following = plan(YEARS, YEARS, Scope(trailing=0), History("2026-12", reads, NOW, doubted={"2010"}))
    assert dict(following.fetch) == {"2010": Reason.DOUBTED, "2011": Reason.ROTATION, "2012": Reason.ROTATION}
    assert plan(YEARS, [], history=History(PRESENT, reads, NOW, doubted={"2010"}), trusted=[]).count() == {
        Reason.BOOTSTRAP: len(YEARS)
    }


def test_periods_that_are_never_believed_keep_no_other_from_being_read() -> None:
    months = [f"{year}M{month:02}" for year in range(2018, 2026) for month in range(1, 13)]
    refused, last = set(months[:8]), dict.fromkeys(months, 0)
    history = History("0", {code: Read("0", ago(1)) for code in months}, NOW)
    for publication in range(1, ROTATION + 1):
        history = History(
            str(publication), history.reads, NOW + timedelta(days=7 * publication), False, history.doubted
        )
        fetch = plan(months, months, Scope(refresh=Refresh.TRAILING), history).fetch
        assert set(history.doubted) <= set(fetch)
        reads = dict(history.reads) | {code: history.again(code, history.now) for code in fetch}
        history = History(history.present, reads, history.now, False, {*history.doubted, *refused.intersection(fetch)})
        last |= dict.fromkeys(fetch, publication)
    assert set(history.doubted) == refused
    assert [code for code in months if not last[code]] == []


def test_of_what_is_due_only_these() -> None:
    history = past(YEARS[:-1])
    assert list(plan(YEARS, YEARS[:-1], Scope(within=("2024", "2010", "2015")), history).fetch) == ["2024", "2010"]
    assert list(plan(YEARS, [], Scope(within=("2024", "1066")), trusted=[]).fetch) == ["2024"]
    assert list(plan(YEARS, YEARS, Scope(within=()), history).fetch) == []
    assert list(plan(YEARS, YEARS, Scope(within=()), history, reshaped=True).fetch) == YEARS[::-1]


def test_full() -> None:
    made = plan(YEARS, YEARS[3:], Scope(full=True))
    assert list(made.fetch) == YEARS[::-1]
    assert set(made.fetch.values()) == {Reason.FULL}


def test_a_changed_shape_needs_everything_whatever_was_asked() -> None:
    made = plan(YEARS, YEARS, Scope(only=("2024",)), reshaped=True)
    assert made.count() == {Reason.RESHAPED: len(YEARS)}


def test_only_what_is_published_of_what_was_requested() -> None:
    made = plan(YEARS, [], Scope(only=("2024", "1999", "2011")))
    assert list(made.fetch.items()) == [("2024", Reason.REQUESTED), ("2011", Reason.REQUESTED)]


def test_a_first_load_goes_on_where_it_stopped() -> None:
    made = plan(YEARS, YEARS[-3:], trusted=YEARS[-2:])
    assert list(made.fetch) == YEARS[:-2][::-1]
    assert made.unread == tuple(YEARS[-2:])
    assert set(made.fetch.values()) == {Reason.BOOTSTRAP}


def test_what_is_trusted_but_not_held_is_fetched_all_the_same() -> None:
    assert list(plan(["2023", "2024"], ["2024"], trusted=["2023", "2024"]).fetch) == ["2023"]


@pytest.mark.parametrize(
    ("since", "first"), [("2023", "2023M01"), ("2023M05", "2023M05"), ("2023K2", "2023M04"), ("2023H2", "2023M07")]
)
def test_since_counts_from_the_start_of_the_period_named(since: str, first: str) -> None:
    """`--since 2023` of a monthly table begins with January, which is over long before 2023 is."""
    months = [f"{year}M{month:02}" for year in (2022, 2023) for month in range(1, 13)]
    made = plan(months, months, Scope(since=since, trailing=0), past(months))
    asked = [code for code, reason in made.fetch.items() if reason is Reason.SINCE]
    assert asked == months[months.index(first) :][::-1]


def test_since_and_the_window_and_what_is_new_add_up() -> None:
    made = plan(YEARS, YEARS[1:-1], Scope(since="2019", trailing=2), past(YEARS[1:-1], {"2011": 101}))
    reasons = {year: reason for year, reason in made.fetch.items() if int(year) >= 2023 or reason is Reason.NEW}
    assert reasons == {"2024": Reason.NEW, "2023": Reason.SINCE, "2010": Reason.NEW}
    assert set(made.fetch) == {*YEARS[9:], "2010", "2011"}


def test_a_code_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidPeriod):
        plan([*YEARS, "2024M13"], [])
    with pytest.raises(InvalidPeriod):
        plan(YEARS, YEARS, Scope(since="last year, please"))


def test_nothing_published_nothing_held() -> None:
    assert plan([], []) == Plan({})
    assert plan([], ["2024"]) == Plan({}, vanished=("2024",))


def test_segments_follow_the_stored_order() -> None:
    # the order in which keys were added: history was extended backwards
    stored = ["2020", "2021", "2022", "2018", "2019", "2023"]
    assert segments(stored, ["2021", "2022", "2023"]) == [("2021", "2022"), ("2023", "2023")]
    assert segments(stored, stored) == [("2020", "2023")]
    assert segments(stored, []) == []
    assert segments([], []) == []


def test_a_segment_of_unknown_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="1999"):
        segments(["2020"], ["2020", "1999"])
