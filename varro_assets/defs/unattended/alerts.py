"""Alerts: a webhook is told of the runs that failed and are not tried again.

What belongs here: which failures are told, in what words, and the sensor that tells them. The webhook's address is a
secret: it stands in no log, error or tick.

Dagster's own run-failure sensor goes past a run also if its body raised: what a webhook that is down should have been
told is lost. This one keeps its own place and moves on only when the webhook took it. Each run told is tagged, so that
nothing is told twice, also if the place is lost; only a crash between the webhook's answer and the tag tells again.
"""

# no `from __future__ import annotations` here: Dagster reads the annotations of sensor bodies at definition time

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import requests
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DefaultSensorStatus,
    EventLogRecord,
    RunsFilter,
    RunStatusChangeRecordsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from pydantic import SecretStr

from varro_assets import errors
from varro_assets.defs import keys
from varro_assets.defs.tables import Periods
from varro_assets.engine import clock
from varro_assets.errors import SourceUnavailable
from varro_assets.settings import Settings
from varro_assets.statbank.sweeps.sweep import WHOLE_TABLE

TOLD_TAG = "varro/told"
"""Run tag: when the webhook was told of the run, and of which: a run that is executed again has its parent's tags."""
INTERVAL_SECONDS = 60
CONNECT_SECONDS, ANSWER_SECONDS = 5, 10
"""Together well below the 60 seconds after which Dagster gives up a tick."""
MOST = 500
"""So many failures are looked at in one tick; the rest in the next."""
FIRST = 10
"""So many are described in one message."""
LOOK_BACK_SECONDS = 86_400
"""So far back it looks when it has no place: the first time, or when its cursor was lost."""
SETTLING_SECONDS = 60
"""Dagster says within seconds after a failure whether it will retry the run; so long nothing counts as settled."""
RETRY_SECONDS = 600
"""Dagster makes a retry within seconds; if there is none after so long (its daemon was off), the failure is told."""
TOLD_ATTEMPTS, DAILY_ATTEMPTS = (1, 2, 4, 8), 10
"""The sensor tries a due table again after 5, 10, 20 minutes, from the tenth attempt on once a day: these are told."""
PATIENT_ATTEMPTS = 3
"""Of what may pass by itself so many attempts are not."""
LONGEST_ERROR, LONGEST_LINE = 2000, 300
"""Characters of an error in a message of its own, and in a list."""


class Verdict(Enum):
    """What is to be done about a failed run."""

    TELL = "tell"
    QUIET = "quiet"
    """It is tried again, or was told already, or is one failure more of what was told."""
    WAIT = "wait"
    """It is not known yet whether it is tried again."""


@dataclass(frozen=True)
class FailedRun:
    """A run that failed.

    Attributes:
        place: of its failure in Dagster's log.
        about: the table; else the assets or the job.
        periods: a key, ``first...last`` or ``whole table``; empty if it had none.
        error: in its own words.
        ended: seconds since 1970.
        will_retry: what Dagster says; None before it has said anything.
        can_retry: whether Dagster can: not what a command launched in its own process.
        is_retried: whether the retry is there.
        is_told: whether the webhook was told.
        is_transient: whether the error may pass by itself.
        attempt: number of it, where the sensor will ask again; 0 for everybody else's runs.
    """

    place: int
    run_id: str
    about: str
    periods: str
    error: str
    ended: float
    will_retry: bool | None = False
    can_retry: bool = True
    is_retried: bool = False
    is_told: bool = False
    is_transient: bool = False
    attempt: int = 0


def verdict(run: FailedRun, now: float) -> Verdict:
    """What to do about it; `now` in seconds since 1970."""
    if run.is_told or run.is_retried:
        return Verdict.QUIET
    age = now - run.ended
    if run.will_retry is None and age < SETTLING_SECONDS:
        return Verdict.WAIT
    if run.will_retry and run.can_retry and age < RETRY_SECONDS:
        return Verdict.WAIT
    return Verdict.TELL if _counts(run) else Verdict.QUIET


def _counts(run: FailedRun) -> bool:
    if run.attempt == 0:
        return True
    if run.is_transient and run.attempt <= PATIENT_ATTEMPTS:
        return False
    return run.attempt in TOLD_ATTEMPTS or run.attempt >= DAILY_ATTEMPTS


def next_place(seen: Sequence[FailedRun], verdicts: Sequence[Verdict], settled: int | None) -> int | None:
    """The place in the log up to which nothing is left to say.

    Args:
        seen: in the order of the log.
        verdicts: on each.
        settled: place up to which the log is settled; None if nothing was ever looked at.
    """
    waiting = [run.place - 1 for run, what in zip(seen, verdicts, strict=True) if what is Verdict.WAIT]
    return min(waiting if settled is None else [settled, *waiting], default=None)


