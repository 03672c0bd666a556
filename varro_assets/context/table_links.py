"""Table links: which columns of a table join which dimensions, proposed, merged with people's own, stored.

What belongs here: the steps for one table. Evidence and scores are `dimensions.linking`, the file is
`dimensions.link_file`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from varro_assets.context.cards import fact_columns
from varro_assets.context.snapshot import Snapshot
from varro_assets.context.sources import ContextSources
from varro_assets.dimensions import supply
from varro_assets.dimensions.links import link_file
from varro_assets.dimensions.models import FactColumn, Link, MadeBy
from varro_assets.errors import InvalidLink
from varro_assets.statbank.models import TableInfo


@dataclass(frozen=True)
class TableLinks:
    """The links of one table.

    Attributes:
        path: of the link file.
        changed: it was rewritten.
    """

    links: tuple[Link, ...]
    path: Path
    changed: bool


def write(sources: ContextSources, snapshot: Snapshot, info: TableInfo) -> TableLinks:
    """Propose links for every column, let people's own win, and store them.

    Raises:
        InvalidLink: the link file names a column, dimension or join that there is not; it is left as it is.
    """
    columns = fact_columns(info)
    path = link_file.path_of(sources.links_dir, info.id)
    # people's own are looked at before anything is written
    by_hand = [link for link in link_file.read(path) if link.made_by is MadeBy.HAND]
    link_file.checked(by_hand, columns, snapshot.dimensions, on=str(path))
    proposed = [link for column in columns if (link := _proposed(sources, snapshot, column)) is not None]
    try:
        links, changed = link_file.regenerate(sources.links_dir, info.id, proposed, columns)
    except InvalidLink:
        # without knowing what people want unlinked there are no new links, but those that stand can stay
        if snapshot.unlinked is not None or not path.is_file():
            raise
        links, changed = link_file.read(path), False
    return TableLinks(_checked(links, columns, snapshot, path), path, changed)


def _proposed(sources: ContextSources, snapshot: Snapshot, column: FactColumn) -> Link | None:
    known = list(snapshot.dimensions.values())
    link = sources.linker.propose(column, known)
    if link is None or not supply.is_code_list(snapshot.dimensions[link.dimension]):
        return link
    # a code list that became a dimension before its classification was fetched fits itself best for ever
    published = sources.linker.propose(column, [one for one in known if not supply.is_code_list(one)])
    return published if published is not None and published.coverage >= supply.COVERED_FROM else link


def read(sources: ContextSources, snapshot: Snapshot, info: TableInfo) -> tuple[Link, ...]:
    """The links as they are stored; empty where there are none yet.

    Raises:
        InvalidLink: as `write`.
    """
    path = link_file.path_of(sources.links_dir, info.id)
    return _checked(link_file.read(path), fact_columns(info), snapshot, path)


def _checked(links: Sequence[Link], columns: Sequence[FactColumn], snapshot: Snapshot, path: Path) -> tuple[Link, ...]:
    return tuple(link_file.checked(links, columns, snapshot.dimensions, on=str(path)))
