"""The values of a period: invented, alike in every process, and consistent where the table has totals.

What belongs here: the one function from a table's state and a period to its grid. Leaf cells are computed from hashes
of their codes, so that a new code or a new order leaves the others as they were; sums are added up from leaves.
"""

from __future__ import annotations

from math import pi, sin
from typing import TYPE_CHECKING

import numpy as np

from varro_assets.simulator import tids
from varro_assets.simulator.cube import Axis, Grid, Mask, Units
from varro_assets.simulator.hashing import Hashes, Reals, mix, seeds_of, share_of, uniform

if TYPE_CHECKING:
    from varro_assets.simulator.table import Table

_COMES_AND_GOES = 0.02  # share of a sparse table's cells that are absent in one period and stored in the next


def grid(table: Table, tid: str) -> Grid:
    """All cells of one period of a table, one axis per dimension."""
    axes = [dimension.axis for dimension in table.dimensions]
    shape = tuple(len(axis.leaves) for axis in axes)
    cells = _cell_hashes(table.id, axes)
    now = mix(cells ^ seeds_of(table.id, tid, table.restated))
    units = _units(table, tid, axes, now)
    stored = _stored(table, tid, cells, now)
    missing = stored & (uniform(mix(cells ^ seeds_of("suppressed"))) < table.suppressed)
    units = _revised(table, tid, cells, units, stored & ~missing)
    if not table.stores_zeros:
        stored &= (units != 0) | missing
    units = np.where(stored & ~missing, units, 0).reshape(shape)
    return _thinned(table, tid, _summed(Grid(units, stored.reshape(shape), missing.reshape(shape)), axes))


def _along(values: Hashes | Reals, place: int, axes: int) -> tuple[int, ...]:
    return tuple(len(values) if at == place else 1 for at in range(axes))


def _cell_hashes(table_id: str, axes: list[Axis]) -> Hashes:
    cells = seeds_of("cell", table_id).reshape((1,) * len(axes))
    for place, axis in enumerate(axes):
        cells = mix(cells ^ axis.hashes.reshape(_along(axis.hashes, place, len(axes))))
    return cells


def _units(table: Table, tid: str, axes: list[Axis], now: Hashes) -> Units:
    size: Reals = np.ones((1,) * len(axes))
    for place, axis in enumerate(axes):
        size = size * axis.weights.reshape(_along(axis.weights, place, len(axes)))
    when = tids.years(tid)
    growth = table.growth * (0.5 + share_of("growth", table.id))
    season = table.noise / 2 * sin(2 * pi * (when % 1.0))
    trend = max(1 + growth * (when - 2020) + season, 0.1)
    wander = 1 + table.noise * (2 * uniform(now) - 1)
    real = table.scale * (size * trend * wander - table.centre)
    units: Units = np.rint(real * 10**table.decimals).astype(np.int64)
    return units


def _stored(table: Table, tid: str, cells: Hashes, now: Hashes) -> Mask:
    if tid in table.empty:
        return np.zeros(cells.shape, dtype=np.bool_)
    stored = uniform(mix(cells ^ seeds_of("stored"))) < table.density
    if table.density < 1:
        stored &= uniform(mix(now ^ seeds_of("comes and goes"))) >= _COMES_AND_GOES
    names = [[dimension.axis.ids[at] for at in dimension.axis.leaves] for dimension in table.dimensions]
    for place, dimension in enumerate(table.dimensions):
        for code in dimension.codes:
            if code.since is not None and tids.order(tid) < tids.order(code.since):
                np.moveaxis(stored, place, 0)[names[place].index(code.id)] = False
    for hole in table.holes:
        inside = [
            np.array([name in hole.get(dimension.id, leaves) for name in leaves], dtype=np.bool_)
            for dimension, leaves in zip(table.dimensions, names, strict=True)
        ]
        stored[np.ix_(*inside)] = False
    return stored


def _revised(table: Table, tid: str, cells: Hashes, units: Units, eligible: Mask) -> Units:
    """Add to exactly the revised number of leaf cells; a delta is positive, so no revision undoes another."""
    for revised, seed, count in table.revisions:
        if revised == tid:
            chance = mix(cells ^ seeds_of("revised", seed)).ravel()
            places = np.flatnonzero(eligible.ravel())
            chosen = places[np.argsort(chance[places], kind="stable")[:count]]
            flat = units.ravel().copy()
            flat[chosen] += 1 + np.abs(flat[chosen]) // 50
            units = flat.reshape(units.shape)
    return _offset(table, tid, cells, units, eligible)


def _offset(table: Table, tid: str, cells: Hashes, units: Units, eligible: Mask) -> Units:
    """Take from one stored leaf cell and give to another; a period with one cell only stays as it is."""
    for changed, seed in table.offsets:
        places = np.flatnonzero(eligible.ravel())
        if changed == tid and len(places) > 1:
            chance = mix(cells ^ seeds_of("offset", seed)).ravel()
            more, less = places[np.argsort(chance[places], kind="stable")[:2]]
            flat = units.ravel().copy()
            by = 1 + abs(int(flat[more])) // 20
            flat[more] += by
            flat[less] -= by
            units = flat.reshape(units.shape)
    return units


def _summed(leaves: Grid, axes: list[Axis]) -> Grid:
    units, stored, missing = leaves.units.astype(np.float64), leaves.stored, leaves.missing
    for place, axis in enumerate(axes):
        if axis.sums is not None:
            units = _added(units, axis.sums, place)
            stored = _added(stored.astype(np.float64), axis.sums, place) > 0
            spread = np.zeros(stored.shape, dtype=np.bool_)
            np.moveaxis(spread, place, 0)[axis.leaves] = np.moveaxis(missing, place, 0)
            missing = spread
    return Grid(np.rint(units).astype(np.int64), stored, missing)


def _added(values: Reals, sums: Reals, place: int) -> Reals:
    return np.moveaxis(np.tensordot(sums, values, axes=(1, place)), 0, place)


def _thinned(table: Table, tid: str, whole: Grid) -> Grid:
    """Take away rows of a shrunken period, so that its rounded share stays."""
    if tid not in table.kept:
        return whole
    places = np.flatnonzero(whole.stored.ravel())
    chance = mix(places.astype(np.uint64) ^ seeds_of("kept", table.id, tid))
    stored = np.zeros(whole.stored.size, dtype=np.bool_)
    stored[places[np.argsort(chance, kind="stable")[: round(len(places) * table.kept[tid])]]] = True
    return Grid(whole.units, stored.reshape(whole.stored.shape), whole.missing)
