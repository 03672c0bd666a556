"""Backup file: what was put in comes out, and what is not exactly that is refused."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from varro_assets.engine import backup_file
from varro_assets.engine.backup_file import MANIFEST
from varro_assets.errors import ConfigurationError, DamagedBackup, StorageFull

FILES = {
    "dst/a.parquet": b"PAR1" * 700,
    "context/Æble.md": "nøter\n".encode(),
    "meta/KORD1/revision.csv": b"",
    os.fsdecode(b"context/\xc6ble.md"): b"a name in Latin-1",
    f"context/{'long ' * 40}\n.md": b"",
}


def make(path: Path) -> Path:
    source = path.parent / "source"
    source.mkdir(exist_ok=True)
    with backup_file.writing(path) as writer:
        writer.made.about["tables"] = ["KORD1"]
        for number, (name, content) in enumerate(FILES.items()):
            if number % 2:
                writer.add_bytes(name, content)
            else:
                (source / "file").write_bytes(content)
                writer.add(name, source / "file")
    return path


@pytest.mark.parametrize("name", ["backup.tar", "backup.tar.gz", "backup.tgz"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") is name.endswith("gz")
    found = backup_file.verified(path)
    assert (found.about, found.entries.keys()) == ({"tables": ["KORD1"]}, FILES.keys())
    out = tmp_path / "out"
    backup_file.take_out(path, found, lambda name: None if name.startswith("meta/") else out / name, tmp_path)
    there = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert there == {name: content for name, content in FILES.items() if not name.startswith("meta/")}
    assert backup_file.contents(path, found, lambda name: name.endswith(".csv")) == {"meta/KORD1/revision.csv": b""}
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["backup.tar", "backup.tgz"])
def test_broken_off_anywhere_it_is_refused(tmp_path: Path, name: str) -> None:
    whole = make(tmp_path / name).read_bytes()
    broken = tmp_path / "broken"
    # behind the manifest there are only zeros, which may be missing
    end = len(whole.rstrip(b"\0")) if name.endswith(".tar") else len(whole) - 80
    for length in [*range(0, end, 97), end - 1]:
        broken.write_bytes(whole[:length])
        with pytest.raises(DamagedBackup):
            backup_file.verified(broken)


def test_altered_anywhere_in_a_file_it_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "backup.tar")
    whole = bytearray(path.read_bytes())
    place = whole.index(b"PAR1PAR1")
    whole[place + 1000] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DamagedBackup, match=r"dst/a\.parquet"):
        backup_file.verified(path)


def test_changed_between_looking_and_taking_it_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "backup.tar")
    found = backup_file.verified(path)
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"PAR1PAR1")] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DamagedBackup, match="changed since"):
        backup_file.take_out(path, found, lambda name: tmp_path / "out" / name, tmp_path)


def member(name: str, content: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def stated(name: str) -> tuple[tarfile.TarInfo, bytes]:
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    body = {"format": backup_file.FORMAT, "about": {}, "files": {name: [1, digest]}}
    return member(MANIFEST, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("members", "got"),
    [
        ([member("../evil"), stated("../evil")], "below"),
        ([member("/etc/evil"), stated("/etc/evil")], "below"),
        ([member("dst/../../evil"), stated("dst/../../evil")], "below"),
        ([member("dst\\evil"), stated("dst\\evil")], "below"),
        ([member("dst/l", b"", type=tarfile.SYMTYPE, linkname="/etc"), stated("dst/l")], "plain file"),
        ([member("dst/l", b"", type=tarfile.LNKTYPE, linkname="x"), stated("dst/l")], "plain file"),
        ([member("dst/d", b"", type=tarfile.DIRTYPE), stated("dst/d")], "plain file"),
        ([member("dst/p", b"", type=tarfile.FIFOTYPE), stated("dst/p")], "plain file"),
        ([member("dst/a"), member("dst/a"), stated("dst/a")], "twice"),
        ([member("dst/a"), member("dst/b"), stated("dst/a")], "not as its manifest states"),
        ([stated("dst/a")], "not as its manifest states"),
        ([member("dst/a"), stated("dst/a"), member("dst/b")], "behind the end"),
        ([member("dst/a")], "broke off"),
        ([member("dst/a"), member(MANIFEST, b"{")], "manifest"),
        ([member("dst/a"), member(MANIFEST, b'{"format": "2", "about": {}, "files": {}}')], "format"),
        ([member("dst/a"), member(MANIFEST, b"[]")], "manifest"),
    ],
)
def test_what_no_backup_holds_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], got: str
) -> None:
    path = tmp_path / "made.tar"
    with tarfile.open(path, "w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(DamagedBackup, match=got):
        backup_file.verified(path)


def test_a_good_one_made_by_hand_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "made.tar"
    with tarfile.open(path, "w") as tar:
        for info, content in (member("dst/a"), stated("dst/a")):
            tar.addfile(info, io.BytesIO(content))
    assert backup_file.verified(path).bytes == 1


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = make(tmp_path / "backup.tar")
    found = backup_file.verified(path)
    found.entries["dst/a.parquet"] = backup_file.Entry(1 << 60, "")
    with pytest.raises(StorageFull, match="needed"):
        backup_file.take_out(path, found, lambda name: tmp_path / "out" / name, tmp_path)
    assert not (tmp_path / "out").exists()


def test_what_goes_while_it_is_taken_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "backup.tar")
    found = backup_file.verified(path)
    write, written = backup_file._write, []

    def writes(target: Path, stream: IO[bytes]) -> str:
        if len(written) == 3:
            shutil.rmtree(tmp_path / "out")
        written.append(target)
        return write(target, stream)

    monkeypatch.setattr(backup_file, "_write", writes)
    with pytest.raises(ConfigurationError, match="3 files went after they were written") as refused:
        backup_file.take_out(path, found, lambda name: tmp_path / "out" / name, tmp_path)
    assert str(min(written[:3])) in refused.value.problem


KILLED = """
import os, pathlib, signal, sys
from varro_assets.engine import backup_file
with backup_file.writing(pathlib.Path(sys.argv[1])) as writer:
    writer.add_bytes("dst/a", bytes(5_000_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_backup_left_goes_with_the_next_of_that_name(tmp_path: Path) -> None:
    # signs that mean something else to a pattern are part of a name
    path = tmp_path / "nightly[1].tar"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode < 0
    (left,) = tmp_path.iterdir()
    mine = tmp_path / f".{path.name}.mine.tmp"
    mine.write_text("mine")
    with backup_file.writing(tmp_path / "nightly1.tar"):
        assert left.exists()
    with backup_file.writing(path):
        assert not left.exists()
    assert {p.name for p in tmp_path.iterdir()} == {"nightly[1].tar", "nightly1.tar", mine.name}


def write_one(path: Path, content: bytes, meanwhile: Callable[[], object]) -> None:
    with backup_file.writing(path) as writer:
        writer.add_bytes("dst/a", content)
        meanwhile()


def test_two_of_a_name_at_once_both_come_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    with pytest.raises(ConfigurationError, match="came meanwhile") as refused:
        write_one(path, b"first", lambda: write_one(path, b"second", lambda: None))
    (kept,) = (p for p in tmp_path.iterdir() if p != path)
    assert str(kept) in refused.value.todo
    for file, content in ((path, b"second"), (kept, b"first")):
        found = backup_file.verified(file)
        assert backup_file.contents(file, found, lambda _name: True) == {"dst/a": content}


def test_one_swept_before_it_was_locked_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = []

    def lock(stream: IO[bytes], mode: int) -> None:
        if not swept:
            swept.append(Path(stream.name))
            swept[0].unlink()

    known = SimpleNamespace(flock=lock, LOCK_EX=1, LOCK_NB=2)
    monkeypatch.setattr(backup_file, "fcntl", known)
    assert backup_file.verified(make(tmp_path / "b.tar")).entries.keys() == FILES.keys()
    assert len(swept) == 1


@pytest.mark.parametrize("came", [False, True])
def test_without_hard_links_and_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came: bool) -> None:
    def refused(*_arguments: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(backup_file, "os", SimpleNamespace(link=refused, path=os.path, fsync=os.fsync))
    monkeypatch.setattr(backup_file, "fcntl", SimpleNamespace(flock=refused, LOCK_EX=1, LOCK_NB=2))
    path = tmp_path / "b.tar.gz"
    left = tmp_path / f".{path.name}.{'0' * 32}.tmp"
    left.write_text("written by somebody, for all we know")
    if not came:
        assert backup_file.verified(make(path)).entries.keys() == FILES.keys()
        assert {p.name for p in tmp_path.iterdir()} == {path.name, left.name, "source"}
        return
    with pytest.raises(ConfigurationError, match="came meanwhile"):
        write_one(path, b"ours", lambda: path.write_text("mine"))
    assert path.read_text() == "mine"
    (kept,) = (p for p in tmp_path.iterdir() if p not in {path, left})
    assert backup_file.verified(kept).entries.keys() == {"dst/a"}


def fails(writer: backup_file.Writer) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("block", [fails, lambda writer: writer.add("dst/a", Path("/nowhere"))])
def test_one_that_did_not_get_to_its_end_is_not_there(
    tmp_path: Path, block: Callable[[backup_file.Writer], None]
) -> None:
    with pytest.raises((KeyboardInterrupt, FileNotFoundError)), backup_file.writing(tmp_path / "b.tar") as writer:
        block(writer)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["context/a\\b.md", "context/../b.md", "/context/b.md"])
def test_a_name_that_no_reader_takes_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="such a name"), backup_file.writing(tmp_path / "b.tar") as writer:
        writer.add_bytes(name, b"")
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("mine")
    with pytest.raises(ConfigurationError), backup_file.writing(tmp_path / "b.tar"):
        pass
    (tmp_path / "link.tar").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError), backup_file.writing(tmp_path / "link.tar"):
        pass
    with pytest.raises(ConfigurationError), backup_file.writing(tmp_path / "no" / "b.tar"):
        pass
    assert (tmp_path / "b.tar").read_text() == "mine"
    with pytest.raises(ConfigurationError):
        backup_file.verified(tmp_path / "none.tar")
