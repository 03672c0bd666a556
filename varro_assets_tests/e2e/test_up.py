"""``varro --demo up``: Dagster's services, driven over GraphQL as the UI drives them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from varro_assets_tests.e2e.conftest import PATIENCE, Home, make_home, wait_for
from varro_assets_tests.e2e.dagster_ui import Up, running
from varro_assets_tests.postgres_fixture import reachable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
KORN2 = [f"{year}H{half}" for year in range(2019, 2025) for half in (1, 2)]
BOTH = (("statbank", "KORN2"), ("fact", "korn2"))


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """One service for all tests of the module; the demo follows two small tables and holds one.

    The second is followed when the sensor has been stopped, which would bring it in: here all is done by hand.
    """
    with reachable() as folder:
        home = make_home(folder / "home")
        demo = home.folder / "data" / "demo"
        demo.mkdir(parents=True)
        (demo / "varro.toml").write_text('[tables]\nfollow = ["KORD1"]\n', encoding="utf-8")
        home.good("--demo", "dims", "sync", "nuts")
        home.good("--demo", "sync", "KORD1")
        home.good("--demo", "plan")
        try:
            with running(home) as started:
                started.stop_sensor("statbank_changes")
                (demo / "varro.toml").write_text('[tables]\nfollow = ["KORD1", "KORN2"]\n', encoding="utf-8")
                started.reload()
                wait_for(lambda: "table/KORN2" in started.assets(), but=home.log)
                yield started
        finally:
            home.end()


def test_the_graph_is_there(up: Up) -> None:
    expected = {"statbank/catalog", "context/subjects"}
    for table in ("KORD1", "KORN2"):
        expected |= {f"statbank/{table}", f"fact/{table.lower()}", f"table/{table}"}
        expected |= {f"dimension_links/{table}", f"context/fact/{table.lower()}"}
    expected |= {"classification/nuts", "dim/nuts", "context/dim/nuts"}
    expected |= {f"context/geo/{layer}" for layer in ("kommuner", "landsdele", "regioner")}
    assert up.assets() == expected


def test_what_the_command_synced_shows(up: Up) -> None:
    for path in (("statbank", "KORD1"), ("fact", "kord1")):
        found = up.partitions(*path)
        assert found["partitionKeys"] == ["2020", "2021", "2022", "2023", "2024"]
        assert found["partitionStats"] == {"numMaterialized": 5, "numFailed": 0, "numPartitions": 5}


def test_materialise_register_backfill_and_publish(up: Up) -> None:
    # the catalogue makes the periods of a followed table known
    assert up.ended(up.launch(("statbank", "catalog"))) == "SUCCESS"
    assert up.partitions("statbank", "KORN2")["partitionKeys"] == KORN2
    up.fetched("KORN2")

    # one key is fetched alone
    assert up.ended(up.launch(*BOTH, partition="2021H1")) == "SUCCESS"
    assert up.fetched("KORN2") == [["2021H1"]]
    assert up.partitions("fact", "korn2")["partitionStats"]["numMaterialized"] == 1

    # a stretch is one run
    (tags,) = up.backfill(BOTH, KORN2[:3])
    assert (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]) == (
        "2019H1",
        "2020H1",
    )
    assert sorted(code for batch in up.fetched("KORN2") for code in batch) == KORN2[:3]

    # what does not hang together is one run a stretch, and nothing in between is fetched
    wanted = ["2022H1", "2023H2", "2024H1"]
    assert len(up.backfill(BOTH, wanted)) == 2
    assert sorted(code for batch in up.fetched("KORN2") for code in batch) == wanted
    assert up.partitions("fact", "korn2")["partitionStats"]["numMaterialized"] == 7

    # a publication becomes a key, and the summary alone brings in what is due
    up.publish(kind="publish_period", table="KORN2", tid="2025H1")
    assert up.ended(up.launch(("statbank", "catalog"))) == "SUCCESS"
    assert up.partitions("statbank", "KORN2")["partitionKeys"][-1] == "2025H1"
    assert up.ended(up.launch(("table", "KORN2"))) == "SUCCESS"
    for path in BOTH:
        assert up.partitions(*path)["partitionStats"] == {"numMaterialized": 13, "numFailed": 0, "numPartitions": 13}


def test_documents_and_dimensions_are_materialised(up: Up) -> None:
    run = up.launch(("dimension_links", "KORD1"), ("context", "fact", "kord1"))
    assert up.ended(run) == "SUCCESS"
    run = up.launch(("classification", "nuts"), ("dim", "nuts"), ("context", "dim", "nuts"), ("context", "subjects"))
    assert up.ended(run) == "SUCCESS"


def test_the_command_works_beside_the_service_and_sees_the_same_publisher(up: Up) -> None:
    up.publish(kind="publish_period", table="KORD1", tid="2025")
    assert "KORD1" in up.home.good("--demo", "sync", "KORD1")
    assert up.partitions("fact", "kord1")["partitionKeys"][-1] == "2025"
    assert "All is well: 2 tables" in up.home.good("--demo", "doctor")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(home: Home, sent: signal.Signals) -> None:
    with running(home) as up:
        assert len(home.processes()) > 3
        up.process.send_signal(sent)
        # Dagster gives each of its parts a minute
        up.process.wait(PATIENCE)
        wait_for(lambda: not home.processes(), but=lambda: str(home.processes()))
    # a tick in the middle of which Dagster is ended is told by Dagster with a stack; the command's own has none
    assert "varro_assets/cli" not in home.log()
    assert "stopped" in home.good("--demo", "db", "status")
