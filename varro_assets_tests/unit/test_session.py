"""Session: how it speaks."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import typer

from varro_assets.cli import session
from varro_assets.cli.app import app
from varro_assets.cli.session import COMMANDS, DEMO_FOLLOW, Session
from varro_assets.engine import files


def test_every_command_may_be_advised() -> None:
    names = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    # `varro demo` is the same in the demo and outside
    assert set(COMMANDS.split("|")) == names - {"demo"}


@pytest.mark.parametrize(
    ("text", "in_the_demo"),
    [
        ("Sync it first: varro sync BY1", "Sync it first: varro --demo sync BY1"),
        ("varro rebuild A, then varro doctor", "varro --demo rebuild A, then varro --demo doctor"),
        ("varro --demo runs", "varro --demo runs"),
        ("varro demo", "varro demo"),
        ("a mistake in varro itself", "a mistake in varro itself"),
        ("varro synchronises", "varro synchronises"),
    ],
)
def test_advice_leads_back_to_the_demo(capsys: pytest.CaptureFixture[str], text: str, in_the_demo: str) -> None:
    for demo, expected in ((False, text), (True, in_the_demo)):
        here = Session(demo=demo)
        here.say(text)
        here.errors.print(text)
        said = capsys.readouterr()
        assert (said.out, said.err) == (f"{expected}\n", f"{expected}\n")


def test_the_address_of_another_simulator_is_left_alone(tmp_path: Path) -> None:
    here = Session(demo=True, home=tmp_path)
    address = here.settings.data_dir / "simulator" / "address"
    with here.publisher() as mine:
        assert address.read_text(encoding="utf-8") == mine.dst_api_url
        with Session(demo=True, home=tmp_path).publisher() as same:
            assert same.dst_api_url == mine.dst_api_url
        address.write_text("http://127.0.0.1:1/v1", encoding="utf-8")
    assert address.read_text(encoding="utf-8") == "http://127.0.0.1:1/v1"
    with here.publisher():
        pass
    assert not address.exists()


def test_a_publisher_outlives_the_command_that_began_it(tmp_path: Path) -> None:
    with ExitStack() as first:
        began = first.enter_context(Session(demo=True, home=tmp_path).publisher())
        with Session(demo=True, home=tmp_path).publisher() as borrowed:
            first.close()
            deadline = time.monotonic() + 240
            while not _answers(borrowed.dst_api_url):
                assert time.monotonic() < deadline
        assert borrowed.dst_api_url == began.dst_api_url
        assert not _answers(borrowed.dst_api_url)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/subjects", timeout=240).ok
    except requests.ConnectionError:
        return False


def test_the_demos_files_are_never_empty_and_change_only_with_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dagster_home" / "dagster.yaml"
    project.parent.mkdir()
    project.write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    ours = Session(demo=True, home=tmp_path).settings
    written = ours.follow_file, ours.dagster_home / "dagster.yaml"
    assert [file.read_text(encoding="utf-8") for file in written] == [DEMO_FOLLOW, project.read_text(encoding="utf-8")]

    # one that is written in place keeps its inode
    before = [(file.stat().st_ino, file.stat().st_mtime_ns) for file in written]
    assert Session(demo=True, home=tmp_path).settings == ours
    assert [(file.stat().st_ino, file.stat().st_mtime_ns) for file in written] == before

    def killed(path: Path, content: bytes) -> None:
        assert content
        raise KeyboardInterrupt(path.name)

    project.write_text("telemetry: {enabled: true}\n", encoding="utf-8")
    monkeypatch.setattr(session, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        _ = Session(demo=True, home=tmp_path).settings
    assert written[1].read_text(encoding="utf-8") == "telemetry: {enabled: false}\n"
    monkeypatch.undo()
    with written[1].open(encoding="utf-8") as read_meanwhile:
        assert Session(demo=True, home=tmp_path).settings == ours
        assert read_meanwhile.read() == "telemetry: {enabled: false}\n"
    assert written[1].read_text(encoding="utf-8") == "telemetry: {enabled: true}\n"


def test_a_demo_killed_while_it_first_writes_what_is_followed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path) -> int:
        raise KeyboardInterrupt(path.name)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_mode", killed)  # asked when the content is written, before the file gets its name
        with pytest.raises(KeyboardInterrupt):
            _ = Session(demo=True, home=tmp_path).settings
    ours = Session(demo=True, home=tmp_path).settings
    assert ours.follow_file.read_text(encoding="utf-8") == DEMO_FOLLOW
