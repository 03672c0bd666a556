"""The shape of a fact table: names of columns, what changes the shape and what does not."""

from __future__ import annotations

import pytest

from varro_assets.errors import ColumnCollision
from varro_assets.statbank import facts
from varro_assets_tests.table_bodies import info


@pytest.mark.parametrize(
    ("variable", "column"),
    [
        ("OMRÅDE", "omrade"),
        ("KØN", "kon"),
        ("OVERTRÆD", "overtraed"),
        ("ÆØÅ", "aeoa"),
        ("HERKOMST1", "herkomst1"),
        ("1DIGIT", "_1digit"),
        ("5", "_5"),
        ("A-B C.D/E", "a_b_c_d_e"),
        ("_A", "_a"),
        ("%%", "__"),
        ("É", "_"),
        ("ß", "_"),
        ("İ", "i_"),
        ("٣", "_"),
        ("A\u030aR", "a_r"),
        ('A";DROP TABLE x;--', "a__drop_table_x___"),
        ("USER", "user"),
        ("ORDER", "order"),
        ("SELECT", "select"),
    ],
)
def test_the_name_of_a_column(variable: str, column: str) -> None:
    assert facts.column_name(variable) == column


def test_columns_in_the_publishers_order() -> None:
    many = [str(number) for number in range(facts.INDEX_FROM_CODES)]
    made = facts.columns(info(dimensions={"KØN": ("M", "K"), "ALDER": many, "LAND": many[1:]}))
    assert [(column.name, column.source, column.indexed) for column in made] == [
        ("kon", "KØN", False),
        ("alder", "ALDER", True),
        ("land", "LAND", False),
    ]
    assert made[0].label == "køn"


def test_a_table_without_dimensions() -> None:
    assert facts.columns(info(dimensions={})) == ()
    assert facts.period_table(info(dimensions={})).columns == ()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (("KØN", "KOEN", "KON"), ("variable KON", "column of KØN", "'kon'")),
        (("A B", "A-B"), ("variable A-B", "column of A B")),
        (("land", "LAND"), ("variable LAND", "column of land")),
        (("ÆG", "AEG"), ("variable AEG", "column of ÆG")),
        (("TID",), ("variable TID", "the period (Tid)")),
        (("INDHOLD",), ("variable INDHOLD", "the value")),
        (("XMIN",), ("variable XMIN", "Postgres itself")),
        (("CTID",), ("variable CTID", "Postgres itself")),
        (("A" * 50,), ("longer than 49 characters",)),
        (("Æ" * 25,), ("longer than 49 characters",)),
    ],
)
def test_names_that_collide_are_refused_naming_both(variables: tuple[str, ...], words: tuple[str, ...]) -> None:
    table = info(dimensions=dict.fromkeys(variables, ("1", "2")))
    for make in (facts.columns, facts.period_table):
        with pytest.raises(ColumnCollision) as caught:
            make(table)
        for word in ("FOLK1A", *words):
            assert word in str(caught.value)


def test_an_index_of_the_longest_names_has_a_name_of_its_own() -> None:
    """Postgres cuts names at 63 bytes; two indexes of one table must differ before that."""
    table = facts.period_table(info("ABCDEFGH", dimensions={"A" * 48 + end: ("1",) for end in "XY"}))
    names = {f"{table.name}_{column.name}"[:58] + "_idx" for column in table.columns}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)


def test_the_shape_is_the_ordered_variables_and_the_type_of_tid() -> None:
    base = facts.shape_hash(info())
    same = [
        info(text="Another", unit="kg", updated="2030-01-01T08:00:00", footnote=None),
        info(dimensions={"OMRÅDE": ("000", "084", "085"), "KØN": ("K",)}),
        info(tids=("2023K4", "2024K1", "2024K2", "2024K3")),
        info(tids=("2024M01",)),  # another frequency, the same type
        info("BIL10"),
    ]
    assert {facts.shape_hash(table) for table in same} == {base}
    different = [
        info(dimensions={"KØN": ("M", "K"), "OMRÅDE": ("000", "084")}),
        info(dimensions={"OMRÅDE": ("000", "084")}),
        info(dimensions={"OMRÅDE": ("000",), "KØN": ("M",), "ALDER": ("1",)}),
        info(dimensions={"OMRÅDE": ("000",), "SEX": ("M",)}),
        info(tids=("1840:1849",)),
        info(tids=("2006/2007",)),
    ]
    assert len({base, *map(facts.shape_hash, different)}) == 7


def test_held_periods_take_part_in_the_type_of_tid() -> None:
    table = info(tids=("2024", "2025"))
    assert facts.period_table(table).tid_type == "date"
    assert facts.shape_hash(table, ["2023"]) == facts.shape_hash(table)
    assert facts.shape_hash(table, ["2023/2024"]) != facts.shape_hash(table)
    assert facts.period_table(table, ["2023/2024"]).tid_type == "text"
    # 2024K1 begins on the day 2024 does: by a date the two could not be told apart
    assert facts.period_table(table, iter(["2024K1"])).tid_type == "text"
    assert facts.period_table(table, iter(["2024K1"])).shape_hash == facts.shape_hash(table, ["2024K1"])


def test_the_table_in_postgres() -> None:
    table = facts.period_table(info("FOLK1A", tids=("1840:1849",), description=""))
    assert (table.relation, table.dataset, table.tid_type) == ("fact.folk1a", "FOLK1A", "int4range")
    assert (table.tid_name, table.value_name, table.value_source) == ("tid", "indhold", "INDHOLD")
    assert table.comment == "Title of FOLK1A [Antal] https://www.statbank.dk/FOLK1A"


@pytest.mark.parametrize(
    ("code", "span"),
    [
        ("7", "[7,8)"),
        ("0", "[0,1)"),
        ("007", "[7,8)"),
        ("0-4", "[0,5)"),
        ("00-04", "[0,5)"),
        ("5-5", "[5,6)"),
        ("100-", "[100,)"),
        ("80OV", "[80,)"),
        ("65+", "[65,)"),
        ("000-", "[0,)"),
        ("2147483646", "[2147483646,2147483647)"),
        ("2147483647-", "[2147483647,)"),
        ("0-2147483646", "[0,2147483647)"),
        ("2147483647", None),
        ("0-2147483647", None),
        ("2147483648-", None),
        ("99999999999999999999", None),
        ("9" * 5000, None),
        ("0" * 5000, None),
        ("9-5", None),
        ("", None),
        ("-", None),
        ("-5", None),
        ("5--", None),
        ("1.5", None),
        ("1-2-3", None),
        ("TOT", None),
        ("U80", None),
        ("7\n", None),
        (" 7", None),
        ("٧", None),
        ("²", None),
    ],
)
def test_the_numbers_a_code_covers(code: str, span: str | None) -> None:
    assert facts.code_span(code) == span
