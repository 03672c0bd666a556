"""Which SQL is sent and which is not; the attacks themselves stand with the tests on a real server."""

from __future__ import annotations

import pytest

from varro_assets.context.asking.query_rules import judged
from varro_assets.context.asking.query_words import DEEPEST, LONGEST
from varro_assets.errors import QueryRefused

ORDINARY = [
    "SELECT * FROM fact.folk1a",
    "TABLE dim.nuts",
    "VALUES (1, 'a'), (2, 'b')",
    "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 1",
    "SELECT f.tid, sum(f.indhold) FROM fact.folk1a f JOIN dim.nuts d ON f.omrade = d.kode AND d.niveau = 1 GROUP BY 1",
    "SELECT tid FROM fact.x WHERE kon = 'TOT' HAVING count(*) > 1 ORDER BY 1 DESC NULLS LAST FETCH FIRST 5 ROWS ONLY",
    "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t",
    "SELECT * FROM generate_series(1, 3) AS g(n), LATERAL (SELECT g.n * 2) AS x(m)",
    "SELECT count(*) FILTER (WHERE a > 1) OVER w FROM fact.x WINDOW w AS (PARTITION BY b ORDER BY c)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY indhold) FROM fact.x",
    "SELECT EXTRACT(year FROM tid), CAST(x AS numeric(10, 2)), y::text, trim(BOTH ' ' FROM z) FROM fact.x",
    "SELECT a FROM fact.x WHERE a ~ '^\\d+$' AND b NOT IN ('it''s', '/* no comment', '-- none', ';')",
    "SELECT a FROM fact.x GROUP BY GROUPING SETS ((a), ()), ROLLUP (b, c)",
    "SELECT lower(span), int4range(1, 2) && span FROM meta.code",
    "SELECT DISTINCT ON (a) a, (SELECT max(b) FROM fact.y), ARRAY(SELECT 1), ROW(1, 2), EXISTS (SELECT 1) FROM fact.x",
    'SELECT "Kø n".x FROM (SELECT 1 AS x) AS "Kø n"',
    "SELECT CASE WHEN (1 = 1) THEN ('a') ELSE ('b') END, 1.5e3, .5, -1",
    "SELECT * FROM FACT.FOLK1A",
    "SELECT date '2024-01-01' + interval '1 month', date'2024-01-01'",
    "SELECT (f).omrade, f FROM fact.x f",
    "SELECT current_date, current_user",
]


@pytest.mark.parametrize("query", ORDINARY)
def test_ordinary_queries_are_sent_as_they_are(query: str) -> None:
    assert judged(query) == query


def test_comments_become_blanks_and_every_word_stays_where_it_was() -> None:
    query = "-- first; --\nSELECT 1 /* a /* b */ ; 'c */ AS x, --last\n  '--' AS y ; ; -- end"
    text = judged(query)
    assert text.split() == ["SELECT", "1", "AS", "x,", "'--'", "AS", "y"]
    assert text.index("AS y") == query.index("AS y")
    assert text.count("\n") == 2


@pytest.mark.parametrize(
    ("query", "phrases"),
    [
        ("", ["it is empty"]),
        (" -- nothing\n;", ["it is empty"]),
        ("SELECT 1;\n SELECT 2", ["line 1, column 9: a second statement"]),
        ("DELETE FROM fact.x", ["it begins with 'delete'", "one SELECT"]),
        ("'SELECT 1'", ["it begins with 'SELECT 1'"]),
        ("SELECT 1 FROM\n  folk1a", ["'folk1a' has no schema", "fact.folk1a, dim.nuts or meta.code"]),
        ("SELECT * FROM pg_catalog.pg_class", ["schema 'pg_catalog' is not readable"]),
        ("SELECT\n pg_sleep(1)", ["line 2, column 2: function 'pg_sleep'", "varro psql"]),
        ("SELECT x.y(1)", ["function 'y'"]),
        ("SELECT fact.sum(1)", ["function 'sum'", "without a schema before its name"]),
        ("SELECT 'it's'", ["line 1, column 13", "quote"]),
        ("SELECT (1", ["bracket is not closed"]),
        ("SELECT 1)", ["line 1, column 9: a bracket that nobody opened"]),
        ("SELECT 1 /* a", ["line 1, column 10: the comment does not end"]),
        ("SELECT\u00a01", ["'\\xa0'", "blanks other than the ordinary one"]),
        ("SELECT $1", ["'$'"]),
        ("SELECT :x", ["parameter"]),
        ("SELECT a$b FROM fact.x", ["'$' in a name"]),
        ("SELECT 12ab", ["a number that runs into a name"]),
        ("SELECT E'\\n'", ["a string with a prefix"]),
        ("SELECT a b c FROM fact.x", ["line 1, near 'c'"]),
        ("SELECT a FROM", ["line 1"]),
        ("SELECT '\x00'", ["bytes that are no text"]),
        ("SELECT '\udcff'", ["bytes that are no text"]),
        ("SELECT " + "(" * (DEEPEST + 1) + "1" + ")" * (DEEPEST + 1), [f"more than {DEEPEST} brackets"]),
        ("SELECT '" + "x" * LONGEST + "'", [f"more than {LONGEST}"]),
    ],
)
def test_a_refusal_says_where_and_what_to_do(query: str, phrases: list[str]) -> None:
    with pytest.raises(QueryRefused) as caught:
        judged(query)
    text = str(caught.value)
    for phrase in phrases:
        assert phrase in text
    assert caught.value.todo.startswith("Nothing was sent. ")
    assert "\x1b" not in text
    assert "Token" not in text


def test_as_deep_as_is_allowed_is_understood() -> None:
    assert judged("SELECT " + "(" * DEEPEST + "1" + ")" * DEEPEST)
    assert judged("SELECT 1" + " + 1" * 4000)
