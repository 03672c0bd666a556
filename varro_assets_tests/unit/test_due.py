"""What is due, from a catalogue, the warehouse's word and the folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from varro_assets.statbank import manifest
from varro_assets.statbank.catalog import Catalogue
from varro_assets.statbank.models import CatalogueEntry
from varro_assets.statbank.sweeps.due import State, Synced, states
from varro_assets_tests.table_bodies import UPDATED, body, entry

LATER, EARLIER = "2025-11-01T08:00:00", "2025-01-01T08:00:00"
CATALOGUE = Catalogue("here", "now", {"FOLK1A": CatalogueEntry.model_validate(entry("FOLK1A"))})


def synced(updated: str = UPDATED, present: bool = True) -> Synced:
    return Synced(updated, "2025-08-12T00:00:00Z", 71, 1000, present)


def state_of(tmp_path: Path, row: Synced | None) -> State:
    in_database = {} if row is None else {"FOLK1A": row}
    return states(["FOLK1A"], CATALOGUE, in_database, tmp_path)["FOLK1A"]


def with_manifest(tmp_path: Path, updated: str) -> None:
    (tmp_path / "FOLK1A").mkdir()
    manifest.write(tmp_path / "FOLK1A", "here", "shape", body(updated=updated))


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (synced(), State.CURRENT),
        (synced(EARLIER), State.CHANGED),
        (synced(LATER), State.CHANGED),  # a publication was taken back
        (synced(present=False), State.NEVER),
        (None, State.NEVER),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_without_files(tmp_path: Path, row: Synced | None, state: State, folder: bool) -> None:
    if folder:
        (tmp_path / "FOLK1A").mkdir()
    assert state_of(tmp_path, row) is state


@pytest.mark.parametrize(
    ("files", "state"), [(UPDATED, State.REFILL), (EARLIER, State.CHANGED), (LATER, State.CHANGED)]
)
@pytest.mark.parametrize("row", [None, synced(present=False)])
def test_files_may_be_all_that_a_warehouse_needs(tmp_path: Path, row: Synced | None, files: str, state: State) -> None:
    with_manifest(tmp_path, files)
    assert state_of(tmp_path, row) is state
    assert state_of(tmp_path, synced()) is State.CURRENT


def test_what_the_catalogue_lacks(tmp_path: Path) -> None:
    with_manifest(tmp_path, UPDATED)
    empty = Catalogue("here", "now", {})
    assert states(["FOLK1A", "X1"], empty, {"FOLK1A": synced()}, tmp_path) == {"FOLK1A": State.GONE, "X1": State.GONE}


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff\xfe", b'{"tableinfo": {}}'])
def test_a_damaged_manifest_is_due_and_harms_no_other_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "FOLK1A").mkdir()
    (tmp_path / "FOLK1A" / manifest.FILE_NAME).write_bytes(content)
    assert state_of(tmp_path, None) is State.CHANGED


def test_the_order_is_the_callers(tmp_path: Path) -> None:
    assert list(states(["B1", "FOLK1A", "A1"], CATALOGUE, {}, tmp_path)) == ["B1", "FOLK1A", "A1"]
