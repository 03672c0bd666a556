"""Period codes: every grammar with its edges, order, frequency, the type of `tid`, names of files."""

from __future__ import annotations

from datetime import date

import pytest

from varro_assets.engine import periods
from varro_assets.engine.periods import Frequency, Kind, TidType
from varro_assets.errors import InvalidPeriod

KNOWN = [
    ("1769", Kind.YEAR, date(1769, 1, 1), date(1770, 1, 1)),
    ("0001", Kind.YEAR, date(1, 1, 1), date(2, 1, 1)),
    ("9998", Kind.YEAR, date(9998, 1, 1), date(9999, 1, 1)),
    ("2024H1", Kind.HALF_YEAR, date(2024, 1, 1), date(2024, 7, 1)),
    ("2024H2", Kind.HALF_YEAR, date(2024, 7, 1), date(2025, 1, 1)),
    ("2024K1", Kind.QUARTER, date(2024, 1, 1), date(2024, 4, 1)),
    ("2024K4", Kind.QUARTER, date(2024, 10, 1), date(2025, 1, 1)),
    ("1901M01", Kind.MONTH, date(1901, 1, 1), date(1901, 2, 1)),
    ("2024M12", Kind.MONTH, date(2024, 12, 1), date(2025, 1, 1)),
    ("2020U01", Kind.WEEK, date(2019, 12, 30), date(2020, 1, 6)),
    ("2020U53", Kind.WEEK, date(2020, 12, 28), date(2021, 1, 4)),
    ("2024M02D29", Kind.DAY, date(2024, 2, 29), date(2024, 3, 1)),
    ("1983M05D10", Kind.DAY, date(1983, 5, 10), date(1983, 5, 11)),
    ("1840:1849", Kind.SPAN, date(1840, 1, 1), date(1850, 1, 1)),
    ("2024:2024", Kind.SPAN, date(2024, 1, 1), date(2025, 1, 1)),
    ("2006/2007", Kind.SEASON, date(2006, 1, 1), date(2008, 1, 1)),
    ("AUG - DEC 2019", Kind.TEXT, date(2019, 1, 1), None),
    ("Foråret", Kind.TEXT, None, None),
]


@pytest.mark.parametrize(("code", "kind", "start", "end"), KNOWN)
def test_the_grammars(code: str, kind: Kind, start: date | None, end: date | None) -> None:
    period = periods.parse(code)
    assert (period.code, period.kind, period.start, period.end) == (code, kind, start, end)


# forms that only inactive tables have (statbank-api section 7)
@pytest.mark.parametrize("code", ["2010U01-02", "2010H01", "2010H12", "2010KV1", "1990-1995", "2010KV4"])
def test_forms_of_inactive_tables_stay_text(code: str) -> None:
    assert periods.parse(code).kind is Kind.TEXT
    assert periods.tid_type([code]) is TidType.TEXT
    assert periods.parse(code).end is None


@pytest.mark.parametrize(
    "code",
    [
        "2021U53",  # a year of 52 weeks
        "2024U00",
        "2024U54",
        "2024M13",
        "2024M00",
        "2024M02D30",
        "2023M02D29",
        "2024M01D00",
        "2024K0",
        "2024K5",
        "2024H0",
        "2024H3",
        "0000",
        "0000K1",
        "9999",  # its end is no date any more
        "9999M12",
        "9999U52",
        "1849:1840",
        "2006/2008",
        "2007/2006",
        "2006/2006",
    ],
)
def test_a_code_of_known_form_without_sense_is_refused(code: str) -> None:
    with pytest.raises(InvalidPeriod, match="2024M03"):
        periods.parse(code)


@pytest.mark.parametrize(
    "code",
    [
        "",
        " ",
        " 2024",
        "2024 ",
        "2024\n",
        "2024\r\n",
        "AUG - DEC 2019\n",
        "٢٠٢٤",  # Arabic-Indic digits are digits to Unicode
        "２０２４",
        "2024M٠١",
        "2024,2025",
        "2024...2025",
        "a..b",
        "..",
        ".",
        "../../etc/passwd",
        "a/../b",
        "/etc",
        "2024\x00",
        "a\x00b",
        "a\tb",
        "a%2Fb",
        "a;b",
        "a'b",
        'a"b',
        "a\\b",
        "A\u030aret",  # Å as two characters
        "\ud800",
        "x" * 41,
        "2024" * 100_000,
    ],
)
def test_what_cannot_be_a_partition_is_refused(code: str) -> None:
    with pytest.raises(InvalidPeriod) as caught:
        periods.parse(code)
    assert len(str(caught.value)) < 500


