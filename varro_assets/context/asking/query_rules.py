"""Query rules: which SQL `varro sql` sends to the warehouse.

What belongs here: the judgement of a query's text, pure; it is the first of several defences and the one that explains
itself. The others (role, read-only transaction, time) lie in `queries`.

A query is one SELECT, VALUES or TABLE, with CTEs and set operations as wanted, over the schemas ``fact``, ``dim`` and
``meta``. Functions are allowed by name rather than forbidden by name: what an extension, a later Postgres or the owner
of the server adds is out of reach until somebody has looked at it, and a list of what sleeps, locks, writes or runs
text would never be complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError, SqlglotError

from varro_assets.context.asking.query_words import Kind, Word, place, refused, without_comments, words
from varro_assets.errors import QueryRefused

SCHEMAS = ("fact", "dim", "meta")
"""What a query may read."""

_ALLOWED = """
    count sum avg min max stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp
    regr_slope regr_intercept regr_r2 regr_count regr_avgx regr_avgy regr_sxx regr_sxy regr_syy
    mode percentile_cont percentile_disc bool_and bool_or every any_value string_agg array_agg range_agg
    json_agg jsonb_agg json_object_agg jsonb_object_agg grouping
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    coalesce nullif greatest least num_nulls num_nonnulls
    abs ceil ceiling floor round trunc sign mod div power sqrt cbrt exp ln log log10 pi degrees radians
    sin cos tan asin acos atan atan2 width_bucket random gcd lcm
    lower upper initcap length char_length character_length octet_length substring substr left right
    position strpos trim btrim ltrim rtrim lpad rpad replace translate reverse repeat split_part concat concat_ws
    starts_with overlay ascii chr format quote_literal quote_ident md5 to_hex normalize
    regexp_replace regexp_match regexp_matches regexp_count regexp_like regexp_substr regexp_instr
    regexp_split_to_array regexp_split_to_table string_to_array string_to_table
    to_char to_date to_number to_timestamp date_part date_trunc date_bin extract age make_date make_interval
    make_timestamp now isfinite justify_days justify_interval
    generate_series generate_subscripts unnest cardinality array_length array_upper array_lower array_ndims
    array_append array_prepend array_cat array_position array_positions array_remove array_replace array_to_string
    int4range int8range numrange daterange tsrange tstzrange lower_inc upper_inc lower_inf upper_inf isempty range_merge
    to_json to_jsonb row_to_json json_build_object jsonb_build_object json_build_array jsonb_build_array
    jsonb_array_elements jsonb_array_elements_text json_array_elements json_array_elements_text jsonb_array_length
    jsonb_each jsonb_each_text jsonb_object_keys jsonb_typeof jsonb_pretty jsonb_extract_path_text
    version pg_typeof cast system bernoulli
"""
FUNCTIONS = frozenset(_ALLOWED.split())
"""Functions a query may call; none of them writes, waits, runs text or reads anything but its arguments."""

_WORDS = """
    select from where on using and or not in any some all exists as over filter group by values union except intersect
    distinct having when then else case between like ilike similar to is limit offset fetch first next lateral sets
    rollup cube materialized array row within order join with return partition end escape
    numeric decimal varchar char character varying bit time timestamp timestamptz interval float
