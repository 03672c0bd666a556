"""A running ``varro --demo up``: its GraphQL, and the simulator inside it."""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import requests

from varro_assets_tests.e2e.conftest import PATIENCE, Home, wait_for

LOCATION = {"repositoryLocationName": "varro_assets", "repositoryName": "__repository__"}
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = """query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
  runId status tags { key value } } } } }"""
PARTITIONS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionKeys partitionStats { numMaterialized numFailed numPartitions } } } }"""
SENSORS = """query($from: RepositorySelector!) { sensorsOrError(repositorySelector: $from) { ... on Sensors {
  results { name id sensorState { ticks(limit: 1) { status } } } } } }"""
STOP = "mutation($id: String!) { stopSensor(id: $id) { __typename } }"
RELOAD = "mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"
LOG = """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on MessageEvent { message } } } } }"""
BACKFILL_STATUS = (
    "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
)
TICKS_SECONDS = 10
"""From one look of the demo's sensor to the next."""
# below the range in which the system itself hands out ports, to whoever asks between our look and the server's start;
# and not where the embedded Postgres looks for one
PORTS = range(10000, 20000)


@dataclass
class Up:
    """The service under test."""

    home: Home
    process: subprocess.Popen[str]
    url: str

    def ask(self, query: str, **variables: Any) -> Any:
        """One GraphQL query; the data of its answer."""
        question = {"query": query, "variables": variables}
        reply = requests.post(f"{self.url}/graphql", json=question, timeout=PATIENCE).json()
        assert "errors" not in reply, reply
        return reply["data"]

    def assets(self) -> set[str]:
        """Keys in the graph."""
        nodes = self.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]
        return {"/".join(node["assetKey"]["path"]) for node in nodes}

    def stop_sensor(self, name: str) -> None:
        """Stop a sensor as the switch in the UI does; a tick that is under way has ended afterwards."""

        def sensor() -> dict[str, Any]:
            found = self.ask(SENSORS, **{"from": LOCATION})["sensorsOrError"]["results"]
            return next(one for one in found if one["name"] == name)

        answer = self.ask(STOP, id=sensor()["id"])["stopSensor"]
        assert answer["__typename"] == "StopSensorMutationResult", answer

        def is_still() -> bool:
            return all(tick["status"] != "STARTED" for tick in sensor()["sensorState"]["ticks"])

        wait_for(is_still)
        # the daemon may have read that the sensor runs, and not yet noted the tick that it is about to begin
        time.sleep(TICKS_SECONDS)
        wait_for(is_still)

    def reload(self) -> None:
        """Load the definitions anew."""
        answer = self.ask(RELOAD, name=LOCATION["repositoryLocationName"])["reloadRepositoryLocation"]
        assert answer["__typename"] == "WorkspaceLocationEntry", answer

    def launch(self, *assets: Sequence[str], partition: str | None = None) -> str:
        """Materialise as the button does; returns the run."""
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        selection = [{"path": list(path)} for path in assets]
        params = {
            "selector": {
                **LOCATION,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": selection,
                "assetCheckSelection": [],
            },
            "executionMetadata": {"tags": tags},
            "mode": "default",
            "runConfigData": {},
        }
        answer = self.ask(LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def backfill(self, assets: Sequence[Sequence[str]], partitions: Sequence[str]) -> list[dict[str, str]]:
        """Backfill these keys and wait; the tags of its runs."""
        params = {"assetSelection": [{"path": list(path)} for path in assets], "partitionNames": list(partitions)}
        answer = self.ask(BACKFILL, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        found = answer["backfillId"]

        def ended() -> bool:
            return str(self.ask(BACKFILL_STATUS, id=found)["partitionBackfillOrError"]["status"]).startswith(
                "COMPLETED"
            )

        wait_for(ended, but=lambda: str(self.runs(found)))
        runs = self.runs(found)
        assert {run["status"] for run in runs} == {"SUCCESS"}, runs
        return [{tag["key"]: tag["value"] for tag in run["tags"]} for run in runs]

    def runs(self, backfill: str) -> list[dict[str, Any]]:
        """Of a backfill."""
        tags = [{"key": "dagster/backfill", "value": backfill}]
        return list(self.ask(RUNS, filter={"tags": tags})["runsOrError"]["results"])

    def ended(self, run: str) -> str:
        """Wait for a run; its status."""
        seen = ""

        def over() -> bool:
            nonlocal seen
            seen = self.ask(RUNS, filter={"runIds": [run]})["runsOrError"]["results"][0]["status"]
            return seen in {"SUCCESS", "FAILURE", "CANCELED"}

        wait_for(over, but=lambda: seen + self.home.log()[-3000:])
        return seen

    def messages(self, run: str) -> list[str]:
        """What the run's log says."""
        events = self.ask(LOG, run=run)["logsForRun"]["events"]
        return [event["message"] for event in events if event.get("message")]

    def worker(self, run: str) -> int | None:
        """The process that executes the run, once it does."""
        found = re.findall(r"Executing steps in process \(pid: (\d+)\)", "\n".join(self.messages(run)))
        return int(found[-1]) if found else None

    def partitions(self, *path: str) -> dict[str, Any]:
        """Keys and how many are materialised or failed."""
        return dict(self.ask(PARTITIONS, key={"path": list(path)})["assetNodeOrError"])

    @cached_property
    def simulator(self) -> str:
        """Address of the simulator's own paths: for as long as the service runs, whatever the file says later."""
        folder = self.home.folder / "data" / "demo" / "data" / "simulator"
        return (folder / "address").read_text().strip().removesuffix("/v1") + "/_simulator"

    def publish(self, **publication: Any) -> Any:
        """The publisher publishes."""
        reply = requests.post(f"{self.simulator}/publish", json=publication, timeout=PATIENCE)
        assert reply.ok, reply.text
        return reply.json()

    def fetched(self, table: str) -> list[list[str]]:
        """The periods of each data request since the last call."""
        lines = requests.get(f"{self.simulator}/requests", timeout=PATIENCE).json()
        requests.delete(f"{self.simulator}/requests", timeout=PATIENCE)
        bodies = [json.loads(line["body"]) for line in lines if (line["function"], line["table"]) == ("data", table)]
        return [next(v["values"] for v in body["variables"] if v["code"].lower() == "tid") for body in bodies]


def free_port() -> int:
    """One that nobody listens on."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def running(home: Home) -> Iterator[Up]:
    """``varro --demo up`` on a free port, until it answers."""
    port = free_port()
    process = home.start("--demo", "up", "--port", str(port))
    up = Up(home, process, f"http://127.0.0.1:{port}")

    def answers() -> bool:
        assert process.poll() is None, home.log()
        try:
            return "statbank/catalog" in up.assets()
        except (requests.RequestException, AssertionError, ValueError):
            return False

    wait_for(answers, but=home.log)
    # read now: a command that gets no answer from this simulator within two seconds puts one of its own in its place
    assert up.simulator
    yield up
