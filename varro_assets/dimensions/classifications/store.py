"""Classification store: classifications as published, one folder each below `data/dst/mapping_tables`.

What belongs here: the files ``table_{da,en}.parquet`` and ``table_info_{da,en}.md``: written when their content
changed, read back whole. Which codes belong below which is `hierarchy`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from varro_assets.dimensions.classifications.published import PublishedRow
from varro_assets.dimensions.models import DIMENSION_NAME
from varro_assets.engine.files import write_bytes, write_text
from varro_assets.errors import ConfigurationError, DamagedPartition

_SCHEMA = pa.schema(
    [
        pa.field("SEKVENS", pa.int32(), nullable=False),
        pa.field("KODE", pa.string(), nullable=False),
        pa.field("NIVEAU", pa.int32(), nullable=False),
        pa.field("TITEL", pa.string(), nullable=False),
    ]
)
_FACTS = ("title", "source", "page")


@dataclass(frozen=True)
class Classification:
    """A classification as published.

    Attributes:
        name: of the dimension it makes.
        title: for people.
        rows_da: lines of the Danish file, in its order.
        rows_en: lines of the English one; None if there is none.
        info_da, info_en: what the publisher's page says, as Markdown; may be empty.
        source_url: address of the Danish file, or words that say where the lines come from.
        page_url: address of the page; empty if there is none.
    """

    name: str
    title: str
    rows_da: list[PublishedRow]
    rows_en: list[PublishedRow] | None
    info_da: str
    info_en: str
    source_url: str
    page_url: str


class ClassificationStore:
    """The classifications in one folder.

    Attributes:
        folder: `data/dst/mapping_tables`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Classifications that are held, in order."""
        if not self.folder.is_dir():
            return []
        held = (path.parent.name for path in self.folder.glob("*/table_da.parquet"))
        return sorted(name for name in held if DIMENSION_NAME.fullmatch(name))

    def write(self, classification: Classification) -> bool:
        """Hold this classification in place of what is held under its name; returns whether its content changed.

        Nothing is written that is there already. Files are replaced one by one, each atomically; after a crash between
        them the next write completes what is missing.

        Raises:
            ConfigurationError: its name cannot be one.
            StorageFull: the disk is full.
        """
        folder = self._folder(classification.name)
        changed = False
        # the Danish table comes last: it is what makes the classification held
        for lang, rows, info in (
            ("en", classification.rows_en, classification.info_en),
            ("da", classification.rows_da, classification.info_da),
        ):
            changed |= _write_info(folder / f"table_info_{lang}.md", info)
            changed |= _write_table(folder / f"table_{lang}.parquet", rows, _facts(classification))
        return changed

    def read(self, name: str) -> Classification | None:
        """The classification; None if it is not held. A row's ``line`` is its place, 1 = first.

        Raises:
            DamagedPartition: a file cannot be read, or is not as `write` makes it.
        """
        folder = self._folder(name)
        danish = folder / "table_da.parquet"
        if not danish.is_file():
            return None
        rows, facts = _read_table(danish)
        english = folder / "table_en.parquet"
        return Classification(
            name=name,
            title=facts["title"],
            rows_da=rows,
            rows_en=_read_table(english)[0] if english.is_file() else None,
            info_da=_read_info(folder / "table_info_da.md"),
            info_en=_read_info(folder / "table_info_en.md"),
            source_url=facts["source"],
            page_url=facts["page"],
        )

    def remove(self, name: str) -> bool:
        """Delete a classification's files; returns whether there were any."""
        folder = self._folder(name)
        there = folder.is_dir()
        shutil.rmtree(folder, ignore_errors=True)
        return there

    def _folder(self, name: str) -> Path:
        # a name is a folder here and a relation in Postgres
        if not DIMENSION_NAME.fullmatch(name):
            todo = "A name has letters a-z, digits and _, begins with a letter and is at most 40 long."
            raise ConfigurationError("store the classification", on=repr(name[:60]), got="no name", todo=todo)
        return self.folder / name


def _facts(classification: Classification) -> dict[str, str]:
    return {"title": classification.title, "source": classification.source_url, "page": classification.page_url}


def _write_table(path: Path, rows: Sequence[PublishedRow] | None, facts: dict[str, str]) -> bool:
    if rows is None:
        return _remove(path)
    if path.is_file():
        # content is compared, not bytes: another version of pyarrow writes other bytes
        try:
            held, stated = _read_table(path)
        except DamagedPartition:
            held, stated = [], {}
        if stated == facts and [*map(_cells, held)] == [*map(_cells, rows)]:
            return False
    columns = zip(*map(_cells, rows), strict=True) if rows else ((), (), (), ())
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(buffer, _SCHEMA, compression="zstd", store_schema=False, write_page_checksum=True) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
        writer.add_key_value_metadata(facts)
    write_bytes(path, buffer.getvalue().to_pybytes())
    return True


def _read_table(path: Path) -> tuple[list[PublishedRow], dict[str, str]]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        stated = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise _damaged(path, f"no readable parquet file ({error})") from error
    found = [(name, table.schema.field(name).type) for name in table.column_names]
    if found != [(field.name, field.type) for field in _SCHEMA]:
        raise _damaged(path, f"it has the columns {', '.join(table.column_names)}, or other types than expected")
    if missing := [key for key in _FACTS if key not in stated]:
        raise _damaged(path, f"its footer does not state {', '.join(missing)}")
    columns = [column.to_pylist() for column in table.columns]
    if any(None in column for column in columns):
        raise _damaged(path, "it has lines without a code, level or title")
    rows = [
        PublishedRow(line, sekvens, kode, niveau, titel)
        for line, (sekvens, kode, niveau, titel) in enumerate(zip(*columns, strict=True), 1)
    ]
    return rows, {key: stated[key] for key in _FACTS}


def _cells(row: PublishedRow) -> tuple[int, str, int, str]:
    return row.sekvens, row.kode, row.niveau, row.titel


def _write_info(path: Path, text: str) -> bool:
    if not text:
        return _remove(path)
    content = f"{text}\n"
    if path.is_file() and path.read_bytes() == content.encode():
        return False
    write_text(path, content)
    return True


def _read_info(path: Path) -> str:
    try:
        return path.read_bytes().decode().removesuffix("\n") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise _damaged(path, f"byte {error.start} is not UTF-8") from error


def _remove(path: Path) -> bool:
    held = path.is_file()
    path.unlink(missing_ok=True)
    return held


def _damaged(path: Path, got: str) -> DamagedPartition:
    return DamagedPartition(
        "read the classification file",
        on=str(path),
        got=got,
        todo=f"Fetch the classification {path.parent.name} again; its files are replaced.",
    )
