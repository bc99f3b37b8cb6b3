"""run.json: what a run decided, on what, and what changed; it alone feeds the index."""

from __future__ import annotations

import datetime as dt
import json
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from flexkit.present.answer import LABELS, RUN_MIME, label
from flexkit.present.numbers import count, number, percent
from flexkit.terms import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "flexkit.run/1"
_VERSIONS = ("flexkit", "polars", "altair", "vl-convert-python", "papermill", "nbconvert")
_FROM_NOTEBOOK: dict[str, Any] = {
    "verdict": str(Verdict.UNDECIDED),
    "is_tested": True,
    "headline": "This notebook gives no verdict.",
    "action": "",
    "tiles": [],
    "metrics": {},
    "window": None,
    "data_version": "",
    "coverage": [],
    "quality": "",
    "newest": "",
}

Record = dict[str, Any]


def said_by(executed: Any) -> Record:
    """What the cells of an executed notebook said of themselves, the last word counting."""
    said: Record = dict(_FROM_NOTEBOOK)
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            fields = output.get("data", {}).get(RUN_MIME, {})
            said.update({name: value for name, value in fields.items() if name in _FROM_NOTEBOOK})
    if said["verdict"] not in LABELS:
        said["verdict"] = str(Verdict.UNDECIDED)
    return said


def started(report: str, title: str, run: str, at: dt.datetime, parameters: Mapping[str, Any]) -> Record:
    """The part of a record that is known before its notebook runs."""
    return {
        "schema": SCHEMA,
        "report": report,
        "title": title,
        "run": f"{report}/{run}",
        "parameters": dict(parameters),
        "versions": versions(),
        "started_at": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def versions() -> dict[str, str]:
    """Versions of what made a report."""
    from platform import python_version

    found = {"python": python_version()}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def failed(base: Record, *, cell: str, reason: str) -> Record:
    """The record of a run that left no report."""
    error = {"notebook": base["report"], "cell": cell, "reason": reason}
    headline = f"Failed in cell {cell}: {reason}"
    return {
        **base,
        **_FROM_NOTEBOOK,
        "verdict": str(Verdict.FAILED),
        "headline": headline,
        "error": error,
        "previous": None,
    }


def compared(record: Record, before: Record | None) -> Record:
    """*record* with `previous`: the run before it and by how much each number moved since."""
    if before is None:
        return {**record, "previous": None}
    changes = {
        name: now - then
        for name, now in record["metrics"].items()
        if isinstance(now, int | float) and isinstance(then := before.get("metrics", {}).get(name), int | float)
    }
    previous = {
        "run": before["run"],
        "verdict": before["verdict"],
        "started_at": before["started_at"],
        "changes": changes,
    }
    return {**record, "previous": previous}


def changes(record: Record, before: Record | None) -> dict[str, Any] | None:
    """What changed since the run before, in words: a sentence, and the tiles whose text is another now."""
    if before is None:
        return None
    when = dt.datetime.fromisoformat(before["started_at"])
    then = {tile["label"]: tile["text"] for tile in before.get("tiles", [])}
    moved = [
        {"label": tile["label"], "before": then[tile["label"]], "now": tile["text"]}
        for tile in record["tiles"]
        if tile["label"] in then and then[tile["label"]] != tile["text"]
    ]
    since = f"Since the run of {when:%-d %B %Y, %H:%M} UTC"
    verdict = ""
    if before["verdict"] != record["verdict"]:
        verdict = f" the verdict went from “{label_of(before)}” to “{label_of(record)}”"
    if moved:
        sentence = f"{since}{verdict + ', and' if verdict else ''} these numbers moved:"
    else:
        sentence = f"{since}{verdict}." if verdict else f"{since} nothing has changed."
    return {"sentence": sentence, "changes": moved}


def change_of(record: Record) -> str:
    """The change of a record's first metric since the run before, in words for a table."""
    previous = record.get("previous")
    headline = next(iter(record.get("metrics", {})), None)
    if not previous or headline is None or (change := previous["changes"].get(headline)) is None:
        return ""
    if change == 0:
        return "no change"
    sign = "+" if change > 0 else "−"
    if isinstance(record["metrics"][headline], int):
        return f"{sign}{abs(change):,}"
    if _is_share(headline):
        return f"{sign}{percent(abs(change)).removesuffix(' %')} points"
    return f"{sign}{number(abs(change))}"


def _is_share(name: str) -> bool:
    return name.endswith(("share", "rate"))


def write(record: Record) -> str:
    """*record* as JSON text."""
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(text: str) -> Record | None:
    """The record in *text*, None where it is not one of ours: the index shows nothing that it cannot vouch for."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    needed = ("schema", "report", "run", "verdict", "headline", "started_at", "metrics")
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or any(name not in record for name in needed):
        return None
    return record if record["verdict"] in LABELS else None


def label_of(record: Record) -> str:
    """A record's verdict as pages and logs call it."""
    return label(record["verdict"], is_tested=record.get("is_tested", True))


def line(record: Record) -> str:
    """A record as one line for a log."""
    seconds = f" in {record['seconds']:.1f} s" if "seconds" in record else ""
    return f"{record['report']}: {label_of(record)}{seconds}: {record['headline']}"


def summary(records: list[Record]) -> str:
    """How many reports came to which verdict."""
    total = count(len(records), "report")
    parts = [f"{sum(r['verdict'] == name for r in records)} {label}" for name, label in LABELS.items()]
    return f"{total}: " + ", ".join(part for part in parts if not part.startswith("0 "))
