"""Session: how it speaks."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from varro_assets.cli.app import app
from varro_assets.cli.session import COMMANDS, Session


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
