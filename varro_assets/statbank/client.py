"""StatBank client: the four functions of the API as typed calls.

What belongs here: requests as the API wants them and replies judged by their shape, not only their status
(statbank-api sections 1-6). No file, no database, no decision about what to fetch.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests
import urllib3

from varro_assets.engine.http import Session
from varro_assets.errors import (
    BrokenStream,
    MaintenancePage,
    SourceRefused,
    UnexpectedResponse,
    UnknownTable,
)
from varro_assets.statbank import models
from varro_assets.statbank.models import CatalogueEntry, Model, Subject, TableInfo
from varro_assets.statbank.proof import csv_answer

LANGUAGE = "da"
REQUEST_ID_HEADER = "StatbankAPI-Request-Id"
CHUNK_BYTES = 1 << 18
LARGEST_METADATA = 256 << 20
"""Bytes; the largest real metadata reply is 1.3 MB (statbank-api section 2)."""
OVERSIZED_STATUS = frozenset({500, 502, 504})
"""How the service answers a data request that is too large for it, every time (statbank-api 5.3)."""


class StatBank:
    """The API at one address.

    Args:
        session: does pacing and retries.
        url: such as ``https://api.statbank.dk/v1``.
    """

    def __init__(self, session: Session, url: str) -> None:
        self._session, self._url = session, url.rstrip("/")
        self.server = ""
        """``Server`` header of the last reply: tells the simulator from the real service."""

    @property
    def url(self) -> str:
        """Address of the API."""
        return self._url

    @property
    def request_count(self) -> int:
        """Requests sent so far, retries included."""
        return self._session.requests

    def tables(self) -> list[CatalogueEntry]:
        """All active tables, in the publisher's order."""
        what = "fetch the catalogue"
        return self._list(CatalogueEntry, "tables", {"lang": LANGUAGE}, what)

    def subjects(self) -> list[Subject]:
        """The whole subject tree with its tables."""
        body = {"lang": LANGUAGE, "recursive": True, "includeTables": True}
        return self._list(Subject, "subjects", body, "fetch the subject tree")

    def tableinfo(self, table: str) -> tuple[TableInfo, dict[str, Any]]:
        """The table's description: validated, and as sent.

        Raises:
            UnknownTable: the publisher has no such table.
        """
        table = models.table_id(table)
        what = "fetch the description of table"
        try:
            body, context = self._json("tableinfo", {"table": table, "lang": LANGUAGE}, what, table)
        except SourceRefused as error:
            raise _unknown_if_not_found(error, table) from error
        if not isinstance(body, dict):
            raise _unexpected(what, table, f"a JSON {type(body).__name__} instead of an object{context}")
        info = models.parse(TableInfo, body, what=what, on=table, context=context)
        if info.id != table:
            raise _unexpected(what, table, f"the description of {info.id}{context}")
        return info, body

    @contextlib.contextmanager
    def bulk(
        self, info: TableInfo, periods: Sequence[str], *, attempts_if_oversized: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Stream the rows of some periods as BULK (statbank-api 5.3).

        Every code is named: ``*`` can bring rows of codes that the table does not declare, with blanks for codes.

        Args:
            info: the table, fresh.
            periods: codes out of it.
            attempts_if_oversized: attempts at a status that may mean "too large"; None = as many as for any other.

        Yields:
            The body in pieces; reading them raises BrokenStream when the connection breaks off.
        """
        what, on = "fetch data of", f"{info.id}, {_some(periods)}"
        selection = [{"code": v.id, "values": list(v.codes)} for v in info.dimensions]
        selection.append({"code": info.time.id, "values": list(periods)})
        body = {
            "table": info.id,
            "format": "BULK",
            "lang": LANGUAGE,
            "valuePresentation": "Code",
            "variables": selection,
        }
        fewer = dict.fromkeys(OVERSIZED_STATUS, attempts_if_oversized) if attempts_if_oversized else {}
        with self._post("data", body, what, on, fewer) as response:
            self._refuse_error_page(response, what, on)
            yield _chunks(response, what, on, self._session.request_id(response))

    def cells(
        self, info: TableInfo, codes: Mapping[str, Sequence[str]], periods: Sequence[str]
    ) -> dict[tuple[str, ...], float | None]:
        """Ask for some cells as CSV: every combination, whether or not it has a row (statbank-api 5.1, 5.4).

        Args:
            info: the table, fresh.
            codes: variable id -> codes, in the table's order; a variable that is not named is taken away by the
                publisher: by its total if it has one, else by adding up. Only those with ``elimination`` can be.
            periods: codes.

        Returns:
            Codes in the order given and the period last -> value; None = missing.

        Raises:
            SourceRefused: too many cells, or something that was asked for is not there.
            BrokenStream, UnexpectedResponse, InvalidValue, UndeclaredCode, DuplicateKeys: as `csv_answer.read`.
        """
        what, on = "ask for cells of", f"{info.id}, {_some(periods)}"
        selection = [{"code": name, "values": list(values)} for name, values in codes.items()]
        selection.append({"code": info.time.id, "values": list(periods)})
        body = {
            "table": info.id,
            "format": "CSV",
            "lang": LANGUAGE,
            "valuePresentation": "Code",
            "variables": selection,
        }
        with self._post("data", body, what, on) as response:
            context = self._session.request_id(response)
            self._refuse_error_page(response, what, on)
            content = _read(response, what, on, context)
        if content.startswith(b"{"):
            raise _refused_in_words(content, what, on, context)
        return csv_answer.read(content, csv_answer.columns(list(codes.items()), periods), f"{on}{context}")

    # -- shape before use ------------------------------------------------------------------------------------------

    def _list(self, model: type[Model], function: str, request: Mapping[str, Any], what: str) -> list[Model]:
        body, context = self._json(function, request, what, "")
        if not isinstance(body, list) or not body:
            raise _unexpected(what, "", f"no list with entries{context}")
        return [
            models.parse(model, item, what=what, on=f"(entry {number} of {len(body)})", context=context)
            for number, item in enumerate(body, 1)
        ]

    def _json(self, function: str, request: Mapping[str, Any], what: str, on: str) -> tuple[Any, str]:
        with self._post(function, request, what, on) as response:
            context = self._session.request_id(response)
            self._refuse_error_page(response, what, on)
            content = _read(response, what, on, context)
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise _unexpected(what, on, f"something that is not JSON: {_start(content)}{context}") from None
        if isinstance(body, dict) and "errorTypeCode" in body:
            raise _refused(body, response.status_code, what, on, context)
        return body, context

    @contextlib.contextmanager
    def _post(
        self, function: str, body: Mapping[str, Any], what: str, on: str, attempts_at: Mapping[int, int] | None = None
    ) -> Iterator[requests.Response]:
        url = f"{self._url}/{function}"
        with self._session.post(url, body, what=what, on=on, attempts_at=attempts_at) as response:
            self.server = response.headers.get("Server", "")
            yield response

    def _refuse_error_page(self, response: requests.Response, what: str, on: str) -> None:
        """Raise unless the reply has status 200 and is not a page for people."""
        context = self._session.request_id(response)
        is_page = "html" in response.headers.get("Content-Type", "").lower()
        if response.status_code == requests.codes.ok:
            if is_page:
                raise MaintenancePage(
                    what,
                    on=on,
                    got=f"an HTML page with status {response.status_code}{context}",
                    todo="The service is probably closed for maintenance; try again later.",
                )
            return
        # a page with 3xx or 4xx is no maintenance: a wrong address answers like that for ever
        content = b"" if is_page else _read(response, what, on, context)
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = {}
        if isinstance(body, dict) and "errorTypeCode" in body:
            raise _refused(body, response.status_code, what, on, context)
        start = "an HTML page" if is_page else _start(content)
        if target := response.headers.get("Location"):
            got = f"HTTP {response.status_code}, a redirection to {target}{context}"
            raise _unexpected(what, on, got, "A redirected request loses its body: set DST_API_URL to that address.")
        got = f"HTTP {response.status_code} without an error code: {start}{context}"
        raise _unexpected(what, on, got, "Check DST_API_URL. Nothing was stored.")


def _chunks(response: requests.Response, what: str, on: str, context: str) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK_BYTES)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _broken(what, on, f"{type(error).__name__}: {error}{context}") from error


def _read(response: requests.Response, what: str, on: str, context: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    for chunk in _chunks(response, what, on, context):
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST_METADATA:
            raise _unexpected(what, on, f"more than {LARGEST_METADATA >> 20} MiB of metadata{context}")
    return b"".join(parts)


def _refused(body: Mapping[str, Any], status: int, what: str, on: str, context: str) -> SourceRefused:
    code, message = str(body.get("errorTypeCode") or ""), body.get("message")
    return SourceRefused(
        what,
        on=on,
        got=f"the API refused with {code}: {message or 'no message'}{context}",
        code=code,
        status=status,
        todo="The request was understood and refused, so the same one will be refused again.",
    )


def _refused_in_words(content: bytes, what: str, on: str, context: str) -> SourceRefused | UnexpectedResponse:
    """What a JSON object with status 200 says where data was due."""
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(content)
        if isinstance(body, dict) and "errorTypeCode" in body:
            return _refused(body, requests.codes.ok, what, on, context)
    return _unexpected(what, on, f"a JSON object instead of CSV: {_start(content)}{context}")


def _unknown_if_not_found(error: SourceRefused, table: str) -> SourceRefused | UnknownTable:
    if error.code not in {"EXTRACT-NOTFOUND", "REQUEST-NOTFOUND"}:
        return error
    return UnknownTable(error.tried, on=table, got=error.got, todo="Find the table with: varro search WORD")


def _unexpected(
    what: str, on: str, got: str, todo: str = "Nothing was stored. If it lasts, report it."
) -> UnexpectedResponse:
    return UnexpectedResponse(what, on=on, got=got, todo=todo)


def _broken(what: str, on: str, got: str) -> BrokenStream:
    return BrokenStream(what, on=on, got=got, todo="Nothing of it was stored; run the same command again.")


def _start(content: bytes) -> str:
    return repr(content[:80].decode("utf-8", "replace")) if content else "an empty body"


def _some(periods: Sequence[str]) -> str:
    first = ", ".join(periods[:3])
    return f"{len(periods)} periods ({first}, ...)" if len(periods) > 3 else first
