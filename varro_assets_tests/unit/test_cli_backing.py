"""`varro backup` and `varro restore`: a home that was lost comes back, file by file and row by row."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

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
