"""Numbers out of names: the one source of invented values.

What belongs here: hashes that are the same in every process and on every machine, for single names and for whole
numpy arrays. Nothing else in the simulator may draw a random number.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Reals = NDArray[np.float64]


def seed_of(*parts: object) -> int:
    """A 64-bit number that depends on nothing but the text of the parts."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def seeds_of(*parts: object) -> Hashes:
    """``seed_of`` as an array of one, so that numpy's arithmetic wraps instead of warning."""
    return np.array([seed_of(*parts)], dtype=np.uint64)


def mix(values: Hashes) -> Hashes:
    """Scramble every element (splitmix64's finaliser); shape is kept."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def uniform(values: Hashes) -> Reals:
    """Every element as a real number in [0, 1)."""
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53


def share_of(*parts: object) -> float:
    """One real number in [0, 1) for a name."""
    return float((seed_of(*parts) >> 11) * 2.0**-53)
