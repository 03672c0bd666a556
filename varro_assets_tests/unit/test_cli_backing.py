"""`varro backup` and `varro restore`: a home that was lost comes back, file by file and row by row."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path, PosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from varro_assets.cli import backing
from varro_assets.cli.backing import Places
from varro_assets.engine import backup_file, staged_folder
from varro_assets.engine.locks import table_lock
from varro_assets_tests.unit.conftest import Varro

MADE_HERE = "SELECT table_id, tid_code, {} FROM meta.{} ORDER BY 1, 2"


def files(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of everything below that is not hidden."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def home(varro: Varro) -> dict[str, Any]:
    """Everything that a backup is to bring back."""
    settings = varro.settings
    return {
        "dst": files(settings.dst_dir),
        "context": files(settings.context_dir),
        "follow": settings.follow_file.read_bytes(),
        "fact": varro.query("SELECT * FROM fact.kord1 ORDER BY 1, 2, 3"),
        "reads": varro.query("SELECT * FROM meta.period_read ORDER BY 1, 2"),
        "revisions": varro.query("SELECT * FROM meta.revision ORDER BY 1, 2, 3"),
        "synced": varro.query("SELECT table_id, updated, periods, rows FROM meta.table_sync ORDER BY 1"),
    }


def lose(varro: Varro) -> None:
    """Files and database go; Dagster forgets the periods."""
    shutil.rmtree(varro.settings.data_dir)
    shutil.rmtree(varro.settings.context_dir)
    varro.query("DROP TABLE fact.kord1")
    tables = varro.query("SELECT format('meta.%I', relname) FROM pg_class c WHERE relnamespace = 'meta'::regnamespace"
                         " AND relkind = 'r' AND relname <> 'migration'")  # fmt: skip
    varro.query(f"TRUNCATE {', '.join(str(name) for (name,) in tables if 'migration' not in str(name))}")
    with varro.dagster() as instance:
        for code in instance.get_dynamic_partitions("KORD1"):
            instance.delete_dynamic_partition("KORD1", code)


def filled(varro: Varro) -> None:
    """Synced, revised, synced again, with a note of somebody's."""
    varro.good("sync")
    varro.simulator.universe.publish("revise", "KORD1", tid="2024")
    varro.good("sync")
    document = next(varro.settings.context_dir.rglob("kord1.md"))
    document.write_text(
        document.read_text(encoding="utf-8").rstrip() + "\nMine: se også HISB7 — æøå.\n", encoding="utf-8"
    )


@pytest.mark.slow  # three runs of `varro sync`, and everything again from the archive
def test_a_lost_home_comes_back_without_a_request(varro: Varro, tmp_path: Path) -> None:
    filled(varro)
    (varro.home / ".env").write_text("VARRO_OWNER=somebody@example.org\n", encoding="utf-8")
    before = home(varro)
    assert len(before["revisions"]) > 5
    file = tmp_path / "backup.tar.gz"
    said = varro.good("backup", str(file)).words
    assert "1 table" in said
    assert "history" in said
    assert b"somebody" not in file.read_bytes()
    assert home(varro) == before
    assert varro("backup", str(file)).code == 1

    said = varro("restore", str(file))
    assert (said.code, "not empty" in said.words) == (1, True)
    assert home(varro) == before

    lose(varro)
    varro.simulator.forget_requests()
    varro.good("restore", str(file))
    assert varro.asked() == []
    after = home(varro)
    for part in before:
        assert after[part] == before[part], part
    with varro.dagster() as instance:
        assert set(instance.get_dynamic_partitions("KORD1")) == {"2020", "2021", "2022", "2023", "2024"}
    assert "up to date" in varro.good("sync").words
    assert "All is well" in varro("doctor").words


@pytest.mark.slow  # fills a home of its own once more
def test_one_table_comes_back(varro: Varro, tmp_path: Path) -> None:
    filled(varro)
    before = home(varro)
    file = tmp_path / "backup.tar"
    varro.good("backup", str(file))
    assert varro("restore", str(file), "--table", "KORD1").code == 1
    shutil.rmtree(varro.settings.tables_dir / "KORD1")
    shutil.rmtree(varro.settings.revisions_dir / "KORD1")
    varro.query("DROP TABLE fact.kord1")
    varro.good("restore", str(file), "--table", "kord1")
    after = home(varro)
    for part in ("dst", "fact", "reads", "revisions", "synced"):
        assert after[part] == before[part], part
    assert varro("restore", str(file), "--table", "HISB7").code == 1