def message(runs: Sequence[FailedRun], ui: str) -> dict[str, Any]:
    """What the webhook is sent: ``text`` for chats, the rest for programs.

    One failure: {text, table, run_id, error, periods, url}. Several: {text, failed, url, runs}, the first ten of them.

    Args:
        runs: at least one.
        ui: address of Dagster's web server.
    """
    if len(runs) == 1:
        (run,) = runs
        said = _described(run, ui, LONGEST_ERROR)
        periods = f" ({run.periods})" if run.periods else ""
        return {"text": f"{run.about}{periods} failed: {said['error']}\n{said['url']}", **said}
    listed = [_described(run, ui, LONGEST_LINE) for run in runs[:FIRST]]
    lines = [f"- {said['table']}: {said['error']} {said['url']}" for said in listed]
    what = len({run.about for run in runs})
    more = f" The first {FIRST}:" if len(runs) > FIRST else ""
    url = f"{ui}/runs"
    text = "\n".join([f"{len(runs)} runs failed, of {what} tables or assets.{more}", *lines, url])
    return {"text": text, "failed": len(runs), "url": url, "runs": listed}


def _described(run: FailedRun, ui: str, longest: int) -> dict[str, str]:
    error = run.error if len(run.error) <= longest else f"{run.error[:longest]}..."
    return {
        "table": run.about,
        "run_id": run.run_id,
        "error": error,
        "periods": run.periods,
        "url": f"{ui}/runs/{run.run_id}",
    }


def failed_runs(instance: DagsterInstance, after: int | None, now: float) -> tuple[list[FailedRun], int | None]:
    """The next failures in the order of the log, and the place up to which it is settled, `after` if it ends there.

    Args:
        instance: Dagster's.
        after: place in the log; None looks back a day.
        now: seconds since 1970.
    """
    since = None if after is not None else now - LOOK_BACK_SECONDS
    wanted = RunStatusChangeRecordsFilter(DagsterEventType.RUN_FAILURE, after_storage_id=after, after_timestamp=since)
    records = instance.fetch_run_status_changes(wanted, limit=MOST, ascending=True).records
    found = instance.get_runs(RunsFilter(run_ids=[record.run_id for record in records])) if records else []
    runs = {run.run_id: run for run in found}
    seen = [
        _failed(instance, runs[record.run_id], record.storage_id, record.timestamp)
        for record in records
        # a run that was deleted since has nothing to show
        if record.run_id in runs and runs[record.run_id].is_failure
    ]
    unsettled = [one.storage_id - 1 for one in records if not _is_settled(one, runs.get(one.run_id), now)]
    return seen, min(unsettled, default=records[-1].storage_id if records else after)


def _is_settled(record: EventLogRecord, run: DagsterRun | None, now: float) -> bool:
    """Whether the log is final so far: an event may become visible after one that has a later place.

    And Dagster stores a failure before it says of the run that it failed; the process that does so may stand still in
    between. If it died there, the run fails once more, when it is found dead.
    """
    age = now - record.timestamp
    return age >= (SETTLING_SECONDS if run is None or run.is_finished else RETRY_SECONDS)


def _failed(instance: DagsterInstance, run: DagsterRun, place: int, ended: float) -> FailedRun:
    tags = run.tags
    told, retried = tags.get(TOLD_TAG, "").endswith(run.run_id), AUTO_RETRY_RUN_ID_TAG in tags
    # what is settled is not asked for its error, which costs a question each
    error, is_transient = ("", False) if told or retried else _error(instance, run)
    will_retry = tags.get(WILL_RETRY_TAG)
    return FailedRun(
        place=place,
        run_id=run.run_id,
        about=_about(run),
        periods=_periods(run),
        error=error,
        ended=ended,
        will_retry=None if will_retry is None else will_retry == "true",
        can_retry=run.remote_job_origin is not None,
        is_retried=retried,
        is_told=told,
        is_transient=is_transient,
        attempt=_attempt(run),
    )


def _attempt(run: DagsterRun) -> int:
    launcher, number = run.tags.get(keys.LAUNCHER_TAG), run.tags.get(keys.ATTEMPT_TAG, "")
    if keys.POLL_TAG in run.tags:
        # the sensor asks again for the poll of the schedule; that has no number
        return 1 if launcher == "schedule" else 0
    return int(number) if launcher == "sensor" and number.isascii() and number.isdecimal() else 0


def _about(run: DagsterRun) -> str:
    if table := run.tags.get(keys.TABLE_TAG):
        return table
    names = sorted(key.to_user_string() for key in run.asset_selection or ())
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else run.job_name


