"""Join condition: SQL text that people write into a link file, read before any database sees it.

What belongs here: what such a condition may consist of, and turning it into the join between fact ``f`` and dimension
``d``. A link file is data: what it says runs with the rights of whoever builds documents.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from varro_assets.dimensions.links.normalisation import quoted
from varro_assets.errors import InvalidLink

LONGEST = 500
"""Characters of a condition."""
DIMENSION_COLUMNS = ("kode", "niveau")
_DEEPEST = 20
_FUNCTIONS: tuple[type[exp.Expr], ...] = (
    exp.Trim,
    exp.Replace,
    exp.Substring,
    exp.Left,
    exp.Right,
    exp.Upper,
    exp.Lower,
    exp.Pad,
    exp.Length,
    exp.Concat,
    exp.Coalesce,
    exp.Nullif,
    exp.SplitPart,
    exp.Translate,
)
_FUNCTION_NAMES = (
    "LTRIM, RTRIM, TRIM, REPLACE, SUBSTR, LEFT, RIGHT, UPPER, LOWER, LPAD, LENGTH, CONCAT, COALESCE, NULLIF,"
    " SPLIT_PART, TRANSLATE, CAST"
)
_OPERATORS: tuple[type[exp.Expr], ...] = (
    *(exp.And, exp.Or, exp.Not, exp.Paren, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE),
    *(exp.In, exp.Between, exp.Is, exp.Like, exp.Case, exp.If, exp.DPipe, exp.Cast, exp.DataType),
    *(exp.Literal, exp.Null, exp.Column, exp.Identifier),
)
_CONDITIONS: tuple[type[exp.Expr], ...] = (
    *(
        exp.And,
        exp.Or,
        exp.Not,
        exp.EQ,
        exp.NEQ,
        exp.LT,
        exp.LTE,
        exp.GT,
        exp.GTE,
        exp.In,
        exp.Between,
        exp.Is,
        exp.Like,
    ),
)
_TYPES = ("TEXT", "VARCHAR", "INT", "BIGINT")


def join_of(override: str, column_name: str, *, on: str) -> str:
    """The join that a condition without aliases stands for, ``::`` written as CAST.

    Args:
        override: one condition over the column and ``kode`` or ``niveau``, such as ``SUBSTR(branche, 2) = kode``.
        column_name: the fact table's column.
        on: the link file, for errors.

    Raises:
        InvalidLink: it is no such condition, is longer than `LONGEST`, or uses anything but comparisons, CASE and the
            few functions that take codes apart.
    """
    tree = _parsed(override, on)
    names = set()
    for column in tree.find_all(exp.Column):
        if len(column.parts) > 1:
            raise _refused(override, on, f"{column.sql(dialect='postgres')} has an alias; names stand alone")
        name = _name(column, override, on)
        if name != column_name and name not in DIMENSION_COLUMNS:
            raise _refused(override, on, f"it names {name!r}; known are {column_name}, {', '.join(DIMENSION_COLUMNS)}")
        names.add(name)
        column.set("table", exp.to_identifier("f" if name == column_name else "d"))
        column.set("this", exp.to_identifier(name, quoted=quoted(name) != name))
    if not {column_name, "kode"} <= names:
        raise _refused(override, on, f"it must compare {column_name} with kode")
    return tree.sql(dialect="postgres", comments=False)


def checked_join(join: str, column_name: str, *, on: str) -> str:
    """A join between ``f`` and ``d`` as it may be run: read, and written anew from what was understood.

    Raises:
        InvalidLink: as `join_of`.
    """
    tree = _parsed(join, on)
    known = {("f", column_name), *(("d", name) for name in DIMENSION_COLUMNS)}
    names = set()
    for column in tree.find_all(exp.Column):
        place = (column.table, column.name)
        if len(column.parts) > 2 or place not in known:
            raise _refused(join, on, f"it names {'.'.join(place)!r}; known are f.{column_name}, d.kode, d.niveau")
        names.add(place)
    if not {("f", column_name), ("d", "kode")} <= names:
        raise _refused(join, on, f"it must compare f.{column_name} with d.kode")
    return tree.sql(dialect="postgres", comments=False)


def _parsed(override: str, on: str) -> exp.Expr:
    if len(override) > LONGEST or override.count("(") > _DEEPEST:
        raise _refused(override, on, f"it is longer than {LONGEST} characters or deeper than {_DEEPEST} brackets")
    try:
        trees = sqlglot.parse(override, read="postgres")
    except SqlglotError as error:
        raise _refused(override, on, f"it is no SQL condition ({str(error).splitlines()[0]})") from None
    if len(trees) != 1 or trees[0] is None:
        raise _refused(override, on, "it is not one condition")
    tree = trees[0]
    for node in tree.walk():
        if not isinstance(node, (*_OPERATORS, *_FUNCTIONS)):
            raise _refused(override, on, f"{node.sql(dialect='postgres')[:40]!r} is not allowed in it")
        if isinstance(node, exp.DataType) and (kind := node.sql(dialect="postgres").upper()) not in _TYPES:
            raise _refused(override, on, f"a cast to {kind} is not allowed in it")
    if not isinstance(tree.unnest(), _CONDITIONS):
        raise _refused(override, on, "it is a value, not a condition")
    return tree


def _name(column: exp.Column, override: str, on: str) -> str:
    """What Postgres takes the name for: folded to lower case unless quoted."""
    identifier = column.this
    if not isinstance(identifier, exp.Identifier):
        raise _refused(override, on, f"{column.sql(dialect='postgres')!r} is not allowed in it")
    if identifier.quoted:
        return identifier.name
    name = identifier.name.lower()
    if quoted(name) != name:
        raise _refused(override, on, f"{name} is a word of SQL or has other letters than a-z: write it {quoted(name)}")
    return name


def _refused(override: str, on: str, got: str) -> InvalidLink:
    return InvalidLink(
        "use join_override",
        on=f"{override[:80]!r} in {on}",
        got=got,
        todo=f"Write one condition such as SUBSTR(branche, 2) = kode, with no functions but {_FUNCTION_NAMES}.",
    )
