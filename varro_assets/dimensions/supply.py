"""Supply: bringing a classification in, from its publisher or from a StatBank code list.

What belongs here: the order of steps: fetch, prove that it is a hierarchy, only then store. What is refused leaves what
is held as it was.
"""

from __future__ import annotations

from collections.abc import Iterable

from varro_assets.dimensions import code_list
from varro_assets.dimensions.library import Library, dimension_of
from varro_assets.dimensions.linking import Linker
from varro_assets.dimensions.models import Dimension, FactColumn
from varro_assets.dimensions.publisher import Publisher
from varro_assets.dimensions.store import Classification
from varro_assets.errors import UnknownDimension

COVERED_FROM = 0.9
"""Share of a map's codes that a classification must have to make a dimension of the map itself superfluous."""


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


def from_code_lists(library: Library, linker: Linker, columns: Iterable[FactColumn]) -> list[str]:
    """Make a dimension of each map whose codes no classification has; returns the names of those that changed.

    Args:
        library: its store is written to.
        linker: to see which maps a classification covers.
        columns: of tables whose description may have changed; what the others gave stays.

    Raises:
        InvalidHierarchy: a code list is none.
    """
    classifications = [
        dimension for dimension in library.all().values() if not dimension.source.startswith(code_list.SOURCE)
    ]
    changed = []
    for name, column in longest_lists(columns).items():
        link = linker.propose(column, classifications)
        if link is not None and link.coverage >= COVERED_FROM:
            continue
        made = _classification(name, column)
        held = library.store.read(name)
        # a shorter list of another table does not replace a longer one
        better = held is None or held.source_url == made.source_url or len(held.rows_da) < len(made.rows_da)
        if better and library.store.write(made):
            changed.append(name)
    return changed


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
