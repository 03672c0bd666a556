"""Link file: which column of a table joins which dimension, as a file that people may edit.

What belongs here: ``<TABLE>.json`` read, written, merged and checked, and ``_removed.json``, the columns that people
want unlinked. A link without ``"made_by": "varro"`` is somebody's own: it wins over proposals and survives
regeneration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from varro_assets.dimensions.links.link_entry import KEYS, entry_of, link_of
from varro_assets.dimensions.links.linking import measured
from varro_assets.dimensions.links.normalisation import IDENTITY, NORMALISATIONS, Normalisation, named
from varro_assets.dimensions.models import Dimension, FactColumn, Link, MadeBy, MatchType
from varro_assets.engine.files import write_json
from varro_assets.errors import InvalidLink

REMOVED = "_removed.json"
BY_HAND = "by hand"
"""Normalisation of a link whose condition is somebody's own."""
_LOCK = ".lock"
_SHOWN = 30


def path_of(folder: Path, table: str) -> Path:
    """The file of a table's links."""
    return folder / f"{table}.json"


def read(path: Path) -> list[Link]:
    """The links of a file, in its order; none if there is no file.

    A link by hand needs no more than ``column`` and ``dimension``; what it does not say is worked out by `checked`.

    Raises:
        InvalidLink: it is no JSON list of links; names the entry. The file is left as it is.
    """
    return [link_of(entry, f"{path.name}, entry {number}") for number, entry in enumerate(_entries(path), 1)]


def write(path: Path, links: Sequence[Link]) -> bool:
    """Make the file hold exactly these links, in this order; returns whether it had to be written.

    Keys that we do not know stay on the links by hand that have them.

    Raises:
        InvalidLink: there is a file and it is no JSON list; it is left as it is.
        StorageFull: the old file is untouched.
    """
    held = _entries(path)
    theirs = {
        (entry["column"], entry["dimension"]): {key: value for key, value in entry.items() if key not in KEYS}
        for entry in held
        if isinstance(entry, dict) and entry.get("made_by") != MadeBy.VARRO and {"column", "dimension"} <= entry.keys()
    }
    entries = []
    for link in links:
        own = theirs.get((link.column, link.dimension), {}) if link.made_by is MadeBy.HAND else {}
        entries.append(entry_of(link) | own)
    if path.is_file() and entries == held:
        return False
    write_json(path, entries)
    return True


def merge(
    proposed: Iterable[Link], existing: Iterable[Link], removed: Iterable[str], columns: Sequence[FactColumn]
) -> list[Link]:
    """The links a table should have, in the order of its columns.

    Links by hand win; one whose column is gone stays, at the end, for its author to see. Proposals fill the other
    columns, but not the removed ones.

    Args:
        proposed: by `linking`.
        existing: as in the file.
        removed: variable ids.
        columns: of the table.
    """
    by_hand: dict[str, Link] = {}
    for link in existing:
        if link.made_by is MadeBy.HAND:
            found = _column(link.column, columns)
            by_hand.setdefault(found.variable if found else link.column, link)
    unwanted = set(removed)
    merged = {link.column: link for link in proposed if link.column not in unwanted} | by_hand
    order = [column.variable for column in columns]
    known = [merged[variable] for variable in order if variable in merged]
    return known + [merged[variable] for variable in sorted(by_hand.keys() - set(order))]


def checked(
    links: Iterable[Link], columns: Sequence[FactColumn], dimensions: Mapping[str, Dimension], *, on: str
) -> list[Link]:
    """The links with what those by hand left open filled in: join, coverage, levels, codes not in the dimension.

    Args:
        links: of one table.
        columns: of the table.
        dimensions: the held ones, by name.
        on: the file, for errors.

    Raises:
        InvalidLink: a column or dimension is unknown, a join is not one we can read, or two links share a column;
            names file, column and what is known.
    """
    found: dict[str, Link] = {}
    for link in links:
        where = f"{on}, column {link.column}"
        column = _column(link.column, columns)
        if column is None:
            raise _invalid(where, "the table has no such column", [column.variable for column in columns])
        if link.dimension not in dimensions:
            raise _invalid(where, f"there is no dimension {link.dimension!r}", sorted(dimensions))
        if column.variable in found:
            raise _invalid(where, "it has two links", ["one link per column"])
        found[column.variable] = _completed(link, column, dimensions[link.dimension], where)
    return list(found.values())


def by_hand(
    column: str,
    dimension: str,
    columns: Sequence[FactColumn],
    dimensions: Mapping[str, Dimension],
    *,
    on: str,
    join_override: str | None = None,
    normalisation: str = IDENTITY.name,
    note: str = "",
) -> Link:
    """A link somebody decides on, complete, for `set_by_hand`.

    It is exact if every code but totals is in the dimension; with a condition of their own that only `link_check` can
    tell, so that it counts as approx.

    Raises:
        InvalidLink: as `checked`.
    """
    stated = Link(column, dimension, MatchType.APPROX, "", join_override, normalisation, note=note, made_by=MadeBy.HAND)
    (link,) = checked([stated], columns, dimensions, on=on)
    exact = bool(link.levels) and all(one.total for one in link.unmatched)
    return replace(link, match_type=MatchType.EXACT if exact else MatchType.APPROX)


