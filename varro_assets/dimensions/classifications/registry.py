"""Registry: which classifications there are, and where they are published.

What belongs here: the built-in list, and the user's own beside it in `classifications.toml`. No request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit
from urllib.request import url2pathname

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from varro_assets.dimensions.models import dimension_name
from varro_assets.engine.files import write_text
from varro_assets.errors import ConfigurationError

FILE_NAME = "classifications.toml"
PAGES = "/{}/Statistik/dokumentation/nomenklaturer/{}"
"""Path of a classification's page on the publisher's site: language, name."""
FILES = "/klassifikationsbilag/{}csv_{}"
"""Path of its CSV file: guid, language."""
_TREE = "_tree"
_EMPTY = "# Classifications beside the built-in ones: [name] with page, or csv or file, and csv_en, skip_blank.\n"


@dataclass(frozen=True)
class Source:
    """Where a classification is published.

    Addresses are paths on the publisher's site (``/da/...``), ``http(s)://`` or, for CSV files, ``file://``; empty
    where there is none. A path of a CSV file is what was last seen: the link on the page wins over it, because the
    guid may change with a revision. An absolute address was chosen by somebody and is taken as it is.

    Attributes:
        name: of the dimension.
        page_da, page_en: pages that explain it and link to the CSV files.
        csv_da, csv_en: CSV files.
        skip_blank: leave out lines without a code.
        level_names: level -> what its members are called, where it is certain.
    """

    name: str
    page_da: str = ""
    page_en: str = ""
    csv_da: str = ""
    csv_en: str = ""
    skip_blank: bool = False
    level_names: Mapping[int, str] = field(default_factory=dict)


def read(path: Path) -> Mapping[str, Source]:
    """The built-in classifications, overlaid with those of the file; a missing file adds nothing.

    A table named like a built-in classification changes what it says and leaves the rest.

    Raises:
        ConfigurationError: not TOML, or a name, key or value that means nothing; names file and key.
    """
    return {**BUILT_IN, **_checked(path, _document(path))}


def add(
    path: Path, name: str, *, page: str = "", csv: str = "", csv_en: str = "", file: str = "", skip_blank: bool = False
) -> Source:
    """Add a classification to the file, or change what it says of one; comments and order are kept.

    Args:
        path: `classifications.toml`; made if it is missing.
        name: of the dimension.
        page: address of its page, in either language, or path on the publisher's site.
        csv: address of its CSV file, or a local file.
        csv_en: likewise of the English one.
        file: a local CSV file, relative to the working directory; not together with ``csv``.
        skip_blank: leave out lines without a code.

    Returns:
        What the registry now has.

    Raises:
        ConfigurationError: neither page nor file and not built in, or something that cannot be used; the file is left
            as it was.
    """
    known = dimension_name(name)
    document = _document(path)
    _checked(path, document)
    key = next((key for key in document if dimension_name(key) == known), known)
    if key not in document:
        document[key] = tomlkit.table()
    table = document[key]
    if not isinstance(table, Table):
        raise _meaningless(path, key, "must be a table")
    given = {"page": page.strip(), "csv": _kept(csv, path), "csv_en": _kept(csv_en, path), "file": _kept(file, path)}
    # one CSV file takes the place of the other
    for one, other in (("csv", "file"), ("file", "csv")):
        if given[one] and not given[other]:
            table.pop(other, None)
    table.update({key: value for key, value in given.items() if value})
    if skip_blank:
        table["skip_blank"] = True
    text = tomlkit.dumps(document)
    source = _checked(path, tomlkit.parse(text))[known]
    for address in (source.csv_da, source.csv_en):
        held = local_file(address)
        if held is not None and not held.is_file():
            raise ConfigurationError("add", on=known, got=f"there is no file {held}", todo="Give the file's path.")
    write_text(path, text)
    return source


def remove(path: Path, name: str) -> bool:
    """Take a classification out of the file; what is built in stays so.

    Returns:
        Whether the file had it.

    Raises:
        ConfigurationError: the file cannot be used; it is left as it was.
    """
    known = dimension_name(name)
    document = _document(path)
    _checked(path, document)
    keys = [key for key in document if dimension_name(key) == known]
    for key in keys:
        del document[key]
    if keys:
        write_text(path, tomlkit.dumps(document))
    return bool(keys)


def local_file(address: str) -> Path | None:
    """The file a ``file://`` address means; None for any other address."""
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


# -- the user's file -----------------------------------------------------------------------------------------------


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    page: str | None = Field(None, strict=True)
    csv: str | None = Field(None, strict=True)
    csv_en: str | None = Field(None, strict=True)
    file: str | None = Field(None, strict=True)
    skip_blank: bool | None = Field(None, strict=True)


_ENTRIES = TypeAdapter(dict[str, _Entry])


def _document(path: Path) -> tomlkit.TOMLDocument:
    try:
        # bytes, so that line ends stay as they are; an editor's BOM is not the user's doing
        return tomlkit.parse(path.read_bytes().decode("utf-8-sig") if path.is_file() else _EMPTY)
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigurationError("read", on=str(path), got=str(error), todo="Correct the file.") from None


