"""Document health: whether dimensions, links and documents agree with what they are made of, and what mends it.

What belongs here: findings, from files and the warehouse alone; nothing is changed. Of tables `statbank.health` speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from varro_assets.context import doc_file, document_check, holdings, snapshot, table_documents
from varro_assets.context.holdings import Holding
from varro_assets.context.places import SUBJECTS, dim_path
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.dimensions.dim_table import DimTables
from varro_assets.dimensions.links import link_file
from varro_assets.engine.files import below
from varro_assets.engine.postgres import Connection
from varro_assets.errors import DatabaseUnavailable, HandEdited, VarroError
from varro_assets.statbank import facts

_SHOWN = 5


class Remedy(StrEnum):
    """What mends a finding."""

    LOAD = "load the dimension again"
    FETCH = "dims sync"
    WRITE = "document"
    HAND = "yours to decide"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        on: dimension, table or file.
        what: in words.
        remedy: what mends it.
    """

    on: str
    what: str
    remedy: Remedy


def findings(sources: ContextSources, connection: Connection, *, deep: bool = False) -> Iterator[Finding]:
    """Examine everything; the worst that others follow from comes first.

    Args:
        sources: folders.
        connection: to the warehouse.
        deep: also run every join on the database.

    Raises:
        ConfigurationError: there is no catalogue yet.
        DatabaseUnavailable: the warehouse cannot be reached.
    """
    yield from _dimension_findings(sources, connection)
    taken = snapshot.take(sources, connection, load=False)
    if link_file.REMOVED in taken.problems:
        yield Finding(link_file.REMOVED, taken.problems[link_file.REMOVED], Remedy.HAND)
    held = holdings.holdings(connection)
    behind = {holding.table for holding in table_documents.stale(sources, taken, held, holdings.written(connection))}
    for holding in held.values():
        found = list(_table_findings(sources, taken, connection, holding, deep=deep))
        yield from found
        if found:
            behind.discard(holding.table)
    if behind:
        what = f"links or documents of {', '.join(sorted(behind)[:_SHOWN])}{', ...' if len(behind) > _SHOWN else ''}"
        yield Finding(f"{len(behind)} of {len(held)} tables", f"{what} are not of what is held now", Remedy.WRITE)
    yield from _other_documents(sources, taken)


def _dimension_findings(sources: ContextSources, connection: Connection) -> Iterator[Finding]:
    tables = DimTables(connection)
    dimensions = sources.library.all()
    for name, problem in list(sources.library.problems.items()):
        known = name in sources.library.sources
        yield Finding(f"dim.{name}", problem, Remedy.FETCH if known else Remedy.HAND)
    for dimension in dimensions.values():
        try:
            difference = tables.difference(dimension)
        except DatabaseUnavailable:
            raise
        except VarroError as error:
            yield Finding(dimension.relation, str(error), Remedy.HAND)
            continue
        if difference is not None:
            yield Finding(dimension.relation, difference, Remedy.LOAD)
    for name in tables.read_names():
        if name not in sources.library.store.names():
            known = name in sources.library.sources
            yield Finding(f"dim.{name}", "its files are gone", Remedy.FETCH if known else Remedy.HAND)


def _table_findings(
    sources: ContextSources, taken: Snapshot, connection: Connection, holding: Holding, *, deep: bool
) -> Iterator[Finding]:
    table = holding.table
    lying = taken.lying.get(facts.relation_name(table), [])
    for path in lying:
        yield from _document_findings(table, path)
    try:
        card = table_documents.gather(sources, taken, holding)
    except VarroError as error:
        yield Finding(table, str(error), Remedy.HAND)
        return
    if not lying:
        yield Finding(table, "it has no document", Remedy.WRITE)
    if deep:
        for one in document_check.run_links(connection, card):
            if not one.holds:
                what = f"its link of {one.link.column} to {one.link.dimension} does not hold: {'; '.join(one.problems)}"
                yield Finding(table, what, Remedy.HAND)


def _other_documents(sources: ContextSources, taken: Snapshot) -> Iterator[Finding]:
    """Documents of dimensions, and the pages that lie there."""
    for name in taken.dimensions:
        path = sources.folder / dim_path(name)
        if path.exists():
            yield from _document_findings(f"dim.{name}", path)
        else:
            yield Finding(f"dim.{name}", "it has no document", Remedy.WRITE)
    for path in below(sources.folder / SUBJECTS, ".md"):
        yield from _document_findings(str(path.relative_to(sources.folder)), path)


def _document_findings(on: str, path: Path) -> Iterator[Finding]:
    problem = doc_file.intact(path)
    if problem is not None:
        # above people's notes there is nothing that writing could take away
        yield Finding(on, problem, Remedy.WRITE if _unstamped(path) else Remedy.HAND)


def _unstamped(path: Path) -> bool:
    try:
        doc = doc_file.read(path)
    except HandEdited:
        return False
    return doc is not None and not doc.stamped and not doc.generated.strip()
