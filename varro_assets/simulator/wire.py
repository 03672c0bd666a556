"""What goes over the wire: a request as received and a response to be sent.

What belongs here: reading parameters out of paths, queries and bodies, and the headers the real API sends. No table is
looked at.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from varro_assets.simulator import problems
from varro_assets.simulator.problems import ApiProblem

API_ROOT = "/v1"
API, SITE, GEO = "api", "site", "geo"
SERVICES = {"v1": API, SITE: SITE, GEO: GEO}
"""First step of a path -> the service that stands there; anything else is no service of the publisher's."""
SERVER = "varro-simulator/1.0"
JSON = "text/json; charset=utf-8"


class MalformedBody(ValueError):
    """A POST body that is no JSON object."""


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    Attributes:
        method: GET, POST or DELETE.
        target: path and query as received.
        body: bytes of the body.
        user_agent: header of that name.
    """

    method: str
    target: str
    body: bytes = b""
    user_agent: str = ""

    @cached_property
    def steps(self) -> list[str]:
        """The path's steps, decoded."""
        return [unquote(step) for step in self.path.split("/") if step]

    @property
    def path(self) -> str:
        """The path as received, without the query."""
        return urlsplit(self.target).path

    @property
    def service(self) -> str:
        """``api``, ``site`` (the web site) or ``geo`` (boundaries); empty for anything else."""
        return SERVICES.get(self.steps[0].lower(), "") if self.steps else ""

    @property
    def function(self) -> str:
        """``tables``, ``data``, ...: the step after ``v1``, lower-case; empty when there is none.

        What is no function of the API has the name of its service: ``site`` or ``geo``.
        """
        if self.service != API:
            return self.service
        return self.steps[1].lower() if len(self.steps) > 1 else ""

    @property
    def rest(self) -> list[str]:
        """Steps after the function."""
        return self.steps[2:]

    @cached_property
    def query(self) -> dict[str, str]:
        """Parameters of the query, names as sent."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def posted(self) -> dict[str, Any]:
        """The object in the body; empty for an empty body.

        Raises:
            MalformedBody: it is no JSON object.
        """
        if not self.body.strip():
            return {}
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise MalformedBody(str(error)) from error
        if not isinstance(value, dict):
            raise MalformedBody("not an object")
        return value

    def parameters(self) -> dict[str, Any]:
        """Parameters of a GET or a POST by lower-case name.

        Raises:
            MalformedBody: a POST whose body is no JSON object.
        """
        sent: Mapping[str, Any] = self.posted() if self.method == "POST" else self.query
        return {name.lower(): value for name, value in sent.items()}

    @property
    def table(self) -> str:
        """Id of the table the request is about, upper-case; empty when it names none."""
        try:
            sent = self.parameters()
        except MalformedBody:
            return ""
        if self.function not in {"data", "tableinfo"}:
            return ""
        named = self.rest[0] if self.rest else sent.get("table" if self.method == "POST" else "id", "")
        return str(named).upper()


@dataclass
class Response:
    """One HTTP response.

    Attributes:
        status: HTTP status.
        body: bytes (sent with Content-Length) or pieces (sent chunked).
        content_type: header of that name.
        file_name: for Content-Disposition; None sends none.
        extra: further headers.
        row_count: for BULK, counts the rows up to a bound without writing them.
        request_id: the tracing id.
    """

    status: int
    body: bytes | Iterable[bytes]
    content_type: str = JSON
    file_name: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    row_count: Callable[[int], int] | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def headers(self) -> dict[str, str]:
        """All headers, in the order of the recorded answers."""
        sent = {"Cache-Control": "no-cache", "Pragma": "no-cache"}
        if isinstance(self.body, bytes):
            sent["Content-Length"] = str(len(self.body))
        else:
            sent["Transfer-Encoding"] = "chunked"
        sent |= {"Content-Type": self.content_type, "Expires": "-1", "Server": SERVER}
        sent |= {
            "StatbankAPI-Request-Id": self.request_id,
            "Access-Control-Expose-Headers": "StatbankAPI-Request-Id",
        }
        if self.file_name is not None:
            sent["Content-Disposition"] = f"attachment; filename={self.file_name}"
        return sent | {"Date": formatdate(usegmt=True)} | self.extra


def json_response(value: object, status: int = 200) -> Response:
    """A response with a JSON body."""
    return Response(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def problem_response(problem: ApiProblem) -> Response:
    """A response with an error body."""
    return json_response({"errorTypeCode": problem.code, "message": problem.message}, problem.status)


def dispatch(functions: Mapping[str, Callable[[Request], Response]], request: Request) -> Response:
    """The response of the function that is asked for; an error is a response too."""
    try:
        if request.function not in functions:
            raise problems.no_page()
        return functions[request.function](request)
    except ApiProblem as problem:
        return problem_response(problem)


def words(value: object) -> list[str]:
    """A list parameter: a JSON list, or one string with commas."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None else [part.strip() for part in str(value).split(",") if part.strip()]


def truth(value: object) -> bool:
    """A flag: true, or the word; anything else counts as false."""
    return value is True or str(value).lower() == "true"
