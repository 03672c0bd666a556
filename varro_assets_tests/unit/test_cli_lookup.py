"""`varro values`, `docs` and `sql`, called as a person or a script calls them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest

from varro_assets.cli.lookup import _json_cell, _plain
from varro_assets.engine.server.server import Endpoint
from varro_assets_tests.reading_role import owner_as_reader
from varro_assets_tests.unit.conftest import Varro


@pytest.fixture
def reading(
    varro: Varro, postgres_server: Endpoint, warehouse_database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Varro]:
    """KORD1 is held, and the settings' role may become the reader."""
    varro.synced()
    with owner_as_reader(postgres_server, warehouse_database) as address:
        monkeypatch.setenv("DATABASE_URL", address)
        yield varro


# -- values ------------------------------------------------------------------------------------------------------------


def test_values_are_lines_of_cells_in_a_pipe(reading: Varro) -> None:
    out = reading.good("values", "kord1", "user").out
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0][:2] == ["code", "label"]
    assert [tuple(line[:2]) for line in lines[1:]] == reading.query(
        "SELECT code, text FROM meta.code WHERE table_id = 'KORD1' AND column_name = 'user' ORDER BY position"
    )
    assert len({len(line) for line in lines}) == 1


def test_values_are_found_and_limited(reading: Varro) -> None:
    (label,) = reading.query("SELECT text FROM meta.code WHERE table_id = 'KORD1' AND column_name = 'user' LIMIT 1")[0]
    assert str(label) in reading.good("values", "KORD1", "user", "--match", str(label).upper()).out.splitlines()[1]
    said = reading.good("values", "KORD1", "user", "--limit", "1")
    assert len(said.out.splitlines()) == 2
    assert "Showing 1; --limit shows more, --match finds." in said.err
    assert reading.good("values", "KORD1", "order", "--limit", "2").err == ""
    said = reading("values", "KORD1", "user", "--match", "[xyzzy]")
    assert said.code == 1
    assert "No value fits [xyzzy]" in said.words


def test_values_of_nothing_known_say_what_there_is(reading: Varro) -> None:
    said = reading("values", "KORD2", "user")
    assert (said.code, "fact.kord1" in said.words, "varro follow" in said.words) == (1, True, True)
    said = reading("values", "KORD1", "usr")
    assert (said.code, "user, order" in said.words or "order, user" in said.words) == (1, True)


