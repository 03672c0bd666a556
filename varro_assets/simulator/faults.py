"""Faults: what can go wrong on the way, and when it is to happen.

What belongs here: the kinds, the matching of requests, and the changes a fault makes to a response. Faults that need
the socket (a hang, a reset, a cut) are carried out by ``server``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

from varro_assets.simulator.wire import API, JSON, Request, Response

MAINTENANCE_PAGE = (
    b"<!DOCTYPE html><html><head><title>Statistikbanken</title></head>"
    b"<body><h1>Statistikbanken er lukket for opdatering (simuleret)</h1></body></html>"
)
KINDS = {
    "too_many_requests": "status 429 with Retry-After",
    "server_error": "status 500, 502 or any `status`, with a short HTML body",
    "maintenance": "an HTML page with `status` 503 (default) or 200",
    "timeout": "hang for `seconds`, then answer",
    "reset": "reset the connection before any answer",
    "cut": "break the body after `bytes` without ending it",
    "truncated": "a well-ended body whose last line is cut",
    "short": "a well-formed body with only the share `keep` of its rows",
    "html": "status 200 and HTML in place of data",
    "error_200": "status 200 with an error object",
    "garbage": "the value of the first row reads `abc`",
    "duplicate": "the first row comes twice",
    "wrong_header": "the last column is named differently",
    "slow": "no more than `rate` bytes a second",
    "oversized": "status 500 for BULK answers of more than `rows` rows",
    "redirect": "status 302 (or any `status`) that leads to `to`, or to the same address again",
    "publish": "make the publication `then` after the answer, as happens at 08:00 between two requests",
}


class UnknownFault(ValueError):
    """A fault that cannot be set: unknown kind or field."""


@dataclass
class Fault:
    """One programmed fault.

    Attributes:
        kind: one of ``KINDS``.
        table: only requests about this table; None for any.
        path: only this function (``data``, ``tableinfo``, ``tables``, ``subjects``), this service beside the API
            (``site``, ``geo``), or paths that begin so (``/site/klassifikationsbilag``); None for any of the API.
        nth: the first matching request that is hit, counted from 1 after setting the fault.
        count: how many requests are hit from there on; None for all.
        status: HTTP status, where the kind has a choice.
        seconds: length of a hang.
        retry_after: seconds in Retry-After.
        bytes: where a cut falls.
        keep: share of rows a short body keeps.
        rate: bytes a second of a slow body.
        rows: the bound of an oversized answer.
        to: where a redirect leads; None for the same address.
        then: publication made after the answer: ``{"kind": ..., "table": ..., ...}``.
    """

    kind: str
    table: str | None = None
    path: str | None = None
    nth: int = 1
    count: int | None = 1
    status: int | None = None
    seconds: float = 5.0
    retry_after: int = 1
    bytes: int = 1000
    keep: float = 0.3
    rate: int = 50_000
    rows: int = 100_000
    to: str | None = None
    then: dict[str, Any] | None = None
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownFault(f"unknown kind {self.kind!r}; the kinds are {', '.join(KINDS)}")
        if self.kind == "publish" and not self.then:
            raise UnknownFault("a fault of kind 'publish' needs the publication in `then`")

    def matches(self, request: Request) -> bool:
        """Whether a request is one of those the fault waits for."""
        right_table = self.table is None or request.table == self.table.upper()
        return right_table and self._on_path(request)

    def _on_path(self, request: Request) -> bool:
        if self.path is None:
            return request.service == API and bool(request.function)
        if self.path.startswith("/"):
            return request.path.lower().startswith(self.path.lower())
        return self.path == request.function

    def hits(self) -> bool:
        """Count one matching request; whether it is to be hit."""
        self.seen += 1
        return self.seen >= self.nth and (self.count is None or self.seen < self.nth + self.count)

    def as_json(self) -> dict[str, Any]:
        """The fault as plain data."""
        return asdict(self)


class FaultBook:
    """All programmed faults; thread safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = Lock()

    def add(self, fault: Fault) -> Fault:
        """Program a fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def listed(self) -> list[dict[str, Any]]:
        """All faults as plain data."""
        with self._lock:
            return [fault.as_json() for fault in self._faults]

    def due(self, request: Request) -> list[Fault]:
        """The faults that hit this request; each call counts as one request."""
        with self._lock:
            return [fault for fault in self._faults if fault.matches(request) and fault.hits()]


def changed(response: Response, fault: Fault, target: str) -> Response:
    """The response to a request for ``target`` as the fault leaves it.

    Kinds that need the socket or the clock leave it alone.
    """
    replaced = _redirected(fault, target) if fault.kind == "redirect" else _replaced(response, fault)
    if replaced is not None:
        return replaced
    if fault.kind in _BODIES and response.status == 200 and not isinstance(response.body, bytes):
        response.body = [_BODIES[fault.kind](b"".join(response.body), fault)]
    elif fault.kind == "slow":
        pieces = [response.body] if isinstance(response.body, bytes) else response.body
        response.body = throttled(pieces, fault.rate)
    return response


def throttled(pieces: Iterable[bytes], rate: int) -> Iterator[bytes]:
    """The same bytes in small pieces, no more than ``rate`` a second."""
    step = max(rate // 20, 1)
    for piece in pieces:
        for start in range(0, len(piece), step):
            part = piece[start : start + step]
            yield part
            time.sleep(len(part) / rate)


def _redirected(fault: Fault, target: str) -> Response:
    body = b"<html><head><title>Object moved</title></head><body><h2>Object moved</h2></body></html>"
    return Response(fault.status or 302, body, "text/html", extra={"Location": fault.to or target})


def _replaced(response: Response, fault: Fault) -> Response | None:
    match fault.kind:
        case "too_many_requests":
            body = b"<html><body>Too many requests</body></html>"
            return Response(429, body, "text/html", extra={"Retry-After": str(fault.retry_after)})
        case "server_error":
            return Response(fault.status or 500, b"<html><body>Server Error</body></html>", "text/html")
        case "maintenance":
            return Response(fault.status or 503, MAINTENANCE_PAGE, "text/html; charset=utf-8")
        case "html":
            return Response(200, MAINTENANCE_PAGE, "text/html; charset=utf-8")
        case "error_200":
            problem = {"errorTypeCode": "EXTRACT-FAILED", "message": "Simuleret fejl."}
            return Response(200, json.dumps(problem).encode(), JSON)
        case "oversized" if response.row_count is not None and response.row_count(fault.rows) > fault.rows:
            return Response(500, b"<html><body>Server Error</body></html>", "text/html")
        case _:
            return None


def _truncated(body: bytes, _: Fault) -> bytes:
    return body.removesuffix(b"\r\n")[:-2]


def _short(rows: list[bytes], fault: Fault) -> list[bytes]:
    return [row for at, row in enumerate(rows) if int((at + 1) * fault.keep) > int(at * fault.keep)]


def _rows_changed(body: bytes, fault: Fault) -> bytes:
    header, *rows = body.splitlines(keepends=True) or [b""]
    match fault.kind:
        case "short":
            rows = _short(rows, fault)
        case "garbage":
            rows[:1] = [row.rpartition(b";")[0] + b";abc\r\n" for row in rows[:1]]
        case "duplicate":
            rows = rows[:1] + rows
        case _:
            header = header.replace(b"INDHOLD", b"VALUE")
    return header + b"".join(rows)


_BODIES: dict[str, Callable[[bytes, Fault], bytes]] = {
    "truncated": _truncated,
    "short": _rows_changed,
    "garbage": _rows_changed,
    "duplicate": _rows_changed,
    "wrong_header": _rows_changed,
}
