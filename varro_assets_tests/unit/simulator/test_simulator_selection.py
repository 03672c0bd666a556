"""The selection grammar against slow and obvious definitions of the same."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.simulator.selection import UnknownValue, is_everything, select

QUARTERS = [f"{year}K{quarter}" for year in range(2008, 2026) for quarter in range(1, 5)]
AREAS = ["000", "084", "101", "147", "TOT", "IALT", "80-", "0-4", "NA", "E", "F"]


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        (["2010k2"], ["2010K2"]),
        (["202*K1"], ["2020K1", "2021K1", "2022K1", "2023K1", "2024K1", "2025K1"]),
        ([">=2010K1<=2010K3"], ["2010K1", "2010K2", "2010K3"]),
        ([">2010K1<2010K3"], ["2010K2"]),
        (["<2008K3"], ["2008K1", "2008K2"]),
        ([">=2025K3"], ["2025K3", "2025K4"]),
        (["(1)"], ["2025K4"]),
        (["(2)"], ["2025K3"]),
        (["(-n+3)"], ["2025K2", "2025K3", "2025K4"]),
        (["-(2)"], ["2008K2"]),
        (["-(-n+3)"], ["2008K1", "2008K2", "2008K3"]),
        (["first(1)"], ["2025K4"]),
        (["2008K2,2008K1", "2008K2"], ["2008K1", "2008K2"]),
        (["2008K1,(1)"], ["2008K1", "2025K4"]),
    ],
)
def test_documented_forms(wanted: list[str], codes: list[str]) -> None:
    assert select(wanted, QUARTERS, time=True) == codes


@pytest.mark.parametrize("wanted", ["999", "X*", ">=TOTT", "(1)", "(-n+2)", "<>", ">"])
def test_what_matches_nothing_is_an_error_that_names_it(wanted: str) -> None:
    with pytest.raises(UnknownValue):
        select([wanted], AREAS, time=False)


@pytest.mark.parametrize("rule", ["(x)", "()", "(99999)", "(n+)"])
def test_a_rule_that_takes_no_period_is_an_error(rule: str) -> None:
    with pytest.raises(UnknownValue):
        select([rule], QUARTERS, time=True)


def test_a_code_that_looks_like_a_rule_is_a_code() -> None:
    codes = ["80-", "AUG - DEC 2019", "0-4", "(1)"]
    assert select(["80-", "aug - dec 2019", "(1)"], codes, time=True) == ["80-", "AUG - DEC 2019", "(1)"]


def test_only_a_bare_star_is_everything() -> None:
    assert is_everything(["101", " * "])
    assert is_everything(["101,*"])
    assert not is_everything(["1*", "101"])


@given(st.text(alphabet="0148K2*", min_size=1, max_size=6).filter(lambda text: "*" in text))
@settings(deadline=None)
def test_wildcards_are_file_name_patterns(pattern: str) -> None:
    expected = [code for code in QUARTERS if fnmatchcase(code, pattern)]
    if expected:
        assert select([pattern], QUARTERS, time=True) == expected
    else:
        with pytest.raises(UnknownValue):
            select([pattern], QUARTERS, time=True)


@given(st.sampled_from(QUARTERS), st.sampled_from(QUARTERS), st.booleans(), st.booleans())
@settings(deadline=None)
def test_ranges_are_comparisons(low: str, high: str, with_low: bool, with_high: bool) -> None:
    text = f">{'=' * with_low}{low}<{'=' * with_high}{high}"
    inside = range(QUARTERS.index(low) + (not with_low), QUARTERS.index(high) + with_high)
    expected = [QUARTERS[at] for at in inside]
    if expected:
        assert select([text], QUARTERS, time=True) == expected
    else:
        with pytest.raises(UnknownValue):
            select([text], QUARTERS, time=True)


@given(st.integers(-4, 4), st.integers(-80, 80), st.booleans(), st.integers(1, 72))
@settings(deadline=None)
def test_rules_are_those_of_nth_child(step: int, offset: int, oldest: bool, count: int) -> None:
    periods = QUARTERS[:count]
    rule = f"{'-' if oldest else ''}({step}n{offset:+d})"
    places = {step * n + offset for n in range(200)} & set(range(1, count + 1))
    expected = sorted(periods[place - 1] if oldest else periods[-place] for place in places)
    if expected:
        assert select([rule], periods, time=True) == expected
    else:
        with pytest.raises(UnknownValue):
            select([rule], periods, time=True)


@given(st.lists(st.sampled_from(AREAS), min_size=1, max_size=8), st.randoms())
@settings(deadline=None)
def test_lists_and_strings_are_unions_without_repeats(codes: list[str], random: object) -> None:
    joined = select([",".join(code.lower() for code in codes)], AREAS, time=False)
    assert joined == select(codes, AREAS, time=False) == [code for code in AREAS if code in set(codes)]
