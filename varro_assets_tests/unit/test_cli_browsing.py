"""Finding, looking, following: the commands that fetch no data."""

from __future__ import annotations

import tomllib

import pytest
import typer

from varro_assets.cli import app
from varro_assets.cli.browsing import _plain
from varro_assets_tests.unit.conftest import Varro


def _followed(varro: Varro) -> list[str]:
    return list(tomllib.loads((varro.home / "varro.toml").read_text())["tables"]["follow"])


# -- search --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("befolkning",), ("FOLK1A",), ("folk1a",), ("1. januar",), ("civilstand", "kvartalet")]
)
def test_search_finds_by_title_id_and_variable(varro: Varro, words: tuple[str, ...]) -> None:
    said = varro.good("search", *words)
    assert "FOLK1A" in said.out or "BY1" in said.out


@pytest.mark.parametrize("word", ["område", "omraade", "OMRAADE", "Område"])
def test_danish_letters_may_be_spelled_out(varro: Varro, word: str) -> None:
    assert "FOLK1A" in varro.good("search", word).out


def test_search_marks_what_is_followed(varro: Varro) -> None:
    out = varro.good("search", "simuleret").out
    assert "*KORD1" in out
    assert "*FOLK1A" not in out
    assert "20 of 20 tables" in out


def test_search_shows_no_more_than_asked(varro: Varro) -> None:
    said = varro.good("search", "simuleret", "--limit", "3")
    assert "20 of 20 tables" in said.words
    assert "Showing 3; --limit shows more." in said.words


def test_a_search_that_finds_nothing_says_what_to_do(varro: Varro) -> None:
    said = varro("search", "[xyzzy]")
    assert said.code == 1
    assert "No table matches [xyzzy]. Fewer or shorter words find more." in said.words


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_search_fits_the_terminal(varro: Varro, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = varro.good("search", "simuleret").out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= columns
    assert "1840:1849 to 2023:2024" in out


# -- show ----------------------------------------------------------------------------------------------------------


def test_show_says_what_a_table_is_and_how_to_keep_it(varro: Varro) -> None:
    said = varro.good("show", "folk1a")
    for phrase in (
        "FOLK1A Befolkningen den 1. i kvartalet",
        "Borgere/Befolkning/Befolkningstal",
        "https://www.statbank.dk/FOLK1A",
        "periods 15, 2022K1 to 2025K3, quarterly",
        "omrade text 105 område: 000=Hele landet",
        "tid date 15",
        "A combination of codes without a row stands for 0.",
        "Not followed. To keep it: varro follow FOLK1A",
    ):
        assert phrase in said.words, phrase
    assert varro.asked("data") == []


def test_show_asks_only_for_what_is_not_on_disk(varro: Varro) -> None:
    varro.good("show", "FOLK1A")
    varro.simulator.forget_requests()
    varro.good("show", "FOLK1A")
    assert varro.asked() == []


def test_show_says_what_is_held(varro: Varro) -> None:
    assert "Followed, never synced: varro sync KORD1" in varro.good("show", "KORD1").words
    varro.good("sync")
    said = varro.good("show", "KORD1")
    assert "held 5 periods, 40 rows" in said.words
    assert "up to date" in said.words
    assert "read whole table each time (small); all on 20" in said.words
    assert "Postgres fact.kord1" in said.words
    assert str(varro.home / "data" / "dst" / "statbank_tables" / "KORD1") in said.out


def test_show_tells_when_each_period_was_read(varro: Varro) -> None:
    varro.synced()
    published = varro.simulator.universe.table("KORD1").updated.replace("T", " ")
    said = varro.good("show", "KORD1", "--periods")
    assert "period rows last read of publication last changed" in said.words
    (line,) = [" ".join(line.split()) for line in said.out.splitlines() if line.strip().startswith("2024 ")]
    assert line.startswith("2024 8 20")
    assert line.endswith(f"UTC {published} {published}")


def test_show_tells_of_periods_that_are_kept(varro: Varro) -> None:
    varro.synced()
    varro.simulator.universe.drop_period("KORD1", "2024")
    varro.good("sync")
    assert "kept 1 that are no longer published: 2024" in varro.good("show", "KORD1").words


def test_a_footnote_is_shown_without_its_html() -> None:
    assert _plain("Br&oslash;d &amp; <b>sm&#248;r</b>:<br/>1&nbsp;kg") == "Brød & smør : 1 kg"


# -- follow, unfollow ------------------------------------------------------------------------------------------------


def test_follow_tells_what_it_takes_before_it_asks(varro: Varro) -> None:
    said = varro("follow", "FOLK1A", answer="n\n")
    assert said.code == 1
    assert "1 table, at most:" in said.words
    assert "rows" in said.words
    assert "requests" in said.words
    assert "of disk" in said.words
    assert _followed(varro) == ["KORD1"]
    assert varro.asked("data") == []


def test_follow_after_a_yes(varro: Varro) -> None:
    said = varro("follow", "folk1a", answer="y\n")
    assert said.code == 0
    assert _followed(varro) == ["KORD1", "FOLK1A"]
    assert "Now: varro sync" in said.words


@pytest.mark.parametrize("entry", ["BIL*", "bil*", "subject:1", "*", "BIL10"])
def test_follow_takes_ids_globs_and_subjects(varro: Varro, entry: str) -> None:
    varro.good("follow", "--yes", entry)
    assert _followed(varro) == ["KORD1", entry if entry.startswith("subject:") else entry.upper()]


def test_a_subject_may_be_named_by_its_path(varro: Varro) -> None:
    varro.good("follow", "--yes", "subject:Borgere/Befolkning/")
    assert _followed(varro) == ["KORD1", "subject:Borgere/Befolkning"]
    assert "*FOLK1A" in varro.good("search", "FOLK1A").out


def test_following_what_is_followed_asks_nothing_and_changes_nothing(varro: Varro) -> None:
    said = varro("follow", "KORD1")
    assert said.code == 0
    assert "nothing new" in said.words
    assert _followed(varro) == ["KORD1"]


def test_the_estimate_tells_the_time_that_pacing_takes(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    varro.good("search", "folk1a")
    varro.good("show", "FOLK1A")
    monkeypatch.setenv("DST_API_SLEEP_SECONDS", "10")
    assert "s at 10 s a request" in varro("follow", "FOLK1A", answer="n\n").words


def test_unfollow_keeps_what_is_held(varro: Varro) -> None:
    varro.synced()
    said = varro.good("unfollow", "kord1")
    assert "No longer followed: KORD1. What is held of them stays, documents too." in said.words
    assert _followed(varro) == []
    assert varro.query("SELECT count(*) FROM fact.kord1") == [(40,)]


def test_unfollow_of_no_entry_says_so(varro: Varro) -> None:
    said = varro("unfollow", "FOLK1A")
    assert said.code == 1
    assert "Not an entry" in said.words
    assert "exclude" in said.words


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (("show", "NOPE1"), ["Could not show table NOPE1", "varro search WORD"]),
        (("show", "FO'LK"), ["FO'LK", "ids are 2-8 letters", "varro search"]),
        (("show", "../../etc"), ["ids are 2-8 letters"]),
        (("follow", "NOPE1"), ["Could not follow table NOPE1", "varro search WORD"]),
        (("follow", "XYZ*"), ["Could not follow XYZ*", "no table matches"]),
        (("follow", "subject:Nowhere"), ["no table matches"]),
        (("follow", 'A";DROP'), ["ids are 2-8 letters"]),
        (("sync", "NOPE1"), ["Could not work on table NOPE1", "no such table", "varro search WORD"]),
        (("sync", "FOLK1A"), ["it is not followed", "varro follow FOLK1A"]),
        (("plan", "kord 1"), ["ids are 2-8 letters"]),
        (("rebuild", "KORD1"), ["no sync of it was ever complete", "varro sync KORD1"]),
        (("plan", "--since", "2024M13"), ["2024M13", "Known forms"]),
        (("sync", "--since", "yesterday"), ["yesterday", "Known forms"]),
        (("sync", "--since", "2024K1; DROP TABLE x"), ["Known forms"]),
        (("sync", "--since", ""), ["Known forms"]),
    ],
)
def test_an_error_says_what_to_do_next(varro: Varro, arguments: tuple[str, ...], phrases: list[str]) -> None:
    said = varro(*arguments)
    assert said.code == 1
    for phrase in phrases:
        assert phrase in said.words, said.words
    assert "Traceback" not in said.words


