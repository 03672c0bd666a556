"""Layer: a map the publisher of boundaries has, and how its keys become a dimension's codes.

What belongs here: the registry, and the arithmetic between two publishers' codes for one place. No shape, no file.
Address and property names are those of Denmark's address service (its documentation, "DAGI API").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from varro_assets.dimensions.models import Dimension, Member
from varro_assets.errors import ConfigurationError

_DIGITS = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True)
class Layer:
    """One map layer.

    Attributes:
        name: part of the address and of the file's name, ``kommuner``.
        title: for people.
        keys: properties of a feature that may hold its key, the service's own first; case does not matter.
        tolerance: metres; detail below it is left out.
        dimension: whose members the shapes are of; None where the layer's codes are its own.
        niveau: level of that dimension.
        numbers: key -> number of the member, where the key is no number.
        offset: what the key's number exceeds the member's by; a smaller number is taken as it stands.
        width: digits of a code where no dimension says how it is padded; 0 leaves it as published.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    tolerance: float
    dimension: str | None = None
    niveau: int | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    offset: int = 0
    width: int = 0

    def own_code(self, key: str) -> str:
        """The code where no dimension tells it: ``0101`` -> ``101``, ``DK011`` -> ``01``, ``1084`` -> ``084``."""
        number = self._number(key)
        return key if number is None or not self.width else str(number).zfill(self.width)

    def members(self, dimension: Dimension) -> dict[int, Member]:
        """Number -> member of the layer's level. A number that two members share (``1`` and ``01``) is left out."""
        found: dict[int, Member | None] = {}
        for member in dimension.at(self.niveau or 0):
            if _DIGITS.fullmatch(member.kode):
                number = int(member.kode)
                found[number] = None if number in found else member
        return {number: member for number, member in found.items() if member}

    def member(self, key: str, members: Mapping[int, Member]) -> Member | None:
        """Which of `members` the key means; its code is then in the dimension's own padding."""
        number = self._number(key)
        return None if number is None else members.get(number)

    def _number(self, key: str) -> int | None:
        if key.upper() in self.numbers:
            return self.numbers[key.upper()]
        if not _DIGITS.fullmatch(key):
            return None
        number = int(key)
        return number - self.offset if number > self.offset else number


_NUTS3 = {
    "DK011": 1, "DK012": 2, "DK013": 3, "DK014": 4, "DK021": 5, "DK022": 6, "DK031": 7, "DK032": 8, "DK042": 9,
    "DK041": 10, "DK050": 11,
}  # fmt: skip
"""NUTS 3 of the European Union -> the number Statistics Denmark gives the landsdel; 9 and 10 change places."""

_REGISTRY = (
    Layer("regioner", "Regions", ("kode", "regionskode", "regionkode"), 200, "nuts", 1, offset=1000, width=3),
    Layer("landsdele", "Provinces (landsdele)", ("nuts3", "kode", "landsdelskode"), 150, "nuts", 2, _NUTS3, width=2),
    Layer("kommuner", "Municipalities", ("kode", "kommunekode", "komkode"), 100, "nuts", 3, width=3),
    Layer("sogne", "Parishes", ("kode", "sognekode"), 50, width=4),
    Layer("postnumre", "Postal districts", ("nr", "postnr", "postnummer", "kode"), 50, width=4),
    Layer("politikredse", "Police districts", ("kode", "politikredskode"), 100),
    Layer("retskredse", "Court districts", ("kode", "retskredskode"), 100),
    Layer("opstillingskredse", "Nomination districts", ("kode", "nummer", "opstillingskredskode"), 50),
    Layer("storkredse", "Multi-member constituencies", ("nummer", "kode", "storkredsnummer"), 100),
    Layer("valglandsdele", "Electoral provinces", ("bogstav", "kode", "valglandsdelsbogstav"), 150),
)
LAYERS: Mapping[str, Layer] = {layer.name: layer for layer in _REGISTRY}
"""Name -> layer, largest areas first among those that join a dimension."""
FOLDER = "geo"
"""Below the folder of the documents."""
DEFAULT = ("kommuner", "landsdele", "regioner")
"""Layers that are made unasked: those that join a dimension."""


def layer(name: str) -> Layer:
    """The layer of that name.

    Raises:
        ConfigurationError: no such layer is known.
    """
    if name not in LAYERS:
        raise ConfigurationError(
            "make the map layer",
            on=repr(name[:60]),
            got="no layer of that name is known",
            todo=f"Known layers: {', '.join(LAYERS)}.",
        )
    return LAYERS[name]
