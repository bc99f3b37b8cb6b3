"""The page of `flexkit evaluate`: how far causes and statuses can be trusted, held against labels."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from flexkit.analyse.evaluate import NONE
from flexkit.present.labels import cause_label
from flexkit.report.folder import folder
from flexkit.report.pages import environment, policy

if TYPE_CHECKING:
    from pathlib import Path

    from flexkit.analyse.evaluate import Evaluation, Share

_SCALE = 160
"""Width of an interval's drawing in pixels: 0 to 100 %."""


def write_page(told: Evaluation, out: Path, *, labels: str, data_version: str) -> str:
    """Write the page to the file *out*, whole or not at all; gives where it is."""
    made = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    page = evaluation_page(told, labels=labels, data_version=data_version, made=made)
    return folder(out.parent).write(out.name, page)


def evaluation_page(told: Evaluation, *, labels: str, data_version: str, made: str) -> str:
    """One self-contained page; *labels* is the name of their file, *made* an ISO instant (UTC)."""
    statuses = [_row(status.capitalize(), share) for status, share in told.status.items()]
    causes = [
        {"name": cause_label(cause), "precision": _row("", share), "recall": _row("", told.recall[cause])}
        for cause, share in told.precision.items()
    ]
    columns = [name for name in told.confusion.columns if name != "label"]
    return str(
        environment()
        .get_template("evaluation.html.j2")
        .render(
            headline=_headline(told),
            tiles=[_row("Given a cause", told.named), _row("Left open", told.left_open),
                   _row("Found at all", told.found), _row("Benign without a duplicate", told.benign)],
            statuses=statuses,
            causes=causes,
            columns=[_name(name) for name in columns],
            cells=[
                {"name": _name(row["label"]), "counts": [(row[name], name == row["label"]) for name in columns]}
                for row in told.confusion.to_dicts()
            ],
            unlabelled=told.unlabelled,
            labels_file=labels,
            data_version=data_version,
            made=made,
            policy=policy(),
        )
    )  # fmt: skip


def _headline(told: Evaluation) -> str:
    said = [f"{name} is right in {share}" for name, share in told.status.items() if share.total]
    if not said:
        return "No cause was named, so nothing can be said about how far a status can be trusted."
    return f"{'; '.join(said).capitalize()}."


def _name(cause: str) -> str:
    return "No duplicate" if cause == NONE else cause_label(cause)


def _row(name: str, share: Share) -> dict[str, Any]:
    """A share in words, and its interval as three places on a scale; no drawing where nothing was counted."""
    drawn = None
    if share.rate is not None:
        low, high = share.interval
        drawn = [round(_SCALE * part, 1) for part in (low, share.rate, high)]
    return {"name": name, "share": str(share), "rate": None if share.rate is None else f"{100 * share.rate:.1f} %",
            "of": f"{share.count} of {share.total}", "drawn": drawn}  # fmt: skip
