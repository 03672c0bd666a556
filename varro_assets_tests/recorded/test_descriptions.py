"""Every real tableinfo: understood, and turned into the shape of a fact table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from varro_assets.engine import periods
from varro_assets.engine.periods import Frequency
from varro_assets.statbank import facts, models
from varro_assets.statbank.catalog import CatalogueFolder
from varro_assets.statbank.models import TableInfo


def described(path: Path) -> TableInfo:
    body = json.loads(path.read_text("utf-8"))
    return models.parse(TableInfo, body, what="read", on=path.name)


def test_every_description(material: Path, tmp_path: Path) -> None:
    paths = sorted((material / "tableinfo").glob("*.json"))
    assert len(paths) >= 5
    folder = CatalogueFolder(tmp_path)
    for path in paths:
        info = described(path)
        table = facts.period_table(info)
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names) == len(info.dimensions)
        assert all(name.isascii() and name == name.lower() for name in names)
        assert info.columns == (*(variable.id.upper() for variable in info.dimensions), "TID", "INDHOLD")
        assert periods.in_order(info.tids) == list(info.tids), "Tid ascends in every recording"
        assert table.tid_type == str(periods.tid_type(info.tids))
        assert [column.indexed for column in table.columns] == [len(it.values) >= 20 for it in info.dimensions]
        raw = json.loads(path.read_text("utf-8"))
        folder.write_tableinfo(info.id, raw)
        assert folder.tableinfo(info.id) == info
        assert folder.raw_tableinfo(info.id) == raw


@pytest.mark.parametrize(
    ("name", "columns", "frequency", "tids"),
    [
        ("FOLK1A_da_2025-08-11", ["omrade", "kon", "alder", "civilstand"], Frequency.QUARTERLY, 71),
        ("BIL10_da_2025-03-25", ["driv", "egen"], Frequency.YEARLY, 33),
        ("STRAF42_da", ["herkomst1", "overtraed", "afgorelse", "alder", "kon"], Frequency.YEARLY, 30),
        ("METROX1_en_2021-12", ["saeson"], Frequency.WEEKLY, 96),
    ],
)
def test_the_real_ones(recorded: Path, name: str, columns: list[str], frequency: Frequency, tids: int) -> None:
    info = described(recorded / "tableinfo" / f"{name}.json")
    table = facts.period_table(info)
    assert [column.name for column in table.columns] == columns
    assert table.tid_type == "date"
    assert len(info.tids) == tids
    assert periods.frequency(info.tids) is frequency


def test_real_labels_are_not_the_shape(recorded: Path) -> None:
    danish, english = (described(recorded / "tableinfo" / f"STRAF42_{language}.json") for language in ("da", "en"))
    assert danish.text != english.text
    assert facts.shape_hash(danish) == facts.shape_hash(english)
    assert danish.content_key == english.content_key


def test_real_codes(recorded: Path) -> None:
    info = described(recorded / "tableinfo" / "FOLK1A_da_2025-08-11.json")
    ages = next(variable for variable in info.dimensions if variable.id == "ALDER")
    spans = {code: facts.code_span(code) for code in ages.codes}
    assert spans["IALT"] is None
    assert spans["0"] == "[0,1)"
    assert [code for code, span in spans.items() if span is None] == ["IALT"]
    assert "000" in info.dimensions[0].codes
    assert info.documentation is not None
    assert info.footnote is None
    # observed on the wire, see the recording
    observed = json.loads((recorded / "data" / "FOLK1A_bulk_observed_2025-10-30.json").read_text("utf-8"))
    assert tuple(observed["header"].split(";")) == info.columns