"""
_BEFORE_BRACKETS = frozenset(_WORDS.split())
"""Keywords and types that may stand before a bracket without being a call."""
_FIRST = frozenset({"select", "with", "values", "table"})
_STATEMENTS = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery)
_STRINGS = frozenset({TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.RAW_STRING, TokenType.HEREDOC_STRING})
_WRITING = (exp.DML, exp.DDL, exp.Command, exp.Set)
_ONLY_READING = "It reads: one SELECT over the schemas fact, dim and meta."


def judged(query: str) -> str:
    """The text to send: the query itself with blanks for comments and without a closing ``;``.

    Raises:
        QueryRefused: it is not one SELECT over the readable schemas with known functions, or cannot be understood.
    """
    found = words(query)
    while found and found[-1].text == ";" and found[-1].kind is Kind.SIGN:
        found = found[:-1]
    _one_reading_statement(query, found)
    text = without_comments(query, found)
    tree = _parsed(text, found)
    aliases = {alias.name.lower() for alias in tree.find_all(exp.TableAlias) if alias.columns}
    _calls(query, found, aliases)
    for node in tree.walk():
        _node(node)
    _relations(tree)
    return text


def _one_reading_statement(query: str, found: tuple[Word, ...]) -> None:
    for word in found:
        if word.kind is Kind.SIGN and word.text == ";":
            raise refused(f"{place(query, word.start)}: a second statement", "Send one at a time.")
    opening = next((word for word in found if word.text != "(" or word.kind is not Kind.SIGN), None)
    if opening is None:
        raise refused("it is empty", _ONLY_READING)
    if opening.kind is not Kind.NAME or opening.text not in _FIRST:
        raise refused(f"it begins with {opening.text[:40]!r}", _ONLY_READING)


def _parsed(text: str, found: tuple[Word, ...]) -> exp.Expr:
    try:
        strings = [token.text for token in sqlglot.tokenize(text, read="postgres") if token.token_type in _STRINGS]
        if strings != [word.text for word in found if word.kind is Kind.STRING]:
            raise refused("its strings can be read in two ways", "Write them more plainly.")
        statements = sqlglot.parse(text, read="postgres")
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        where = f"line {first['line']}, near {first['highlight'][:40]!r}: " if first.get("highlight") else ""
        got = f"{where}{first.get('description') or error}"
        raise refused(_line(got), "Correct it there.") from None
    except (SqlglotError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise refused(f"it cannot be understood ({_line(str(error))})", "Write it more plainly.") from None
    if len(statements) != 1 or not isinstance(statements[0], _STATEMENTS):
        raise refused("it is not one SELECT", _ONLY_READING)
    return statements[0]


def _line(text: str) -> str:
    # parsers underline with terminal escapes, and show what they hold
    plain = re.sub(r"<Token [^>]*>", "something else", re.sub(r"\x1b\[[0-9;]*m", "", text))
    return " ".join(plain.split())[:300].rstrip(".")


def _calls(query: str, found: tuple[Word, ...], aliases: set[str]) -> None:
    """Every name before a bracket is a known function, a keyword, or the alias of a relation with its columns."""
    before = None
    for word, after in pairwise(found):
        if after.text == "(" and after.kind is Kind.SIGN and word.kind in (Kind.NAME, Kind.QUOTED):
            name = word.text
            dotted = before is not None and before.kind is Kind.SIGN and before.text == "."
            known = name in FUNCTIONS or name in aliases or (word.kind is Kind.NAME and name in _BEFORE_BRACKETS)
            if dotted or not known:
                raise _unknown_function(name, place(query, word.start))
        before = word


def _unknown_function(name: str, where: str) -> QueryRefused:
    return refused(
        f"{where + ': ' if where else ''}function {name[:60]!r} is not among those a query may call",
        "Do without it, without a schema before its name, or use: varro psql",
    )


def _node(node: exp.Expr) -> None:
    if isinstance(node, _WRITING):
        raise refused(f"it holds {node.key.upper()}", _ONLY_READING)
    if isinstance(node, exp.Into):
        raise refused("SELECT INTO makes a table", _ONLY_READING)
    if isinstance(node, exp.Lock):
        raise refused("it locks rows (FOR UPDATE, FOR SHARE)", _ONLY_READING)
    if isinstance(node, (exp.Placeholder, exp.Parameter, exp.SessionParameter)):
        raise refused("it has a parameter", "Write the value itself.")
    if isinstance(node, exp.CTE) and not isinstance(node.this, _STATEMENTS):
        raise refused(f"WITH {node.alias} is no SELECT", _ONLY_READING)
    if isinstance(node, exp.Anonymous) and node.name.lower() not in FUNCTIONS | {"row"}:
        raise _unknown_function(node.name, "")


def _relations(tree: exp.Expr) -> None:
    """Every relation lies in a readable schema, or is a CTE."""
    ctes = {_folded(cte.args["alias"].this) for cte in tree.find_all(exp.CTE)}
    if catalogue := sorted(name for name in ctes if name.startswith("pg_")):
        # beyond its scope the name would mean the catalogue's relation
        raise refused(f"WITH {catalogue[0]} has the name of a part of the catalogue", "Choose another name.")
    for table in _tables(tree):
        schema, name = table.args.get("db"), table.this
        if table.args.get("catalog") is not None:
            raise refused(f"relation {table.sql('postgres')[:120]} has three parts", "Write schema.table.")
        if schema is None and _folded(name) not in ctes:
            todo = "Write the schema before it, as in fact.folk1a, dim.nuts or meta.code."
            raise refused(f"relation {name.name[:60]!r} has no schema", todo)
        if schema is not None and _folded(schema) not in SCHEMAS:
            raise refused(f"schema {schema.name[:60]!r} is not readable", _ONLY_READING)


def _tables(tree: exp.Expr) -> Iterator[exp.Table]:
    # a function in FROM is a table without a name
    return (table for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Identifier))


def _folded(name: exp.Expr) -> str:
    return name.name if name.args.get("quoted") else name.name.lower()
