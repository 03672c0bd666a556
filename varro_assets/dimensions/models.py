"""Dimension, fact column and link as values.

What belongs here: what the other modules of this family hand to each other and to `context`. No file, no database, no
request. Codes are text, exactly as published.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from varro_assets.errors import ConfigurationError

DIMENSION_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
SCHEMA = "dim"


def dimension_name(text: str) -> str:
    """A dimension's name, which is also its relation: a-z, digits and ``_``, beginning with a letter, up to 40.

    Dashes become ``_``, as in ``amt-kom``.

    Raises:
        ConfigurationError: it cannot be one.
    """
    name = text.strip().lower().replace("-", "_")
    if not DIMENSION_NAME.fullmatch(name):
        raise ConfigurationError(
            "name the dimension",
            on=repr(text[:60]),
            got="a name has letters a-z, digits and _, begins with a letter and is at most 40 long",
            todo="Choose another name.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Member:
    """One row of a dimension.

    Attributes:
        kode: code; unique together with ``niveau``, not by itself (byganv 110 stands on levels 2 and 3).
        niveau: level, 1 = top.
        titel: label.
        parent_kode, parent_niveau: the member above; None on top.
    """

    kode: str
    niveau: int
    titel: str
    parent_kode: str | None = None
    parent_niveau: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it."""
        return self.kode, self.niveau


@dataclass(frozen=True)
class Dimension:
    """A hierarchical code list.

    Attributes:
        name: relation in schema ``dim``.
        title: for people, such as ``Regioner og landsdele (NUTS)``.
        members: in traversal order: each parent before its children.
        source: address it came from, or ``StatBank code list FOLK1A OMRÅDE``.
        page: address of the page that explains it; empty if there is none.
        description: plain Markdown for the reader, may be empty.
        level_names: level -> what its members are called, such as ``Kommune``, where known.
    """

    name: str
    title: str
    members: tuple[Member, ...]
    source: str
    page: str = ""
    description: str = ""
    level_names: Mapping[int, str] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """``dim.nuts``."""
        return f"{SCHEMA}.{self.name}"

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Levels present, top first."""
        return tuple(sorted({member.niveau for member in self.members}))

    @cached_property
    def by_code(self) -> dict[str, tuple[Member, ...]]:
        """Code -> its members, top level first; more than one where a code repeats across levels."""
        found: dict[str, list[Member]] = {}
        for member in self.members:
            found.setdefault(member.kode, []).append(member)
        return {kode: tuple(sorted(members, key=lambda member: member.niveau)) for kode, members in found.items()}

    @cached_property
    def content_hash(self) -> str:
        """Changes with name, title, source, page, description, level names, or any member or their order."""
        rows = [[m.kode, m.niveau, m.titel, m.parent_kode, m.parent_niveau] for m in self.members]
        names = sorted(self.level_names.items())
        content = [self.name, self.title, self.source, self.page, self.description, names, rows]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()

    def at(self, niveau: int) -> tuple[Member, ...]:
        """Members of one level, in traversal order."""
        return tuple(member for member in self.members if member.niveau == niveau)


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a fact column, with its label."""

    id: str
    text: str


@dataclass(frozen=True)
class FactColumn:
    """A coded column of a fact table.

    Attributes:
        table: ``FOLK1A``.
        variable: the publisher's id, ``OMRÅDE``.
        name: the column, ``omrade``.
        label: ``område``.
        codes: in the publisher's order of presentation, which is hierarchical.
        map: the publisher's map of a geographic variable, such as ``Denmark_municipality_07``.
        eliminable: the publisher can sum over it, so that it has a total, stored or computed.
    """

    table: str
    variable: str
    name: str
    label: str
    codes: tuple[Code, ...]
    map: str | None = None
    eliminable: bool = False


class MatchType(StrEnum):
    """How well a column's codes are those of a dimension."""

    EXACT = "exact"
    """Every code but totals stands in the dimension."""
    APPROX = "approx"
    """Some do not."""


class MadeBy(StrEnum):
    """Who decided on a link."""

    VARRO = "varro"
    HAND = "hand"


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A code of the column that the dimension lacks.

    Attributes:
        total: it is recognised as a total, such as ``000`` Hele landet.
    """

    code: str
    label: str
    total: bool


@dataclass(frozen=True)
class Link:
    """A column joins a dimension.

    Attributes:
        column: the variable's id, as published.
        dimension: name.
        match_type: see `MatchType`.
        join: SQL condition between fact ``f`` and dimension ``d``, such as ``f.omrade = d.kode``.
        join_override: the same without aliases, for readers who know that key; None where plain equality joins.
        normalisation: what makes the codes equal; ``identity`` for plain equality.
        coverage: share of the column's codes, totals left out, that the dimension has; 0 to 1.
        levels: levels of the dimension on which the column's codes stand, top first.
        level_coverage: level -> (members of the level that the column has, members of the level).
        unmatched: codes the dimension lacks, in the publisher's order.
        repeated: codes that stand on several of ``levels``: a join without a level doubles their rows.
        score: strength of the evidence, 0 to 1; 1 for a link made by hand.
        reasons: the evidence in words.
        note: for the reader; people's own where the link is made by hand.
    """

    column: str
    dimension: str
    match_type: MatchType
    join: str
    join_override: str | None = None
    normalisation: str = "identity"
    coverage: float = 1.0
    levels: tuple[int, ...] = ()
    level_coverage: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    unmatched: tuple[Unmatched, ...] = ()
    repeated: tuple[str, ...] = ()
    score: float = 1.0
    reasons: Sequence[str] = ()
    note: str = ""
    made_by: MadeBy = MadeBy.VARRO
