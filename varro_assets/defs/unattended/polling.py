"""Polling: when the catalogue is asked for, and again after it could not be had.

What belongs here: the schedule, and the request that the sensor makes in its place. The poll itself is `catalogue`'s.
"""

from __future__ import annotations

from datetime import datetime

from dagster import (
    AssetSelection,
    DagsterInstance,
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from varro_assets.defs import keys, logs
from varro_assets.defs.unattended import attempts
from varro_assets.defs.unattended.attempts import Tried
from varro_assets.engine import clock
from varro_assets.settings import Settings

NAME = "poll_catalog"
OFF = "off"
TIMES = {"weekly": ("0 22 * * 0", "UTC"), "daily": ("5 8 * * *", "Europe/Copenhagen")}
"""Value of ``VARRO_POLL`` -> cron expression and time zone. StatBank publishes at 08:00 Danish time."""
FIRST = "10"
"""Priority of a poll in the queue: it is short, and everything else waits for what it finds."""


def poll_schedule(settings: Settings) -> ScheduleDefinition | None:
    """The schedule, running unless somebody stops it; None if ``VARRO_POLL`` is off."""
    if settings.varro_poll == OFF:
        return None
    cron, zone = TIMES.get(settings.varro_poll, (settings.varro_poll, settings.varro_poll_timezone))

    @schedule(
        cron_schedule=cron,
        execution_timezone=zone,
        name=NAME,
        target=AssetSelection.assets(keys.CATALOGUE),
        default_status=DefaultScheduleStatus.RUNNING,
        description="Polls the publisher's catalogue. What it finds changed is synced by the sensor statbank_changes.",
    )
    def poll_catalog(context: ScheduleEvaluationContext) -> RunRequest | SkipReason:
        found = scheduled(context.instance, context.scheduled_execution_time)
        return logs.logged(found) if isinstance(found, RunRequest) else found

    return poll_catalog


def scheduled(instance: DagsterInstance, planned: datetime) -> RunRequest | SkipReason:
    """The poll that is due by the schedule; none while another is queued or under way."""
    if earlier_polls(instance, clock.now()).under_way:
        return SkipReason("A poll is under way already.")
    return RunRequest(run_key=f"poll {planned.isoformat(timespec='seconds')}", tags=_tags("schedule"))


def earlier_polls(instance: DagsterInstance, now: datetime) -> Tried:
    """What became of the polls since the last that went well."""
    return attempts.with_tag(instance, {keys.POLL_TAG: keys.CATALOGUE.to_user_string()}, now, since_success=True)


def request_again(tried: Tried, *, known: bool, now: datetime) -> RunRequest | None:
    """The poll asked for again after one in vain, or for the first time in a new home; None while there is no need.

    A week is too long to wait for the next one. It is asked for again after a while that grows with every failure.

    Args:
        tried: `earlier_polls`.
        known: whether there is a catalogue.
        now: the present.
    """
    failed = tried.attempts
    if tried.under_way or (known and not failed.run_id) or failed.wait_until(now) is not None:
        return None
    # a failure is answered once, also by two daemons; a catalogue that was lost is polled for as a new home's is
    first = f"first poll after {tried.good}" if tried.good else "first poll"
    return RunRequest(
        run_key=f"poll after {failed.run_id}" if failed.run_id else first,
        asset_selection=[keys.CATALOGUE],
        tags=_tags("sensor"),
    )


def say(instance: DagsterInstance, tried: Tried, now: datetime) -> list[str]:
    """For people: that what is known of the publisher is old, and why; nothing while polls go well."""
    failed = tried.attempts
    if tried.under_way or not failed.run_id:
        return []
    why = attempts.error_of(instance, failed.run_id)
    until = failed.wait_until(now)
    again = f"it waits until {until:%H:%M} UTC" if until else "it is asked for again"
    return [f"The last poll came to nothing{f' ({why})' if why else ''}; {again}."]


def _tags(launcher: str) -> dict[str, str]:
    poll = keys.CATALOGUE.to_user_string()
    return {keys.POLL_TAG: poll, keys.LAUNCHER_TAG: launcher, keys.PRIORITY_TAG: FIRST}
