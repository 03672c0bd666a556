"""Description: a tableinfo as it would have been published with other periods.

What belongs here: editing the publisher's body, so that a manifest states just what its folder holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from varro_assets.engine import periods


def described(raw: Mapping[str, Any], codes: Collection[str], updated: str) -> dict[str, Any]:
    """A tableinfo as published, but for its periods and its publication.

    Args:
        raw: as the publisher sent it.
        codes: the periods to list: those of them that are published or, if none is, all of them.
        updated: the publication.
    """
    body = {**raw, "updated": updated, "variables": []}
    for variable in raw["variables"]:
        if variable.get("time"):
            listed = [value for value in variable["values"] if value["id"] in codes]
            gone = [{"id": code, "text": code} for code in periods.in_order(codes)]
            body["variables"].append({**variable, "values": listed or gone})
        else:
            body["variables"].append(variable)
    return body
