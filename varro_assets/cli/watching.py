"""Watching: what Dagster's services do not see to themselves while `varro up` runs.

What belongs here: seeing that Postgres or the process that holds the graph died, and having it begin again. Dagster's
own command watches its web server, its daemon and the process before the graph, but not the one behind that; a
postmaster replaces a backend that was killed, and nobody a postmaster.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

from varro_assets.cli.foreground import Service
from varro_assets.defs.unattended import reloading
from varro_assets.defs.unattended.reloading import Unloaded
from varro_assets.engine.server.server import EmbeddedServer
from varro_assets.errors import VarroError, WebServerUnavailable

LOOK_EVERY_SECONDS = 5.0
AT_LEAST_SECONDS = 10.0
"""The web server itself looks again after a moment; what passes by itself is not meddled with."""
RELOAD_EVERY_SECONDS = 300.0
BEGIN_AGAIN_AFTER_SECONDS = 900.0
"""A graph may take minutes to load, and Dagster gives it ten (dagster.yaml, code_servers)."""
MOVED = 75
"""Exit code of a temporary failure (sysexits.h): whoever supervises us starts us again."""


class Step(Enum):
    """What to do about a graph that is not loaded."""

    NOTHING = "nothing"
    RELOAD = "reload"
    BEGIN_AGAIN = "begin again"


@dataclass(frozen=True)
class Trouble:
    """Since when the graph has not been loaded, and when it was last asked to be; seconds of one clock."""

    since: float
    asked: float | None = None


def step(errors: Sequence[Unloaded], trouble: Trouble | None, now: float) -> tuple[Step, Trouble | None]:
    """What to do now, and what to remember.

    A graph that cannot be made sense of is asked for again as well, for somebody may mend what it reads; but ending the
    services would not help it, and take away the web page that tells why.

    Args:
        errors: what is wrong with the code locations.
        trouble: as remembered from the look before; None when all was well.
        now: seconds.
    """
    if not errors:
        return Step.NOTHING, None
    if trouble is None:
        return Step.NOTHING, Trouble(now)
    if now - trouble.since >= BEGIN_AGAIN_AFTER_SECONDS and any(error.unreachable for error in errors):
        return Step.BEGIN_AGAIN, None
    if now - trouble.since < AT_LEAST_SECONDS:
        return Step.NOTHING, trouble
    if trouble.asked is None or now - trouble.asked >= RELOAD_EVERY_SECONDS:
        return Step.RELOAD, Trouble(trouble.since, now)
    return Step.NOTHING, trouble


class Watch:
    """Looks every few seconds, while the block lasts.

    Args:
        url: of the web server.
        server: Postgres; None if it is the user's own.
        port: where Postgres answers, as Dagster was told.
        service: Dagster's.
        say: tells people what was done.
    """

    def __init__(
        self, url: str, server: EmbeddedServer | None, port: int | None, service: Service, say: Callable[[str], None]
    ) -> None:
        self._url, self._server, self._port, self._service, self._say = url, server, port, service, say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_again_and_again, name="watch", daemon=True)
        self._answered = False
        self._trouble: Trouble | None = None
        self._said_of_postgres = self._said_of_graph = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        # a look that is waiting for somebody is not waited for; it does nothing that may not be broken off
        self._thread.join(LOOK_EVERY_SECONDS)

    def begin_again(self, code: int) -> bool:
        """Whether Dagster's services, which ended, are to begin again: if they had once begun."""
        began, self._answered, self._trouble = self._answered, False, None
        if began:
            self._say(f"Dagster's services ended with code {code}; they begin again.")
        return began

    def look(self) -> None:
        """See to Postgres, then to the graph."""
        self._see_to_postgres()
        self._see_to_graph()

    def _look_again_and_again(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            self.look()

    def _see_to_postgres(self) -> None:
        if self._server is None:
            return
        try:
            # asked when nobody else can start or stop it: behind the last one out it would run for good
            endpoint = self._server.revive(lambda: not self._over.is_set())
        except VarroError as error:
            # what lasts is not said every few seconds
            if str(error) != self._said_of_postgres:
                self._say(str(error))
            self._said_of_postgres = str(error)
            return
        self._said_of_postgres = ""
        # another command may have been faster in starting it
        port = endpoint.port if endpoint else self._server.port or self._port
        if port == self._port:
            if endpoint:
                self._say("Postgres had ended; it was started again.")
            return
        self._say("Postgres had ended, and its port was taken when it was started again: varro up must begin anew.")
        self._service.end(MOVED)

    def _see_to_graph(self) -> None:
        try:
            errors = reloading.unloaded(self._url)
        except WebServerUnavailable:
            # it is starting, busy, or gone, in which case Dagster's command ends
            return
        self._answered = True
        what, self._trouble = step(errors, self._trouble, time.monotonic())
        if what is Step.RELOAD:
            if errors[0].kind != self._said_of_graph:
                self._say(f"The graph is not loaded ({errors[0].kind}); it is loaded anew.")
            self._said_of_graph = errors[0].kind
            with contextlib.suppress(WebServerUnavailable):
                reloading.reload(self._url)
        elif what is Step.BEGIN_AGAIN:
            self._say("The graph could not be loaded for a quarter of an hour: Dagster's services are ended.")
            self._service.interrupt()
        elif not errors:
            self._said_of_graph = ""