def _periods(run: DagsterRun) -> str:
    tags = run.tags
    if _is_of_whole_table(run):
        return WHOLE_TABLE
    first, last = tags.get("dagster/asset_partition_range_start"), tags.get("dagster/asset_partition_range_end")
    between = f"{first}...{last}" if first and last and first != last else first or ""
    return tags.get(keys.SEGMENT_TAG) or between or tags.get("dagster/partition") or ""


def _is_of_whole_table(run: DagsterRun) -> bool:
    """Whether its range of keys only places it in the UI: the tags do not say so of a command's runs and old ones."""
    ops: Any = run.run_config.get("ops") or {}
    config = (ops.get(keys.op_name(run.tags.get(keys.TABLE_TAG, ""))) or {}).get("config") or {}
    return config.get("periods") in {Periods.ALL.name, Periods.DUE.name}


def _error(instance: DagsterInstance, run: DagsterRun) -> tuple[str, bool]:
    """The first failure in its own words, and whether it may pass by itself."""
    kinds = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    for record in instance.get_records_for_run(run.run_id, of_type=kinds, limit=1).records:
        event = record.event_log_entry.get_dagster_event()
        if not event.is_step_failure:
            return event.message or "The run failed.", False
        data = event.step_failure_data
        if (named := data.user_failure_data) is not None and named.description:
            kind = named.metadata.get("error")
            return named.description, _is_transient(str(kind.value) if kind else "")
        return str(data.error.message if data.error else event.message).strip(), False
    return "The run failed.", False


def _is_transient(name: str) -> bool:
    kind = getattr(errors, name, None)
    return isinstance(kind, type) and issubclass(kind, errors.TransientError)


# -- the webhook ---------------------------------------------------------------------------------------------------


def tell(webhook: SecretStr, body: dict[str, Any]) -> None:
    """POST it.

    Raises:
        SourceUnavailable: the webhook did not take it; says nothing of its address.
    """
    if problem := _post(webhook.get_secret_value(), body):
        raise SourceUnavailable(
            "tell the webhook of failed runs",
            on="(VARRO_WEBHOOK_URL)",
            got=problem,
            todo="Nothing is lost: it is told when the webhook answers. If it never does, correct the setting.",
        )


def _post(url: str, body: dict[str, Any]) -> str:
    """What went wrong; empty if nothing did. In words of our own: those of a library quote the address."""
    try:
        with (
            _unlogged(),
            requests.post(
                url, json=body, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), allow_redirects=False, stream=True
            ) as reply,
        ):
            return "" if 200 <= reply.status_code < 300 else f"HTTP {reply.status_code}"
    except requests.Timeout:
        return f"no answer within {CONNECT_SECONDS + ANSWER_SECONDS} seconds"
    except (requests.RequestException, ValueError) as error:
        return type(error).__name__


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Where somebody logs every request, this one is not: a webhook's path is its password."""
    logger = logging.getLogger("urllib3.connectionpool")

    def silent(_record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(silent)
    try:
        yield
    finally:
        logger.removeFilter(silent)


def told_of_failures(
    instance: DagsterInstance, webhook: SecretStr, ui: str, cursor: str | None
) -> tuple[int, str | None]:
    """Tell what is to be told since the cursor; returns how many runs that was, and the new cursor.

    Raises:
        SourceUnavailable: the webhook did not take it; the old cursor stands.
    """
    moment = clock.now()
    after = int(cursor) if cursor and cursor.isdecimal() else None
    seen, settled = failed_runs(instance, after, moment.timestamp())
    verdicts = [verdict(run, moment.timestamp()) for run in seen]
    telling = [run for run, what in zip(seen, verdicts, strict=True) if what is Verdict.TELL]
    if telling:
        tell(webhook, message(telling, ui))
        for run in telling:
            instance.add_run_tags(run.run_id, {TOLD_TAG: f"{moment:%Y-%m-%dT%H:%M:%SZ} {run.run_id}"})
    place = next_place(seen, verdicts, settled)
    return len(telling), None if place is None else str(place)


def alerts(settings: Settings) -> list[SensorDefinition]:
    """The sensor; none where no webhook is set."""
    webhook = settings.varro_webhook_url
    if webhook is None:
        return []

    @sensor(
        name="alerts",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Tells the webhook of runs that failed and are not tried again. A tick fails when the webhook does"
        " not answer; what it should have told is told later.",
    )
    def tell_failures(context: SensorEvaluationContext) -> SkipReason:
        told, cursor = told_of_failures(context.instance, webhook, settings.varro_ui_url, context.cursor)
        context.update_cursor(cursor)
        return SkipReason(
            f"The webhook was told of {told} failed run{'s' * (told != 1)}." if told else "No failure to tell of."
        )

    return [tell_failures]
