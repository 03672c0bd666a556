"""Simulator: a universe, its faults and its log behind one running server.

What belongs here: start, stop, and the state file that lets a demo's publisher go on where it stopped. The state file
holds one publication per line as JSON; deleting it begins anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from varro_assets.simulator import boundaries, classification_lists
from varro_assets.simulator.api import Api
from varro_assets.simulator.control import CONTROL_ROOT, Control, LoggedRequest, RequestLog
from varro_assets.simulator.faults import Fault, FaultBook
from varro_assets.simulator.recorded import Recorded
from varro_assets.simulator.server import Backend, Server
from varro_assets.simulator.site import Boundaries, Site
from varro_assets.simulator.universe import Publication, Universe
from varro_assets.simulator.wire import API, API_ROOT, GEO, SITE

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Simulator:
    """A StatBank on this machine.

    Attributes:
        faults: what is programmed to go wrong.
    """

    def __init__(
        self,
        universe: Universe,
        host: str = "127.0.0.1",
        port: int = 0,
        state_file: Path | None = None,
    ) -> None:
        """Nothing listens before ``start``.

        Raises:
            ValueError: a host that is not loopback, or a state file that cannot be read.
        """
        self._universe: Universe | None = universe
        self._state_file = state_file
        self._prepare(Api(universe), Site(universe.classifications), host, port)
        if state_file is not None:
            universe.replay(_remembered(state_file))
            universe.journal = self._remember

    @classmethod
    def recorded(cls, folder: Path, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Serve recorded answers; for the folder's layout see ``recorded``. The web site is the demo's."""
        simulator = cls.__new__(cls)
        simulator._universe = None
        simulator._state_file = None
        simulator._prepare(Recorded(folder), Site(classification_lists.classifications), host, port)
        return simulator

    def _prepare(self, api: Backend, site: Site, host: str, port: int) -> None:
        if host not in LOOPBACK:
            raise ValueError(f"the simulator serves this machine only: {host!r} is not one of {sorted(LOOPBACK)}")
        self._backends: dict[str, Backend] = {API: api, SITE: site, GEO: Boundaries(boundaries.geojson)}
        self._host, self._port = host, port
        self._server: Server | None = None
        self._log = RequestLog()
        self.faults = FaultBook()

    @property
    def universe(self) -> Universe:
        """The content served.

        Raises:
            RuntimeError: recorded material is served, which has none.
        """
        if self._universe is None:
            raise RuntimeError("recorded material is served; it has no universe")
        return self._universe

    @property
    def root(self) -> str:
        """``http://127.0.0.1:<port>``.

        Raises:
            RuntimeError: the simulator is not running.
        """
        if self._server is None:
            raise RuntimeError("the simulator is not running; use it as a context manager or call start()")
        return f"http://{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """Base address of the simulated API, in place of the real one."""
        return self.root + API_ROOT

    @property
    def site_url(self) -> str:
        """Base address of the simulated web site, in place of the real one."""
        return f"{self.root}/{SITE}"

    @property
    def geo_url(self) -> str:
        """Base address of the simulated boundaries, in place of the real ones."""
        return f"{self.root}/{GEO}"

    @property
    def control_url(self) -> str:
        """Base address of the simulator's own paths; see ``control``."""
        return f"{self.root}/{CONTROL_ROOT}"

    @property
    def requests(self) -> list[LoggedRequest]:
        """Requests so far, oldest first: to the API, the web site and the boundaries (see ``LoggedRequest.service``).

        Those to the simulator's own paths are left out.
        """
        return self._log.lines()

    def forget_requests(self) -> None:
        """Empty the request log."""
        self._log.clear()

    def fault(self, kind: str, **fields: Any) -> Fault:
        """Program a fault; the fields are those of ``Fault``.

        Raises:
            UnknownFault: there is no such kind.
        """
        return self.faults.add(Fault(kind, **fields))

    def start(self) -> Self:
        """Listen, in a thread of its own."""
        if self._server is None:
            control = Control(self._universe, self.faults, self._log, self.reset)
            self._server = Server(
                (self._host, self._port), self._backends, control, self.faults, self._log, self._publish
            )
            # a second start comes back at the same address, as a service does after maintenance
            self._port = int(self._server.server_address[1])
            serve = self._server.serve_forever
            Thread(target=serve, kwargs={"poll_interval": 0.02}, name="simulator", daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening; answers under way are dropped."""
        if self._server is not None:
            self._server.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reset(self) -> None:
        """Forget publications, faults and the request log, and empty the state file."""
        self.faults.clear()
        self._log.clear()
        if self._universe is not None:
            self._universe.reset()
        if self._state_file is not None:
            self._state_file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _publish(self, fault: Fault) -> None:
        self.universe.make(fault.then or {})

    def _remember(self, made: Publication) -> None:
        assert self._state_file is not None  # noqa: S101 - the journal is set together with the file
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        with self._state_file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(made, ensure_ascii=False) + "\n")


def _remembered(state_file: Path) -> list[Publication]:
    if not state_file.exists():
        return []
    lines = state_file.read_text("utf-8").splitlines()
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise ValueError(f"the simulator's state file {state_file} is damaged ({error}); delete it") from error
