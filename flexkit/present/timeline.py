"""One interaction in the terminal: its signals as lanes in time, its cause, and what speaks for and against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.analyse import extracts
from flexkit.analyse import timeline as lines_of
from flexkit.analyse.attempts import OPERATIONS
from flexkit.analyse.explain import explain
from flexkit.analyse.missing import what_to_collect
from flexkit.errors import UsageError
from flexkit.present.labels import kind_words
from flexkit.terms import Cause, Source

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from flexkit.tables.store import Store

LANES: dict[str, tuple[str, str]] = {
    Source.APP_LOG: ("L", "completion log"),
    Source.INTERACTIONS_WEBHOOK: ("W", "Interactions webhooks"),
    Source.CONVERSATIONS: ("C", "Conversations"),
    Source.TASKROUTER: ("T", "TaskRouter"),
    Source.STUDIO: ("S", "Studio"),
    Source.TWILIO_API: ("A", "Twilio's API"),
    Source.DEBUGGER: ("D", "alerts"),
}
"""Letter and name of each source's lane, in the order of the lanes."""

_MARKS = {lines_of.FIRST: ("◆", "bold cyan"), lines_of.AGAIN: ("✕", "bold red"), lines_of.WARNED: ("!", "yellow"),
          lines_of.SAME: ("·", ""), lines_of.OTHER: ("·", "dim")}  # fmt: skip
_MANY = 40
"""Signals from which on repeats are folded."""
_PAUSE_SECONDS = 60
_WIDE = 112
"""Columns of a terminal from which on the SIDs that prove each line find room."""
_UNSEEN = r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
"""Characters that move the cursor, colour the terminal or hide text."""


def show(store: Store, interaction_sid: str, *, console: Console | None = None) -> None:
    """Print one interaction's timeline and cause.

    Raises `UsageError` where *interaction_sid* is no KD SID, or nothing is held of it.
    """
    from rich.console import Console as Terminal

    if not (interaction_sid.startswith("KD") and len(interaction_sid) == 34 and interaction_sid.isalnum()):
        msg = f"{clean(interaction_sid)!r} is no interaction: its SID is KD and 32 hexadecimal digits."
        raise UsageError(msg)
    # What is added meanwhile must not be in one table and not yet in the next.
    store = store.at(store.version)
    causes = _causes(store, interaction_sid)
    # The causes of all have left behind what the look-up may read.
    told = extracts.told(store.days("signals"), store.parts(extracts.__name__))
    signals, alerts, handlers = store.around(interaction_sid, told), store.table("alerts"), store.handlers()
    lines = lines_of.timeline(signals, interaction_sid, alerts=alerts, causes=causes, handlers=handlers)
    if lines.is_empty():
        msg = f"Nothing is held of {interaction_sid}. Check the SID, or fetch the days around it."
        raise UsageError(msg)
    rules = explain(
        signals, interaction_sid, alerts=alerts, coverage=store.coverage(), handlers=handlers.lazy(),
        configuration=store.table("configuration"), causes=causes,
    )  # fmt: skip
    uncovered = lines_of.uncovered(store.coverage(), lines)
    out = console or Terminal()
    for part in rendered(interaction_sid, lines, causes, rules, uncovered, with_evidence=out.width >= _WIDE):
        out.print(part)


def _causes(store: Store, interaction_sid: str) -> pl.DataFrame:
    """Its rows: first when, by which they are sorted, so that the other columns of most rows stay unread."""
    causes = store.table("causes").filter(pl.col("interaction_sid") == interaction_sid)
    when = causes.select("occurred_at").collect()["occurred_at"]
    if when.is_empty():
        return causes.collect_schema().to_frame()
    between = pl.col("occurred_at").is_between(when.min(), when.max())
    return causes.filter(between | pl.col("occurred_at").is_null()).collect()


def clean(text: object) -> str:
    """*text* without anything that a terminal would act on."""
    shown = pl.Series([str(text)]).str.replace_all(_UNSEEN, "\N{REPLACEMENT CHARACTER}").item()
    return str(shown)


