"""varro.toml: its grammar, the choice of tables, and changes that leave the rest of the file alone."""

from __future__ import annotations

import fcntl
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest

from varro_assets import follow
from varro_assets.engine import files
from varro_assets.errors import ConfigurationError
from varro_assets.follow import FollowFile, TableOptions

TABLES = ["FOLK1A", "FOLK1B", "BIL10", "BIL54", "METROX1", "KORN2"]
SUBJECTS = {
    "1": {"FOLK1A", "FOLK1B"},
    "borgere": {"FOLK1A", "FOLK1B"},
    "3401": {"FOLK1A"},
    "borgere/befolkning": {"FOLK1A"},
    "transport/biler": {"BIL10", "BIL54"},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "varro.toml"


def resolved(*entries: str, exclude: tuple[str, ...] = ()) -> list[str]:
    spec = FollowFile.model_validate({"tables": {"follow": list(entries), "exclude": list(exclude)}})
    return spec.resolve(TABLES, SUBJECTS)


@pytest.mark.parametrize(
    ("entries", "tables"),
    [
        ([], []),
        (["*"], TABLES),
        (["BIL54", "FOLK1A"], ["FOLK1A", "BIL54"]),  # catalogue order, not the file's
        (["folk1a", " BIL10 ", "FOLK1A"], ["FOLK1A", "BIL10"]),
        (["BIL*"], ["BIL10", "BIL54"]),
        (["bil*", " *X1 "], ["BIL10", "BIL54", "METROX1"]),
        (["FOLK1?"], ["FOLK1A", "FOLK1B"]),
        (["FOLK1[!A]", "BIL[1-2]*"], ["FOLK1B", "BIL10"]),
        (["subject:1"], ["FOLK1A", "FOLK1B"]),
        (["subject:3401"], ["FOLK1A"]),
        (["Subject: Borgere/Befolkning/ "], ["FOLK1A"]),
        (["subject:/TRANSPORT/biler/"], ["BIL10", "BIL54"]),
        (["subject:Transport"], []),
        (["subject:*"], []),
        (["OTHER*"], []),
        # named, and not (or no longer) in the catalogue: kept, at the end
        (["ZZ9", "AA1", "BIL10"], ["BIL10", "AA1", "ZZ9"]),
    ],
)
def test_the_choice(entries: list[str], tables: list[str]) -> None:
    assert resolved(*entries) == tables


def test_exclusion_goes_last() -> None:
    assert resolved("*", exclude=("BIL*", "korn2")) == ["FOLK1A", "FOLK1B", "METROX1"]
    assert resolved("*", exclude=("subject:1", "BIL10")) == ["BIL54", "METROX1", "KORN2"]
    assert resolved("BIL10", exclude=("*",)) == []
    assert resolved("GONE1", "FOLK1A", exclude=("GONE1",)) == ["FOLK1A"]
    assert resolved("FOLK1A", exclude=("NEVER1",)) == ["FOLK1A"]


def test_no_file_follows_nothing(file: Path) -> None:
    assert follow.read(file) == FollowFile()
    assert follow.read(file).resolve(TABLES, SUBJECTS) == []


def test_a_whole_file(file: Path) -> None:
    file.write_text(
        '# mine\n[tables]\nfollow = ["FOLK1A", "BIL*"]\nexclude = ["BIL54"]\n\n[table.folk1a]\ntrailing = 40\n'
    )
    spec = follow.read(file)
    assert spec.resolve(TABLES, SUBJECTS) == ["FOLK1A", "BIL10"]
    assert spec.options("FOLK1A") == TableOptions(trailing=40)
    assert spec.options("BIL10") == TableOptions()


def test_an_editors_byte_order_mark_is_no_error(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbf[tables]\r\nfollow = ["FOLK1A"]\r\n')
    assert follow.read(file).tables.follow == ("FOLK1A",)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[tables\n", "line 1"),
        ("[tables]\nfollow = [\n", "line"),
        ('[tables]\nfollow = ["A1"]\nfollow = ["B2"]\n', "follow"),
        ('[tables]\nfolow = ["FOLK1A"]\n', "tables.folow"),
        ('[tables]\nfollow = "FOLK1A"\n', "tables.follow"),
        ("[tables]\nfollow = [1]\n", "tables.follow.0"),
        ('[tables]\nexclude = [["FOLK1A"]]\n', "tables.exclude.0"),
        ("tables = 3\n", "tables"),
        ('follow = ["FOLK1A"]\n', "follow"),
        ("[tables]\n[table.FOLK1A]\ntrailing = -1\n", "table.FOLK1A.trailing"),
        ("[tables]\n[table.FOLK1A]\ntrailing = 100001\n", "table.FOLK1A.trailing"),
        ('[tables]\n[table.FOLK1A]\ntrailing = "5"\n', "table.FOLK1A.trailing"),
        ("[tables]\n[table.FOLK1A]\ntrailing = true\n", "table.FOLK1A.trailing"),
        ("[tables]\n[table.FOLK1A]\ntrailing = 1.5\n", "table.FOLK1A.trailing"),
        ('[tables]\n[table.FOLK1A]\nrefresh = "sometimes"\n', "table.FOLK1A.refresh"),
        ("[tables]\n[table.FOLK1A]\nrefresh = true\n", "table.FOLK1A.refresh"),
        ("[tables]\n[table.FOLK1A]\nwindow = 1\n", "table.FOLK1A.window"),
        ('[tables]\nfollow = ["FOLK 1A"]\n', "tables.follow: 'FOLK 1A'"),
        ('[tables]\nfollow = [""]\n', "tables.follow: ''"),
        ('[tables]\nfollow = ["../../etc"]\n', "tables.follow: '../../etc'"),
        ('[tables]\nfollow = ["ENSTOR123"]\n', "tables.follow: 'ENSTOR123'"),
        ('[tables]\nfollow = ["ﬁ9"]\n', "tables.follow: 'ﬁ9'"),
        ('[tables]\nexclude = ["ÆØÅ"]\n', "tables.exclude: 'ÆØÅ'"),
        ('[tables]\n[table."../x"]\ntrailing = 1\n', "table.../x"),
    ],
)
def test_what_means_nothing_is_refused_with_file_and_key(file: Path, text: str, key: str) -> None:
    file.write_text(text, encoding="utf-8")
    for call in (lambda: follow.read(file), lambda: follow.change(file, add=["BIL10"])):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert str(file) in str(caught.value)
        assert key in str(caught.value)
    assert file.read_text(encoding="utf-8") == text


def test_what_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b'[tables]\nfollow = ["\xe6"]\n')
    with pytest.raises(ConfigurationError) as caught:
        follow.read(file)
    assert str(file) in str(caught.value)


