"""Join conditions: what people may write into a link file, and what never reaches the database."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.links.join_condition import checked_join, join_of
from varro_assets.errors import InvalidLink


@pytest.mark.parametrize(
    ("override", "join"),
    [
        ("x = kode", "f.x = d.kode"),
        ("X = KODE", "f.x = d.kode"),
        ("x::text = kode", "CAST(f.x AS TEXT) = d.kode"),
        ("SUBSTR(x, 2) = kode AND niveau IN (1, 3)", "SUBSTRING(f.x FROM 2) = d.kode AND d.niveau IN (1, 3)"),
        ("x = 'V' || kode -- so", "f.x = 'V' || d.kode"),
        (
            "CASE WHEN x LIKE 'V%' THEN RIGHT(x, 3) ELSE x END = kode",
            "CASE WHEN f.x LIKE 'V%' THEN RIGHT(f.x, 3) ELSE f.x END = d.kode",
        ),
        ("(NULLIF(LTRIM(x, '0'), '') = kode)", "(NULLIF(TRIM(LEADING '0' FROM f.x), '') = d.kode)"),
    ],
)
def test_accepted(override: str, join: str) -> None:
    assert join_of(override, "x", on="TEST1.json") == join
    assert checked_join(join, "x", on="TEST1.json") == join


@pytest.mark.parametrize(
    "override",
    [
        "",
        "x",
        "'a'",
        "x ||",
        "x = 'a'",
        "kode = 'a'",
        "x = kode; DROP TABLE fact.folk1a",
        "x = kode OR EXISTS (SELECT 1)",
        "x = (SELECT kode FROM dim.nuts)",
        "x = kode UNION SELECT 1",
        "x = kode AND pg_sleep(10) IS NULL",
        "x = kode AND pg_read_file('/etc/passwd') = 'a'",
        "x = kode AND current_user = 'a'",
        "x = kode AND titel = 'a'",
        "x = kode AND tid = 'a'",
        "f.x = d.kode",
        "x = $1 AND kode = 'a'",
        "x = :p AND kode = x",
        "x ~ kode",
        "x = ANY(ARRAY[kode])",
        "CAST(x AS regclass) = kode",
        "x = kode LIMIT 1",
        "x = kode AND " + "(" * 30 + "x = kode" + ")" * 30,
        "x = kode AND x <> '" + "a" * 600 + "'",
        "DELETE FROM f",
    ],
)
def test_refused(override: str) -> None:
    with pytest.raises(InvalidLink) as caught:
        join_of(override, "x", on="TEST1.json, column X")
    assert "TEST1.json, column X" in str(caught.value)


def test_a_word_of_sql_must_be_quoted() -> None:
    with pytest.raises(InvalidLink, match='write it "user"'):
        join_of("user = kode", "user", on="t")
    assert join_of('"user" = kode', "user", on="t") == 'f."user" = d.kode'


@pytest.mark.parametrize(
    "join", ["x = kode", "g.x = d.kode", "f.y = d.kode", "f.x = d.titel", "f.x = 'a'", "fact.f.x = d.kode", ""]
)
def test_joins_need_their_aliases(join: str) -> None:
    with pytest.raises(InvalidLink):
        checked_join(join, "x", on="t")
