"""No text, however odd, is read by us otherwise than by Postgres: strings and comments end where they end."""

from __future__ import annotations

import contextlib
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from varro_assets.context.asking.query_rules import judged
from varro_assets.context.asking.query_words import Kind, without_comments, words
from varro_assets.errors import QueryRefused

_STRINGS = st.text(alphabet="a';-/*\\\"$é\n %:", max_size=12)
_PIECES = st.one_of(
    st.tuples(st.just(Kind.STRING), _STRINGS),
    st.tuples(st.just(Kind.QUOTED), st.text(alphabet="ab\"';-/*ø ", min_size=1, max_size=8)),
    st.tuples(st.just(Kind.NAME), st.sampled_from(["select", "f", "omrade", "_x", "år", "a1"])),
    st.tuples(st.just(Kind.NUMBER), st.sampled_from(["1", "2.5", "1e3", ".5"])),
    st.tuples(st.just(Kind.SIGN), st.sampled_from([",", "+", "=", ";", "."])),
)
_GAPS = st.sampled_from([" ", "\n", " -- a ' comment\n", " /* it's /* nested */ ; */ ", "\t"])


def _written(kind: Kind, text: str) -> str:
    quote = {Kind.STRING: "'", Kind.QUOTED: '"'}.get(kind, "")
    return f"{quote}{text.replace(quote, quote * 2) if quote else text}{quote}"


@given(st.lists(st.tuples(_PIECES, _GAPS), max_size=12))
@settings(deadline=None)
def test_words_are_read_back_as_they_were_written(pieces: list[tuple[tuple[Kind, str], str]]) -> None:
    query = "".join(_written(kind, text) + gap for (kind, text), gap in pieces)
    found = words(query)
    assert [(word.kind, word.text) for word in found] == [piece for piece, _ in pieces]
    bare = without_comments(query, found)
    assert [(word.kind, word.text, word.start) for word in words(bare)] == [
        (word.kind, word.text, word.start) for word in found
    ]
    assert "comment" not in bare


@given(_STRINGS)
@settings(deadline=None)
def test_whatever_stands_in_a_string_stays_in_it(text: str) -> None:
    query = f"SELECT {_written(Kind.STRING, text)} AS x FROM fact.folk1a"
    assert judged(query) == query


_SQL = ["SELECT", "1", "'", '"', "(", ")", "fact.x", "pg_sleep", "--", "/*", "*/", ";", "\n", "FROM", "AS", "E'", "$$",
        ",", "WITH", "a", "DELETE", "\\", "U&", " ", "::", "[", "]", "CASE", "INTO", "OVER", ".", "*",
        "UNION"]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(_SQL), max_size=14).map(" ".join) | st.lists(st.sampled_from(_SQL)).map("".join))
def test_any_text_is_sent_or_refused_and_nothing_else(text: str) -> None:
    with contextlib.suppress(QueryRefused):
        sent = judged(text)
        assert sent.strip().lstrip("(").upper().startswith(("SELECT", "WITH", "VALUES", "TABLE"))
        outside = [word.text for word in words(sent)]
        assert ";" not in {word.text for word in words(sent) if word.kind is Kind.SIGN}
        assert ("pg_sleep", "(") not in set(pairwise(outside))


@given(st.text(max_size=40))
@settings(deadline=None)
def test_the_same_for_any_text_at_all(text: str) -> None:
    with contextlib.suppress(QueryRefused):
        judged(f"SELECT {text}")
