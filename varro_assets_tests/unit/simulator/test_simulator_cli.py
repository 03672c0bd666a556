"""``varro simulator``: the commands against a running simulator, and one started by ``serve``."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from varro_assets.cli.app import app as whole
from varro_assets.cli.simulator import PUBLICATIONS as EXPLAINED
from varro_assets.cli.simulator import app
from varro_assets.simulator import Simulator
from varro_assets.simulator.faults import KINDS as FAULTS
from varro_assets.simulator.publications import KINDS as PUBLICATIONS
from varro_assets.simulator.universe import REVISE_CLASSIFICATION


@pytest.fixture
def varro(simulator: Simulator):
    return lambda *words: CliRunner().invoke(app, [*words, "--url", simulator.url])


def test_publish(varro, simulator: Simulator) -> None:
    result = varro("publish", "BIL10", "publish_period")
    assert result.exit_code == 0, result.output
    assert "2007 - 2026" in result.output
    assert varro("publish", "BIL10", "revise", "--tid", "2010", "--cells", "3").exit_code == 0
    assert simulator.universe.publications[-1] == {"kind": "revise", "table": "BIL10", "tid": "2010", "cells": 3}


def test_publish_what_is_no_period(varro, simulator: Simulator) -> None:
    assert varro("publish", "FT", "move", "--set", "to=20024", "--set", "silent=true").exit_code == 0
    assert simulator.universe.publications[-1] == {"kind": "move", "table": "FT", "to": "20024", "silent": True}
    said = varro("publish", "byganv", "revise_classification", "--set", "kode=110", "--set", "titel=Gårde", "--set",
                 "niveau=3")  # fmt: skip
    assert "byganv: 23 items" in said.output
    assert [item.da for item in simulator.universe.classification("byganv").items if item.kode == "110"][-1] == "Gårde"
    assert varro("publish", "FT", "move", "--set", "to").exit_code == 2
    assert varro("publish", "FT", "move", "--set", "to=1", "--set", "to=2").exit_code == 2
    assert varro("publish", "nosuch", "revise_classification").exit_code == 1


def test_a_refused_publication_says_why(varro) -> None:
    result = varro("publish", "NOSUCH", "touch")
    assert result.exit_code == 1
    assert "there is no table NOSUCH" in result.output


def test_fault_requests_reset(varro, simulator: Simulator) -> None:
    assert varro("fault", "server_error", "--table", "FT", "--count", "0").exit_code == 0
    answers = [requests.get(f"{simulator.url}/tableinfo/FT", timeout=120).status_code for _ in range(2)]
    assert answers == [500, 500]
    assert "/v1/tableinfo/FT" in varro("requests").output
    assert varro("reset").exit_code == 0
    assert requests.get(f"{simulator.url}/tableinfo/FT", timeout=120).ok
    assert len(simulator.requests) == 1


def test_faults_end_and_publications_stay(varro, simulator: Simulator) -> None:
    varro("publish", "FT", "touch")
    assert "every time, until `simulator fault none`" in varro("fault", "server_error", "--count", "0").output
    assert varro("fault", "none").output == "No fault is set any more; 1 ended.\n"
    assert requests.get(f"{simulator.url}/tables", timeout=120).ok
    assert len(simulator.universe.publications) == 1
    assert varro("fault", "none").output == "No fault was set.\n"


def test_a_fault_that_would_not_last_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARRO_HOME", str(tmp_path))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    said = CliRunner().invoke(whole, ["--demo", "simulator", "fault", "reset"])
    assert said.exit_code == 1
    assert "Start it with `varro --demo up`" in said.output


def test_a_fault_with_numbers(varro, simulator: Simulator) -> None:
    assert varro("fault", "server_error", "--set", "status=502").exit_code == 0
    assert requests.get(f"{simulator.url}/tables", timeout=120).status_code == 502
    assert varro("fault", "server_error", "--set", "status=high").exit_code == 2
    assert varro("fault", "earthquake").exit_code == 1


def test_nobody_there() -> None:
    result = CliRunner().invoke(app, ["requests", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "varro simulator serve" in result.output
    assert "varro --demo simulator" in result.output


def test_help_names_all_kinds() -> None:
    publish = " ".join(CliRunner().invoke(app, ["publish", "--help"], terminal_width=200).output.split())
    fault = " ".join(CliRunner().invoke(app, ["fault", "--help"], terminal_width=200).output.split())
    assert all(f" {kind}: " in publish for kind in [*PUBLICATIONS, REVISE_CLASSIFICATION])
    assert set(EXPLAINED) == {*PUBLICATIONS, REVISE_CLASSIFICATION}
    assert all(f" {kind}: " in fault for kind in FAULTS if kind != "publish")
    assert "0 = every time" in fault


def test_help_names_what_stands_beside_the_api() -> None:
    serve = " ".join(CliRunner().invoke(app, ["serve", "--help"], terminal_width=200).output.split())
    assert "/site/da/Statistik/dokumentation/nomenklaturer" in serve
    assert "/geo/kommuner?format=geojson" in serve
    publish = " ".join(CliRunner().invoke(app, ["publish", "--help"], terminal_width=200).output.split())
    assert "revise_classification" in publish


def test_recorded_excludes_state(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["serve", "--recorded", str(tmp_path), "--tables", "30"])
    assert result.exit_code == 2


def test_serve_says_where_it_is(tmp_path: Path) -> None:
    script = "from varro_assets.cli.simulator import app; app()"
    command = [sys.executable, "-u", "-c", script, "serve", "--port", "0", "--state", str(tmp_path / "state.jsonl")]
    with subprocess.Popen([*command, "--tables", "40"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            assert len(requests.get(f"{url}/tables", timeout=120).json()) == 40
            process.stdout.readline()
            beside = dict(word.split("=", 1) for word in process.stdout.readline().split() if "=" in word)
            listing = f"{beside['DST_SITE_URL']}/da/Statistik/dokumentation/nomenklaturer"
            assert requests.get(listing, timeout=120).ok
            assert requests.get(f"{beside['GEO_URL']}/regioner?format=geojson", timeout=120).ok
        finally:
            process.terminate()


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = "from varro_assets.cli.app import main; main()"
        command = [sys.executable, "-c", code, "simulator", "serve", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert f"Port {port} cannot be used (Address already in use). Choose another with --port." in done.stderr
