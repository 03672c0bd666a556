"""`varro verify --periods`: which periods are meant."""

from __future__ import annotations

import pytest

from varro_assets.cli.verifying import _wanted
from varro_assets.errors import InvalidPeriod

EVERY = ["2019K4", "2020K1", "2020K2", "2021K1", "2022K1"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2020K2", ["2020K2"]),
        ("2020K1..2021K1", ["2020K1", "2020K2", "2021K1"]),
        ("2021K1..", ["2021K1", "2022K1"]),
        ("..2020K1", ["2019K4", "2020K1"]),
        ("2030K1..", []),
    ],
)
def test_which_periods_are_meant(text: str, meant: list[str]) -> None:
    wanted = _wanted(text)

    assert wanted is not None
    assert list(wanted(EVERY)) == meant


def test_without_a_wish_all_are_meant() -> None:
    assert _wanted(None) is None


@pytest.mark.parametrize("text", ["..", "", "2020K9", "spring.."])
def test_what_names_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidPeriod):
        _wanted(text)
