"""A service in the foreground: what ends it ends everything it started."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from varro_assets_tests.unit.conftest import Varro

# a service that starts another process, which does not listen to anybody, and ends in order when interrupted
SERVICE = """
import signal, subprocess, sys, time
ends_in_order, code = sys.argv[1] == "yes", int(sys.argv[2])
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", stubborn])
print(child.pid, flush=True)
try:
    time.sleep(300)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    child.kill() if ends_in_order else None
    sys.exit(code)
"""
OUTER = """
import os, sys
from pathlib import Path
from varro_assets.cli import foreground
foreground.LAST_GRACE_SECONDS = 0.5
sys.exit(foreground.Service([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], os.environ, Path.cwd()).run())
"""
# as `varro up` does: on a life line, and begun again as long as it ends with 3
TETHERED = """
import os, sys
from pathlib import Path
from varro_assets.cli import foreground
foreground.LAST_GRACE_SECONDS, foreground.PAUSE_SECONDS = 0.5, 0.1
command = [sys.executable, "-m", "varro_assets.cli.tether", foreground.LIFE_LINE, "tethered", *sys.argv[1:]]
environment = {**os.environ, "PYTHONPATH": os.getcwd()}
sys.exit(foreground.Service(command, environment, Path.cwd()).run(lambda code: code == 3))
"""


def _ignore_interrupts() -> None:
    """As a shell does for what a script starts with ``&``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("ends_in_order", ["yes", "no"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("prepare", [None, _ignore_interrupts], ids=["terminal", "background"])
def test_the_service_and_what_it_started_end(
    sent: signal.Signals, ends_in_order: str, prepare: Callable[[], None] | None, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER, SERVICE, ends_in_order, "7"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=prepare,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    time.sleep(0.2)

    process.send_signal(sent)

    out, _ = process.communicate(timeout=30)
    assert out == "interrupted\n"
    assert process.returncode == 7
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_service_that_ends_by_itself_gives_its_code(tmp_path: Path) -> None:
    code = "import sys; sys.exit(3)"
    done = subprocess.run([sys.executable, "-c", OUTER, code], cwd=tmp_path, timeout=30, check=False)
    assert done.returncode == 3


def test_a_service_that_is_killed_gives_the_shells_code(tmp_path: Path) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", OUTER, code], cwd=tmp_path, timeout=30, check=False)
    assert done.returncode == 128 + signal.SIGKILL


def test_a_service_that_is_to_begin_again_does(tmp_path: Path) -> None:
    (tmp_path / "tethered.py").write_text(
        "import pathlib, sys\n"
        "ends = pathlib.Path('ends')\n"
        "ends.write_text(ends.read_text() + sys.argv[1] if ends.exists() else '.')\n"
        "sys.exit(3 if len(ends.read_text()) < 3 else 4)\n"
    )
    done = subprocess.run([sys.executable, "-c", TETHERED, "."], cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 4
    assert (tmp_path / "ends").read_text() == "..."


def test_killed_we_take_the_service_and_what_it_started_with_us(tmp_path: Path) -> None:
    (tmp_path / "tethered.py").write_text(SERVICE)
    process = subprocess.Popen(
        [sys.executable, "-c", TETHERED, "no", "0"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    service = child.parent()
    assert service is not None

    process.kill()

    process.communicate(timeout=30)
    assert psutil.wait_procs([child, service], timeout=30)[1] == []


def test_another_thread_may_end_the_service(tmp_path: Path) -> None:
    ends = (
        "import threading\nthreading.Timer(0.5, service.end, [75]).start()\nsys.exit(service.run(lambda code: True))\n"
    )
    outer = OUTER.replace("sys.exit(", "service = (").replace(".run())", ")") + ends
    assert outer != OUTER + ends
    code = "import time; print('begun', flush=True); time.sleep(300)"
    done = subprocess.run([sys.executable, "-c", outer, code], cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 75


def test_a_port_that_is_taken_is_refused_before_anything_starts(varro: Varro) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = varro("up", "--port", str(port))
    assert said.code == 1
    assert f"Could not serve the UI at port {port}: address already in use. Choose another with --port." in said.words
    assert [path.name for path in (varro.home / "dagster_home").iterdir()] == ["dagster.yaml"]
