"""Supply: bringing a classification in, from its publisher or from a StatBank code list.

What belongs here: the order of steps: fetch, prove that it is a hierarchy, only then store. What is refused leaves what
is held as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from varro_assets.dimensions.classifications import code_list
from varro_assets.dimensions.classifications.store import Classification
from varro_assets.dimensions.library import Library, dimension_of
from varro_assets.dimensions.links.linking import Linker
from varro_assets.dimensions.models import Dimension, FactColumn
from varro_assets.errors import DamagedPartition, UnknownDimension, VarroError

if TYPE_CHECKING:
    from varro_assets.dimensions.classifications.publisher import Publisher

COVERED_FROM = 0.9
"""Share of a map's codes that a classification must have to make a dimension of the map itself superfluous."""


@dataclass(frozen=True)
class CodeLists:
    """What was made of code lists.

    Attributes:
        changed: names of dimensions.
        problems: name -> why none was made.
    """

    changed: list[str] = field(default_factory=list)
    problems: dict[str, VarroError | OSError] = field(default_factory=dict)


def fetch(library: Library, publisher: Publisher, name: str) -> bool:
    """Fetch a classification anew; returns whether it changed.

    Raises:
        UnknownDimension: the registry does not have it.
        InvalidHierarchy: what came is none.
        SourceUnavailable, UnexpectedResponse: it could not be had.
    """
    source = library.sources.get(name)
    if source is None:
        raise UnknownDimension(
            "fetch the classification",
            on=name,
            got="no address of it is known",
            todo=f"varro dims list shows those that are; add it with: varro dims add {name} --page URL",
        )
    classification = publisher.fetch(source)
    dimension_of(classification, source)
    return library.store.write(classification)


def longest_lists(columns: Iterable[FactColumn]) -> dict[str, FactColumn]:
    """Dimension name -> of the geographic columns that share a map, the one with most codes; ties by table id."""
    found: dict[str, FactColumn] = {}
    for column in columns:
        if not column.map:
            continue
        name = code_list.map_dimension_name(column.map)
        best = found.get(name)
        rank = (-len(column.codes), column.table, column.variable)
        if best is None or rank < (-len(best.codes), best.table, best.variable):
            found[name] = column
    return found


def from_code_lists(
    library: Library,
    linker: Linker,
    columns: Iterable[FactColumn],
    others: Callable[[], Iterable[FactColumn]] = tuple,
) -> CodeLists:
    """Make a dimension of each map whose codes no classification has; one that cannot be made stops no other.

    Args:
        library: its store is written to.
        linker: to see which maps a classification covers.
        columns: of tables whose description may have changed.
        others: gives those of all tables. Asked only where the longest list may be another one now, so that what comes
            of it does not depend on the order in which tables changed.
    """
    classifications = [
        dimension for dimension in library.all().values() if not dimension.source.startswith(code_list.SOURCE)
    ]
    done = CodeLists()
    longest = longest_lists(columns)
    everywhere: dict[str, FactColumn] | None = None
    for name, column in longest.items():
        link = linker.propose(column, classifications)
        if link is not None and link.coverage >= COVERED_FROM:
            continue
        try:
            if not _may_differ(library, name, _classification(name, column)):
                continue
            if everywhere is None:
                everywhere = longest_lists(others())
            if library.store.write(_classification(name, everywhere.get(name, column))):
                done.changed.append(name)
        except (VarroError, OSError) as error:
            done.problems[name] = error
    return done


def _may_differ(library: Library, name: str, made: Classification) -> bool:
    """Whether what is held may no longer be the longest list; a shorter one of another table changes nothing."""
    try:
        held = library.store.read(name)
    except DamagedPartition:
        return True
    if held is None or held.source_url == made.source_url:
        return held != made
    return len(held.rows_da) <= len(made.rows_da)


def is_code_list(dimension: Dimension) -> bool:
    """Whether it was made of a StatBank code list."""
    return dimension.source.startswith(code_list.SOURCE)


def _classification(name: str, column: FactColumn) -> Classification:
    classification = Classification(
        name=name,
        title=f"{column.label} ({column.map})",
        rows_da=code_list.rows_of(column),
        rows_en=None,
        info_da=f"The codes of {column.variable} in StatBank table {column.table}, in the publisher's order; levels as"
        " the labels tell. Made because no published classification has these codes.",
        info_en="",
        source_url=f"{code_list.SOURCE}{column.table} {column.variable}",
        page_url="",
    )
    dimension_of(classification, None)
    return classification
