"""Recorded material served as if it were the API.

What belongs here: reading a folder of recorded answers. Layout, all optional::

    tables/tables_active_<lang>*.json      a whole answer of /tables
    subjects/subjects_top_<lang>*.json     an answer of /subjects
    subjects/subjects_recursive_<lang>*.json
    tableinfo/<TABLE>_<lang>*.json         a whole answer of /tableinfo
    data/<TABLE>*csv_codes*.csv            rows with codes, header ``<VARIABLES>;TID;INDHOLD``

Catalogue and tableinfo answers are served as recorded; where a language is missing, the other one is. Rows are served
in any selection and format; a variable that the recording had eliminated stands at its first code. A table without
recorded rows has no rows.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from varro_assets.simulator import data_request, problems
from varro_assets.simulator.api import data_response, metadata_parameters
from varro_assets.simulator.cube import Code, Dimension, Grid
from varro_assets.simulator.extract import checked
from varro_assets.simulator.wire import Request, Response, dispatch, json_response, truth


class RecordedCube:
    """A recorded table: dimensions from its tableinfo, rows from a CSV with codes."""

    def __init__(self, infos: dict[str, dict[str, Any]], rows: Path | None) -> None:
        self._infos = infos
        self._rows = rows
        info = self.info("da")
        self.id: str = info["id"]
        self.dimensions = tuple(_dimension(variable) for variable in info["variables"] if not variable["time"])
        time = next(variable for variable in info["variables"] if variable["time"])
        self.periods = tuple(value["id"] for value in time["values"])

    def info(self, lang: str) -> dict[str, Any]:
        """The recorded tableinfo, in the other language where this one was not recorded."""
        return self._infos.get(lang) or next(iter(self._infos.values()))

    @cached_property
    def decimals(self) -> int:
        """Digits after the decimal sign in the recorded rows."""
        values = (row["INDHOLD"].replace(",", ".").partition(".")[2] for row in self._read())
        return max(map(len, values), default=0)

    def grid(self, tid: str) -> Grid:
        """The cells of one period."""
        return self._grids.get(tid) or self._empty()

    def _read(self) -> list[dict[str, str]]:
        if self._rows is None:
            return []
        header, *lines = self._rows.read_text("utf-8-sig").splitlines()
        return [dict(zip(header.split(";"), line.split(";"), strict=True)) for line in lines]

    def _empty(self) -> Grid:
        shape = tuple(len(dimension.axis.ids) for dimension in self.dimensions)
        nothing = np.zeros(shape, dtype=np.bool_)
        return Grid(np.zeros(shape, dtype=np.int64), nothing, nothing.copy())

    @cached_property
    def _grids(self) -> dict[str, Grid]:
        grids: dict[str, Grid] = {}
        for row in self._read():
            grid = grids.setdefault(row["TID"], self._empty())
            codes = [(held, row.get(held.id.upper(), held.codes[0].id)) for held in self.dimensions]
            place = tuple(dimension.axis.ids.index(code) for dimension, code in codes)
            grid.stored[place] = True
            if row["INDHOLD"] == "..":
                grid.missing[place] = True
            else:
                grid.units[place] = round(float(row["INDHOLD"].replace(",", ".")) * 10**self.decimals)
        return grids


class Recorded:
    """Answers requests from a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cubes: dict[str, RecordedCube | None] = {}

    def answer(self, request: Request) -> Response:
        """The response to any request; what was not recorded is answered as the API answers what it does not have."""
        functions = {
            "subjects": self._subjects,
            "tables": self._tables,
            "tableinfo": self._tableinfo,
            "data": self._data,
        }
        return dispatch(functions, request)

    def _file(self, pattern: str, lang: str) -> Response:
        other = "da" if lang == "en" else "en"
        for asked in (lang, other):
            for path in sorted(self._folder.glob(pattern.format(lang=asked))):
                return Response(200, path.read_bytes())
        raise problems.no_page()

    def _subjects(self, request: Request) -> Response:
        sent, lang = metadata_parameters(request)
        kind = "recursive" if truth(sent.get("recursive")) else "top"
        return self._file(f"subjects/subjects_{kind}_{{lang}}*.json", lang)

    def _tables(self, request: Request) -> Response:
        _, lang = metadata_parameters(request)
        return self._file("tables/tables_active_{lang}*.json", lang)

    def _tableinfo(self, request: Request) -> Response:
        _, lang = metadata_parameters(request)
        if not request.table:
            raise problems.no_table(lang)
        return json_response(self._cube(request.table, lang).info(lang))

    def _data(self, request: Request) -> Response:
        wanted = data_request.read(request)
        return data_response(checked(wanted, self._cube(wanted.table, wanted.lang)))

    def _cube(self, table: str, lang: str) -> RecordedCube:
        name = table.upper()
        if not name.isalnum():
            raise problems.unknown_table(table, lang)
        if name not in self._cubes:
            infos = {}
            for language in ("da", "en"):
                for path in sorted((self._folder / "tableinfo").glob(f"{name}_{language}*.json"))[-1:]:
                    infos[language] = json.loads(path.read_text("utf-8"))
            rows = next(iter(sorted((self._folder / "data").glob(f"{name}[_.]*csv_codes*.csv"))), None)
            self._cubes[name] = RecordedCube(infos, rows) if infos else None
        cube = self._cubes[name]
        if cube is None:
            raise problems.unknown_table(table, lang)
        return cube


def _dimension(variable: dict[str, Any]) -> Dimension:
    codes = tuple(Code(value["id"], value["text"], value["text"]) for value in variable["values"])
    return Dimension(
        variable["id"], variable["text"], variable["text"], codes, variable["elimination"], variable.get("map")
    )
