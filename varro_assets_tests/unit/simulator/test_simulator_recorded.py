"""Recorded answers served as they are: a small made-up folder always, the real material where it is present."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from varro_assets.simulator import Simulator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tables", "subjects", "tableinfo", "data"):
        (tmp_path / name).mkdir()
    info = {
        "id": "TINY",
        "text": "Lille",
        "unit": "Antal",
        "updated": "2025-01-02T08:00:00",
        "variables": [
            {
                "id": "KØN",
                "text": "køn",
                "elimination": True,
                "time": False,
                "values": [{"id": "TOT", "text": "I alt"}],
            },
            {
                "id": "LAND",
                "text": "land",
                "elimination": False,
                "time": False,
                "values": [{"id": "NA", "text": "Namibia"}, {"id": "DE", "text": "Tyskland"}],
            },
            {
                "id": "Tid",
                "text": "tid",
                "elimination": False,
                "time": True,
                "values": [{"id": "2023", "text": "2023"}, {"id": "2024", "text": "2024"}],
            },
        ],
    }
    (tmp_path / "tableinfo" / "TINY_da_2025.json").write_text(json.dumps(info), "utf-8")
    (tmp_path / "tables" / "tables_active_da_2025.json").write_text('[{"id": "TINY"}]', "utf-8")
    (tmp_path / "data" / "TINY_csv_codes.csv").write_text("\ufeffLAND;TID;INDHOLD\nNA;2023;1,5\nDE;2023;..\n", "utf-8")
    return tmp_path


def test_a_made_up_folder(folder: Path) -> None:
    with Simulator.recorded(folder) as simulator:
        assert requests.get(f"{simulator.url}/tables?lang=en", timeout=120).json() == [{"id": "TINY"}]
        assert requests.get(f"{simulator.url}/subjects", timeout=120).status_code == 404
        assert requests.get(f"{simulator.url}/tableinfo/tiny", timeout=120).json()["text"] == "Lille"
        assert requests.get(f"{simulator.url}/tableinfo/OTHER", timeout=120).status_code == 400
        url = f"{simulator.url}/data/TINY/BULK?K%C3%98N=TOT&LAND=*&Tid=*&valuePresentation=Code"
        assert requests.get(url, timeout=120).text == "KØN;LAND;TID;INDHOLD\r\nTOT;DE;2023;..\r\nTOT;NA;2023;1,5\r\n"
        refused = requests.post(
            f"{simulator.control_url}/publish", json={"kind": "touch", "table": "TINY"}, timeout=120
        )
        assert refused.status_code == 400
        with pytest.raises(RuntimeError):
            _ = simulator.universe


def test_the_real_material(recordings: Path) -> None:
    with Simulator.recorded(recordings) as simulator:
        tables = requests.get(f"{simulator.url}/tables", timeout=120)
        assert tables.content == next((recordings / "tables").glob("tables_active_da_*.json")).read_bytes()
        assert len(requests.get(f"{simulator.url}/subjects?lang=en&recursive=true", timeout=120).json()) == 10
        info = requests.get(f"{simulator.url}/tableinfo/METROX1?lang=en", timeout=120).json()
        assert info == json.loads((recordings / "tableinfo" / "METROX1_en_2021-12.json").read_text("utf-8"))
        query = "OMR%C3%85DE=000,751&K%C3%98N=1&ALDER=0&CIVILSTAND=TOT&Tid=2010K1&valuePresentation=Code"
        answer = requests.get(f"{simulator.url}/data/FOLK1A/BULK?{query}", timeout=120).text
        recorded = next((recordings / "data").glob("FOLK1A_csv_codes*.csv")).read_text("utf-8-sig")
        for line in answer.split("\r\n")[1:-1]:
            area, sex, age, _, tid, value = line.split(";")
            assert f"\n{area};{sex};{age};{tid};{value}\n" in recorded.replace("\r\n", "\n")
        assert answer.count("\r\n") == 3


def test_faults_work_on_recorded_material(folder: Path) -> None:
    with Simulator.recorded(folder) as simulator:
        simulator.fault("server_error")
        assert requests.get(f"{simulator.url}/tables", timeout=120).status_code == 500
