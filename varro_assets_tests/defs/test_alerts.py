"""Alerts: every failure that is final is told once, however the webhook behaves, and its address is told nobody."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRun, build_sensor_context, job, op
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._utils.error import serializable_error_info_from_exc_info
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from varro_assets.defs import keys
from varro_assets.defs.failures import named_failures
from varro_assets.defs.unattended import alerts
from varro_assets.defs.unattended.alerts import FIRST, FailedRun, Verdict
from varro_assets.engine import clock
from varro_assets.errors import DatabaseRefused, SourceUnavailable, VarroError
from varro_assets.settings import Settings
from varro_assets_tests.scripted_server import Reply, ScriptedServer

PATH = "hooks/T0/B0/aSecretPath"
UI = "http://ui.example:3000"
OK, DOWN = Reply(200), Reply(500)
SETTLED = timedelta(seconds=90)


class Hook:
    """A webhook, Dagster's instance, and the sensor between them."""

    def __init__(self, server: ScriptedServer, instance: DagsterInstance, settings: Settings) -> None:
        self.server, self.instance = server, instance
        url = f"{server.url}/{PATH}"
        (self.sensor,) = alerts.alerts(
            settings.model_copy(update={"varro_webhook_url": SecretStr(url), "varro_ui_url": UI})
        )
        self.cursor: str | None = None
        self._numbers = count(1)

    def fail(self, error: str = "The disk is full.", **tags: str) -> str:
        """A run that fails; `tags` by the end of their names."""
        table = tags.pop("table", f"TAB{next(self._numbers)}")
        named = {f"varro/{name}": value for name, value in {"table": table, **tags}.items()}
        run = create_run_for_test(self.instance, tags=named)
        self.instance.report_run_failed(run, error)
        # who starts runs says so within seconds; here nobody does
        self.instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
        return run.run_id

    def tick(self) -> str:
        """One look; the reason shown. The cursor moves only if the tick is a good one, as under the daemon."""
        context = build_sensor_context(self.instance, cursor=self.cursor)
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data.skip_message or ""

    def failing_tick(self) -> str:
        """One look that must fail; its whole error as the tick keeps it."""
        with pytest.raises(SourceUnavailable, match="webhook") as caught:
            self.tick()
        return serializable_error_info_from_exc_info((caught.type, caught.value, caught.tb)).to_string()

    @property
    def bodies(self) -> list[Any]:
        """What the webhook was sent, taken or not."""
        return [body for _, body in self.server.requests]