def test_forty_characters_and_no_more() -> None:
    assert periods.parse("x" * 40).kind is Kind.TEXT


def test_order_is_time_and_of_two_that_start_together_the_shorter_comes_first() -> None:
    codes = ["2024", "2024K1", "2024M01", "2024H1", "2023M12", "2024M01D01", "2024U01", "Foråret", "2024K1"]
    assert periods.in_order(codes) == [
        "Foråret", "2023M12", "2024M01D01", "2024U01", "2024M01", "2024K1", "2024H1", "2024",
    ]  # fmt: skip
    assert periods.in_order(["1840:1859", "1840:1849", "1835:1844"]) == ["1835:1844", "1840:1849", "1840:1859"]
    assert periods.in_order(["AUG - DEC 2020", "AUG - DEC 2009"]) == ["AUG - DEC 2009", "AUG - DEC 2020"]
    assert periods.in_order(["2007/2008", "2006/2007"]) == ["2006/2007", "2007/2008"]


@pytest.mark.parametrize(
    ("codes", "frequency"),
    [
        (["2023", "2024"], Frequency.YEARLY),
        (["2023H1"], Frequency.HALF_YEARLY),
        (["2023K1"], Frequency.QUARTERLY),
        (["2023M01"], Frequency.MONTHLY),
        (["2023U01"], Frequency.WEEKLY),
        (["2023M01D01"], Frequency.DAILY),
        (["1840:1849"], Frequency.OTHER),
        (["2006/2007"], Frequency.OTHER),
        (["AUG - DEC 2019"], Frequency.OTHER),
        (["2023", "2023K1"], Frequency.OTHER),
        ([], Frequency.OTHER),
    ],
)
def test_frequency(codes: list[str], frequency: Frequency) -> None:
    assert periods.frequency(codes) is frequency


@pytest.mark.parametrize(
    ("codes", "tid_type"),
    [
        (["2023", "2024K2", "2024M05", "2024U30", "2024M05D07", "2022H2"], TidType.DATE),
        (["2024", "2024K1"], TidType.TEXT),  # both are 2024-01-01
        (["2024M01", "2024M01D01"], TidType.TEXT),
        (["2024U01", "2024M01D01"], TidType.TEXT),  # the Monday of that week
        (["1840:1849", "1845:1850"], TidType.INT4RANGE),
        (["1840:1849", "1850"], TidType.TEXT),
        (["2006/2007"], TidType.TEXT),
        (["2024", "2006/2007"], TidType.TEXT),
        (["2024", "AUG - DEC 2019"], TidType.TEXT),
        ([], TidType.TEXT),
    ],
)
def test_the_type_of_tid_follows_from_all_codes(codes: list[str], tid_type: TidType) -> None:
    assert periods.tid_type(codes) is tid_type
    assert periods.tid_type([*codes, *codes]) is tid_type


def test_database_values() -> None:
    assert periods.parse("2024U07").database_value(TidType.DATE) == "2024-02-12"
    assert periods.parse("0987").database_value(TidType.DATE) == "0987-01-01"
    assert periods.parse("1840:1849").database_value(TidType.INT4RANGE) == "[1840,1850)"
    assert periods.parse("2024U07").database_value(TidType.TEXT) == "2024U07"


@pytest.mark.parametrize(
    ("code", "tid_type"),
    [
        ("2006/2007", TidType.DATE),
        ("1840:1849", TidType.DATE),
        ("AUG - DEC 2019", TidType.DATE),
        ("2024", TidType.INT4RANGE),
        ("2006/2007", TidType.INT4RANGE),
    ],
)
def test_a_code_without_a_value_of_that_type_is_refused(code: str, tid_type: TidType) -> None:
    with pytest.raises(InvalidPeriod, match="tid_type"):
        periods.parse(code).database_value(tid_type)


def test_file_names() -> None:
    assert periods.file_stem("2024M03") == "2024M03"
    assert periods.file_stem("2006/2007") == "2006%2F2007"
    assert periods.file_stem("1840:1849") == "1840%3A1849"
    assert periods.file_stem("AUG - DEC 2019") == "AUG%20-%20DEC%202019"


@pytest.mark.parametrize("stem", ["2006/2007", "2006%2f2007", "%32024", "AUG - DEC 2019", "%2E%2E", "", "%FF", "a%00"])
def test_the_name_of_no_period(stem: str) -> None:
    with pytest.raises(InvalidPeriod):
        periods.period_of(stem)
