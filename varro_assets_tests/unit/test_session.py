"""Session: how it speaks."""

from __future__ import annotations

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
