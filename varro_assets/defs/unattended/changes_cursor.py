"""Cursor of the sensor: what it wants to remember from one tick to the next.

What belongs here: reading and writing it. Nothing depends on it but the order of the work and how soon a dead run is
noticed: a cursor that is lost or cannot be read is begun anew.
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError


class ChangesCursor(BaseModel):
    """What is remembered.

    Attributes:
        after: table at which the last decision ran out of time.
        silent: run -> for how many seconds it was seen without a sign of life.
        looked_at: when that was last looked at.
        reload_asked_at: when the web server was last asked to load the graph anew.
        reload_asked_for: the tables that were not in the graph then.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    after: str = ""
    silent: dict[str, float] = {}
    looked_at: AwareDatetime | None = None
    reload_asked_at: AwareDatetime | None = None
    reload_asked_for: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str | None) -> ChangesCursor:
        """The cursor in the text; an empty one if there is none in it."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()
