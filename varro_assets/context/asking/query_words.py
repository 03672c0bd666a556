"""Words of a query: where its strings, names and comments begin and end, by Postgres' own rules.

What belongs here: reading text into words, strictly. What may stand in a query is decided in `query_rules`, from these
words and from a parser that follows the same text; whatever the two could read differently is refused here: strings
with a prefix (``E'..'``, ``U&'..'``, ``B'..'``), dollar quotes, parameters, blanks and control characters beyond
ASCII's.
Source of the rules: Postgres manual, chapter "Lexical Structure".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from varro_assets.errors import QueryRefused

LONGEST = 20_000
"""Characters of a query."""
DEEPEST = 20
"""Brackets within brackets; parsers recurse."""

_BLANK = re.compile(r"[ \t\n\r\f\v]+")
_COMMENT = re.compile(r"--[^\n\r]*")
_COMMENT_MARK = re.compile(r"/\*|\*/")
_STRING = re.compile(r"'(?:[^']|'')*+'")
_QUOTED = re.compile(r'"(?:[^"]|"")++"')
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_SIGN = re.compile(r"[-+*/<>=~!@#%^&|?:,.()\[\];]")
_PREFIXES = frozenset({"e", "b", "x", "n"})


class Kind(StrEnum):
    """What sort of word it is."""

    NAME = "name"
    """Keyword or identifier; ``text`` in lower case."""
    QUOTED = "quoted name"
    """``text`` is the name itself."""
    STRING = "string"
    NUMBER = "number"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Word:
    """One word.

    Attributes:
        start, end: offsets in the query.
    """

    kind: Kind
    text: str
    start: int
    end: int


def words(query: str) -> tuple[Word, ...]:
    """The words of a query, comments left out.

    Raises:
        QueryRefused: too long, too deep, unfinished, or with something that could be read in two ways; it says where.
    """
    if len(query) > LONGEST:
        raise refused(f"it has {len(query)} characters, more than {LONGEST}", "Ask for less at once.")
    if surrogate := re.search(r"[\ud800-\udfff\0]", query):
        raise refused(f"{place(query, surrogate.start())}: bytes that are no text", "Send the query as UTF-8.")
    found = tuple(_words(query))
    depth = 0
    for word in found:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(word.text, 0) if word.kind is Kind.SIGN else 0
        if depth < 0:
            raise refused(f"{place(query, word.start)}: a bracket that nobody opened", "Look for it there.")
        if depth > DEEPEST:
            raise refused(f"{place(query, word.start)}: more than {DEEPEST} brackets within brackets", "Simplify it.")
    if depth:
        raise refused("a bracket is not closed", "Close it.")
    return found


def without_comments(query: str, found: tuple[Word, ...]) -> str:
    """The same text with blanks for comments and nothing after the last word: every word stays at its offset."""
    parts, end = [], 0
    for word in found:
        parts += [re.sub(r"[^\n]", " ", query[end : word.start]), query[word.start : word.end]]
        end = word.end
    return "".join(parts)


def place(query: str, offset: int) -> str:
    """``line 2, column 7``."""
    before = query[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def refused(got: str, todo: str) -> QueryRefused:
    """The error for a query that is not sent."""
    return QueryRefused("run the query", got=got, todo=f"Nothing was sent. {todo}")


def _words(query: str) -> Iterator[Word]:
    offset = 0
    while (offset := _skip(query, offset)) < len(query):
        word = _word(query, offset)
        yield word
        offset = word.end


def _skip(query: str, offset: int) -> int:
    """Behind blanks and comments."""
    while True:
        if match := _BLANK.match(query, offset) or _COMMENT.match(query, offset):
            offset = match.end()
        elif query.startswith("/*", offset):
            offset = _behind_comment(query, offset)
        else:
            return offset


def _behind_comment(query: str, start: int) -> int:
    depth, offset = 0, start
    while match := _COMMENT_MARK.search(query, offset):
        depth += 1 if match[0] == "/*" else -1
        offset = match.end()
        if not depth:
            return offset
    raise refused(f"{place(query, start)}: the comment does not end", "Close it with */.")


def _word(query: str, offset: int) -> Word:
    character = query[offset]
    if match := _STRING.match(query, offset):
        return Word(Kind.STRING, match[0][1:-1].replace("''", "'"), offset, match.end())
    if match := _QUOTED.match(query, offset):
        return Word(Kind.QUOTED, match[0][1:-1].replace('""', '"'), offset, match.end())
    if character in "'\"":
        raise refused(
            f"{place(query, offset)}: a quote that does not close", "Close it; inside a string write it twice."
        )
    if match := _NUMBER.match(query, offset):
        if _NAME.match(query, match.end()):
            raise refused(f"{place(query, offset)}: a number that runs into a name", "Put a blank between them.")
        return Word(Kind.NUMBER, match[0], offset, match.end())
    if match := _NAME.match(query, offset):
        return _name(query, match)
    if match := _SIGN.match(query, offset):
        return Word(Kind.SIGN, match[0], offset, match.end())
    raise refused(
        f"{place(query, offset)}: {character!r}, which is not understood here",
        "Dollar quotes, parameters and blanks other than the ordinary one are not taken.",
    )


def _name(query: str, match: re.Match[str]) -> Word:
    text, after = match[0].lower(), query[match.end() : match.end() + 2]
    if (text in _PREFIXES and after[:1] == "'") or (text == "u" and after in ("&'", '&"')):
        raise refused(
            f"{place(query, match.start())}: a string with a prefix",
            "Write it as a plain string, letters as they are; a backslash stands for itself.",
        )
    if after[:1] == "$":
        raise refused(f"{place(query, match.end())}: '$' in a name", "Put the name into double quotes.")
    return Word(Kind.NAME, text, match.start(), match.end())
