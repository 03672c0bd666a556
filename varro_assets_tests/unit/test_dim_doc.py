"""A dimension's document, and SQL as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from varro_assets.context import doc_file
from varro_assets.context.text import dim_doc, sql_text
from varro_assets.context.text.dim_doc import Joining
from varro_assets.context.text.examples import dim_examples, fact_examples
from varro_assets.context.text.lines import folded, listed, paragraphs
from varro_assets.dimensions.models import Dimension, Member
from varro_assets_tests.context_material import KON, NUTS, OMRADE, carded, info, values


def test_the_document() -> None:
    joining = [
        Joining("FOLK1A", "omrade", (1, 3), True, "fact/x/folk1a.md", "f.omrade = d.kode"),
        Joining("BY2", "komk", (3,), False, "fact/x/by2.md", "f.komk = 'V' || d.kode"),
    ]
    text = dim_doc.text(NUTS, dim_examples(NUTS, carded()), joining)
    head = (
        "# Regioner, landsdele og kommuner (nuts)\n\n"
        "table: dim.nuts; key (kode, niveau); tree view: dim.nuts_tree (path, root)\n"
        "source: https://www.dst.dk/nuts.csv\n"
        "page: https://www.dst.dk/nuts\n\n"
        "Danmark har regioner. Og kommuner.\n\n"
        "Andet afsnit.\n\n"
        "## Structure\n\n"
        "niveau | name | members\n--- | --- | ---\n1 | Region | 2\n2 | Landsdel | 2\n3 | Kommune | 3\n\n"
        "## Top: level 1 (Region)\n\n"
        "kode | titel\n--- | ---\n084 | Region Hovedstaden\n085 | Region Sjælland\n\n"
        "## One branch from root to leaf\n\n"
        "kode | niveau | titel | parent_kode | parent_niveau\n--- | --- | --- | --- | ---\n"
        "084 | 1 | Region Hovedstaden | NULL | NULL\n"
        "01 | 2 | Landsdel Byen København | 084 | 1\n"
        "101 | 3 | København | 01 | 2\n"
    )
    assert text.startswith(head)
    assert text.endswith(
        "## Tables that join it\n\n"
        "- BY2: komk; levels [3]; approx; ON f.komk = 'V' || d.kode; /fact/x/by2.md\n"
        "- FOLK1A: omrade; levels [1, 3]; exact; /fact/x/folk1a.md\n"
    )
    assert dim_doc.text(NUTS, dim_examples(NUTS, carded()), joining[::-1]) == text


def test_sums_go_up_all_levels_by_code_and_level() -> None:
    sql = next(example.sql for example in dim_examples(NUTS, carded()) if "SUM(" in example.sql)
    assert "JOIN dim.nuts d ON f.omrade = d.kode AND d.niveau = 3" in sql
    assert "JOIN dim.nuts p1 ON p1.kode = d.parent_kode AND p1.niveau = d.parent_niveau" in sql
    assert "JOIN dim.nuts p2 ON p2.kode = p1.parent_kode AND p2.niveau = p1.parent_niveau" in sql
    assert "f.omrade = '000'" not in sql


def test_codes_on_several_levels_and_branches_that_end_early_are_named() -> None:
    members = (
        Member("105", 1, "Beboelse"),
        Member("110", 2, "Stuehuse", "105", 1),
        Member("110", 3, "Stuehus", "110", 2),
        Member("130", 2, "Rækkehuse", "105", 1),
        Member("990", 1, "Øvrige"),
    )
    text = dim_doc.text(Dimension("byganv", "Anvendelse", members, "https://x"), (), [])
    assert "\nCodes on several levels here, 1 in all: 110.\n" in text
    assert "Branches that end above level 3, which a filter on it leaves out: 130 (level 2), 990 (level 1).\n" in text
    assert "in all" not in dim_doc.text(NUTS, (), [])
    assert "Branches" not in dim_doc.text(NUTS, (), [])


def test_sums_say_when_the_column_has_only_some_of_the_members() -> None:
    titles = [example.title for example in dim_examples(NUTS, carded())]
    assert "level 3 (Kommune) of dim.nuts summed up to level 1 (Region)" in titles
    some = info(variables=(OMRADE | {"values": values("101 København", "253 Greve")}, KON))
    titles = [example.title for example in dim_examples(NUTS, carded(some))]
    part = "; FOLK1A has 2 of its 3 members, so these are sums of what it has"
    assert f"level 3 (Kommune) of dim.nuts summed up to level 1 (Region){part}" in titles
    # what is published on the level above, or only in part below, is not summed in the table's own document
    assert not any("summed" in example.title for example in fact_examples(carded(some)))
    assert any("summed up to level 2" in example.title for example in fact_examples(carded()))


def test_a_flat_dimension_nobody_joins_with_titles_that_would_break_a_table(tmp_path: Path) -> None:
    members = tuple(Member(f"{n}", 1, f"a | b\nnotes:\n{n}") for n in range(50))
    flat = Dimension("flat", "Flad\n```", members, "StatBank X Y")
    assert dim_examples(flat, carded()) == ()
    text = dim_doc.text(flat, (), [])
    assert "0 | a \\| b notes: 0\n" in text
    assert "10 more; all in /column_values/flat.parquet" in text
    assert "One branch" not in text
    assert "None of those in the warehouse." in text
    assert doc_file.write(tmp_path / "x.md", text)


def test_very_many_tables_are_counted_off() -> None:
    joining = [Joining(f"T{n:03}", "omrade", (1,), True, f"fact/t{n:03}.md") for n in range(100)]
    text = dim_doc.text(NUTS, (), joining)
    assert text.count("\n- T") == dim_doc.TABLES_SHOWN
    assert "- and T060, T061" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TOT", "'TOT'"),
        ("O'Hara", "'O''Hara'"),
        ("1840:1849", "('1840' || CHR(58) || '1849')"),
        ("%s", "(CHR(37) || 's')"),
        ("\\", "CHR(92)"),
        ("a\nnotes:\n", "('a' || CHR(10) || 'notes' || CHR(58) || CHR(10))"),
        ("", "''"),
        ("æ", "'æ'"),
    ],
)
def test_string_constants(text: str, expected: str) -> None:
    assert sql_text.literal(text) == expected


def test_names() -> None:
    assert sql_text.column("f", "omrade") == "f.omrade"
    assert sql_text.column("f", "user") == 'f."user"'
    assert sql_text.relation("fact", "10a") == 'fact."10a"'
    assert sql_text.tid("2025-01-01", "date") == "CAST('2025-01-01' AS date)"
    assert sql_text.tid("[1840,1850)", "int4range") == "CAST('[1840,1850)' AS int4range)"
    assert sql_text.tid("2006/2007", "text") == "'2006/2007'"


def test_lines() -> None:
    assert folded(" a&apos;b\r\n\tc\u2028d\x00 &lt;table&gt; <5 ") == "a'b c d ‹table> <5"
    assert folded("\ud800x") == "x"
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(21)), shown=20, ends=2) == "0, 1 ... 19, 20"
    assert paragraphs("a\n\nb\n\nc\n\nd", most=3, characters=100) == ["a", "b", "c"]
    assert paragraphs("a" * 50 + "\n\nb", most=3, characters=50) == ["a" * 50]