def test_a_publisher_that_answers_nonsense(varro: Varro) -> None:
    varro.simulator.fault("error_200", path="tables", count=None)
    said = varro("sync")
    assert said.code == 1
    assert "Could not fetch the catalogue" in said.words
    assert "Traceback" not in said.words


def test_a_varro_toml_with_a_mistake_is_named(varro: Varro) -> None:
    (varro.home / "varro.toml").write_text("[tables]\nfolow = []\n")
    said = varro("sync")
    assert said.code == 1
    assert "varro.toml" in said.words
    assert "folow" in said.words


def test_a_setting_with_a_mistake_is_named_and_no_secret_shown(varro: Varro, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://me:hunter2@127.0.0.1/x")
    said = varro("sync")
    assert said.code == 1
    assert "DATABASE_URL" in said.words
    assert "hunter2" not in said.words


def test_a_database_that_is_not_there_is_named_without_its_password(
    varro: Varro, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/nothing")
    said = varro("sync")
    assert said.code == 1
    assert "127.0.0.1" in said.words
    assert "hunter2" not in said.words
    assert "Traceback" not in said.words


def test_a_mistake_of_ours_is_told_in_words_and_shown_whole_with_debug(
    varro: Varro, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError("a [strange] mistake")

    monkeypatch.setattr("varro_assets.cli.browsing._found", stumble)
    said = varro("search", "kord1")
    assert said.code == 1
    assert "Unexpected ZeroDivisionError: a [strange] mistake" in said.err
    assert "--debug" in said.err
    with pytest.raises(ZeroDivisionError):
        varro("--debug", "search", "kord1")


def _commands() -> list[tuple[str, ...]]:
    def walk(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        below: dict[str, object] = getattr(command, "commands", {})
        return [path, *(found for name, child in below.items() for found in walk(child, (*path, name)))]

    return walk(typer.main.get_command(app.app), ())


@pytest.mark.parametrize("path", _commands(), ids=lambda path: " ".join(path) or "varro")
@pytest.mark.parametrize("columns", [80, 120])
def test_help_of_every_command_fits_the_terminal(
    path: tuple[str, ...], columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERMINAL_WIDTH", str(columns))
    monkeypatch.setattr("sys.argv", ["varro", *path, "--help"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "Usage: varro" in " ".join(out.split())
    assert max(len(line) for line in out.splitlines()) <= columns