@pytest.mark.slow  # fills a home of its own once more
def test_what_is_damaged_is_named_and_taken_as_it_lies(varro: Varro, tmp_path: Path) -> None:
    filled(varro)
    assert "Not whole" not in varro.good("backup", str(tmp_path / "whole.tar")).words
    folder = varro.settings.tables_dir / "KORD1"
    (entry,) = varro.settings.revisions_dir.glob("KORD1/2024/*.parquet")
    entry.write_bytes(entry.read_bytes()[:100])
    (folder / "2020.parquet").unlink()
    body = bytearray((folder / "2022.parquet").read_bytes())
    body[len(body) // 4] ^= 1
    (folder / "2022.parquet").write_bytes(body)
    said = varro("backup", str(tmp_path / "left.tar"))
    assert (said.code, "Not whole: of 1 table" in said.words) == (1, True)
    for what in (entry.name, "have no file: 2020", "the file of 2022 does not hold what it states"):
        assert what in said.words

    (folder / "manifest.json").write_text("{", encoding="utf-8")
    said = varro("backup", str(tmp_path / "less.tar"))
    assert (said.code, "manifest.json: not a manifest" in said.words) == (1, True)
    assert "and 1 more" in said.words
    held = files(varro.settings.tables_dir)
    lose(varro)
    varro("restore", str(tmp_path / "less.tar"))
    assert files(varro.settings.tables_dir) == held


def test_a_damaged_backup_changes_nothing(varro: Varro, tmp_path: Path) -> None:
    note = varro.settings.context_dir / "fact" / "kord1.md"
    note.parent.mkdir(parents=True)
    note.write_text("notes:\nMine: se også HISB7.\n", encoding="utf-8")
    file = tmp_path / "backup.tar"
    varro.good("backup", str(file))
    whole = file.read_bytes()
    note.unlink()
    for content in (whole[: len(whole) // 4], whole.replace(b"Mine:", b"Nine:")):
        file.write_bytes(content)
        said = varro("restore", str(file))
        assert (said.code, "Could not use the backup" in said.words) == (1, True)
        assert files(varro.settings.context_dir) == {}
        assert not varro.settings.dst_dir.exists()


def test_what_is_hidden_in_the_target_is_named_and_kept(varro: Varro, tmp_path: Path) -> None:
    notes = varro.settings.context_dir
    notes.mkdir(parents=True)
    (notes / "note.md").write_text("mine", encoding="utf-8")
    head = notes / ".git" / "HEAD"
    head.parent.mkdir()
    head.write_text("ref: refs/heads/main", encoding="utf-8")
    link = varro.settings.links_dir / "KORD1.json"
    link.parent.mkdir(parents=True)
    link.write_text("[]", encoding="utf-8")
    file = tmp_path / "backup.tar"
    varro.good("backup", str(file))
    (notes / "note.md").unlink()
    shutil.rmtree(varro.settings.dst_dir)

    said = varro("restore", str(file))
    assert (said.code, "not empty: .git/HEAD" in said.words) == (1, True)
    assert "move it back afterwards" in said.words
    assert head.read_text(encoding="utf-8") == "ref: refs/heads/main"

    # empty folders, and what a killed sync staged, are nobody's
    (notes / ".git").rename(tmp_path / "away")
    (notes / "empty" / "below").mkdir(parents=True)
    staged = varro.settings.tables_dir / "KORD1" / f".staging-7-{'0' * 32}" / ("1" * 32) / "2020.parquet"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(b"PAR1")
    varro.good("restore", str(file))
    assert files(notes)["note.md"] == b"mine"
    assert link.read_text(encoding="utf-8") == "[]"
    assert not staged.exists()


def test_files_of_the_predecessor_among_ours_are_kept(varro: Varro, tmp_path: Path) -> None:
    tables = varro.settings.tables_dir
    for name in ("FOLK1A.parquet", "by1/2019.parquet", "BY2/partition_0.parquet"):
        (tables / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"a": [1]}), tables / name)
    (tables / "_sync").mkdir()
    (tables / "_sync" / "state.json").write_text("{}", encoding="utf-8")
    before = files(varro.settings.dst_dir)
    file = tmp_path / "backup.tar"
    assert "1 table" in varro.good("backup", str(file)).words
    shutil.rmtree(varro.settings.data_dir)
    varro.good("restore", str(file))
    after = files(varro.settings.dst_dir)
    assert {name: after[name] for name in before} == before


@pytest.mark.slow  # fills a home of its own once more
def test_the_records_of_a_table_without_periods_come_back(varro: Varro, tmp_path: Path) -> None:
    filled(varro)
    shutil.rmtree(varro.settings.tables_dir / "KORD1")
    records = {name: varro.query(f"SELECT * FROM meta.{name} ORDER BY 1, 2, 3") for name in ("period_read", "revision")}
    ledger = files(varro.settings.revisions_dir)
    file = tmp_path / "backup.tar"
    varro.good("backup", str(file))
    lose(varro)
    said = varro.good("restore", str(file)).words
    assert "Restored 1 table" in said
    assert "KORD1 no period is held" in said
    for name, before in records.items():
        assert varro.query(f"SELECT * FROM meta.{name} ORDER BY 1, 2, 3") == before, name
    assert files(varro.settings.revisions_dir) == ledger

    # a database that had lost them has nothing to put in: the ledger says what changed
    varro.query("TRUNCATE meta.revision")
    varro.good("backup", str(tmp_path / "again.tar"))
    shutil.rmtree(varro.settings.data_dir)
    shutil.rmtree(varro.settings.context_dir)
    varro.good("restore", str(tmp_path / "again.tar"))
    changes = [row for row in records["revision"] if "new" not in row]
    assert len(changes) == 1
    found = varro.query("SELECT * FROM meta.revision ORDER BY 1, 2, 3")
    assert [row for row in found if "new" not in row] == changes


@pytest.mark.parametrize("name", [b"n\xf8te.md", "nøte\n.md".encode()])
def test_a_name_of_any_bytes_comes_back(varro: Varro, tmp_path: Path, name: bytes) -> None:
    folder = varro.settings.context_dir / "fact"
    folder.mkdir(parents=True)
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    path.write_bytes(b"mine")
    file = tmp_path / "backup.tar.gz"
    varro.good("backup", str(file))
    path.unlink()
    varro.good("restore", str(file))
    assert path.read_bytes() == b"mine"


def test_a_name_that_no_reader_takes_is_refused(varro: Varro, tmp_path: Path) -> None:
    folder = varro.settings.context_dir
    folder.mkdir(parents=True)
    (folder / "a\\b.md").write_text("mine", encoding="utf-8")
    said = varro("backup", str(tmp_path / "backup.tar"))
    assert (said.code, "another name" in said.words) == (1, True)
    assert "b.md" in said.words
    assert not (tmp_path / "backup.tar").exists()


# -- others at work ------------------------------------------------------------------------------------------------


def made_by_hand(file: Path) -> Path:
    """A backup of two tables and a note."""
    with backup_file.writing(file) as writer:
        for table in ("KORD1", "HISB7"):
            for record in ("period_read", "revision"):
                writer.add_bytes(f"meta/{table}/{record}.csv", b"table_id\n")
            for year in range(2020, 2024):
                writer.add_bytes(f"dst/statbank_tables/{table}/{year}.parquet", b"PAR1")
            writer.add_bytes(f"dst/revisions/{table}/2020/t.parquet", b"PAR1")
        writer.add_bytes("context/fact/kord1.md", b"notes:\nmine")
    return file


@pytest.mark.parametrize("first", [(), ("--table", "KORD1")])
def test_a_second_restore_is_refused_while_one_unpacks(
    varro: Varro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: tuple[str, ...]
) -> None:
    file = made_by_hand(tmp_path / "backup.tar")
    write, said = backup_file._write, []
    number = 0

    def writes(target: Path, stream: IO[bytes]) -> str:
        nonlocal number
        number += 1
        if number == 4:
            said.append(varro("restore", str(file)))
        return write(target, stream)

    monkeypatch.setattr(backup_file, "_write", writes)
    # there is nothing to load in what it holds: only what lies in the home counts here
    monkeypatch.setattr(backing, "_fill", lambda *_arguments: False)
    varro.good("restore", str(file), *first)
    assert (said[0].code, "another restore is at work" in said[0].words) == (1, True)
    expected = {name for name in backup_file.verified(file).entries if name.startswith(("dst/", "context/"))}
    if first:
        expected = {name for name in expected if "KORD1" in name}
    found = {f"dst/{name}" for name in files(varro.settings.dst_dir)}
    found |= {f"context/{name}" for name in files(varro.settings.context_dir)}
    assert found == expected

    # nor does the lock stand in the way of a later one, or get into a backup
    monkeypatch.setattr(backup_file, "_write", write)
    again = tmp_path / "again.tar"
    varro("backup", str(again))
    assert not any("lock" in name for name in backup_file.verified(again).entries)
    for folder in (varro.settings.dst_dir, varro.settings.context_dir):
        shutil.rmtree(folder, ignore_errors=True)
    varro.good("restore", str(file))


def test_what_a_killed_restore_of_a_table_left_goes_with_the_next(varro: Varro, tmp_path: Path) -> None:
    file = made_by_hand(tmp_path / "backup.tar")
    places = Places.of(varro.settings)
    left = [
        staged_folder.beside(folder.parent, "f" * 32, folder.name)
        for table in ("KORD1", "HISB7")
        for folder in places.of_table(table).values()
    ]
    for folder in left:
        (folder / "below").mkdir(parents=True)
        (folder / "below" / "half.parquet").write_bytes(b"PAR1")
    backing._bring_table(file, backup_file.verified(file), places, "KORD1")
    # that of the other table may be at work: only its lock would tell
    assert [folder.exists() for folder in left] == [False, False, True, True]
    assert len(files(places.tables / "KORD1")) == 4


class Going(PosixPath):
    """A path below which folder ``b`` goes when it is about to be read, as where a page moved in the subject tree."""

    def iterdir(self) -> Generator[Going, None, None]:
        if self.name == "b":
            shutil.rmtree(self)
        return super().iterdir()


def test_a_folder_that_goes_while_a_backup_looks_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "context"
    for name in ("a/b/x.md", "c.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine", encoding="utf-8")
    file = tmp_path / "backup.tar"
    with backup_file.writing(file) as writer:
        backing._add_folder(writer, "context", Going(folder))
    assert backup_file.verified(file).entries.keys() == {"context/c.md"}


def test_a_table_that_is_held_comes_at_the_end_of_a_backup(
    varro: Varro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in ("AAA1", "BBB1", "CCC1"):
        (varro.settings.revisions_dir / table).mkdir(parents=True)
        (varro.settings.revisions_dir / table / "note").write_text("mine", encoding="utf-8")
    added, add = [], backing._add_table
    monkeypatch.setattr(backing, "WAIT_SECONDS", 0.0)
    with ExitStack() as held:
        held.enter_context(table_lock(SecretStr(varro.database), "AAA1"))

        def adds(writer: Any, places: Any, connection: Any, table: str) -> None:
            added.append(table)
            if table == "CCC1":
                held.close()
            add(writer, places, connection, table)

        monkeypatch.setattr(backing, "_add_table", adds)
        file = tmp_path / "backup.tar"
        varro("backup", str(file))
    assert added == ["BBB1", "CCC1", "AAA1"]
    assert {name.split("/")[2] for name in backup_file.verified(file).entries if name.startswith("dst/")} == {*added}

    # held to the end, and longer than it waits
    with table_lock(SecretStr(varro.database), "BBB1"):
        said = varro("backup", str(tmp_path / "none.tar"))
    assert (said.code, "BBB1" in said.words) == (1, True)
    assert not (tmp_path / "none.tar").exists()