def short(text: str) -> str:
    """*text*, cleaned, with SIDs cut to what tells them apart at a glance; the evidence column has them whole."""
    return str(pl.Series([clean(text)]).str.replace_all(r"\b([A-Z]{2}[0-9a-f]{5})[0-9a-f]{27}\b", "${1}…").item())


def rendered(
    interaction_sid: str, lines: pl.DataFrame, causes: pl.DataFrame, rules: pl.DataFrame, uncovered: pl.DataFrame,
    *, with_evidence: bool = True,
) -> list[RenderableType]:  # fmt: skip
    """What `show` prints, part by part: the lanes, the spans that are not held, each duplicate with its rules."""
    parts = [_lanes(interaction_sid, lines, with_evidence=with_evidence), _legend(lines, uncovered, causes)]
    if causes.is_empty():
        return [*parts, _text("Completed once: no duplicate is known.\n", "bold")]
    for row in causes.sort("occurred_at").iter_rows(named=True):
        parts += _why(row, rules.filter(pl.col("occurred_at") == row["occurred_at"]))
    return parts


def _text(words: str, style: str = "") -> RenderableType:
    from rich.text import Text

    return Text(words, style=style)


def _lanes(interaction_sid: str, lines: pl.DataFrame, *, with_evidence: bool) -> RenderableType:
    from rich.table import Table

    held = [source for source in LANES if source in set(lines["source"])]
    others = sorted(set(lines["source"].drop_nulls()) - set(LANES))
    table = Table(title=f"{interaction_sid}, times in UTC", title_justify="left", box=None, pad_edge=False)
    table.add_column("time", no_wrap=True)
    is_told = lines_of.FIRST in set(lines["role"])
    table.add_column("from close" if is_told else "from start", justify="right", no_wrap=True)
    for source in (*held, *others):
        table.add_column(LANES.get(source, (clean(source)[:1].upper(), ""))[0], justify="center", no_wrap=True)
    table.add_column("what", overflow="fold", min_width=18)
    table.add_column("who", overflow="fold", max_width=24)
    if with_evidence:
        table.add_column("evidence", width=34, no_wrap=True)
    before: float | None = None
    day = None
    for row in folded(lines).iter_rows(named=True):
        if row["occurred_at"].date() != day:
            day = row["occurred_at"].date()
            table.add_row(_text(str(day), "bold"))
        elif before is not None and row["seconds"] - before > _PAUSE_SECONDS:
            table.add_row(_text(f"  ⋮ {duration(row['seconds'] - before)}", "dim"))
        before = row["last_seconds"]
        mark, style = _MARKS[row["role"]]
        dots = [_text(mark if row["source"] == source else "", style) for source in (*held, *others)]
        cells = [
            f"{row['occurred_at']:%H:%M:%S}.{row['occurred_at'].microsecond // 1000:03d}",
            _signed(row["seconds"]),
            *dots,
            _text(_what(row), style),
            _text(short(row["handler"] or ""), style),
        ]
        table.add_row(*cells, *([_text(clean(row["evidence_sid"] or ""), "dim")] if with_evidence else []))
    return table


def _what(row: dict[str, Any]) -> str:
    words = str(pl.select(kind_words(pl.lit(clean(row["kind"])))).item())
    if row["times"] > 1:
        words = f"{row['times']} × {words}, until {row['last_at']:%H:%M:%S}"
    if row["outcome"]:
        words += f" ({clean(row['outcome'])})"
    if row["role"] in (lines_of.FIRST, lines_of.AGAIN):
        words += f" ← {row['role']}"
        if row["trigger_id"] and row["kind"] in OPERATIONS:
            words += f", set off by {short(row['trigger_id'])}"
    return words


