# ruff: noqa: INP001 - a script beside the documents, not a package
"""Choropleth: `python docs/make_choropleth.py` draws docs/choropleth.png from the demo's own files.

FOLK1A joins dim.nuts by the municipality's code, and the map layer joins both by ``dim_kode``; nothing is written down
here that the warehouse and the layer do not say. Needs `make demo` to have run.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from varro_assets.cli.session import Session
from varro_assets.engine import postgres
from varro_assets.settings import Settings
from varro_assets.warehouse import open_warehouse

LAYER = "kommuner"
QUERY = """
    SELECT d.kode AS dim_kode, d.titel, d.parent_kode AS landsdel, CAST(f.tid AS text) AS tid, f.indhold AS persons
    FROM fact.folk1a AS f
    JOIN dim.nuts AS d ON f.omrade = d.kode
    WHERE d.niveau = 3
      AND f.tid = (SELECT tid FROM fact.folk1a ORDER BY tid DESC LIMIT 1)
      AND f.kon = 'TOT'
      AND f.alder = 'IALT'
      AND f.civilstand = 'TOT'
    ORDER BY d.kode
"""
CAPITAL, BORNHOLM = ("01", "02"), ("04",)
"""Landsdele drawn in a frame of their own: too small, and too far away."""
STEPS = (1, 2, 5)
"""Classes end at these numbers times a power of ten: a density spans three of them."""
INK, SEA, BORDER, NOTHING = "#1f2933", "#f4f7f9", "#ffffff", "#d5d9dc"
WIDTH, HEIGHT, DPI = 9.0, 8.2, 130


def main() -> None:
    """Read, join, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--home", type=Path, help="the project folder; default: the one around here")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("choropleth.png"))
    arguments = parser.parse_args()
    settings = Session(home=arguments.home, demo=True).settings
    draw(places(settings), arguments.output)


def places(settings: Settings) -> gpd.GeoDataFrame:
    """The layer in metres, with ``titel``, ``landsdel``, ``tid``, ``persons`` and ``density`` (persons per km²)."""
    with (
        open_warehouse(settings) as warehouse,
        contextlib.closing(postgres.connect(warehouse.url, "draw")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(QUERY)
        names = [column.name for column in cursor.description or ()]
        rows = pd.DataFrame(cursor.fetchall(), columns=names).set_index("dim_kode")
    shapes = gpd.read_parquet(settings.context_dir / "geo" / f"{LAYER}.parquet").to_crs(25832)
    joined = shapes.join(rows, how="left")
    joined["density"] = joined["persons"] / (joined.area / 1e6)
    return joined


def draw(joined: gpd.GeoDataFrame, path: Path) -> None:
    """One map, the capital and Bornholm in frames of their own."""
    edges = class_edges(joined["density"].dropna())
    colours = colormaps["YlGnBu"](np.linspace(0.05, 1.0, len(edges) + 1))
    joined["colour"] = [
        NOTHING if np.isnan(density) else to_hex(colours[np.searchsorted(edges, density, side="right")])
        for density in joined["density"]
    ]
    figure = Figure(figsize=(WIDTH, HEIGHT), facecolor=SEA)
    frame = figure.add_axes((0.02, 0.075, 0.96, 0.82))
    far, near = joined["landsdel"].isin(BORNHOLM), joined["landsdel"].isin(CAPITAL)
    capital = joined[near].total_bounds
    for axes, shown, title in (
        (frame, joined[~far], ""),
        (figure.add_axes((0.655, 0.575, 0.325, 0.29)), joined[~far], "Copenhagen and surroundings"),
        (figure.add_axes((0.79, 0.37, 0.19, 0.155)), joined[far], "Bornholm"),
    ):
        shown.plot(color=shown["colour"], ax=axes, edgecolor=BORDER, linewidth=0.5)
        _frame(axes, title)
    inset = figure.axes[1]
    _zoom(inset, capital, margin=3_000)
    _zoom(figure.axes[2], joined[far].total_bounds, margin=6_000)
    left, bottom, right, top = joined[~far].total_bounds
    # the frames stand on the sea in the north-east: make room for them there
    frame.set_xlim(left - 5_000, right + 0.42 * (right - left))
    frame.set_ylim(bottom - 5_000, top + 5_000)
    frame.indicate_inset(_bounds(inset), edgecolor=INK, linewidth=0.8, alpha=0.8)
    _words(figure, joined, edges, [to_hex(colour) for colour in colours])
    figure.savefig(path, dpi=DPI, facecolor=SEA, metadata={"Software": None})


def class_edges(values: pd.Series) -> np.ndarray:
    """The round numbers strictly between the smallest and the largest value: 20, 50, 100, 200, ..."""
    powers = range(int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max()))) + 1)
    numbers = np.array([step * 10.0**power for power in powers for step in STEPS])
    return numbers[(numbers > values.min()) & (numbers < values.max())]


def _frame(axes: Axes, title: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("")
    axes.set_ylabel("")
    axes.set_facecolor(SEA)
    for spine in axes.spines.values():
        spine.set_visible(bool(title))
        spine.set_color(INK)
        spine.set_linewidth(0.8)
    if title:
        axes.set_title(title, fontsize=9, color=INK, loc="left", pad=4)


def _zoom(axes: Axes, bounds: np.ndarray, margin: float) -> None:
    left, bottom, right, top = bounds
    axes.set_xlim(left - margin, right + margin)
    axes.set_ylim(bottom - margin, top + margin)
    axes.set_aspect("equal", adjustable="box", anchor="NE")


def _bounds(axes: Axes) -> tuple[float, float, float, float]:
    axes.apply_aspect()
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return left, bottom, right - left, top - bottom


def _words(figure: Figure, joined: gpd.GeoDataFrame, edges: np.ndarray, colours: list[str]) -> None:
    quarter = joined["tid"].dropna().iloc[0]
    count = int(joined["density"].notna().sum())
    figure.text(0.03, 0.955, "Persons per km² by municipality", fontsize=16, weight="bold", color=INK)
    detail = f"FOLK1A, the quarter that begins on {quarter}; {count} municipalities; areas measured on the shapes shown"
    figure.text(0.03, 0.922, detail, fontsize=9.5, color=INK)
    lowest, *between, highest = [f"under {edges[0]:,.0f}", *itertools.pairwise(edges), f"{edges[-1]:,.0f} and over"]
    labels = [lowest, *(f"{low:,.0f} - {high:,.0f}" for low, high in between), highest]
    handles = [
        Patch(facecolor=colour, edgecolor=BORDER, label=label) for colour, label in zip(colours, labels, strict=True)
    ]
    if joined["density"].isna().any():
        handles.insert(0, Patch(facecolor=NOTHING, edgecolor=BORDER, label="no row"))
    figure.legend(
        handles=handles[::-1], title="persons per km²", loc="lower right", bbox_to_anchor=(0.975, 0.075), frameon=False,
        fontsize=9, title_fontsize=9, labelcolor=INK, alignment="left",
    )  # fmt: skip
    caption = (
        "Values and borders are simulated: the demo's StatBank runs on this machine and invents both.\n"
        "fact.folk1a joined to dim.nuts by f.omrade = d.kode, and to context/geo/kommuner.parquet by dim_kode."
    )
    figure.text(0.03, 0.025, caption, fontsize=8, color=INK, style="italic", linespacing=1.5)


if __name__ == "__main__":
    main()
