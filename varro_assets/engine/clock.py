"""Clock: what time it is.

What belongs here: the one place where the program asks for the wall clock's time to record it or to decide by it, so
that a test may let a year pass in minutes. Waiting, pacing and time-outs are not recorded and go by the real clock.
"""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)