# -- docs --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def documented(varro: Varro) -> Varro:
    """Two documents and the index, as they lie."""
    folder = varro.home / "context"
    for name, text in {
        "subjects/index.md": "# Emner\n\n- borgere\n",
        "fact/borgere/befolkning/folketal/folk1a.md": "table: fact.folk1a\n[bold]plain[/]\n"
        "<!-- varro-assets: 0123456789ab -->\n\nnotes:\nmine: Ærø\n",
        "dim/nuts.md": "dimension: dim.nuts\n",
        "fact/a/b/c/nuts.md": "table: fact.nuts\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return varro


@pytest.mark.parametrize("name", ["FOLK1A", "folk1a", "fact.folk1a", " Folk1a "])
def test_a_document_is_printed_as_it_is_without_its_mark(documented: Varro, name: str) -> None:
    out = documented.good("docs", name).out
    assert out == "table: fact.folk1a\n[bold]plain[/]\n\nnotes:\nmine: Ærø\n"
    assert documented.asked() == []


def test_a_table_goes_before_a_dimension_of_the_same_name(documented: Varro) -> None:
    assert documented.good("docs", "nuts").out == "table: fact.nuts\n"
    assert documented.good("docs", "dim.nuts").out == "dimension: dim.nuts\n"


def test_docs_without_a_name_tells_where_they_lie(documented: Varro) -> None:
    said = documented.good("docs")
    assert str(documented.home / "context") in said.out
    assert "# Emner\n\n- borgere\n" in said.out


def test_docs_that_are_not_there_say_how_to_get_them(varro: Varro, documented: Varro) -> None:
    said = documented("docs", "folk1")
    assert said.code == 1
    assert "near: fact.folk1a" in said.words
    assert "varro sync FOLK1" in said.words
    assert documented("docs", "../../varro").code == 1
    assert documented("docs", "*").code == 1


def test_docs_before_the_first_sync(varro: Varro) -> None:
    assert "No documents yet. They come with: varro sync" in varro.good("docs").words
    assert varro("docs", "FOLK1A").code == 1


# -- sql ---------------------------------------------------------------------------------------------------------------

EVERYTHING = (
    "SELECT 1 AS i, CAST(NULL AS text) AS \"null\", '' AS empty, 'a,\"b\"' AS t, 0.10 AS n, true AS b,"
    " CAST('NaN' AS float8) AS f, date '2024-01-31' AS d, CAST(9007199254740993 AS numeric) AS big, 'x\ny\tz' AS lines"
)


def test_sql_answers_in_a_pipe_with_tabs(reading: Varro) -> None:
    out = reading.good("sql", EVERYTHING).out
    assert out.splitlines() == [
        "i\tnull\tempty\tt\tn\tb\tf\td\tbig\tlines",
        '1\t\t\ta,"b"\t0.10\ttrue\tNaN\t2024-01-31\t9007199254740993\tx y z',
    ]


def test_sql_as_json_is_exact(reading: Varro) -> None:
    body = json.loads(reading.good("sql", EVERYTHING, "--json").out)
    assert body == {
        "columns": ["i", "null", "empty", "t", "n", "b", "f", "d", "big", "lines"],
        "rows": [[1, None, "", 'a,"b"', 0.1, True, "NaN", "2024-01-31", 9007199254740993, "x\ny\tz"]],
        "truncated": False,
    }


def test_sql_as_csv_is_exact(reading: Varro) -> None:
    out = reading.good("sql", EVERYTHING, "--csv").out
    assert out.split("\n")[1].startswith('1,,"","a,""b""",0.10,true,NaN,2024-01-31,9007199254740993,"x')
    header, row = csv.reader(io.StringIO(out))
    assert header[1] == "null"
    assert row == ["1", "", "", 'a,"b"', "0.10", "true", "NaN", "2024-01-31", "9007199254740993", "x\ny\tz"]
    assert reading("sql", "SELECT 1", "--csv", "--json").code == 2


def test_sql_from_standard_input_over_the_warehouse(reading: Varro) -> None:
    query = "-- all\nSELECT count(*) AS rows, min(tid) FROM fact.kord1;\n"
    said = reading._run(("sql", "-"), query)
    assert said.code == 0, said.words
    assert said.out.splitlines()[0] == "rows\tmin"
    assert said.out.splitlines()[1].startswith("40\t2")


def test_on_a_terminal_it_is_a_table_in_which_null_is_seen(reading: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    out = reading.good("sql", "SELECT CAST(NULL AS text) AS a, '[bold]x[/]' AS b UNION ALL SELECT 'long', 'y'").out
    assert "NULL" in out
    assert "[bold]x[/]" in out
    assert "\t" not in out


def test_sql_says_when_there_is_more(reading: Varro) -> None:
    said = reading.good("sql", "SELECT * FROM fact.kord1 ORDER BY tid", "--limit", "3")
    assert len(said.out.splitlines()) == 4
    assert "Showing the first 3 rows; there are more." in said.err
    body = json.loads(reading.good("sql", "SELECT * FROM fact.kord1", "--limit", "3", "--json").out)
    assert (len(body["rows"]), body["truncated"]) == (3, True)


@pytest.mark.parametrize(
    ("query", "phrase"),
    [
        ("DELETE FROM fact.kord1", "it begins with 'delete'"),
        ("SELECT 1; DELETE FROM fact.kord1", "a second statement"),
        ("SELECT pg_sleep(9)", "'pg_sleep'"),
        ("SELECT * FROM kord1", "no schema"),
        ("SELECT usr FROM fact.kord1", 'column "usr" does not exist'),
        ("SELECT '[bold]x'[/]", "line 1"),
    ],
)
def test_sql_that_is_not_run_says_why(reading: Varro, query: str, phrase: str) -> None:
    said = reading("sql", query)
    assert said.code == 1
    assert said.out == ""
    assert phrase in said.words
    assert reading.query("SELECT count(*) FROM fact.kord1") == [(40,)]


def test_sql_ends_in_time(reading: Varro) -> None:
    endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    said = reading("sql", endless, "--timeout", "0.3")
    assert said.code == 1
    assert "still running after 0.3 seconds" in said.words


def test_sql_by_a_role_that_may_not_become_the_reader_says_what_to_grant(varro: Varro) -> None:
    said = varro("sql", "SELECT 1")
    assert said.code == 1
    assert "GRANT varro_reader TO" in said.words


def test_numbers_of_every_size_keep_their_digits() -> None:
    from decimal import Decimal as D

    assert [_json_cell(D(text)) for text in ("1", "2.50", "1E+2", "0.1234567890123456789", "NaN", "1" * 400)] == [
        1, 2.5, 100.0, "0.1234567890123456789", "NaN", "1" * 400,
    ]  # fmt: skip
    assert [_plain(cell) for cell in (float("inf"), float("-inf"), 1e300, 3.0, 0.1, D("1E-7"))] == [
        "Infinity", "-Infinity", "1e+300", "3", "0.1", "0.0000001",
    ]  # fmt: skip
