"""Scripted server: real HTTP on loopback whose answers a test lays down one by one.

What belongs here: replies the simulator has no reason to give (redirections, wrong shapes, half headers). Whatever a
StatBank itself would say is the simulator's business.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REQUEST_ID = "7d1b0a52-0000-4000-8000-000000000001"
JSON_TYPE = "text/json; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        length: what Content-Length claims; None tells the truth.
        reset: reset the connection in place of an answer.
        hang: seconds of silence before it.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE
    length: int | None = None
    reset: bool = False
    hang: float = 0.0


def json_reply(value: Any, status: int = 200, **options: Any) -> Reply:
    """The value as a JSON answer."""
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), **options)


class ScriptedServer:
    """Answers requests in the order of its script; the last answer repeats.

    Attributes:
        requests: (path, decoded body) of what was asked.
        times: when, by the wall clock.
    """

    def __init__(self, script: list[Reply]) -> None:
        self.script = script
        self.requests: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"scripted": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def next(self, path: str, body: bytes) -> Reply:
        """Note the request and take its answer."""
        with self._lock:
            self.times.append(time.time())
            self.requests.append((path, json.loads(body) if body else None))
            return self.script[min(len(self.requests), len(self.script)) - 1]

    @contextmanager
    def running(self) -> Iterator[ScriptedServer]:
        """Listen while the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    scripted: ScriptedServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def do_POST(self) -> None:
        reply = self.scripted.next(self.path, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if reply.hang:
            self.scripted.stopping.wait(reply.hang)
        if reply.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(reply.status)
        headers = {"Content-Type": reply.content_type, "StatbankAPI-Request-Id": REQUEST_ID, **reply.headers}
        length = len(reply.body) if reply.length is None else reply.length
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()
        if length != len(reply.body):
            self.close_connection = True

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass
