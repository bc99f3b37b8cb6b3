"""Alert tables as CSV: the user says which column holds what, and in which time zone its times are.

The columns of the Console's export are not documented, so none is assumed.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from flexkit.errors import ImportFileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FIELDS = (
    "sid",
    "error_code",
    "log_level",
    "date_generated",
    "date_created",
    "alert_text",
    "resource_sid",
    "service_sid",
    "request_url",
    "request_method",
)
"""What a column may hold: the fields of Twilio's alerts. ``date_generated`` and ``error_code`` are needed."""
_NEEDED = ("date_generated", "error_code")
_EXAMPLE = "--column date_generated='Timestamp' --column error_code='Error code' --tz Europe/Berlin"
_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%b %d, %Y %I:%M:%S %p",
    "%b %d, %Y, %I:%M:%S %p",
    "%d %b %Y %H:%M:%S",
)
_NAME = re.compile(r"[A-Za-z][\w .()/-]{0,40}")
_ZONED = re.compile(r"(?:Z|z|[+-]\d\d:?\d\d|UTC|GMT)$")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table as the JSON text of an alert, or why it is none."""

    line: int
    record: str
    problem: str | None = None


def alerts(
    texts: Iterable[tuple[int, str | None, str | None]], columns: Mapping[str, str] | None, tz: str | None
) -> Iterator[Row]:
    """The alerts of a CSV table given as numbered lines (`flexkit.collect.reading.lines`).

    Raises `UsageError` where the map of columns does not fit the table's header, `ImportFileError` where
    the text is no table.
    """
    zone = _zone(tz)
    numbers: list[int] = []
    broken: list[tuple[int, str]] = []

    def plain() -> Iterator[str]:
        for number, text, problem in texts:
            if text is None:
                broken.append((number, problem or ""))
                continue
            numbers[:] = [number]
            yield text + "\n"

    source = plain()
    first = next(source, "")
    header = [name.strip() for name in next(csv.reader([first], delimiter=_delimiter(first)), [])]
    if len(header) < len(_NEEDED):
        msg = "it is neither JSON lines, nor a JSON document, nor a CSV table with a header: export it again"
        raise ImportFileError(msg)
    places = _places(header, columns)
    table = csv.reader(source, delimiter=_delimiter(first), strict=True)
    while True:
        try:
            cells = next(table, None)
        except csv.Error as error:
            yield Row(numbers[-1] if numbers else 1, "", f"the row is not CSV ({error}): repair it or leave it out")
            continue
        yield from (Row(number, "", problem) for number, problem in broken)
        broken.clear()
        if cells is None:
            return
        yield _row(numbers[-1], cells, places, zone)


def _delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)


def _places(header: list[str], columns: Mapping[str, str] | None) -> dict[str, int]:
    """Where each field is found in a row."""
    # The first line may be no header at all: what does not look like a name is not repeated.
    shown = ", ".join(name if _NAME.fullmatch(name) else "…" for name in header[:30])
    wanted = dict(columns) if columns else {field: field for field in FIELDS if field in header}
    if strange := [field for field in wanted if field not in FIELDS]:
        msg = f"There is no alert field {strange[0]!r} to map a column to. There are: {', '.join(FIELDS)}."
        raise UsageError(msg)
    if absent := [name for name in wanted.values() if name not in header]:
        msg = f"the table has no column {absent[0]!r}. It has: {shown}"
        raise UsageError(msg)
    if lacking := [field for field in _NEEDED if field not in wanted]:
        msg = f"no column is mapped to {' and '.join(lacking)}. The table has: {shown}. Say which, as in {_EXAMPLE}"
        raise UsageError(msg)
    return {field: header.index(name) for field, name in wanted.items()}


def _row(line: int, cells: list[str], places: Mapping[str, int], zone: dt.tzinfo | None) -> Row:
    values = {field: cells[place].strip() for field, place in places.items() if place < len(cells)}
    alert = {field: value for field, value in values.items() if value}
    for field in ("date_generated", "date_created"):
        if field in alert:
            instant, problem = _instant(alert[field], zone)
            if instant is None:
                return Row(line, json.dumps(alert, ensure_ascii=False), f"{field} {alert[field][:40]!r} {problem}")
            alert[field] = instant
    if "sid" not in alert:
        # A table without SIDs still has distinct rows; the lower case tells that the id is made.
        content = json.dumps(sorted(alert.items())).encode()
        alert["sid"] = "no" + hashlib.blake2b(content, digest_size=16).hexdigest()
    return Row(line, json.dumps(alert, ensure_ascii=False))


def _instant(text: str, zone: dt.tzinfo | None) -> tuple[str | None, str]:
    """The instant in *text* as ISO 8601 in UTC, or what is wrong with it."""
    if _ZONED.search(text):
        return re.sub(r"\s*(?:UTC|GMT)$", "Z", text), ""
    local = _local(text)
    if local is None:
        return None, "is not a time that can be read: write it as 2026-10-14 09:00:00"
    if zone is None:
        return None, "has no time zone: say which with --tz, such as --tz Europe/Berlin or --tz UTC"
    earlier, later = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    if earlier.utcoffset() != later.utcoffset():
        said = (
            "did not exist"
            if earlier.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != local
            else "occurred twice"
        )
        return None, f"{said} in that time zone (clocks changed): write it with its offset"
    return earlier.astimezone(dt.UTC).isoformat(), ""


def _local(text: str) -> dt.datetime | None:
    plain = text.replace("T", " ", 1) if re.match(r"\d{4}-\d\d-\d\dT", text) else text
    for form in _FORMATS:
        try:
            return dt.datetime.strptime(plain, form)  # noqa: DTZ007 - the zone is the user's to say
        except ValueError:
            continue
    return None


def _zone(tz: str | None) -> dt.tzinfo | None:
    if tz is None:
        return None
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):
        msg = f"There is no time zone {tz!r}. Name one as in Europe/Berlin, America/New_York or UTC."
        raise UsageError(msg) from None