def folded(lines: pl.DataFrame) -> pl.DataFrame:
    """*lines* with repeats of one kind from one source in a row as one, where there are many signals.

    Adds ``times``, ``last_at`` and ``last_seconds``. The first close, duplicates and warnings are never folded.
    """
    same = ("source", "kind", "handler", "outcome", "role")
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in same)
    decides = pl.col("role").is_in([lines_of.FIRST, lines_of.AGAIN, lines_of.WARNED])
    alone = changed | decides | pl.lit(value=lines.height <= _MANY)
    return (
        lines.with_columns(run=alone.cast(pl.Int64).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(
            pl.all().first(),
            times=pl.len(),
            last_at=pl.col("occurred_at").last(),
            last_seconds=pl.col("seconds").last(),
        )
        .drop("run")
    )


def _legend(lines: pl.DataFrame, uncovered: pl.DataFrame, causes: pl.DataFrame) -> RenderableType:
    named = [f"{letter} {name}" for source, (letter, name) in LANES.items() if source in set(lines["source"])]
    words = f"\n◆ first close  ✕ duplicate  ! warning\n{'  '.join(named)}\n"
    receipts = lines.filter(pl.col("time_kind") == "receipt").height
    if receipts:
        words += f"{receipts} of {lines.height} signals carry the receiver's clock, not the event's.\n"
    for source, start, end in uncovered.select("source", "start", "end").iter_rows():
        name = LANES.get(source, ("", clean(source)))[1]
        words += f"Not held: {name} from {_signed(start)} to {_signed(end)}; an absence there means nothing.\n"
    for source, error in clock_errors(lines, causes).iter_rows():
        name, side = LANES.get(source, ("", clean(source)))[1], "ahead of" if error > 0 else "behind"
        words += f"The clock of {name} was {duration(abs(error))} {side} Twilio's; the cause counts without that.\n"
    return _text(words, "dim")


def clock_errors(lines: pl.DataFrame, causes: pl.DataFrame) -> pl.DataFrame:
    """How far the clock of each source was off, as *causes* has taken it off *lines*: source, seconds."""
    sides = [("first_evidence_sid", "first_closed_at"), ("second_evidence_sid", "occurred_at")]
    used = pl.concat(causes.select(evidence_sid=sid, used_at=at) for sid, at in sides).drop_nulls()
    off = (pl.col("occurred_at") - pl.col("used_at")).dt.total_microseconds() / 1e6
    errors = lines.join(used, on="evidence_sid").group_by("source").agg(seconds=off.median())
    return errors.filter(pl.col("seconds").abs() > 0.5).sort("source")


def _why(row: dict[str, Any], rules: pl.DataFrame) -> list[RenderableType]:
    from rich.table import Table

    cause = row["cause"].replace("_", " ")
    sure = "" if row["cause"] == Cause.UNDETERMINED else f" ({row['status']})"
    gap = "" if row["gap_seconds"] is None else f", {duration(row['gap_seconds'])} after the first close"
    head = f"Duplicate at {row['occurred_at']:%Y-%m-%d %H:%M:%S} UTC{gap}: {cause}{sure}\n"
    words = "".join(
        f"  {side + ':':<8}{short(row[f'{side}_handler'] or 'unknown')}, seen in {_source(row[f'{side}_source'])}\n"
        for side in ("first", "second")
    )
    if row["also"]:
        words += f"  also:   {', '.join(row['also']).replace('_', ' ')}\n"
    for missing in row["missing"]:
        words += f"  would settle it: {what_to_collect(missing)}\n"
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    fired = pl.col("rule").is_in(row["rules"])
    for name, sentence in rules.filter(fired).select("rule", "sentence").iter_rows():
        table.add_row(_text("  ✓", "green"), _text(name, "bold"), _text(sentence))
    # Rules that one fact decides against stand together; what the evidence cannot tell comes first.
    against = rules.filter(~fired).group_by("because", maintain_order=True).agg(pl.col("rule").str.join(", "))
    for because, names in against.sort(pl.col("because").str.starts_with("cannot"), descending=True).iter_rows():
        table.add_row(_text("  –", "dim"), _text(names, "dim"), _text(because, "dim"))
    return [_text(head, "bold"), _text(words), table, _text("")]


def _source(source: str | None) -> str:
    return "no source" if source is None else LANES.get(source, ("", clean(source)))[1]


def duration(seconds: float) -> str:
    """A span of time in the unit that suits it."""
    for limit, unit, name in ((120, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h"), (float("inf"), 86_400, "d")):
        if abs(seconds) < limit:
            return f"{seconds / unit:.{1 if abs(seconds / unit) < 10 else 0}f} {name}"
    return ""


def _signed(seconds: float) -> str:
    return f"{'−' if seconds < 0 else '+'}{duration(abs(seconds))}"
