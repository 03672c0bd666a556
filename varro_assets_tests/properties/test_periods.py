"""Period codes as laws: what holds for any text, and for any set of codes."""

from __future__ import annotations

import itertools
from datetime import date

import psycopg2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from varro_assets.engine import periods
from varro_assets.engine.periods import Frequency, Kind, TidType
from varro_assets.errors import InvalidPeriod

_years = st.integers(1, 9990).map("{:04}".format)
_texts = st.from_regex(r"\A[0-9A-Za-zÆØÅæøå][0-9A-Za-zÆØÅæøå :/+&()_.-]{0,39}\Z")
_looks_like_a_code = st.from_regex(r"\A\d{4}([HKMU:/-]\d{1,4}(D\d{2})?)?\Z")


def _dated() -> st.SearchStrategy[str]:
    days = st.dates(date(1, 1, 8), date(9990, 1, 1))
    return st.one_of(
        _years,
        st.tuples(_years, st.sampled_from(["H1", "H2", "K1", "K2", "K3", "K4"])).map("".join),
        days.map(lambda day: f"{day.year:04}M{day.month:02}"),
        days.map(lambda day: f"{day.year:04}M{day.month:02}D{day.day:02}"),
        days.map(lambda day: "{:04}U{:02}".format(*day.isocalendar())),
    )


def _spans() -> st.SearchStrategy[str]:
    return st.tuples(st.integers(1, 9000), st.integers(0, 900)).map(lambda it: f"{it[0]:04}:{it[0] + it[1]:04}")


def _is_period(code: str) -> bool:
    try:
        periods.parse(code)
    except InvalidPeriod:
        return False
    return True


seasons = st.integers(1, 9900).map(lambda year: f"{year:04}/{year + 1:04}")
codes = st.one_of(_dated(), _spans(), seasons, _texts.filter(_is_period))


@given(st.one_of(st.text(), _looks_like_a_code, _texts))
@settings(deadline=None)
def test_any_text_is_a_period_or_refused_by_name(text: str) -> None:
    try:
        period = periods.parse(text)
    except InvalidPeriod:
        return
    assert period.code == text
    assert 0 < len(text) <= periods.MAX_CODE_LENGTH
    # what Dagster refuses in a partition key
    assert not any(mark in text for mark in ("...", ",", "\n", "\r", "\t", "\0", "\a", "\b", "\f", "\v"))
    assert text == text.strip()


@given(codes)
@settings(deadline=None)
def test_a_period_ends_after_it_starts(code: str) -> None:
    period = periods.parse(code)
    if period.kind is Kind.TEXT:
        assert period.end is None
    else:
        assert period.start is not None
        assert period.end is not None
        assert period.start < period.end


@given(st.lists(codes, max_size=12))
@settings(deadline=None)
def test_the_order_is_total_and_of_sets(some: list[str]) -> None:
    ordered = periods.in_order(some)
    assert sorted(ordered) == sorted(set(some))
    assert ordered == periods.in_order(reversed(some))
    keys = [periods.parse(code).sort_key for code in ordered]
    assert all(first < second for first, second in itertools.pairwise(keys))


@given(codes)
@settings(deadline=None)
def test_a_file_name_leads_back_to_its_period(code: str) -> None:
    stem = periods.file_stem(code)
    assert periods.period_of(stem) == code
    assert stem.isascii()
    assert not set(stem) & set('/\\:*?"<>| \0')
    assert not stem.startswith(".")
    assert len(f"{stem}.parquet") <= 255


@given(st.sets(codes, min_size=2, max_size=8))
@settings(deadline=None)
def test_no_two_periods_share_a_file(some: set[str]) -> None:
    assert len({periods.file_stem(code) for code in some}) == len(some)


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_name_belongs_to_one_period_or_to_none(stem: str) -> None:
    try:
        code = periods.period_of(stem)
    except InvalidPeriod:
        return
    assert periods.file_stem(code) == stem


@given(st.one_of(st.lists(_dated(), max_size=8), st.lists(_spans(), max_size=8), st.lists(codes, max_size=8)))
@settings(deadline=None)
def test_the_chosen_type_has_one_value_per_code(some: list[str]) -> None:
    chosen = periods.tid_type(some)
    values = {periods.parse(code).database_value(chosen) for code in some}
    assert len(values) == len(set(some))
    kinds = {periods.parse(code).kind for code in some}
    if chosen is TidType.INT4RANGE:
        assert kinds == {Kind.SPAN}
    if chosen is TidType.DATE:
        assert not kinds & {Kind.SPAN, Kind.SEASON, Kind.TEXT}
    if kinds == {Kind.SPAN}:
        assert chosen is TidType.INT4RANGE
    assert len(kinds) == 1 or periods.frequency(some) is Frequency.OTHER


@given(st.sets(_dated(), max_size=20), st.sets(_spans(), max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_postgres_prints_the_literals_we_write(warehouse_url: str, dates: set[str], spans: set[str]) -> None:
    ours = [periods.parse(code).database_value(TidType.DATE) for code in dates]
    ranges = [periods.parse(code).database_value(TidType.INT4RANGE) for code in spans]
    with psycopg2.connect(warehouse_url.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT array(SELECT unnest(%s::date[])::text), array(SELECT unnest(%s::int4range[])::text)",
            (ours, ranges),
        )
        assert cursor.fetchone() == (ours, ranges)
    connection.close()