def removed(folder: Path) -> dict[str, set[str]]:
    """Table -> variable ids that people want unlinked.

    Raises:
        InvalidLink: ``_removed.json`` is no JSON object of lists; it is left as it is.
    """
    content = _json(folder / REMOVED, {})
    sound = isinstance(content, dict) and all(
        isinstance(listed, list) and all(isinstance(one, str) for one in listed) for listed in content.values()
    )
    if not sound:
        raise _broken(folder / REMOVED, "it is no JSON object of lists of columns")
    return {table: set(listed) for table, listed in content.items()}


def regenerate(
    folder: Path, table: str, proposed: Iterable[Link], columns: Sequence[FactColumn]
) -> tuple[list[Link], bool]:
    """Bring a table's file up to date; safe against people's `set_by_hand` and `remove` at the same moment.

    Returns:
        The links, and whether the file changed.

    Raises:
        InvalidLink: a file cannot be read; it is left as it is.
    """
    with _alone(folder):
        path = path_of(folder, table)
        links = merge(proposed, read(path), removed(folder).get(table, ()), columns)
        return links, write(path, links)


def set_by_hand(folder: Path, table: str, link: Link, columns: Sequence[FactColumn]) -> None:
    """Put a link by hand in the place of the column's present one; the column is no longer removed.

    Args:
        folder: of the link files.
        table: its id.
        link: as `checked` returned it.
        columns: of the table.

    Raises:
        InvalidLink: a file cannot be read; it is left as it is.
    """
    with _alone(folder):
        path = path_of(folder, table)
        others = [one for one in read(path) if one.column != link.column]
        proposals = [one for one in others if one.made_by is MadeBy.VARRO]
        write(path, merge(proposals, [replace(link, made_by=MadeBy.HAND, score=1.0), *others], (), columns))
        _write_removed(folder, table, removed(folder).get(table, set()) - {link.column})


def remove(folder: Path, table: str, variable: str) -> bool:
    """Unlink a column for good: the link goes, and none will be proposed; returns whether there was a link.

    Raises:
        InvalidLink: a file cannot be read; it is left as it is.
    """
    with _alone(folder):
        path = path_of(folder, table)
        links = read(path)
        kept = [link for link in links if link.column != variable]
        # first the wish, then the deed: interrupted between the two, the next regeneration removes the link
        _write_removed(folder, table, removed(folder).get(table, set()) | {variable})
        if len(kept) < len(links):
            write(path, kept)
        return len(kept) < len(links)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / _LOCK):
        yield


def _write_removed(folder: Path, table: str, variables: set[str]) -> None:
    held = removed(folder)
    wanted = {name: listed for name, listed in (held | {table: variables}).items() if listed}
    if wanted != held:
        write_json(folder / REMOVED, {name: sorted(wanted[name]) for name in sorted(wanted)})


def _column(name: str, columns: Sequence[FactColumn]) -> FactColumn | None:
    """By variable id; people also write the name of the column, or lower case."""
    exact = (column for column in columns if column.variable == name)
    near = (column for column in columns if name.lower() in (column.variable.lower(), column.name))
    return next(exact, None) or next(near, None)


def _completed(link: Link, column: FactColumn, dimension: Dimension, where: str) -> Link:
    link = replace(link, column=column.variable)
    normalisation = _normalisation(link, column)
    if normalisation is None:
        # imported here: a parser of SQL takes a tenth of a second to load, for the few links that people wrote
        from varro_assets.dimensions.links.join_condition import join_of

        join = join_of(link.join_override or "", column.name, on=where)
        return replace(link, join=join, normalisation=BY_HAND)
    join = normalisation.join_sql(column.name)
    # beside a join_override the join only repeats it, and may be older than the last change to that
    if link.join not in ("", join) and link.join_override is None:
        known = [one.join_sql(column.name) for one in NORMALISATIONS]
        raise _invalid(where, f"join {link.join[:80]!r} is unknown; a condition of your own is a join_override", known)
    override = normalisation.override_sql(column.name)
    link = replace(link, join=join, join_override=override, normalisation=normalisation.name)
    if link.made_by is MadeBy.VARRO:
        return link
    evidence = measured(column, dimension, normalisation)
    if evidence is None:
        return link
    return replace(
        link,
        coverage=evidence.coverage,
        levels=evidence.levels,
        level_coverage=evidence.level_coverage,
        unmatched=evidence.unmatched,
        repeated=evidence.repeated,
        reasons=link.reasons or ("made by hand",),
    )


def _normalisation(link: Link, column: FactColumn) -> Normalisation | None:
    """The normalisation a link goes by; None if its condition is somebody's own."""
    stated = IDENTITY if link.normalisation == BY_HAND else named(link.normalisation)
    if link.join_override is None:
        return stated
    known = (stated, *NORMALISATIONS)
    return next((one for one in known if one.override_sql(column.name) == link.join_override), None)


def _entries(path: Path) -> list[Any]:
    content = _json(path, [])
    if not isinstance(content, list):
        raise _broken(path, "it is no JSON list")
    return content


def _json(path: Path, otherwise: Any) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return otherwise
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"it is no JSON: {error}") from None


def _broken(path: Path, got: str) -> InvalidLink:
    return InvalidLink("read", on=str(path), got=got, todo="It was left as it is. Correct it, or move it away.")


def _invalid(where: str, got: str, known: Sequence[str]) -> InvalidLink:
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return InvalidLink(
        "use the link in",
        on=where,
        got=f"{got}; known are: {', '.join(known[:_SHOWN]) or 'none'}{more}",
        todo="Correct the link file; varro links show TABLE prints it.",
    )
