"""Link entry: one link as it stands in a link file.

What belongs here: a link to a JSON object and back. The file is `link_file`.
"""

from __future__ import annotations

from typing import Any

from varro_assets.dimensions.links.normalisation import IDENTITY
from varro_assets.dimensions.models import Link, MadeBy, MatchType, Unmatched
from varro_assets.errors import InvalidLink

KEYS = (
    *("column", "dimension", "match_type", "note", "join_override", "join", "normalisation", "coverage", "levels"),
    *("level_coverage", "not_in_dimension", "repeated", "score", "reasons", "made_by"),
)
"""Every key we write; an existing AI analyst reads the first five."""


def entry_of(link: Link) -> dict[str, Any]:
    """The JSON object; ``note``, ``join_override`` and ``join`` only where there is one, coverage to four digits."""
    entry: dict[str, Any] = {
        "column": link.column,
        "dimension": link.dimension,
        "match_type": str(link.match_type),
        "note": link.note,
        "join_override": link.join_override,
        "join": link.join,
        "normalisation": link.normalisation,
        "coverage": round(link.coverage, 4),
        "levels": list(link.levels),
        "level_coverage": {str(niveau): list(link.level_coverage[niveau]) for niveau in sorted(link.level_coverage)},
        "not_in_dimension": [{"code": one.code, "label": one.label, "total": one.total} for one in link.unmatched],
        "repeated": list(link.repeated),
        "score": round(link.score, 4),
        "reasons": list(link.reasons),
        "made_by": str(link.made_by),
    }
    optional = ("note", "join_override", "join")
    return {key: value for key, value in entry.items() if key not in optional or value}


def link_of(entry: Any, where: str) -> Link:
    """The link a JSON object states; by hand unless it says that varro made it.

    Args:
        entry: as decoded.
        where: file and entry, for errors.

    Raises:
        InvalidLink: it is no object, lacks ``column`` or ``dimension``, or a value is not of its kind.
    """
    if not isinstance(entry, dict):
        raise _broken_entry(where, "it is no JSON object")
    by_varro = entry.get("made_by") == MadeBy.VARRO
    try:
        return Link(
            column=_text(entry["column"]),
            dimension=_text(entry["dimension"]),
            match_type=MatchType(entry.get("match_type", MatchType.APPROX)),
            join=_text(entry.get("join", "")),
            join_override=_text(entry["join_override"]) if entry.get("join_override") else None,
            normalisation=_text(entry.get("normalisation", IDENTITY.name)),
            coverage=float(entry.get("coverage", 1.0)),
            levels=tuple(int(niveau) for niveau in entry.get("levels", ())),
            level_coverage={
                int(key): (int(had), int(all_)) for key, (had, all_) in entry.get("level_coverage", {}).items()
            },
            unmatched=tuple(
                Unmatched(_text(one["code"]), _text(one["label"]), bool(one["total"]))
                for one in entry.get("not_in_dimension", ())
            ),
            repeated=tuple(_text(code) for code in entry.get("repeated", ())),
            score=float(entry.get("score", 1.0)),
            reasons=tuple(_text(reason) for reason in entry.get("reasons", ())),
            note=_text(entry.get("note") or ""),
            made_by=MadeBy.VARRO if by_varro else MadeBy.HAND,
        )
    except KeyError as error:
        raise _broken_entry(where, f"{error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise _broken_entry(where, str(error)) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _broken_entry(where: str, got: str) -> InvalidLink:
    return InvalidLink(
        "read", on=where, got=got, todo="It was left as it is. A link needs column and dimension, both texts."
    )
