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

from varro_assets_tests.postgres_fixture import PATIENCE
from varro_assets_tests.unit.conftest import Varro

# a service that starts another process, which does not listen to anybody, and ends in order when interrupted
SERVICE = """
import os, signal, subprocess, sys, time
ends_in_order, code = sys.argv[1] == "yes", int(sys.argv[2])
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w'); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", stubborn])
while not os.path.exists("deaf"):
    time.sleep(0.01)
try:
    # from here on an interrupt finds us
    print(child.pid, flush=True)
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


def _ended(*processes: psutil.Process) -> bool:
    """Whether they all end: one that was killed is there for a moment more, and as a zombie until somebody looks."""
    deadline = time.monotonic() + PATIENCE
    while living := [process for process in processes if not _is_over(process)]:
        if time.monotonic() > deadline:
            return False
        psutil.wait_procs(living, timeout=0.05)
    return True


def _is_over(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return True


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
    child = psutil.Process(int(process.stdout.readline()))

    process.send_signal(sent)

    out, _ = process.communicate(timeout=PATIENCE)
    assert out == "interrupted\n"
    assert process.returncode == 7
    assert _ended(child)


def test_a_service_that_ends_by_itself_gives_its_code(tmp_path: Path) -> None:
    code = "import sys; sys.exit(3)"
    done = subprocess.run([sys.executable, "-c", OUTER, code], cwd=tmp_path, timeout=PATIENCE, check=False)
    assert done.returncode == 3


def test_a_service_that_is_killed_gives_the_shells_code(tmp_path: Path) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", OUTER, code], cwd=tmp_path, timeout=PATIENCE, check=False)
    assert done.returncode == 128 + signal.SIGKILL


def test_a_service_that_is_to_begin_again_does(tmp_path: Path) -> None:
    (tmp_path / "tethered.py").write_text(
        "import pathlib, sys\n"
        "ends = pathlib.Path('ends')\n"
        "ends.write_text(ends.read_text() + sys.argv[1] if ends.exists() else '.')\n"
        "sys.exit(3 if len(ends.read_text()) < 3 else 4)\n"
    )
    done = subprocess.run([sys.executable, "-c", TETHERED, "."], cwd=tmp_path, timeout=PATIENCE, check=False)
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

    process.communicate(timeout=PATIENCE)
    assert _ended(child, service)


def test_another_thread_may_end_the_service(tmp_path: Path) -> None:
    ends = (
        "import threading, time\n"
        "def end():\n"
        "    while not Path('begun').exists(): time.sleep(0.01)\n"
        "    service.end(75)\n"
        "threading.Thread(target=end, daemon=True).start()\n"
        "sys.exit(service.run(lambda code: True))\n"
    )
    outer = OUTER.replace("sys.exit(", "service = (").replace(".run())", ")") + ends
    assert outer != OUTER + ends
    code = "import time; open('begun', 'w'); time.sleep(300)"
    done = subprocess.run([sys.executable, "-c", outer, code], cwd=tmp_path, timeout=PATIENCE, check=False)
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


COUNTING = (
    "import signal, time\n"
    "told = []\n"
    "signal.signal(signal.SIGINT, lambda *_: told.append(1))\n"
    "print('ready', flush=True)\n"
    "while not told: time.sleep(0.01)\n"
    "open('told', 'w').close()\n"
    "time.sleep(1)\n"
    "print(len(told))\n"
)
"""A service that says how often it was told to end."""
BY_A_SIGNAL = "os.kill(os.getpid(), signal.SIGTERM)"
BY_THE_WATCH = "threading.Thread(target=self.end, args=(75,), daemon=True).start()"


def test_a_signal_reaches_the_service_once_whenever_it_comes(tmp_path: Path) -> None:
    """A second one would cut the service's own end short."""
    assert _told(BY_A_SIGNAL, tmp_path) == "1\n"


def test_the_watch_reaches_the_service_once_whenever_it_ends_it(tmp_path: Path) -> None:
    """As the service begins, whoever began it looks whether it is to end already."""
    assert _told(BY_THE_WATCH, tmp_path) == "1\n"


def _told(how: str, folder: Path) -> str:
    """What the service says that is told so to end in the moment between its beginning and the look for that."""
    outer = (
        "import os, signal, sys, threading\n"
        "from pathlib import Path\n"
        "from varro_assets.cli import foreground\n"
        "class Told(foreground.Service):\n"
        "    def _is_told(self):\n"
        "        if not self._told:\n"
        "            Path('begun').touch()\n"
        "            while Path('begun').exists(): pass\n"
        f"            {how}\n"
        "            # two that come at once may count as one\n"
        "            while not Path('told').exists(): pass\n"
        "        return super()._is_told()\n"
        "Told([sys.executable, '-c', sys.argv[1]], os.environ, Path.cwd()).run()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", outer, COUNTING], stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (folder / "begun").unlink()
    out, _ = process.communicate(timeout=PATIENCE)
    return out
