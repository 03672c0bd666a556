"""Watching: what is done about a graph that is not loaded, and about Postgres when it has died."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from varro_assets.cli import watching
from varro_assets.cli.services import served_at
from varro_assets.cli.watching import MOVED, Step, Trouble, Watch, step
from varro_assets.defs.unattended import reloading
from varro_assets.defs.unattended.reloading import Unloaded
from varro_assets.engine.server.server_folder import Endpoint
from varro_assets.errors import EmbeddedServerError, WebServerUnavailable
from varro_assets.settings import Settings
from varro_assets_tests.postgres_fixture import PATIENCE
from varro_assets_tests.scripted_server import Reply, ScriptedServer

GONE = Unloaded("DagsterUserCodeUnreachableError", "Could not reach user code server.")
BROKEN = Unloaded("ConfigurationError", "varro.toml says nonsense")


def steps(errors: list[Unloaded], seconds: int, every: int = 5) -> list[tuple[int, Step]]:
    """What is done while the same is wrong for so long; quiet looks are left out."""
    trouble: Trouble | None = None
    done = []
    for now in range(0, seconds, every):
        what, trouble = step(errors, trouble, now)
        if what is not Step.NOTHING:
            done.append((now, what))
    return done


def test_what_nobody_answers_for_is_loaded_anew_and_in_the_end_begun_again() -> None:
    assert steps([GONE], 1000) == [
        (10, Step.RELOAD),
        (310, Step.RELOAD),
        (610, Step.RELOAD),
        (900, Step.BEGIN_AGAIN),
        (915, Step.RELOAD),
    ]


def test_what_cannot_be_made_sense_of_ends_no_services() -> None:
    assert {what for _, what in steps([BROKEN], 4000)} == {Step.RELOAD}


def test_what_passes_by_itself_is_left_alone() -> None:
    _, trouble = step([GONE], None, 0)
    assert step([], trouble, 9) == (Step.NOTHING, None)
    assert steps([GONE], 10) == []
    assert steps([], 1000) == []


def test_the_web_server_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    # a busy machine may hold up the server's thread for longer than the watch waits
    monkeypatch.setattr(reloading, "TIMEOUT", (120.0, 120.0))
    locations = [
        {"name": "good", "locationOrLoadError": {}},
        {"name": "loading", "locationOrLoadError": None},
        {"name": "bad", "locationOrLoadError": {"className": GONE.kind, "message": GONE.message + "\n"}},
    ]
    body = json.dumps({"data": {"workspaceOrError": {"locationEntries": locations}}}).encode()
    with ScriptedServer([Reply(200, body=body), Reply(500)]).running() as server:
        assert reloading.unloaded(server.url) == [GONE]
        with pytest.raises(WebServerUnavailable):
            reloading.unloaded(server.url)


@dataclass
class Postgres:
    """A server that dies when told."""

    answers: list[Endpoint | EmbeddedServerError | None]
    port: int | None = None

    def revive(self, wanted: Callable[[], bool]) -> Endpoint | None:
        assert wanted()
        answer = self.answers.pop(0)
        if isinstance(answer, EmbeddedServerError):
            raise answer
        return answer


@dataclass
class Dagster:
    """Services that do nothing but remember."""

    ended: list[int] = field(default_factory=list)
    interrupted: int = 0

    def end(self, code: int) -> None:
        self.ended.append(code)

    def interrupt(self) -> None:
        self.interrupted += 1


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> list[Unloaded]:
    """What is wrong with the graph, to be changed."""
    wrong: list[Unloaded] = []
    monkeypatch.setattr(reloading, "unloaded", lambda _url: list(wrong))
    monkeypatch.setattr(reloading, "reload", lambda _url: [])
    return wrong


def test_postgres_that_died_is_started_and_a_moved_one_ends_us(graph: list[Unloaded]) -> None:
    error = EmbeddedServerError("start the embedded Postgres", on="data", got="no space", todo="Free some.")
    here, elsewhere = Endpoint(20001, None), Endpoint(20002, None)  # type: ignore[arg-type]
    said: list[str] = []
    dagster = Dagster()
    server = Postgres([None, error, error, here, elsewhere])
    watch = Watch("http://127.0.0.1:1", server, 20001, dagster, said.append)  # type: ignore[arg-type]
    for _ in range(4):
        watch.look()
    assert said == [str(error), "Postgres had ended; it was started again."]
    assert dagster.ended == []
    watch.look()
    assert dagster.ended == [MOVED]


def test_a_postgres_that_another_command_moved_ends_us_too(graph: list[Unloaded]) -> None:
    said: list[str] = []
    dagster, server = Dagster(), Postgres([None] * 3)
    watch = Watch("http://127.0.0.1:1", server, 20001, dagster, said.append)  # type: ignore[arg-type]
    watch.look()
    server.port = 20001
    watch.look()
    assert (said, dagster.ended) == ([], [])
    server.port = 20002
    watch.look()
    assert dagster.ended == [MOVED]
    assert "must begin anew" in said[0]


def test_postgres_is_not_wanted_any_more_once_the_watch_is_left(
    graph: list[Unloaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that stands still is not waited for; what it then does would be done behind the last one out."""
    monkeypatch.setattr(watching, "LOOK_EVERY_SECONDS", 0.01)
    inside, left = threading.Event(), threading.Event()
    answers: list[bool] = []

    class StandsStill(Postgres):
        def revive(self, wanted: Callable[[], bool]) -> Endpoint | None:
            inside.set()
            assert left.wait(PATIENCE)
            answers.append(wanted())
            return None

    watch = Watch("http://127.0.0.1:1", StandsStill([], 20001), 20001, Dagster(), print)  # type: ignore[arg-type]
    with watch:
        assert inside.wait(PATIENCE)
    left.set()
    watch._thread.join(PATIENCE)
    assert answers == [False]


def test_services_begin_again_only_if_they_had_begun(graph: list[Unloaded]) -> None:
    dagster, said = Dagster(), []
    watch = Watch("http://127.0.0.1:1", None, None, dagster, said.append)  # type: ignore[arg-type]
    assert not watch.begin_again(1)
    watch.look()
    assert watch.begin_again(1)
    # the new ones have not answered yet
    assert not watch.begin_again(1)


def test_a_graph_that_stays_away_ends_the_services_so_that_they_begin_again(
    graph: list[Unloaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster, said, now = Dagster(), [], [0.0]
    # the name in that module: other threads of this process go by the real clock
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now[0]))
    watch = Watch("http://127.0.0.1:1", None, None, dagster, said.append)  # type: ignore[arg-type]
    graph.append(GONE)
    for now[0] in range(0, 905, 5):
        watch.look()
    assert dagster.interrupted == 1
    assert len(said) == 2


@pytest.mark.parametrize("demo", [False, True])
def test_the_users_own_address_of_the_ui_is_kept(tmp_path: Path, demo: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VARRO_UI_URL", raising=False)
    here, theirs = "http://127.0.0.1:3001", "https://varro.example"

    def addresses() -> tuple[str, str | None]:
        found = Settings.load(tmp_path)
        served = served_at(found.for_demo() if demo else found, here)
        # as Dagster's processes load them
        with monkeypatch.context() as environment:
            for name, value in served.environment().items():
                environment.setenv(name, value)
            loaded = Settings.load(tmp_path)
        return loaded.varro_ui_url, loaded.varro_reload_url

    assert addresses() == (here, here)
    (tmp_path / ".env").write_text(f"VARRO_UI_URL={theirs}\n")
    assert addresses() == (theirs, here)