@pytest.fixture
def make_hook(
    instance: DagsterInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Hook]]:
    started = []
    # the server is a thread of this very process: a busy machine may let it wait for longer than a webhook may take
    monkeypatch.setattr(alerts, "CONNECT_SECONDS", 120)
    monkeypatch.setattr(alerts, "ANSWER_SECONDS", 120)

    def make(*script: Reply) -> Hook:
        running = ScriptedServer(list(script or (OK,))).running()
        started.append(running)
        return Hook(running.__enter__(), instance, settings)

    yield make
    for running in started:
        running.__exit__(None, None, None)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Let time pass."""
    return lambda span: monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + span)


def run_that_raises(instance: DagsterInstance, error: Exception, tags: dict[str, str]) -> DagsterRun:
    """A run whose op fails as ours do."""

    @op
    def sync() -> None:
        with named_failures():
            raise error

    @job
    def syncing() -> None:
        sync()

    result = syncing.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run


# -- what is told ------------------------------------------------------------------------------------------------------


def test_nothing_to_tell_without_a_webhook(settings: Settings) -> None:
    assert settings.varro_webhook_url is None
    assert alerts.alerts(settings) == []


def test_a_failure_is_told_once_in_its_own_words(make_hook: Callable[..., Hook], instance: DagsterInstance) -> None:
    hook = make_hook()
    error = DatabaseRefused("load", on="KORN2", got="permission denied", todo="Grant it.")
    run = run_that_raises(instance, error, {keys.TABLE_TAG: "KORN2", keys.SEGMENT_TAG: "2020H1...2024H2"})
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    assert "1 failed run" in hook.tick()
    url = f"{UI}/runs/{run.run_id}"
    assert hook.bodies == [
        {
            "text": f"KORN2 (2020H1...2024H2) failed: {error}\n{url}",
            "table": "KORN2",
            "run_id": run.run_id,
            "error": str(error),
            "periods": "2020H1...2024H2",
            "url": url,
        }
    ]
    assert "No failure" in hook.tick()
    assert len(hook.bodies) == 1


@pytest.mark.parametrize(
    ("periods", "told"),
    [
        ("DUE", "whole table"),
        ("ALL", "whole table"),
        ("DUE_SELECTED", "2023K1...2025K4"),
        ("SELECTED", "2023K1...2025K4"),
        ("", "2023K1...2025K4"),  # launched in the UI without config
    ],
)
@pytest.mark.parametrize("named", [keys.SEGMENT_TAG, None], ids=["as runs were tagged before", "a command's"])
def test_the_range_is_told_only_of_a_run_that_reads_nothing_beyond_it(
    make_hook: Callable[..., Hook], instance: DagsterInstance, periods: str, told: str, named: str | None
) -> None:
    hook = make_hook()
    tags = {keys.TABLE_TAG: "FOLK1A", keys.RANGE_START: "2023K1", keys.RANGE_END: "2025K4"}
    tags |= {named: "2023K1...2025K4"} if named else {}
    config = {"ops": {"sync_folk1a": {"config": {"periods": periods}}}} if periods else {}
    run = create_run_for_test(instance, tags=tags | {WILL_RETRY_TAG: "false"}, run_config=config)
    instance.report_run_failed(run, "The disk is full.")
    hook.tick()
    (body,) = hook.bodies
    assert body["periods"] == told
    assert body["text"].startswith(f"FOLK1A ({told}) failed: The disk is full.")


@pytest.mark.slow
def test_a_flood_is_one_message(make_hook: Callable[..., Hook]) -> None:
    hook = make_hook()
    runs = [hook.fail(f"Error {number}", table=f"T{number % 100}") for number in range(300)]
    hook.tick()
    (body,) = hook.bodies
    assert body["failed"] == 300
    assert [run["run_id"] for run in body["runs"]] == runs[:FIRST]
    assert body["text"].startswith("300 runs failed, of 100 tables or assets. The first 10:\n- T0: Error 0 ")
    hook.tick()
    assert len(hook.bodies) == 1


def test_more_than_a_tick_looks_at_are_told_in_the_next(
    make_hook: Callable[..., Hook], monkeypatch: pytest.MonkeyPatch, later: Callable[[timedelta], None]
) -> None:
    monkeypatch.setattr(alerts, "MOST", 4)
    hook = make_hook()
    runs = [hook.fail() for _ in range(10)]
    later(SETTLED)
    for _ in range(4):
        hook.tick()
    told = [run["run_id"] for body in hook.bodies for run in body["runs"]]
    assert told == runs


# -- when the webhook does not take it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [DOWN, Reply(404), Reply(302, headers={"Location": "/elsewhere"}), Reply(reset=True)], ids=str
)
def test_what_the_webhook_did_not_take_is_told_later(make_hook: Callable[..., Hook], answer: Reply) -> None:
    hook = make_hook(answer, answer, OK)
    first = hook.fail()
    hook.failing_tick()
    second = hook.fail()
    hook.failing_tick()
    hook.tick()
    assert [run["run_id"] for run in hook.bodies[-1]["runs"]] == [first, second]
    hook.tick()
    assert len(hook.bodies) == 3


def test_a_slow_webhook_is_given_up(make_hook: Callable[..., Hook], monkeypatch: pytest.MonkeyPatch) -> None:
    hook = make_hook(Reply(hang=600), OK)
    run = hook.fail()
    with monkeypatch.context() as patience:
        # of this one request: the next is answered, and the answer may take as long as a busy machine makes it
        patience.setattr(alerts, "ANSWER_SECONDS", 0.2)
        assert "no answer within" in hook.failing_tick()
    # given up, the request may still lie unread in the server's socket; answers go by the order of reading
    deadline = time.monotonic() + 120
    while not hook.bodies:
        assert time.monotonic() < deadline, "the server never read the request"
        time.sleep(0.01)
    hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [run, run]


def test_nobody_listens(make_hook: Callable[..., Hook], instance: DagsterInstance, settings: Settings) -> None:
    hook = make_hook()
    run = hook.fail()
    nowhere = settings.model_copy(update={"varro_webhook_url": SecretStr(f"http://127.0.0.1:9/{PATH}")})
    listening, (hook.sensor,) = hook.sensor, alerts.alerts(nowhere)
    assert "ConnectionError" in hook.failing_tick()
    hook.sensor = listening
    hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [run]


def test_a_told_run_that_is_executed_again_and_fails_again_is_told_of(
    make_hook: Callable[..., Hook], instance: DagsterInstance
) -> None:
    """Dagster gives it the tags of its parent."""
    hook = make_hook(OK, OK)
    first = instance.get_run_by_id(hook.fail(table="FOLK1A"))
    assert first is not None
    hook.tick()
    told = instance.get_run_by_id(first.run_id)
    assert told is not None
    again = create_run_for_test(instance, tags=told.tags)
    instance.report_run_failed(again, "It failed again.")
    hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [first.run_id, again.run_id]
    hook.cursor = None
    hook.tick()
    assert len(hook.bodies) == 2


def test_a_lost_cursor_loses_and_doubles_nothing(
    make_hook: Callable[..., Hook], later: Callable[[timedelta], None]
) -> None:
    hook = make_hook()
    hook.fail()
    hook.tick()
    new = hook.fail()
    for cursor in (None, "", "rubbish"):
        hook.cursor = cursor
        hook.tick()
    assert [body["run_id"] for body in hook.bodies[1:]] == [new]


def test_the_first_look_leaves_old_failures_alone(
    make_hook: Callable[..., Hook], later: Callable[[timedelta], None]
) -> None:
    hook = make_hook()
    hook.fail()
    later(timedelta(days=2))
    hook.tick()
    assert hook.bodies == []


@pytest.mark.parametrize("url", ["http://[half", "no address", "ftp://127.0.0.1/x", "http://", "http://a..b/x"])
def test_an_address_that_is_none_is_said_without_it(url: str) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        alerts.tell(SecretStr(url), {})
    assert url not in str(caught.value)


@pytest.mark.parametrize("answer", [OK, DOWN, Reply(reset=True)], ids=str)
def test_the_address_stands_nowhere(
    make_hook: Callable[..., Hook], caplog: pytest.LogCaptureFixture, answer: Reply
) -> None:
    hook = make_hook(answer)
    hook.fail()
    with caplog.at_level(logging.DEBUG):
        said = hook.tick() if answer is OK else hook.failing_tick()
    for text in (said, caplog.text, hook.cursor or ""):
        assert "aSecretPath" not in text
        assert hook.server.url not in text
    assert any("aSecretPath" in path for path, _ in hook.server.requests)


# -- what is not told, or not yet --------------------------------------------------------------------------------------


def test_a_run_that_is_retried_is_not_told_of_and_its_last_failure_is(
    make_hook: Callable[..., Hook], instance: DagsterInstance, later: Callable[[timedelta], None]
) -> None:
    hook = make_hook()
    first = hook.fail()
    instance.add_run_tags(first, {WILL_RETRY_TAG: "true", AUTO_RETRY_RUN_ID_TAG: "the next"})
    last = hook.fail()
    hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [last]


def test_what_dagster_has_not_judged_yet_is_waited_for(
    make_hook: Callable[..., Hook], instance: DagsterInstance, later: Callable[[timedelta], None]
) -> None:
    hook = make_hook()
    run = create_run_for_test(instance, tags={keys.TABLE_TAG: "T1"})
    instance.report_run_failed(run, "killed")
    other = hook.fail()
    hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [other]
    later(SETTLED)
    hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [other, run.run_id]


@pytest.mark.parametrize("pause", [timedelta(0), timedelta(minutes=2)])
def test_a_failure_that_the_run_does_not_show_yet_is_told_when_it_does(
    make_hook: Callable[..., Hook],
    instance: DagsterInstance,
    later: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
    pause: timedelta,
) -> None:
    """Dagster stores the event, and then the status; a tick comes in between, and another failure is whole by then."""
    hook, others = make_hook(), []
    hook = make_hook()
    others: list[str] = []
    real = instance.run_storage.handle_run_event

    def handle_run_event(*args: Any, **options: Any) -> None:
        if not others:
            others.append("")
            others[0] = hook.fail()
            later(pause)
            hook.tick()
        real(*args, **options)

    monkeypatch.setattr(instance.run_storage, "handle_run_event", handle_run_event)
    first = hook.fail()
    assert [body["run_id"] for body in hook.bodies] == others
    later(pause + SETTLED)
    assert "1 failed run" in hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [*others, first]
    assert hook.tick() == "No failure to tell of."


def test_the_place_stays_before_what_is_young(
    make_hook: Callable[..., Hook], instance: DagsterInstance, later: Callable[[timedelta], None]
) -> None:
    """An event may become visible after one that has a later place."""
    hook = make_hook()
    hook.fail()
    (record,) = instance.fetch_run_status_changes(DagsterEventType.RUN_FAILURE, limit=9).records
    later(timedelta(hours=-1))
    hook.tick()
    assert hook.cursor == str(record.storage_id - 1)
    later(SETTLED)
    hook.tick()
    assert hook.cursor == str(record.storage_id)


def test_what_the_sensor_asks_for_again_is_told_when_that_did_not_help(
    make_hook: Callable[..., Hook], instance: DagsterInstance
) -> None:
    hook = make_hook()
    away: VarroError = SourceUnavailable("fetch", on="KORN2", got="HTTP 503")
    for attempt in ("1", "2", "3", "4"):
        tags = {keys.TABLE_TAG: "KORN2", keys.LAUNCHER_TAG: "sensor", keys.ATTEMPT_TAG: attempt}
        run = run_that_raises(instance, away, tags)
        instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    hook.tick()
    assert [body["run_id"] for body in hook.bodies] == [run.run_id]
    # what will not pass is told at once
    refused = run_that_raises(instance, DatabaseRefused("load", on="KORN2"), {**tags, keys.ATTEMPT_TAG: "1"})
    instance.add_run_tags(refused.run_id, {WILL_RETRY_TAG: "false"})
    hook.tick()
    assert hook.bodies[-1]["run_id"] == refused.run_id


def failed(**fields: Any) -> FailedRun:
    return replace(FailedRun(1, "r", "T1", "", "error", ended=1000.0), **fields)


@pytest.mark.parametrize(
    ("run", "age", "expected"),
    [
        (failed(), 0, Verdict.TELL),
        (failed(is_told=True), 0, Verdict.QUIET),
        (failed(will_retry=None), 59, Verdict.WAIT),
        (failed(will_retry=None), 60, Verdict.TELL),
        (failed(will_retry=True), 599, Verdict.WAIT),
        (failed(will_retry=True), 600, Verdict.TELL),
        (failed(will_retry=True, is_retried=True), 10_000, Verdict.QUIET),
        # Dagster means to retry what a command ran in its own process, and never can
        (failed(will_retry=True, can_retry=False), 0, Verdict.TELL),
        (failed(is_transient=True), 0, Verdict.TELL),
        (failed(is_transient=True, attempt=1), 0, Verdict.QUIET),
        (failed(is_transient=True, attempt=3), 0, Verdict.QUIET),
        (failed(is_transient=True, attempt=4), 0, Verdict.TELL),
        (failed(attempt=1), 0, Verdict.TELL),
        # nobody wants nine messages a day of one table
        (failed(attempt=3), 0, Verdict.QUIET),
        (failed(attempt=9), 0, Verdict.QUIET),
        # and nobody is to forget it
        (failed(attempt=10), 0, Verdict.TELL),
        (failed(attempt=11), 0, Verdict.TELL),
    ],
)
def test_verdicts(run: FailedRun, age: float, expected: Verdict) -> None:
    assert alerts.verdict(run, 1000.0 + age) is expected


ages = st.floats(0, 2000)
states = st.builds(
    lambda age, retry, can, again, told: failed(
        ended=10_000 - age, will_retry=retry, can_retry=can, is_retried=again, is_told=told
    ),
    ages,
    st.none() | st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


# drawing is a matter of milliseconds, and a machine that stops for a second meanwhile proves nothing against it
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(states, max_size=8), st.none() | st.integers(0, 90))
def test_the_place_never_goes_past_what_waits_or_is_not_settled(runs: list[FailedRun], settled: int | None) -> None:
    seen = [replace(run, place=10 * place) for place, run in enumerate(runs, start=1)]
    verdicts = [alerts.verdict(run, 10_000) for run in seen]
    place = alerts.next_place(seen, verdicts, settled)
    waiting = [run.place for run, what in zip(seen, verdicts, strict=True) if what is Verdict.WAIT]
    if not waiting:
        assert place == settled
        return
    assert place is not None
    assert place < min(waiting)
    assert settled is None or place <= settled
