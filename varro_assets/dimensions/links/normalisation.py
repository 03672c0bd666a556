"""Normalisation: what makes a column's code and a dimension's code equal, in Python and in SQL alike.

What belongs here: the closed set of them, their keys and their SQL. Which one a column needs is decided by `linking`.

Two spellings of one condition: `join_sql` between fact ``f`` and dimension ``d``, and `override_sql` without aliases,
for readers who put the two tables side by side themselves. A code that nothing is left of joins nothing: ``000``
without its zeros must not be equal to ``0`` without its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_uppercase

from varro_assets.errors import InvalidLink


class DimensionKey(StrEnum):
    """What is done to a dimension's code before it is compared; several normalisations share one."""

    PLAIN = "plain"
    NO_ZEROS = "no zeros"
    NO_MARKS = "no marks"
    NO_MARKS_ZEROS = "no marks, no zeros"

    def of(self, kode: str) -> str | None:
        """The key of a code; None if nothing is left."""
        return _DIMENSION_KEYS[self](kode) or None

    def sql(self, expression: str) -> str:
        """The same in SQL."""
        return _DIMENSION_SQL[self].format(expression)


@dataclass(frozen=True)
class Normalisation:
    """One way of making codes equal.

    Attributes:
        name: what link files say.
        meaning: for readers, completes "codes are equal ...".
        dimension_key: done to the dimension's code.
        fact_sql: done to the fact's code, with ``{}`` for the column; '' (nothing left) becomes NULL.
    """

    name: str
    meaning: str
    dimension_key: DimensionKey
    fact_sql: str
    _fact: Callable[[str], str]
    _prefix: str = ""

    def fact_key(self, code: str) -> str | None:
        """Key of the fact's code, to be compared with `dim_key`; None joins nothing."""
        if not code.startswith(self._prefix):
            return None
        return self._fact(code.removeprefix(self._prefix)) or None

    def dim_key(self, kode: str) -> str | None:
        """Key of the dimension's code; None joins nothing."""
        return self.dimension_key.of(kode)

    def join_sql(self, column_name: str) -> str:
        """Condition between fact ``f`` and dimension ``d``, such as ``f.omrade = d.kode``."""
        return self._condition(f"f.{quoted(column_name)}", "d.kode")

    def override_sql(self, column_name: str) -> str | None:
        """The condition without aliases; None for plain equality, which readers assume anyway."""
        return None if self is IDENTITY else self._condition(quoted(column_name), "kode")

    def _condition(self, fact: str, kode: str) -> str:
        key = self.dimension_key.sql(kode)
        prefix = f"'{self._prefix}' || " if self._prefix else ""
        return f"{self.fact_sql.format(fact)} = {prefix}{key}"


def prefixed(letters: str) -> Normalisation:
    """The fact's codes are the dimension's behind one or two capital letters: ``V01000`` for ``01000``.

    Raises:
        InvalidLink: not one or two letters A-Z.
    """
    if not re.fullmatch(r"[A-Z]{1,2}", letters, re.ASCII):
        raise InvalidLink(
            "read the normalisation",
            on=f"prefix {letters}",
            got="a prefix is one or two letters A-Z",
            todo="Correct the link file.",
        )
    meaning = f"after a leading {letters} of the column's codes is left out"
    return Normalisation(f"{_PREFIX} {letters}", meaning, DimensionKey.PLAIN, "{}", _same, letters)


def named(name: str) -> Normalisation:
    """The normalisation of that name.

    Raises:
        InvalidLink: there is none.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    word, _, letters = name.partition(" ")
    if word == _PREFIX:
        return prefixed(letters)
    raise InvalidLink(
        "read the normalisation",
        on=repr(name[:40]),
        got=f"known are: {', '.join([*_BY_NAME, f'{_PREFIX} X'])}",
        todo="Correct the link file.",
    )


def quoted(name: str) -> str:
    """A column name as SQL needs it: in double quotes if it is a reserved word or not plain lower case."""
    if _PLAIN_NAME.fullmatch(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def _same(code: str) -> str:
    return code


def _no_zeros(code: str) -> str:
    return code.lstrip("0")


def _no_marks(code: str) -> str:
    return code.replace(".", "").replace(" ", "")


def _no_marks_zeros(code: str) -> str:
    return _no_zeros(_no_marks(code))


def _no_letters_before(code: str) -> str:
    return code.lstrip(ascii_uppercase)


def _no_letters_behind(code: str) -> str:
    return code.rstrip(ascii_uppercase)


_DIMENSION_KEYS: dict[DimensionKey, Callable[[str], str]] = {
    DimensionKey.PLAIN: _same,
    DimensionKey.NO_ZEROS: _no_zeros,
    DimensionKey.NO_MARKS: _no_marks,
    DimensionKey.NO_MARKS_ZEROS: _no_marks_zeros,
}
_MARKS_SQL = "REPLACE(REPLACE({}, '.', ''), ' ', '')"
_DIMENSION_SQL = {
    DimensionKey.PLAIN: "{}",
    DimensionKey.NO_ZEROS: "LTRIM({}, '0')",
    DimensionKey.NO_MARKS: _MARKS_SQL,
    DimensionKey.NO_MARKS_ZEROS: f"LTRIM({_MARKS_SQL}, '0')",
}
_PREFIX = "prefix"

IDENTITY = Normalisation("identity", "as they are", DimensionKey.PLAIN, "{}", _same)
# the simple first: between two that explain a column equally well the earlier one is taken
NORMALISATIONS = (
    IDENTITY,
    Normalisation(
        "zeros", "when leading zeros are ignored", DimensionKey.NO_ZEROS, "NULLIF(LTRIM({}, '0'), '')", _no_zeros
    ),
    Normalisation(
        "marks", "when dots and blanks are ignored", DimensionKey.NO_MARKS, f"NULLIF({_MARKS_SQL}, '')", _no_marks
    ),
    Normalisation(
        "marks zeros",
        "when dots, blanks and leading zeros are ignored",
        DimensionKey.NO_MARKS_ZEROS,
        f"NULLIF(LTRIM({_MARKS_SQL}, '0'), '')",
        _no_marks_zeros,
    ),
    Normalisation(
        "letters before",
        "when the column's leading capital letters are ignored",
        DimensionKey.PLAIN,
        f"NULLIF(LTRIM({{}}, '{ascii_uppercase}'), '')",
        _no_letters_before,
    ),
    Normalisation(
        "letters behind",
        "when the column's trailing capital letters are ignored",
        DimensionKey.PLAIN,
        f"NULLIF(RTRIM({{}}, '{ascii_uppercase}'), '')",
        _no_letters_behind,
    ),
)
"""All but the prefixes, which are `prefixed` with one or two letters."""
_BY_NAME = {normalisation.name: normalisation for normalisation in NORMALISATIONS}

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
# PostgreSQL, appendix C: reserved, also those that may name a function or type
_RESERVED = frozenset(
    (
        *("all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary"),
        *("both", "case", "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create"),
        *("cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time"),
        *("current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end"),
        *("except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having"),
        *("ilike", "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral", "leading"),
        *("left", "like", "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset"),
        *("on", "only", "or", "order", "outer", "overlaps", "placing", "primary", "references", "returning", "right"),
        *("select", "session_user", "similar", "some", "symmetric", "system_user", "table", "tablesample", "then"),
        *("to", "trailing", "true", "union", "unique", "user", "using", "variadic", "verbose", "when", "where"),
        *("window", "with"),
    )
)
