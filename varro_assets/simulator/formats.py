"""Writing an extract as BULK, CSV or JSON-stat.

What belongs here: bytes. BULK comes as a stream of pieces, each a few ten thousand rows; the limited formats come as
one piece. Rules of order, line ends, byte order mark and numbers are those of the publisher (see ``problems`` for what
is refused).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from varro_assets.simulator import tids
from varro_assets.simulator.cube import Dimension, Mask, Units
from varro_assets.simulator.extract import Chosen, Extract

ROWS_PER_PIECE = 20_000
MISSING = ".."
SUPPRESSED = 0
Words = NDArray[np.object_]


def bulk(extract: Extract) -> Iterator[bytes]:
    """The streaming format: only stored rows, time slowest, then code-string order; no byte order mark."""
    yield (";".join(extract.header) + "\r\n").encode()
    present = _presenter(extract)
    places = [_cube_places(choice) for choice in extract.chosen]
    words = [
        _cube_words(choice, place, present, extract.request.lang)
        for choice, place in zip(extract.chosen, places, strict=True)
    ]
    for tid in extract.periods:
        grid = extract.cube.grid(tid)
        window = np.ix_(*places)
        at = np.nonzero(grid.stored[window])
        missing = grid.missing[window][at]
        values = number_texts(grid.units[window][at], missing, extract.cube.decimals, extract.request.lang)
        label = present(tid, tids.label(tid, extract.request.lang))
        for start in range(0, len(values), ROWS_PER_PIECE):
            piece = slice(start, start + ROWS_PER_PIECE)
            by_id: dict[str, list[str]] = {
                choice.dimension.id: word[place[piece]].tolist()
                for choice, word, place in zip(extract.chosen, words, at, strict=True)
            }
            by_id["Tid"] = [label] * len(values[piece])
            columns = [by_id[column] for column in extract.columns]
            lines = map(";".join, zip(*columns, values[piece], strict=True))
            yield ("\r\n".join(lines) + "\r\n").encode()


def row_count(extract: Extract, enough: int) -> int:
    """Rows that BULK would give; counting stops above ``enough``."""
    rows = 0
    places = [_cube_places(choice) for choice in extract.chosen]
    for tid in extract.periods:
        rows += int(extract.cube.grid(tid).stored[np.ix_(*places)].sum())
        if rows > enough:
            break
    return rows


def csv(extract: Extract) -> bytes:
    """The limited format: every combination, the first column slowest; with a byte order mark."""
    units, missing = _dense(extract)
    order = [_reduced_ids(extract).index(column) for column in extract.columns]
    values = number_texts(
        units.transpose(order).ravel(),
        missing.transpose(order).ravel(),
        extract.cube.decimals,
        extract.request.lang,
    )
    texts = _printed(extract)
    places = np.unravel_index(np.arange(len(values)), tuple(len(texts[column]) for column in extract.columns))
    columns = [
        np.array(texts[column], dtype=object)[place].tolist()
        for column, place in zip(extract.columns, places, strict=True)
    ]
    mark = "\t" if extract.request.tab else ";"
    lines = [mark.join(extract.header), *map(mark.join, zip(*columns, values, strict=True))]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def jsonstat(extract: Extract) -> bytes:
    """JSON-stat version 1, with the metric dimension before time and ``updated`` in UTC."""
    units, missing = _dense(extract)
    ids = _reduced_ids(extract)
    info = extract.cube.info(extract.request.lang)
    labels = {variable["id"]: variable["text"] for variable in info["variables"]}
    decimals = extract.cube.decimals
    real = units.ravel() / 10**decimals if decimals else units.ravel()
    dimension: dict[str, Any] = {}
    for name, codes in _selected_codes(extract).items():
        variable = next(held for held in info["variables"] if held["id"] == name)
        texts = {value["id"]: value["text"] for value in variable["values"]}
        category = {
            "index": {code: place for place, code in enumerate(codes)},
            "label": {code: texts[code] for code in codes},
        }
        if name == "Tid":
            dimension["ContentsCode"] = _contents(info, decimals)
        dimension[name] = {"label": labels[name], "category": category}
    listing = ", ".join([*(labels[name] for name in ids[:-1]), "Indhold"])
    by, and_ = ("by", "and") if extract.request.lang == "en" else ("efter", "og")
    dataset = {
        "dimension": dimension
        | {
            "id": [*ids[:-1], "ContentsCode", "Tid"],
            "size": [*units.shape[:-1], 1, units.shape[-1]],
            "role": {"metric": ["ContentsCode"], "time": ["Tid"]},
        },
        "label": f"{info['text']} {by} {listing} {and_} {labels['Tid']}",
        "source": "Statistics Denmark" if extract.request.lang == "en" else "Danmarks Statistik",
        "updated": _utc(info["updated"]),
        "value": [None if gone else value for value, gone in zip(real.tolist(), missing.ravel().tolist(), strict=True)],
        "extension": {"px": {"tableid": extract.cube.id, "decimals": decimals}},
    }
    return json.dumps({"dataset": dataset}, ensure_ascii=False, separators=(",", ":")).encode()


def number_texts(units: Units, missing: Mask, decimals: int, lang: str) -> list[str]:
    """Values as printed: no thousands separator, comma in Danish and point in English, ``..`` when missing."""
    if decimals == 0:
        texts = list(map(str, units.tolist()))
    else:
        pattern = f"%.{decimals}f"
        joined = ";".join([pattern % value for value in (units / 10**decimals).tolist()])
        joined = joined if lang == "en" else joined.replace(".", ",")
        texts = joined.split(";") if joined else []
    if missing.any():
        for place in np.flatnonzero(missing).tolist():
            texts[place] = MISSING
    return texts


def _contents(info: Mapping[str, Any], decimals: int) -> dict[str, Any]:
    name = info["id"]
    unit = {name: {"base": info["unit"], "decimals": decimals}}
    return {
        "label": "Indhold",
        "category": {"index": {name: 0}, "label": {name: info["text"]}, "unit": unit},
    }


def _utc(local: str) -> str:
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Copenhagen"))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _presenter(extract: Extract) -> Callable[[str, str], str]:
    """How a code and its label become one text; formats for people and machines alike default to the label."""
    match extract.request.presentation:
        case "CODE":
            return lambda code, _label: code
        case "CODEANDVALUE":
            return lambda code, label: f"{code} {label}"
        case "VALUEANDCODE":
            return lambda code, label: f"{label} {code}"
        case _:
            return lambda _code, label: label


def _cube_places(choice: Chosen) -> NDArray[np.intp]:
    axis = choice.dimension.axis
    taken = np.isin(np.array(axis.ids), np.array(choice.codes or ()))
    # a bare ``*`` takes the sibling table's codes along
    return np.flatnonzero(taken | ~axis.declared if choice.whole_cube else taken)


def _cube_words(choice: Chosen, places: NDArray[np.intp], present: Callable[[str, str], str], lang: str) -> Words:
    axis = choice.dimension.axis
    labels = _labels(choice.dimension, lang)
    words = [present(axis.ids[at], labels(axis.ids[at])) if axis.declared[at] else "" for at in places.tolist()]
    return np.array(words, dtype=object)


def _labels(dimension: Dimension, lang: str) -> Callable[[str], str]:
    texts = {code.id: code.text(lang) for code in dimension.codes}
    return lambda code: texts.get(code, "")


def _reduced_ids(extract: Extract) -> list[str]:
    return [*(choice.dimension.id for choice in extract.chosen if choice.codes is not None), "Tid"]


def _selected_codes(extract: Extract) -> dict[str, tuple[str, ...]]:
    taken = {choice.dimension.id: choice.codes for choice in extract.chosen if choice.codes is not None}
    return {**taken, "Tid": extract.periods}


def _printed(extract: Extract) -> dict[str, list[str]]:
    present, lang = _presenter(extract), extract.request.lang
    texts: dict[str, list[str]] = {}
    for choice in extract.chosen:
        labels = _labels(choice.dimension, lang)
        texts[choice.dimension.id] = [present(code, labels(code)) for code in choice.codes or ()]
    texts["Tid"] = [present(tid, tids.label(tid, lang)) for tid in extract.periods]
    return texts


def _dense(extract: Extract) -> tuple[Units, Mask]:
    """All selected cells in the order of tableinfo, time last; dimensions that were not asked for taken away."""
    units, missing = zip(*(_dense_period(extract, tid) for tid in extract.periods), strict=True)
    return np.stack(units, axis=-1), np.stack(missing, axis=-1)


def _dense_period(extract: Extract, tid: str) -> tuple[Units, Mask]:
    grid = extract.cube.grid(tid)
    units: Units = np.where(grid.stored & ~grid.missing, grid.units, SUPPRESSED)
    missing: Mask = grid.stored & grid.missing
    place = 0
    for choice in extract.chosen:
        axis = choice.dimension.axis
        if choice.codes is None and choice.dimension.total is None:
            leaves = [at for at in axis.leaves.tolist() if axis.declared[at]]
            units = np.asarray(units.take(leaves, axis=place).sum(axis=place))
            missing = np.asarray(missing.take(leaves, axis=place).all(axis=place))
            continue
        at = [axis.ids.index(code) for code in choice.codes or (choice.dimension.total or "",)]
        units, missing = units.take(at, axis=place), missing.take(at, axis=place)
        if choice.codes is None:
            units, missing = units.squeeze(axis=place), missing.squeeze(axis=place)
        else:
            place += 1
    return units, missing
