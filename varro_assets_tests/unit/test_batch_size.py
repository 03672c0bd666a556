"""How many periods are asked for at a time."""

from __future__ import annotations

import pytest

from varro_assets.statbank.fetching import VALUE_BYTES, BatchSize
from varro_assets_tests.table_bodies import info


def test_a_row_weighs_its_codes_separators_and_value() -> None:
    made = info(dimensions={"A": ("000", "0"), "B": ("TOT",)}, tids=("2024K1", "2024K2"))
    assert BatchSize.of(made, None).row_bytes == (2 + 1) + (3 + 1) + (6 + 1) + VALUE_BYTES


def test_as_long_as_nothing_was_seen_one_period_is_asked_for() -> None:
    size = BatchSize(10, None, target=1 << 40)
    assert size.periods() == 1
    size.halve(1)
    assert size.periods() == 1


@pytest.mark.parametrize(("rows", "periods"), [(100, 10), (101, 9), (1000, 1), (5000, 1), (1, 1000)])
def test_what_fits(rows: int, periods: int) -> None:
    assert BatchSize(10, rows, target=10_000).periods() == periods


def test_it_learns_from_the_heaviest_period() -> None:
    size = BatchSize(10, None, target=10_000)
    size.seen([50])
    assert size.periods() == 20
    size.seen([10, 200, 30])
    assert (size.rows, size.periods()) == (200, 5)


def test_an_empty_newest_period_says_nothing_of_the_others() -> None:
    size = BatchSize(10, None, target=10_000)
    asked = []
    for _ in range(5):
        asked.append(size.periods())
        size.seen([0] * asked[-1])
    assert asked == [1, 2, 4, 8, 16]
    size.seen([800])
    assert size.periods() == 1
    for expected in (400, 200, 100):
        size.seen([0])
        assert size.rows == expected
    size.seen([])
    assert size.rows == 50


def test_less_is_asked_for_after_a_failure_and_never_less_than_one() -> None:
    size = BatchSize(10, 1, target=10_000)
    asked = []
    for _ in range(12):
        asked.append(size.periods())
        size.halve(asked[-1])
    assert asked[:4] == [1000, 500, 250, 125]
    assert asked[-1] == 1
    # seeing light periods does not lift the bound
    size.seen([0, 0, 0])
    assert size.periods() == 1
