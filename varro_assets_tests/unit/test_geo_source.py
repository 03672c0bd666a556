"""Asking for boundaries: one GET per layer, and every other answer by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from varro_assets.context.maps import geo_source
from varro_assets.context.maps.geo_layers import layer
from varro_assets.engine.http import Pace, Session
from varro_assets.errors import (
    BrokenStream,
    InvalidBoundaries,
    MaintenancePage,
    SourceRefused,
    SourceUnavailable,
    UnexpectedResponse,
    VarroError,
)
from varro_assets.simulator import Simulator, boundaries
from varro_assets_tests.map_material import collection, feature, square
from varro_assets_tests.scripted_server import HTML_TYPE, Reply, ScriptedServer

GOOD = collection([feature(square(0), kode="0101", navn="København")])


def fetch(tmp_path: Path, *script: Reply) -> tuple[bytes, list[str]]:
    with ScriptedServer(list(script)).running() as server:
        session = Session(Pace(tmp_path, server.url, 0), timeout=120.0, backoff=0.0, attempts=2)
        try:
            content = geo_source.fetch(session, f"{server.url}/", layer("kommuner"))
        finally:
            session.close()
        return content, [path for path, _ in server.requests]


def test_the_body_comes_as_it_was_sent(tmp_path: Path) -> None:
    content, paths = fetch(tmp_path, Reply(body=GOOD))
    assert content == GOOD
    assert paths == ["/v1/kommuner?format=geojson"]


def test_a_failure_that_passes_is_tried_again(tmp_path: Path) -> None:
    content, paths = fetch(tmp_path, Reply(status=503), Reply(body=GOOD))
    assert content == GOOD
    assert len(paths) == 2


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (Reply(status=503), SourceUnavailable, "HTTP 503"),
        (Reply(status=404, body=b"no such", content_type="text/plain"), SourceRefused, "HTTP 404"),
        (Reply(status=404, body=b"<html>", content_type=HTML_TYPE), SourceRefused, "HTTP 404"),
        (Reply(status=410), SourceRefused, "HTTP 410"),
        (Reply(body=b"<html>Closed</html>", content_type=HTML_TYPE), MaintenancePage, "an HTML page"),
        (Reply(body=b"<html>Closed</html>"), InvalidBoundaries, "no JSON"),
        (Reply(body=b"{}"), InvalidBoundaries, "instead of a FeatureCollection"),
        (Reply(body=GOOD[:-20]), InvalidBoundaries, "no JSON"),
        (Reply(body=GOOD[:-20], length=len(GOOD)), BrokenStream, "IncompleteRead"),
    ],
)
def test_every_other_answer_has_a_name(tmp_path: Path, reply: Reply, kind: type[VarroError], reason: str) -> None:
    with pytest.raises(kind) as refused:
        fetch(tmp_path, reply)
    assert type(refused.value) is kind
    assert reason in refused.value.got
    assert "kommuner" in refused.value.on


def test_more_than_a_map_can_weigh_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geo_source, "LARGEST", 100)
    with pytest.raises(UnexpectedResponse, match="more than"):
        fetch(tmp_path, Reply(body=GOOD))


def test_the_simulator_answers_like_the_service(tmp_path: Path, simulator: Simulator) -> None:
    url = f"{simulator.root}/geo"
    session = Session(Pace(tmp_path, url, 0), timeout=120.0, backoff=0.0, attempts=2)
    assert geo_source.fetch(session, url, layer("regioner")) == boundaries.geojson("regioner")
    with pytest.raises(SourceRefused) as refused:
        geo_source.fetch(session, url, layer("sogne"))
    assert refused.value.status == 404
    session.close()
