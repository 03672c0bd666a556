"""The simulator's own paths under ``/_simulator``: publish, faults, requests, truth, reset.

What belongs here: what a person or another process can do to a running simulator over HTTP. These paths are not part
of the simulated API.

==========  ==============================  ==========================================================================
GET         /_simulator                     tables, publications made, faults set
POST        /_simulator/publish             ``{"kind": "revise", "table": "FOLK1A", "tid": "2024K1"}``, or
                                            ``{"kind": "revise_classification", "classification": "nuts"}``
POST        /_simulator/faults              ``{"kind": "reset", "table": "FOLK1A", "path": "data", "count": 2}``
GET/DELETE  /_simulator/faults              list them / forget them
GET/DELETE  /_simulator/requests            the request log / empty it
GET         /_simulator/truth/<TABLE>       ``?tid=`` the exact rows as published now
POST        /_simulator/reset               forget publications, faults and log
==========  ==============================  ==========================================================================
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from varro_assets.simulator.classifications import Classification
from varro_assets.simulator.faults import Fault, FaultBook, UnknownFault
from varro_assets.simulator.publications import UnknownPublication
from varro_assets.simulator.universe import Universe
from varro_assets.simulator.wire import MalformedBody, Request, Response, json_response

CONTROL_ROOT = "_simulator"
LOG_LENGTH = 100_000


@dataclass(frozen=True)
class LoggedRequest:
    """One line of the request log.

    Attributes:
        body: text as received.
        status: 0 for a connection that was reset.
        service: ``api``, ``site`` or ``geo``; empty for a path that is none of them.
    """

    time: float
    method: str
    path: str
    function: str
    table: str
    body: str
    status: int
    user_agent: str
    service: str


class RequestLog:
    """What was asked, oldest first."""

    def __init__(self) -> None:
        self._lines: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)

    def add(self, request: Request, status: int) -> None:
        """Log a request with the status it got."""
        body = request.body.decode("utf-8", "replace")
        self._lines.append(
            LoggedRequest(
                time.time(),
                request.method,
                request.target,
                request.function,
                request.table,
                body,
                status,
                request.user_agent,
                request.service,
            )
        )

    def lines(self) -> list[LoggedRequest]:
        """All lines."""
        return list(self._lines)

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()


class Control:
    """Answers the paths under ``/_simulator``."""

    def __init__(
        self, universe: Universe | None, faults: FaultBook, log: RequestLog, reset: Callable[[], None]
    ) -> None:
        self._universe = universe
        self._faults = faults
        self._log = log
        self._reset = reset

    def answer(self, request: Request) -> Response:
        """The response to a request whose path begins with ``/_simulator``."""
        what = request.steps[1] if len(request.steps) > 1 else ""
        actions: dict[tuple[str, str], Callable[[Request], object]] = {
            ("GET", ""): self._overview,
            ("POST", "publish"): self._publish,
            ("POST", "faults"): lambda held: self._faults.add(_fault(held.posted())).as_json(),
            ("GET", "faults"): lambda _: self._faults.listed(),
            ("DELETE", "faults"): lambda _: self._faults.clear(),
            ("GET", "requests"): lambda _: [asdict(line) for line in self._log.lines()],
            ("DELETE", "requests"): lambda _: self._log.clear(),
            ("GET", "truth"): self._truth,
            ("POST", "reset"): lambda _: self._reset(),
        }
        action = actions.get((request.method, what))
        if action is None:
            known = [f"{method} /{CONTROL_ROOT}/{path}" for method, path in actions]
            return json_response({"error": f"no such path; there are {', '.join(known)}"}, 404)
        try:
            return json_response(action(request))
        except (UnknownPublication, UnknownFault, MalformedBody) as error:
            return json_response({"error": str(error)}, 400)

    def _content(self) -> Universe:
        if self._universe is None:
            raise UnknownPublication("recorded material cannot be published anew and has no truth but itself")
        return self._universe

    def _overview(self, _: Request) -> dict[str, Any]:
        tables = [] if self._universe is None else self._universe.tables()
        return {
            "classifications": []
            if self._universe is None
            else [held.name for held in self._universe.classifications()],
            "tables": {table.id: table.updated for table in tables},
            "publications": [] if self._universe is None else self._universe.publications,
            "faults": self._faults.listed(),
        }

    def _publish(self, request: Request) -> dict[str, Any]:
        made = self._content().make(request.posted())
        if isinstance(made, Classification):
            return {"classification": made.name, "guid": made.guid, "items": len(made.items)}
        return made.entry("da")

    def _truth(self, request: Request) -> dict[str, Any]:
        named = request.steps[2] if len(request.steps) > 2 else ""
        try:
            table = self._content().table(named)
        except KeyError:
            raise UnknownPublication(f"there is no table {named!r}") from None
        tid = request.query.get("tid", table.periods[-1])
        if tid not in table.periods:
            raise UnknownPublication(f"{table.id} has no period {tid}")
        columns = [*(dimension.id for dimension in table.dimensions), "INDHOLD"]
        return {
            "table": table.id,
            "updated": table.updated,
            "tid": tid,
            "columns": columns,
            "rows": table.rows(tid),
        }


def _fault(fields: dict[str, Any]) -> Fault:
    try:
        return Fault(**fields)
    except TypeError as error:
        raise UnknownFault(str(error)) from error
