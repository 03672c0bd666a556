"""Columns and dimensions for the tests of linking: real codes and labels, as small as they can be."""

from __future__ import annotations

from varro_assets.dimensions.classifications import hierarchy
from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.models import Code, Dimension, FactColumn
from varro_assets.simulator import Universe
from varro_assets.simulator.cube import Dimension as Variable
from varro_assets.statbank.facts import column_name

LEVEL_NAMES = {"nuts": {1: "Region", 2: "Landsdel", 3: "Kommune"}}


def dimension(name: str, title: str, lines: list[tuple[str, int, str]]) -> Dimension:
    """A dimension of (kode, niveau, titel) in traversal order."""
    rows = [PublishedRow(number, number, *line) for number, line in enumerate(lines, 1)]
    return hierarchy.dimension(name, title, rows, source="test", level_names=LEVEL_NAMES.get(name))


def published() -> dict[str, Dimension]:
    """Every classification of the simulator as a dimension."""
    return {
        (name := listed.name.replace("-", "_")): dimension(
            name, listed.da, [(item.kode, item.niveau, item.da) for item in listed.items]
        )
        for listed in Universe.demo().classifications()
    }


def column(
    variable: str, label: str, codes: dict[str, str], *, table: str = "TEST1", on_map: str | None = None
) -> FactColumn:
    """A column of code -> label."""
    pairs = tuple(Code(code, text) for code, text in codes.items())
    return FactColumn(table, variable, column_name(variable), label, pairs, on_map)


def demo_columns() -> list[FactColumn]:
    """Every code column of the demo tables."""
    return [simulated(table.id, variable) for table in Universe.demo().tables() for variable in table.dimensions]


def simulated(table: str, variable: Variable) -> FactColumn:
    """A variable of a simulated table, in Danish."""
    codes = {code.id: code.da for code in variable.codes}
    return column(variable.id, variable.da, codes, table=table, on_map=variable.map)
