"""What signals tell beyond the one interaction that they name: in few columns, or of few rows, and day by day.

Whoever looks at some interactions only must still know of all others whose parts are whose, which were asked
to end twice, and what their handlers say. These extracts are all that is needed of them: each is the extracts
of all days put together, so that what single days tell can be kept, and a new day is read alone.
"""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from flexkit.analyse import fast_pass
from flexkit.analyse.linking import hashes, prepared
from flexkit.tables.lookup import LINKS, Told
from flexkit.tables.schema import SIGNALS
from flexkit.terms import Intent, SignalKind, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ENDS = (
    SignalKind.CHANNEL_CLOSED.value,
    SignalKind.CONVERSATION_CLOSED.value,
    SignalKind.TASK_COMPLETED.value,
    SignalKind.TASK_CANCELED.value,
)
"""Signals that show an interaction come to its end."""
IS_WARNING = pl.col("kind") == SignalKind.WARNING

_NOTE = "days"
_FRESH = 8
"""The newest days, whose parts stay files of their own."""
_AT_ONCE = 20_000
"""Signals of a day up to which they are read once for all extracts: of more, what each needs is read alone."""
_SIDE_BY_SIDE = 2
"""Such days whose extracts are made at the same time."""


class Kept(Protocol):
    """Where parts are kept (`flexkit.tables.parts.Parts`)."""

    def read(self, *names: str) -> pl.LazyFrame | None: ...
    def scan(self, names: Iterable[str], *, is_whole: bool = False) -> pl.LazyFrame: ...
    def having(self, names: Sequence[str], keys: pl.DataFrame) -> list[str]: ...
    def has(self, name: str) -> bool: ...
    def keep(self, name: str, rows: pl.DataFrame) -> pl.LazyFrame: ...
    def join(self, name: str, names: Sequence[str], *, fresh: int) -> None: ...
    def drop_copies(self) -> None: ...
    def note(self, name: str) -> dict[str, Any] | None: ...
    def write_note(self, name: str, state: dict[str, Any]) -> bool: ...
    def drop_but(self, needed: Iterable[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Extracts:
    """The extracts of some signals, lazily; rows may repeat."""

    loose: pl.LazyFrame
    """Warnings, and signals that name no interaction or have no key of it, whole."""
    links: pl.LazyFrame
    """`LINKS` that stand together in other signals than warnings, with ``interaction_sid`` and ``ikey``.

    ``is_routed`` says that TaskRouter tells of them, ``has_ended`` that an end is among them; and their `hashes`.
    """
    moments: pl.LazyFrame
    """`flexkit.analyse.heavy_pass.partials`."""
    intents: pl.LazyFrame
    """What handlers mean to do with the channels that they close: ``said_end`` and ``said_removal`` count that."""
    runs: pl.LazyFrame
    """Executions of Studio flows (``trigger_id``), and the interactions that they name."""
    having: Callable[[str, pl.DataFrame], pl.LazyFrame] | None = None
    """Where they are kept day by day: the signals of the days whose extract of a name has rows of some keys."""


def of(signals: pl.LazyFrame) -> Extracts:
    """The extracts of *signals* (as `prepared` gives them)."""
    made: dict[str, Any] = {kind: make(signals) for kind, make in _MAKERS.items()}
    return Extracts(**made)


def kept(days: Mapping[str, pl.LazyFrame], parts: Kept) -> Extracts:
    """The extracts of *days*: names that change with their rows, and their signals. What is new is kept in *parts*."""
    nothing = of(SIGNALS.empty().lazy())
    found = of_days(KINDS, days, parts)

    def having(kind: str, keys: pl.DataFrame) -> pl.LazyFrame:
        names = {part_of(kind, day): day for day, part in found[kind].items() if part is None}
        held = parts.having(list(names), keys) if names else []
        some = [*(names[name] for name in held), *(day for day, part in found[kind].items() if part is not None)]
        return pl.concat([SIGNALS.empty().lazy(), *(prepared(days[day]) for day in some)])

    whole: dict[str, Any] = {
        kind: pl.concat([getattr(nothing, kind), *together(kind, found[kind], parts)]) for kind in KINDS
    }
    return Extracts(**whole, having=having)


def of_days(
    kinds: Sequence[str], days: Mapping[str, pl.LazyFrame], parts: Kept
) -> dict[str, dict[str, pl.DataFrame | None]]:
    """Those *kinds* of extracts of each of the *days*: nothing where one is kept, else its rows."""
    found: dict[str, dict[str, pl.DataFrame | None]] = {kind: dict.fromkeys(days) for kind in kinds}
    absent = {day: some for day in days if (some := [kind for kind in kinds if not parts.has(part_of(kind, day))])}
    small = [day for day in absent if days[day].select(pl.len()).collect().item() <= _AT_ONCE]

    def make(day: str) -> None:
        signals = prepared(days[day])
        if day in small:
            signals = signals.collect(engine="streaming").lazy()
        for kind in absent[day]:
            rows, name = _MAKERS[kind](signals).collect(engine="streaming"), part_of(kind, day)
            parts.keep(name, rows)
            found[kind][day] = None if parts.has(name) else rows

    # What small days take is mostly waiting; a large one takes all cores by itself, and much memory.
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        begun = [pool.submit(make, day) for day in small]
        for day in absent:
            if day not in small:
                make(day)
        for one in begun:
            one.result()
    before = (parts.note(_NOTE) or {"days": []})["days"]
    if set(before) != set(days):
        # Another process may be reading the days before: those go next time.
        parts.drop_but(part_of(kind, day) for kind in KINDS for day in {*before, *days})
        parts.write_note(_NOTE, {"days": sorted(days)})
    else:
        parts.drop_copies()
    # Days that went are still asked what they told; the newest still get rows.
    for kind in kinds:
        held = [name for day in sorted({*before, *days}) if parts.has(name := part_of(kind, day))]
        parts.join(kind, held, fresh=_FRESH)
    return found


def together(kind: str, found: Mapping[str, pl.DataFrame | None], parts: Kept) -> list[pl.LazyFrame]:
    """The extracts of days that were *found* (`of_days`): those that are kept as one frame, and the others."""
    # One scan of many files is planned and opened faster than many scans.
    held = [part_of(kind, day) for day, part in found.items() if part is None]
    rows = [parts.scan(held, is_whole=True)] if held else []
    return [*rows, *(part.lazy() for part in found.values() if part is not None)]


def told(days: Iterable[str], parts: Kept) -> Told | None:
    """What a look-up may read instead of the signals of *days*; nothing where not all of it is kept.

    Nothing is made for it: that would cost more than the look-up.
    """
    dated = {day: _date(day) for day in days}
    loose, runs = (parts.read(*(part_of(kind, day) for day in dated)) for kind in ("loose", "runs"))
    if loose is None or runs is None or not all(parts.has(part_of("links", day)) for day in dated):
        return None

    def links(first: dt.date | None, last: dt.date | None) -> pl.LazyFrame | None:
        near = [day for day, date in dated.items() if date is None or (first and last and first <= date <= last)]
        return parts.scan(part_of("links", day) for day in near) if near else None

    return Told(loose, runs, links)


def _date(day: str) -> dt.date | None:
    """The date with which the name of a day begins (`flexkit.tables.store.Store.days`)."""
    try:
        return dt.date.fromisoformat(day[:10])
    except ValueError:
        return None


def part_of(kind: str, day: str) -> str:
    """The name of the part that keeps one extract of a *day*."""
    return f"{kind}-{day}"


def _loose(signals: pl.LazyFrame) -> pl.LazyFrame:
    is_loose = pl.any_horizontal(pl.col("ikey", "interaction_sid").is_null(), IS_WARNING)
    # The rows of one file of a table in days do not say their day.
    return signals.filter(is_loose).with_columns(day=pl.coalesce("day", pl.col("occurred_at").dt.date()))


def _links(signals: pl.LazyFrame) -> pl.LazyFrame:
    named = ("ikey", "interaction_sid", *LINKS)
    return (
        signals.filter(~IS_WARNING, pl.any_horizontal(pl.col(named).is_not_null()))
        .group_by(named)
        .agg(
            is_routed=(pl.col("source") == Source.TASKROUTER).any(),
            has_ended=pl.col("kind").is_in(ENDS).any(),
        )
        .with_columns(hashes())
        .sort("ikey")
    )


def _moments(signals: pl.LazyFrame) -> pl.LazyFrame:
    return fast_pass.partials(signals).sort("ikey")


def _intents(signals: pl.LazyFrame) -> pl.LazyFrame:
    said = pl.col("intent")
    return (
        signals.filter(pl.col("kind") == SignalKind.CLOSE_CHANNEL_REQUESTED, said.is_not_null())
        .group_by("handler", "source", "kind")
        .agg(
            said_end=(said == Intent.END).sum().cast(pl.Int64),
            said_removal=(said == Intent.REMOVE_AGENT).sum().cast(pl.Int64),
        )
    )


def _runs(signals: pl.LazyFrame) -> pl.LazyFrame:
    named = pl.col("interaction_sid", "trigger_id").is_not_null()
    is_run = pl.col("source") == Source.STUDIO
    return signals.filter(is_run, pl.all_horizontal(named)).select("trigger_id", "interaction_sid", "ikey").unique()


_MAKERS: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "loose": _loose,
    "links": _links,
    "moments": _moments,
    "intents": _intents,
    "runs": _runs,
}
KINDS = tuple(_MAKERS)
"""Names of the extracts."""
