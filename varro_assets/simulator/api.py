"""The API's four functions over a universe: a request in, a response out.

What belongs here: what /subjects, /tables, /tableinfo and /data answer. Nothing here knows of sockets or faults.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from varro_assets.simulator import data_request, formats, problems
from varro_assets.simulator.extract import Extract, checked
from varro_assets.simulator.subjects import Subject
from varro_assets.simulator.table import Table
from varro_assets.simulator.universe import Universe
from varro_assets.simulator.wire import (
    MalformedBody,
    Request,
    Response,
    dispatch,
    json_response,
    truth,
    words,
)


class Api:
    """Answers requests from a universe."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe

    def answer(self, request: Request) -> Response:
        """The response to any request; errors are responses too."""
        functions = {
            "subjects": self._subjects,
            "tables": self._tables,
            "tableinfo": self._tableinfo,
            "data": self._data,
        }
        return dispatch(functions, request)

    def _subjects(self, request: Request) -> Response:
        sent, lang = metadata_parameters(request)
        asked = [self._subject(name, lang) for name in words(sent.get("subjects") or ",".join(request.rest))]
        listed = self.universe.tables() if truth(sent.get("includetables")) else []
        skip_inactive = truth(sent.get("omitinactivesubjects"))

        def listing(subject_id: str) -> list[dict[str, Any]]:
            return [table.entry(lang) for table in listed if subject_id in table.subjects]

        shown = listing if truth(sent.get("includetables")) else None
        recursive = truth(sent.get("recursive"))
        return json_response(self.universe.tree.answer(asked, lang, recursive, skip_inactive, shown))

    def _subject(self, subject_id: str, lang: str) -> Subject:
        found = self.universe.tree.find(subject_id)
        if found is None:
            raise problems.unknown_subject(subject_id, lang)
        return found

    def _tables(self, request: Request) -> Response:
        sent, lang = metadata_parameters(request)
        asked = [self._subject(name, lang) for name in words(sent.get("subjects"))]
        below = {node.id for subject in asked for node in subject.walk()}
        listed = [
            table
            for table in self.universe.tables()
            if (table.active or truth(sent.get("includeinactive")))
            and (not asked or below.intersection(table.subjects))
        ]
        if str(sent.get("pastdays", "")).isdigit():
            listed = [table for table in listed if self._is_recent(table, int(sent["pastdays"]))]
        return json_response([table.entry(lang) for table in listed])

    def _is_recent(self, table: Table, days: int) -> bool:
        moment = datetime.fromisoformat(table.updated)
        return days > 0 and moment > self.universe.now - timedelta(days=days)

    def _tableinfo(self, request: Request) -> Response:
        sent, lang = metadata_parameters(request)
        named = request.rest[0] if request.rest else sent.get("table" if request.method == "POST" else "id")
        if not named:
            raise problems.no_table(lang)
        return json_response(self._table(str(named), lang).info(lang))

    def _table(self, table_id: str, lang: str) -> Table:
        try:
            table = self.universe.table(table_id)
        except KeyError:
            raise problems.unknown_table(table_id, lang) from None
        if not table.answers:
            raise problems.unknown_table(table_id, lang)
        return table

    def _data(self, request: Request) -> Response:
        wanted = data_request.read(request)
        table = self._table(wanted.table, wanted.lang)
        # a transient shrink is used up by a request that gets an answer, not by one that is refused
        extract = checked(wanted, table)
        return data_response(checked(wanted, self.universe.answering(table.id, extract.periods)))


def metadata_parameters(request: Request) -> tuple[dict[str, Any], str]:
    """Parameters and language of a metadata request; malformed JSON counts as an empty body there.

    Raises:
        ApiProblem: unknown language, or a format other than JSON (the simulator writes no XML).
    """
    try:
        sent = request.parameters()
    except MalformedBody:
        sent = {}
    lang = data_request.language(sent)
    if str(sent.get("format") or "JSON").upper() != "JSON":
        raise problems.no_format(lang)
    return sent, lang


def data_response(extract: Extract) -> Response:
    """An extract as a chunked response in its format."""
    name = extract.cube.id
    match extract.request.format:
        case "BULK":
            return Response(
                200,
                formats.bulk(extract),
                "text/csv; charset=utf-8",
                f"{name}.csv",
                row_count=lambda enough: formats.row_count(extract, enough),
            )
        case "CSV":
            return Response(200, iter([formats.csv(extract)]), "text/csv; charset=utf-8", f"{name}.csv")
        case _:
            return Response(200, iter([formats.jsonstat(extract)]), file_name=f"{name}.json")