# -- changes -----------------------------------------------------------------------------------------------------------

COMMENTED = """\
# what I keep, and why
[tables] # the tables
follow = [
  "FOLK1A", # people
  # cars
  "BIL*",
]
exclude = ["BIL54"]   # broken

[table.FOLK1A]
trailing = 40 # quarters
"""


def test_everything_else_stays_as_it_is(file: Path) -> None:
    file.write_text(COMMENTED)
    assert follow.change(file, add=["KORN2"]) == (["KORN2"], [])
    text = file.read_text()
    assert text == COMMENTED.replace('  "BIL*",\n', '  "BIL*",\n  "KORN2",\n')
    assert follow.change(file, remove=["KORN2"]) == ([], ["KORN2"])
    assert follow.change(file, add=["METROX1"], remove=["BIL*"]) == (["METROX1"], ["BIL*"])
    spec = follow.read(file)
    assert spec.tables.follow == ("FOLK1A", "METROX1")
    assert spec.tables.exclude == ("BIL54",)
    assert spec.options("FOLK1A").trailing == 40
    for comment in ("# what I keep, and why", "# the tables", "# people", "# broken", "# quarters"):
        assert comment in file.read_text()


def test_line_ends_stay(file: Path) -> None:
    file.write_bytes(COMMENTED.replace("\n", "\r\n").encode())
    follow.change(file, add=["KORN2"])
    assert b"\n" not in file.read_bytes().replace(b"\r\n", b"")


def test_nothing_to_do_writes_nothing(file: Path) -> None:
    file.write_text(COMMENTED)
    before = file.stat().st_mtime_ns, file.stat().st_ino
    assert follow.change(file, add=["FOLK1A", "folk1a "], remove=["KORN2"]) == ([], [])
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_one_entry_in_two_spellings_is_one_entry(file: Path) -> None:
    file.write_text('[tables]\nfollow = ["folk1a", "BIL10", "FOLK1A"]\n')
    assert follow.change(file, add=["bil10", "KORN2", "korn2"]) == (["KORN2"], [])
    assert follow.change(file, remove=["Folk1a"]) == ([], ["Folk1a"])
    assert follow.read(file).tables.follow == ("BIL10", "KORN2")


@pytest.mark.parametrize("text", [None, "", "# nothing yet\n", "[table.BIL10]\ntrailing = 1\n", "[tables]\n"])
def test_a_file_without_a_list_gets_one(file: Path, text: str | None) -> None:
    if text is not None:
        file.write_text(text)
    assert follow.change(file, add=["FOLK1A", "BIL*"]) == (["FOLK1A", "BIL*"], [])
    assert follow.read(file).tables.follow == ("FOLK1A", "BIL*")
    first_line = "# The tables that are kept" if text is None else text.split("\n")[0]
    assert first_line in file.read_text()


def test_an_entry_that_means_nothing_is_not_written(file: Path) -> None:
    file.write_text(COMMENTED)
    with pytest.raises(ConfigurationError, match="no table id"):
        follow.change(file, add=["../../etc"])
    assert file.read_text() == COMMENTED


def test_two_changes_at_once_are_both_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[tables]\nfollow = ["FOLK1A"]\n')
    write, waits = files.write_text, Event()

    def lock(descriptor: int, mode: int) -> None:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            waits.set()
            fcntl.flock(descriptor, mode)

    def stalled(path: Path, text: str) -> None:
        """The first stands still before it writes, until the second has ended or waits for it."""
        monkeypatch.setattr(follow, "write_text", write)
        second.start()
        while second.is_alive() and not waits.wait(0.01):
            pass
        write(path, text)

    second = Thread(target=follow.change, args=(file,), kwargs={"add": ["KORN2"], "remove": ["FOLK1A"]})
    monkeypatch.setattr(follow, "fcntl", SimpleNamespace(flock=lock, LOCK_EX=fcntl.LOCK_EX), raising=False)
    monkeypatch.setattr(follow, "write_text", stalled)
    assert follow.change(file, add=["BIL10"]) == (["BIL10"], [])
    second.join(240)
    assert not second.is_alive()
    assert follow.read(file).tables.follow == ("BIL10", "KORN2")
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_first_file_is_written_once(file: Path) -> None:
    follow.begin(file, '[tables]\nfollow = ["*"]\n')
    assert follow.read(file).tables.follow == ("*",)
    follow.begin(file, "")
    assert follow.read(file).tables.follow == ("*",)
