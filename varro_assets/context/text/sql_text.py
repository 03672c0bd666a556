"""SQL text: identifiers and literals as they stand in the examples of documents.

What belongs here: writing a name or a code so that Postgres, a parser and a program that binds parameters all read the
same. It is text for people to copy; our own statements use `psycopg2.sql` and parameters.
"""

from __future__ import annotations

import re

from varro_assets.dimensions.links.normalisation import quoted

# what a program takes for a parameter (:name, %s, {name}), for an escape, or for the end of a line
_AWKWARD = re.compile(r"[:%{}\\?\x00-\x1f\x7f-\x9f\u2028\u2029]")


def column(alias: str, name: str) -> str:
    """``f.omrade``."""
    return f"{alias}.{quoted(name)}"


def relation(schema: str, name: str) -> str:
    """``fact.folk1a``."""
    return f"{quoted(schema)}.{quoted(name)}"


def literal(text: str) -> str:
    """The text as a string constant: ``'TOT'``.

    Signs that a program could take for a parameter are joined in by number: ``'1840' || CHR(58) || '1849'``.
    """
    parts: list[str] = []
    plain = ""
    for sign in text:
        if _AWKWARD.match(sign):
            parts += ([_constant(plain)] if plain else []) + [f"CHR({ord(sign)})"]
            plain = ""
        else:
            plain += sign
    parts += [_constant(plain)] if plain or not parts else []
    return parts[0] if len(parts) == 1 else f"({' || '.join(parts)})"


def _constant(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def tid(value: str, tid_type: str) -> str:
    """A value of ``tid``: ``CAST('2025-07-01' AS date)``, or just a string where ``tid`` is text."""
    return literal(value) if tid_type == "text" else f"CAST({literal(value)} AS {tid_type})"
