"""The HTTP server: sockets, chunks, and the faults that happen to them.

What belongs here: HTTP/1.1 on loopback with chunks written by hand, since a body must be able to break in its middle.
What an answer says is decided elsewhere.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any, Protocol

from varro_assets.simulator.control import CONTROL_ROOT, Control, RequestLog
from varro_assets.simulator.faults import Fault, FaultBook, changed
from varro_assets.simulator.wire import API, SERVER, Request, Response

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Backend(Protocol):
    """Whatever answers the requests to one of the simulated services."""

    def answer(self, request: Request) -> Response:
        """The response to a request."""


class Server(ThreadingHTTPServer):
    """A server of several services; every request has its own thread.

    Attributes:
        backends: who answers for which service (``Request.service``); the API's answers whatever is no service.
        stopping: set when hanging requests are to give up.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        backends: Mapping[str, Backend],
        control: Control,
        faults: FaultBook,
        log: RequestLog,
        publish: Callable[[Fault], None],
    ) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)  # closes itself when the port is taken
        self.backends = backends
        self.control = control
        self.faults = faults
        self.log = log
        self.publish = publish
        self.stopping = Event()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take in one connection, which may carry many requests, and begin its thread."""
        # not in its own thread, which may begin only after `server_close` has looked
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Let go of one connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening and drop open connections, so that a kept-alive client notices as well."""
        super().server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news; anything else is a mistake here or in a planned publication."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # one segment for the headers and one per chunk; without this every small answer waits for a delayed ACK
    disable_nagle_algorithm = True
    wbufsize = 65536

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The request log replaces the lines on stderr."""

    def version_string(self) -> str:
        return SERVER

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        agent = self.headers.get("User-Agent", "")
        request = Request(self.command, self.path, self.rfile.read(length), agent)
        if request.steps[:1] == [CONTROL_ROOT]:
            self._send(self.server.control.answer(request), None)
            return
        due = self.server.faults.due(request)
        kinds = {fault.kind: fault for fault in due}
        if "timeout" in kinds:
            self.server.stopping.wait(kinds["timeout"].seconds)
        if "reset" in kinds:
            self.server.log.add(request, 0)
            self._reset()
            return
        backends = self.server.backends
        response = backends.get(request.service, backends[API]).answer(request)
        for fault in due:
            response = changed(response, fault, request.target)
        self.server.log.add(request, response.status)
        # before the last byte leaves, so that the client's next request already meets the new state
        for fault in due:
            if fault.kind == "publish":
                self.server.publish(fault)
        self._send(response, kinds["cut"].bytes if "cut" in kinds else None)

    def _send(self, response: Response, cut: int | None) -> None:
        self.log_request(response.status)
        self.send_response_only(response.status)
        for name, value in response.headers().items():
            self.send_header(name, value)
        self.end_headers()
        if isinstance(response.body, bytes):
            self.wfile.write(response.body if cut is None else response.body[:cut])
        else:
            self._send_chunks(response.body, cut)
        self.wfile.flush()
        if cut is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send_chunks(self, pieces: Iterable[bytes], cut: int | None) -> None:
        """Send pieces as chunks; a cut falls inside an announced chunk, or before the end mark at the latest."""
        left = cut
        for piece in filter(None, pieces):
            if left is not None and len(piece) >= left:
                self.wfile.write(b"%x\r\n" % len(piece) + piece[:left])
                return
            self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
            self.wfile.flush()
            left = None if left is None else left - len(piece)
        if cut is None:
            self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close_connection = True
        self.connection.close()
