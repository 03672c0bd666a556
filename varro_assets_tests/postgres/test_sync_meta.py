"""What `meta` says of a fact table, its columns and codes after a sync: what a reader needs before writing SQL."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest

from varro_assets.engine import periods, postgres
from varro_assets.simulator.cube import Code, Dimension
from varro_assets.statbank import facts
from varro_assets.statbank.models import TableInfo
from varro_assets_tests.oracle import World, slowly

AWKWARD = [
    "x" * 1000,
    'it\'s "quoted"',
    "a;b;c",
    "two\nlines\r\nof\ttext",
    "100 % {sure} %s %(name)s",
    "back\\slash \\N \\.",
    "Ærø, Åbenrå & Ølgod <b>",
    "",
    "NULL",
]


def test_the_table(world: World) -> None:
    world.sync("STRAF42")
    table = world.universe.table("STRAF42")
    found = world.query(
        "SELECT relation, title, unit, frequency, tid_type, first_period, last_period, updated::text, absent_value,"
        " footnote, subject_path, source FROM meta.fact_table"
    )
    assert table.footnote is not None
    (row,) = found
    assert row[:9] == (
        "fact.straf42",
        table.da,
        "Antal",
        "yearly",
        "date",
        "2015",
        "2024",
        table.updated.replace("T", " "),
        "0",
    )
    assert row[9] == table.footnote.da
    assert row[10].count("/") == 2
    assert "https://www.statbank.dk/STRAF42" in row[11]


@pytest.mark.parametrize(
    ("table", "tid_type", "frequency"),
    [
        ("HISB7", "int4range", "other"),
        ("IDRTIL01", "text", "other"),
        *slowly(("BARLOV1", "text", "other"), ("METROX1", "date", "weekly"), ("KORN2", "date", "half-yearly")),
    ],
)
def test_the_type_of_tid(world: World, table: str, tid_type: str, frequency: str) -> None:
    world.sync(table)
    assert world.query("SELECT tid_type, frequency FROM meta.fact_table") == [(tid_type, frequency)]
    assert world.query("SELECT sql_type FROM meta.fact_column WHERE role = 'time'") == [(tid_type,)]


def test_the_columns(world: World) -> None:
    world.sync("STRAF42")
    table = world.universe.table("STRAF42")
    found = world.query(
        "SELECT column_name, variable_id, position, role, label, elimination FROM meta.fact_column ORDER BY position"
    )
    dimensions = [
        (name, dimension.id, place, "dimension", dimension.da, dimension.elimination)
        for place, (name, dimension) in enumerate(
            zip(("overtraed", "afgortyp", "alder", "kon"), table.dimensions, strict=True), 1
        )
    ]
    value = ("indhold", "INDHOLD", 6, "value", "Antal", False)
    assert found == [*dimensions, ("tid", "Tid", 5, "time", "tid", False), value]
    comments = world.query(
        "SELECT col_description('fact.straf42'::regclass, attnum) FROM pg_attribute"
        " WHERE attrelid = 'fact.straf42'::regclass AND attnum BETWEEN 1 AND 4 ORDER BY attnum"
    )
    assert [text for (text,) in comments] == [dimension.da for dimension in table.dimensions]


def test_spans_of_ages_and_of_what_merely_looks_like_them(world: World) -> None:
    world.sync("BY1")
    spans = dict(world.query("SELECT code, span::text FROM meta.code WHERE column_name = 'alder'"))
    assert spans["0-4"] == "[0,5)"
    assert spans["75-79"] == "[75,80)"
    assert spans["80-"] == "[80,)"
    world.sync("STRAF42")
    spans = dict(world.query("SELECT code, span::text FROM meta.code WHERE table_id = 'STRAF42'"))
    assert spans["80OV"] == "[80,)"
    assert spans["TOT"] is None
    assert spans["2024"] is None  # a period is no number
    # an age is found by the codes that cover it
    ages = "SELECT code FROM meta.code WHERE table_id = 'BY1' AND column_name = 'alder' AND span @> 82"
    assert world.query(ages) == [("80-",)]


def test_a_withdrawn_code_keeps_its_label(world: World) -> None:
    world.sync("BIL10")
    dimension = world.universe.table("BIL10").dimensions[0]
    gone = dimension.codes[-1]
    left = replace(dimension, codes=dimension.codes[:-1])
    _change(world, "BIL10", lambda table: replace(table, dimensions=(left, *table.dimensions[1:])))
    world.sync("BIL10")
    found = world.query("SELECT text, declared FROM meta.code WHERE column_name <> 'tid' AND code = %s", gone.id)
    assert found == [(gone.da, False)]
    _change(world, "BIL10", lambda table: replace(table, dimensions=(dimension, *table.dimensions[1:])))
    world.sync("BIL10")
    found = world.query("SELECT text, declared FROM meta.code WHERE column_name <> 'tid' AND code = %s", gone.id)
    assert found == [(gone.da, True)]
    world.check("BIL10")


def test_a_vanished_period_is_a_code_no_longer_declared(world: World) -> None:
    world.sync("KORD1")
    world.universe.drop_period("KORD1", tid="2021")
    world.sync("KORD1")
    assert world.query("SELECT code FROM meta.code WHERE column_name = 'tid' AND NOT declared") == [("2021",)]


def test_a_removed_variable_leaves_with_its_codes(world: World) -> None:
    world.sync("IDRTIL01")
    world.universe.change_dimensions("IDRTIL01", remove="TILSKUER")
    world.sync("IDRTIL01")
    columns = world.query("SELECT column_name FROM meta.fact_column ORDER BY position")
    assert columns == [("sport",), ("tid",), ("indhold",)]
    assert world.query("SELECT DISTINCT column_name FROM meta.code ORDER BY 1") == [("sport",), ("tid",)]


def test_labels_of_any_kind_arrive_as_they_are_sent(world: World) -> None:
    codes = tuple(Code(f"L{place}", text, text) for place, text in enumerate(AWKWARD))
    added = Dimension("LABEL '\"%", "l'a\"b%el", "label", codes, False)
    _change(
        world,
        "KORD1",
        lambda table: replace(
            table, da="Titel med 'citat', 100 % og\nlinjer", dimensions=(*table.dimensions, added), scale=90_000
        ),
    )
    world.sync("KORD1")
    world.check("KORD1")
    found = world.query("SELECT text FROM meta.code WHERE column_name = 'label____' ORDER BY position")
    assert [text for (text,) in found] == AWKWARD
    assert world.query("SELECT title FROM meta.fact_table") == [("Titel med 'citat', 100 % og\nlinjer",)]


def test_labels_that_change_reach_meta_and_the_comments(world: World) -> None:
    world.sync("KORD1")
    versions = world.versions("KORD1")
    user, order = world.universe.table("KORD1").dimensions
    renamed = replace(user, da="kunde", codes=(replace(user.codes[0], da="Alle"), *user.codes[1:]))
    _change(world, "KORD1", lambda table: replace(table, dimensions=(renamed, order)))
    world.sync("KORD1")
    assert world.query("SELECT label FROM meta.fact_column WHERE column_name = 'user'") == [("kunde",)]
    assert world.query("SELECT text FROM meta.code WHERE column_name = 'user' AND code = 'TOT'") == [("Alle",)]
    assert world.query("SELECT col_description('fact.kord1'::regclass, 1)") == [("kunde",)]
    assert world.versions("KORD1") == versions
    world.check("KORD1")


def test_a_hand_made_description_of_every_oddity(world: World) -> None:
    info = TableInfo.model_validate(
        {
            "id": "ODD1",
            "text": "t",
            "updated": "2025-01-01T08:00:00",
            "variables": [
                {"id": "1 TIL 2", "text": "starts with a digit", "values": _values("0", "007", "1-1", "5-3", "100+")},
                {"id": "ØRE", "text": "ø", "elimination": True, "values": _values("2147483647", "99999999999", "NA")},
                {"id": "Tid", "text": "tid", "time": True, "values": _values("2024K1", "2024K2")},
            ],
        }
    )
    table = facts.period_table(info)
    with contextlib.closing(postgres.connect(world.sources.warehouse, "test")) as connection:
        with postgres.transaction(connection, "describe") as cursor:
            facts.describe(cursor, info, table, subject_path=None)
        with postgres.transaction(connection, "describe again") as cursor:
            facts.describe(cursor, info, table, subject_path="A/B")
    assert [column.name for column in table.columns] == ["_1_til_2", "ore"]
    spans = dict(world.query("SELECT code, span::text FROM meta.code WHERE table_id = 'ODD1'"))
    assert spans == {
        "0": "[0,1)",
        "007": "[7,8)",
        "1-1": "[1,2)",
        "5-3": None,
        "100+": "[100,)",
        "2147483647": None,
        "99999999999": None,
        "NA": None,
        "2024K1": None,
        "2024K2": None,
    }
    assert world.query("SELECT subject_path, frequency FROM meta.fact_table WHERE table_id = 'ODD1'") == [
        ("A/B", str(periods.Frequency.QUARTERLY))
    ]


def _values(*codes: str) -> list[dict[str, str]]:
    return [{"id": code, "text": code} for code in codes]


def _change(world: World, table: str, change: Any) -> None:
    """Publish a state of a table that no publication leads to."""
    world.universe.touch(table)
    world.universe._tables[table] = change(world.universe.table(table))
