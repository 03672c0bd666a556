"""Map index: the document that says which map layers there are and what joins them.

What belongs here: the text of ``context/geo/index.md``. It is made from layers and links alone; no file, no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from varro_assets.context.maps.geo import LayerReport
from varro_assets.context.maps.geo_layers import layer as layer_named
from varro_assets.dimensions.models import Link
from varro_assets.statbank.facts import TID, VALUE, column_name, relation_name

MOST_TABLES = 20
"""Tables named per column; the full catalogue has over a thousand with municipalities."""


@dataclass(frozen=True)
class MapColumn:
    """A fact column whose codes are places of a layer.

    Attributes:
        table: ``FOLK1A``.
        column: ``omrade``.
        join: SQL condition between fact ``f`` and dimension ``d``.
        places: members of the layer's level that the column has.
        picks: other columns of the table -> the code (mostly a total) that leaves one value per place; for the example.
    """

    table: str
    column: str
    join: str
    places: int
    picks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerPage:
    """One layer as the index shows it.

    Attributes:
        report: of the layer as it was made.
        columns: fact columns that join it; empty where it has no dimension.
        source: where the borders come from, for the reader.
    """

    report: LayerReport
    columns: tuple[MapColumn, ...] = ()
    source: str = ""


def map_columns(report: LayerReport, links: Mapping[str, Iterable[Link]]) -> tuple[MapColumn, ...]:
    """Fact columns with codes on the layer's level, those with most places first, then by table.

    Args:
        report: of the layer.
        links: table -> its links.
    """
    found = [
        MapColumn(table, column_name(link.column), link.join, link.level_coverage.get(report.niveau, (0, 0))[0])
        for table, listed in links.items()
        for link in listed
        if report.niveau is not None and link.dimension == report.dimension and report.niveau in link.levels
    ]
    return tuple(sorted(found, key=lambda column: (-column.places, column.table, column.column)))


def example_sql(page: LayerPage) -> str | None:
    """A query that gives one value per place of the layer, newest period; None where no column joins it.

    To be run before it is written: it holds only where ``picks`` names every other column of the table.
    """
    if not page.columns or page.report.dimension is None:
        return None
    column = page.columns[0]
    fact = f"fact.{relation_name(column.table)}"
    conditions = [
        f"d.niveau = {page.report.niveau}",
        f"f.{TID} = (SELECT {TID} FROM {fact} ORDER BY {TID} DESC LIMIT 1)",
        *(f"f.{name} = {_literal(code)}" for name, code in column.picks.items()),
    ]
    lines = [
        f"SELECT d.kode AS dim_kode, d.titel, f.{VALUE}",
        f"FROM {fact} AS f",
        f"JOIN dim.{page.report.dimension} AS d ON {column.join}",
        f"WHERE {conditions[0]}",
        *(f"  AND {condition}" for condition in conditions[1:]),
        "ORDER BY d.kode",
    ]
    return "\n".join(lines)


def text(pages: Sequence[LayerPage], example: tuple[str, str] | None = None) -> str:
    """The document.

    Args:
        pages: one per layer, in the order to show.
        example: name of a layer and its query (`example_sql`), which has been run; None leaves the example out.
    """
    parts = [_HEAD, *(_section(page) for page in pages)]
    if not pages:
        parts.append("No layer has been made yet.\n")
    if example:
        parts.append(_merging(*example))
    return "\n".join(parts)


_HEAD = """\
# Map layers

Shapes to draw statistics on. Every file is GeoParquet in EPSG:4326, one row per place:

- `dim_kode` (the index): the place's code as text, padded the way the dimension `d` pads `d.kode`. Compare it with
  `d.kode`, never with a number.
- `navn`: name of the place.
- `niveau`: level of the dimension, where the layer has one; codes repeat across levels, so join on it too. Empty for a
  shape the dimension does not have.
- `geometry`: MultiPolygon, simplified. For areas and distances turn it to EPSG:25832 (metres) first.
"""


def _section(page: LayerPage) -> str:
    report = page.report
    layer = layer_named(report.layer)
    lines = [
        f"## {report.layer}.parquet",
        "",
        f"{layer.title}: {report.shapes} shapes, detail below {layer.tolerance:g} m left out.",
    ]
    if report.dimension is None and layer.dimension is None:
        lines.append("No dimension: `dim_kode` is the code of the publisher of the borders.")
    elif report.dimension is None:
        lines.append(
            f"`dim.{layer.dimension}` was not there when the layer was made: `dim_kode` is padded the way Statistics "
            "Denmark mostly does it, and there is no `niveau`."
        )
    else:
        lines.append(
            f"Dimension `dim.{report.dimension}`, level {report.niveau}: "
            f"`dim_kode = d.kode AND d.niveau = {report.niveau}`."
        )
    if page.source:
        lines.append(f"Borders: {page.source}")
    lines += [f"- {remark}" for remark in report.remarks]
    return "\n".join([*lines, "", *_columns(page)])


def _columns(page: LayerPage) -> list[str]:
    if page.report.dimension is None:
        return []
    if not page.columns:
        return ["No fact column links to this level yet.", ""]
    groups: dict[tuple[str, str], list[MapColumn]] = {}
    for column in page.columns:
        groups.setdefault((column.column, column.join), []).append(column)
    lines = ["| fact column | joins by | tables (places with data) |", "|---|---|---|"]
    for (name, join), members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        tables = [f"{column.table} ({column.places})" for column in members[:MOST_TABLES]]
        if len(members) > MOST_TABLES:
            tables.append(f"and {len(members) - MOST_TABLES} more")
        condition = join.replace("|", "\\|")
        lines.append(f"| `f.{name}` | `{condition}` | {', '.join(tables)} |")
    return [*lines, ""]


def _merging(layer: str, query: str) -> str:
    return f"""\
## From a query to a map

Let the query return the dimension's own code as `dim_kode` and one value per place:

```sql
{query}
```

```python
import geopandas
import pandas

shapes = geopandas.read_parquet("context/geo/{layer}.parquet")
rows = pandas.read_sql(query, connection).set_index("dim_kode")
places = shapes.join(rows, how="left")  # a place without a row keeps its shape
places["per_km2"] = places["{VALUE}"] / (places.to_crs(25832).area / 1e6)
places.to_crs(25832).plot("per_km2", legend=True, missing_kwds={{"color": "lightgrey"}})
```
"""


def _literal(code: str) -> str:
    return "'" + code.replace("'", "''") + "'"
