"""Plans: which periods are read, and why; which stretches of partitions they make."""

from __future__ import annotations

import pytest

from varro_assets.engine.periods import Frequency
from varro_assets.engine.planning import TRAILING_WINDOW, Plan, Reason, Scope, plan, segments
from varro_assets.errors import InvalidPeriod

YEARS = [str(year) for year in range(2010, 2025)]


def test_new_and_trailing_periods_newest_first() -> None:
    made = plan(YEARS, YEARS[:-1])
    assert list(made.fetch.items()) == [
        ("2024", Reason.NEW),
        ("2023", Reason.TRAILING),
        ("2022", Reason.TRAILING),
        ("2021", Reason.TRAILING),
    ]
    assert made.unread == tuple(YEARS[:-4])
    assert made.vanished == ()
    assert made.count() == {Reason.NEW: 1, Reason.TRAILING: 3}


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
    assert list(plan(codes, codes).fetch) == codes[-window:][::-1]
    assert len(plan(codes, codes).unread) == len(codes) - window


def test_a_window_wider_than_the_table_is_the_table() -> None:
    assert list(plan(YEARS, YEARS, Scope(trailing=10_000)).fetch) == YEARS[::-1]
    assert plan(YEARS, YEARS, Scope(trailing=0)) == Plan({}, unread=tuple(YEARS))


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
    made = plan(months, months, Scope(since=since, trailing=0))
    assert list(made.fetch) == months[months.index(first) :][::-1]


def test_since_and_the_window_and_what_is_new_add_up() -> None:
    made = plan(YEARS, YEARS[1:-1], Scope(since="2019", trailing=2))
    reasons = {year: reason for year, reason in made.fetch.items() if int(year) >= 2023 or reason is Reason.NEW}
    assert reasons == {"2024": Reason.NEW, "2023": Reason.SINCE, "2010": Reason.NEW}
    assert set(made.fetch) == {*YEARS[9:], "2010"}


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