def _checked(path: Path, document: tomlkit.TOMLDocument) -> dict[str, Source]:
    try:
        entries = _ENTRIES.validate_python(document.unwrap())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _meaningless(path, ".".join(str(part) for part in first["loc"]), first["msg"]) from None
    sources: dict[str, Source] = {}
    for key, entry in entries.items():
        try:
            name = dimension_name(key)
        except ConfigurationError as error:
            raise _meaningless(path, key, error.got) from None
        if name in sources:
            raise _meaningless(path, key, "stands twice, but for dashes and case")
        if name.endswith(_TREE):
            raise _meaningless(path, key, f"a name must not end in {_TREE}, as the views beside dimensions do")
        sources[name] = _source(path, key, name, entry)
    return sources


def _source(path: Path, key: str, name: str, entry: _Entry) -> Source:
    if entry.csv and entry.file:
        raise _meaningless(path, f"{key}.file", "give csv or file, not both")
    if name not in BUILT_IN and not (entry.page or entry.csv or entry.file):
        raise _meaningless(path, key, "needs a page, csv or file")
    source = BUILT_IN.get(name, Source(name))
    if entry.page:
        page = entry.page.strip()
        if not (_is_web(page) or re.match(r"/[^/]", page)):
            raise _meaningless(path, f"{key}.page", f"{page!r} is no http(s) address and no path on the site")
        source = replace(source, page_da=_in_language(page, "da"), page_en=_in_language(page, "en"))
        # another page is another classification or version: the guid seen before is not its
        source = replace(source, csv_da="", csv_en="")
    if given := entry.csv or entry.file:
        source = replace(source, csv_da=_address(given, path), csv_en="")
    if entry.csv_en:
        source = replace(source, csv_en=_address(entry.csv_en, path))
    return source if entry.skip_blank is None else replace(source, skip_blank=entry.skip_blank)


def _address(text: str, path: Path) -> str:
    """A web address as it is; anything else is a file, relative to the folder of `classifications.toml`."""
    text = text.strip()
    if _is_web(text) or text.startswith("file://"):
        return text
    return (path.parent.absolute() / Path(text).expanduser()).as_uri()


def _kept(text: str, path: Path) -> str:
    """How a CSV file is written down: an address as it is, a local file so that its folder does not matter."""
    text = text.strip()
    if not text or _is_web(text) or text.startswith("file://"):
        return text
    absolute, folder = Path(text).expanduser().resolve(), path.parent.resolve()
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)


def _in_language(page: str, lang: str) -> str:
    return re.sub(r"(?<=/)(?:da|en)(?=/)", lang, page, count=1)


def _is_web(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme.lower() in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _meaningless(path: Path, key: str, got: str) -> ConfigurationError:
    return ConfigurationError("read", on=str(path), got=f"{key}: {got}", todo="Correct the file.")


# -- built in ------------------------------------------------------------------------------------------------------


def _published(
    page: str, guid: str = "", *, name: str = "", skip_blank: bool = False, levels: str = ""
) -> tuple[str, Source]:
    known = name or dimension_name(page)
    source = Source(
        known,
        page_da=PAGES.format("da", page),
        page_en=PAGES.format("en", page),
        csv_da=FILES.format(guid, "da") if guid else "",
        csv_en=FILES.format(guid, "en") if guid else "",
        skip_blank=skip_blank,
        level_names=MappingProxyType(dict(enumerate(levels.split(), 1))),
    )
    return known, source


BUILT_IN: Mapping[str, Source] = MappingProxyType(
    dict(
        [
            # the page's name was seen in public text (of cofog only its id), with the guid where one was seen
            # (statbank-api 9)
            _published("nuts", "5d18d1e0-400b-4505-92ad-6782915980a3", levels="Region Landsdel Kommune"),
            _published("kommunegrupper", "edaa83b4-6045-4708-9493-bff4d71282d8", levels="Kommunegruppe Kommune"),
            _published("amt-kom", "e6e3c1d3-df3b-4e69-bc2b-c5d3f343833c"),
            _published("socio", "007fb11c-4b35-4c7a-ad2d-f0a2cb0155c0"),
            _published("koen", "e267e7c0-d998-4922-b2c4-6b44b15dd149"),
            _published("herkomst", "948ef1c3-072c-4d76-ba2b-ce7d34691593"),
            _published("cofog", "edddb5c0-a83e-43de-b7d7-7ce4cbf55a7a", levels="Hovedgruppe Gruppe Undergruppe"),
            _published("db"),
            _published("disco"),
            _published("lande-psd"),
            _published("ecoicop-dst"),
            _published("nst"),
            _published("kn"),
            _published("disced15-audd"),
            _published("degurba---danmarks-statistik", name="degurba_dst"),
            # only the short name was seen: that its page is called so is a guess; a wrong one is refused with advice
            _published("byganv"),
            _published("ddu-audd"),
            _published("ddu-udd"),
            _published("disco-ls"),
            # its lowest level is published without codes
            _published("ecoicop", skip_blank=True),
            _published("esr-sekt"),
            _published("lande-uhv"),
            _published("nr-branche"),
            _published("overtraedtype"),
            _published("politikredse"),
            _published("sitc"),
        ]
    )
)
"""Classifications of dst.dk by dimension name. The page's link to the file is what counts, the guid a reserve."""
