"""StatBank's own things as values: table, variable, subject; and the check that a reply has their shape.

What belongs here: what the API says, parsed and validated (statbank-api sections 2-4). No request, no file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from varro_assets.errors import InvalidTableId, UnexpectedResponse

TIME_COLUMN = "TID"
"""What data formats print for the time variable, whatever its id."""
VALUE_COLUMN = "INDHOLD"
TABLE_ID = re.compile(r"^[A-Z0-9]{2,8}$", re.ASCII)
"""Anchored, since pydantic looks for a pattern anywhere in the text: ``../AB12`` must not be an id."""

Model = TypeVar("Model", bound=BaseModel)
NonEmpty = Annotated[str, StringConstraints(min_length=1)]


def _to_the_second(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError("a time without a zone is documented")
    # one spelling of one moment: catalogue, description and database are compared as text
    return moment.isoformat(timespec="seconds")


Updated = Annotated[str, AfterValidator(_to_the_second)]
"""Danish local time without a zone, ``YYYY-MM-DDTHH:MM:SS``."""
TableId = Annotated[str, StringConstraints(pattern=TABLE_ID.pattern)]


def table_id(text: str) -> str:
    """A table id in the publisher's spelling.

    Raises:
        InvalidTableId: it cannot be one.
    """
    value = text.strip()
    # upper() of other letters may be ASCII: "ß" becomes "SS"
    value = value.upper() if value.isascii() else value
    if not TABLE_ID.fullmatch(value):
        raise InvalidTableId(
            "read the table id",
            on=repr(text[:40]),
            got="ids are 2-8 letters A-Z and digits",
            todo="Find the table with: varro search WORD",
        )
    return value


class _Published(BaseModel):
    """As published: unknown fields are ignored, since the publisher may add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Value(_Published):
    """One code of a variable, with its label."""

    id: NonEmpty
    text: str


class Variable(_Published):
    """A dimension of a table; the order of its values is the order of presentation."""

    id: NonEmpty
    text: str
    elimination: bool = False
    time: bool = False
    map: str | None = None
    values: tuple[Value, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes, in order of presentation."""
        return tuple(value.id for value in self.values)

    @property
    def column(self) -> str:
        """Header of this variable in data formats."""
        return TIME_COLUMN if self.time else self.id


class Footnote(_Published):
    """A note; ``mandatory`` ones must be shown with the numbers."""

    text: str
    mandatory: bool = False


class Documentation(_Published):
    """Where the statistic is documented."""

    id: str
    url: str


class Contact(_Published):
    """Who answers questions about the table."""

    name: str = ""
    phone: str | None = None
    mail: str | None = None


class TableInfo(_Published):
    """What `/tableinfo` says of a table.

    Attributes:
        suppressedDataValue: the value an absent row stands for.
    """

    id: TableId
    text: str
    description: str = ""
    unit: str = ""
    suppressedDataValue: str = "0"  # noqa: N815 - the publisher's name
    updated: Updated
    active: bool = True
    contacts: tuple[Contact, ...] = ()
    documentation: Documentation | None = None
    footnote: Footnote | None = None
    variables: tuple[Variable, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_time_and_codes(self) -> Self:
        times = [variable.id for variable in self.variables if variable.time]
        if len(times) != 1:
            raise ValueError(f"a table needs exactly one time variable, this one has {times or 'none'}")
        empty = [variable.id for variable in self.variables if not variable.values]
        if empty:
            raise ValueError(f"no codes for {', '.join(empty)}")
        for variable in self.variables:
            if len(set(variable.codes)) != len(variable.codes):
                raise ValueError(f"a code of {variable.id} is declared twice")
        return self

    @property
    def time(self) -> Variable:
        """The time variable."""
        return next(variable for variable in self.variables if variable.time)

    @property
    def dimensions(self) -> tuple[Variable, ...]:
        """The other variables, in column order."""
        return tuple(variable for variable in self.variables if not variable.time)

    @property
    def tids(self) -> tuple[str, ...]:
        """Published period codes."""
        return self.time.codes

    @property
    def columns(self) -> tuple[str, ...]:
        """Header of a streamed extract: dimensions in order, time, value (statbank-api 5.2)."""
        return (*(variable.id for variable in self.dimensions), TIME_COLUMN, VALUE_COLUMN)

    @property
    def content_key(self) -> str:
        """Changes with ``updated``, the variables or any code: two equal keys mean one and the same publication."""
        content = [self.updated, [[variable.id, *variable.codes] for variable in self.variables]]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()

    @property
    def dense_rows(self) -> int:
        """Rows of one period if every combination of codes were stored."""
        rows = 1
        for variable in self.dimensions:
            rows *= len(variable.values)
        return rows


class CatalogueEntry(_Published):
    """What `/tables` says of a table. Periods here are labels, not codes."""

    id: TableId
    text: str
    unit: str
    updated: Updated
    firstPeriod: str  # noqa: N815 - the publisher's name
    latestPeriod: str  # noqa: N815
    active: bool
    variables: tuple[str, ...] = Field(min_length=1)


class Subject(_Published):
    """A node of the subject tree; tables hang on its leaves, some on several."""

    id: NonEmpty
    description: str
    active: bool = True
    subjects: tuple[Subject, ...] = ()
    tables: tuple[TableReference, ...] = ()

    def walk(self, path: tuple[Subject, ...] = ()) -> Iterator[tuple[Subject, ...]]:
        """Every path from here down to each node below, itself first."""
        here = (*path, self)
        yield here
        for child in self.subjects:
            yield from child.walk(here)


class TableReference(_Published):
    """A table's place in the subject tree."""

    id: NonEmpty


def parse(model: type[Model], body: Any, *, what: str, on: str, context: str = "") -> Model:
    """Validate one decoded JSON object.

    Raises:
        UnexpectedResponse: it is not of the model's shape.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UnexpectedResponse(
            what,
            on=on,
            got=f"a reply whose {place} is not as documented: {first['msg']}{context}",
            todo="Nothing was stored. If it lasts, the API has changed: report it.",
        ) from None
