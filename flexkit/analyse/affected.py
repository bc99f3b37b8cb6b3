"""The evidence of affected interactions, read once: from all signals to a few small frames in memory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flexkit.analyse import clocks, linking
from flexkit.analyse.attempts import attempts
from flexkit.analyse.handlers import named, no_map
from flexkit.analyse.matching import SKEW_US
from flexkit.analyse.pairing import PAIRS, pairs
from flexkit.terms import Intent, Origin, Outcome, SignalKind, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPEATABLE = (SignalKind.CLOSE_CHANNEL_REQUESTED.value, SignalKind.COMPLETE_REQUESTED.value)


PIECE = 25_000
"""Interactions whose evidence is looked at together: some hundred megabytes."""
_ALL = 1 << 62
_ENDS = (
    SignalKind.CHANNEL_CLOSED.value,
    SignalKind.CONVERSATION_CLOSED.value,
    SignalKind.TASK_COMPLETED.value,
    SignalKind.TASK_CANCELED.value,
)


@dataclass(frozen=True, slots=True)
class Affected:
    """What is known about the interactions that may have been completed twice."""

    rows: pl.DataFrame
    """Every signal of theirs, warnings included (`flexkit.tables.schema.SIGNALS`, plus ``origin``)."""
    attempts: pl.DataFrame
    """Their attempts to complete (`flexkit.analyse.attempts.attempts`)."""
    pairs: pl.DataFrame
    """Their duplicates (`flexkit.analyse.pairing.pairs`)."""
    strays: pl.DataFrame
    """Warnings about Proxy, and warnings that lead to no interaction: ``interaction_sid`` is null.

    ``is_bare``: events of the task that it names are held, but none of them says of which interaction.
    """
    habits: pl.DataFrame
    """For each handler that logs its intent, how often it ``said_end`` and ``said_removal``."""
    has_controls: bool
    """Whether any interaction is held that came to an end without a duplicate: what is normal can be told."""


def affected(
    signals: pl.LazyFrame,
    alerts: pl.LazyFrame | None,
    handlers: pl.LazyFrame | None = None,
    configuration: pl.DataFrame | None = None,
) -> Affected:
    """Read the evidence of every interaction with a warning, or with a request that went through twice, at once.

    Handlers get the names and intents that the map *handlers* gives them; *configuration* tells which Studio
    widgets can close.
    """
    return next(iter(pieces(signals, alerts, handlers, configuration, size=_ALL)))


def pieces(
    signals: pl.LazyFrame,
    alerts: pl.LazyFrame | None,
    handlers: pl.LazyFrame | None = None,
    configuration: pl.DataFrame | None = None,
    *,
    size: int | None = None,
) -> Iterator[Affected]:
    """`affected` in pieces of about *size* (`PIECE`) interactions, so that memory stays bounded however many they are.

    There is at least one; ``strays`` and ``habits`` are those of all signals, the same in every piece.
    """
    names = no_map() if handlers is None else handlers.collect()
    known = linking.prepared(signals)
    warned = linking.warnings(known, alerts)
    is_proxy = pl.col("origin") == Origin.PROXY
    strays = warned.filter(is_proxy | pl.col("interaction_sid").is_null()).with_columns(
        interaction_sid=pl.lit(None, dtype=pl.String)
    )
    warned = warned.filter(~is_proxy, pl.col("interaction_sid").is_not_null()).with_columns(linking.key())
    has_alerts = bool(warned.height or strays.height) or (
        alerts is not None and not alerts.select("alert_sid").head(1).collect().is_empty()
    )
    others = known.filter(pl.col("kind") != SignalKind.WARNING)
    nameless = linking.Nameless.of(others)
    keys = pl.concat([warned.select("ikey"), _requested_again(others, nameless)]).unique().sort("ikey")
    habits = _habits(others, names)
    strays, has_controls = _with_bare(strays, others), _has_others(others, keys)
    with tempfile.TemporaryDirectory(prefix="flexkit-") as folder:
        aside: list[Path | pl.DataFrame] = []
        timed = []
        for some, held in _cut(others, keys, size or PIECE, Path(folder)):
            rows = _with_parts(held.collect(engine="streaming"), some, nameless, others)
            rows = rows.with_columns(origin=pl.lit(None, dtype=pl.String))
            own = warned.join(some, on="ikey", how="semi")
            rows = named(pl.concat([rows, own.select(rows.columns)]).lazy(), names).collect()
            timed.append(clocks.timed(rows))
            is_only = some.height == keys.height
            aside.append(rows if is_only else _put_aside(rows, Path(folder) / f"{len(aside)}.arrow"))
        errors = clocks.errors(pl.concat(timed))
        for kept in aside:
            whole = clocks.corrected(kept if isinstance(kept, pl.DataFrame) else pl.read_ipc(kept), errors)
            tried = attempts(whole, configuration)
            found = pairs(whole, tried, has_alerts=has_alerts)
            yield Affected(whole, tried, found, strays, habits, has_controls=has_controls)


def _cut(
    signals: pl.LazyFrame, keys: pl.DataFrame, size: int, folder: Path
) -> Iterator[tuple[pl.DataFrame, pl.LazyFrame]]:
    """*keys* in pieces of about *size*, each with the *signals* of its interactions; these are read once."""
    found = linking.of_interactions(signals, keys)
    count = -(-keys.height // size)
    if count <= 1:
        yield keys, found
        return
    piece = pl.col("ikey").reinterpret(signed=False) % count
    found.with_columns(piece=piece).sink_parquet(
        pl.PartitionBy(folder, key="piece", include_key=False), compression="lz4", mkdir=True
    )
    for number in range(count):
        if not (some := keys.filter(piece == number)).is_empty():
            files = sorted((folder / f"piece={number}").glob("*.parquet"))
            yield some, pl.scan_parquet(files, hive_partitioning=False) if files else found.limit(0)


def _put_aside(rows: pl.DataFrame, path: Path) -> Path:
    rows.write_ipc(path, compression="lz4")
    return path


def _with_bare(strays: pl.DataFrame, signals: pl.LazyFrame) -> pl.DataFrame:
    """*strays* with ``is_bare``: Twilio gives the attributes that name the interaction for 30 days only."""
    named = strays.select("task_sid").drop_nulls().unique()
    of_tasks = signals.filter(pl.col("source") == Source.TASKROUTER)
    held = (
        named.clear()
        if named.is_empty()
        else of_tasks.join(named.lazy(), on="task_sid", how="semi").select("task_sid").unique().collect()
    )
    return strays.join(held.with_columns(is_bare=pl.lit(value=True)), on="task_sid", how="left").with_columns(
        pl.col("is_bare").fill_null(value=False)
    )


def _has_others(signals: pl.LazyFrame, keys: pl.DataFrame) -> bool:
    """Whether an end of an interaction that is none of *keys* is held."""
    ends = signals.filter(pl.col("ikey").is_not_null(), pl.col("kind").is_in(_ENDS))
    return not ends.select("ikey").join(keys.lazy(), on="ikey", how="anti").head(1).collect().is_empty()


def _habits(signals: pl.LazyFrame, names: pl.DataFrame) -> pl.DataFrame:
    """What each handler says that it means, over all its requests to close a channel."""
    said = (
        signals.filter(pl.col("kind") == SignalKind.CLOSE_CHANNEL_REQUESTED, pl.col("intent").is_not_null())
        .group_by("handler", "source", "kind")
        .agg(
            said_end=(pl.col("intent") == Intent.END).sum().cast(pl.Int64),
            said_removal=(pl.col("intent") == Intent.REMOVE_AGENT).sum().cast(pl.Int64),
        )
        .collect()
    )
    said = named(said.lazy(), names).collect()
    return said.drop_nulls("handler").group_by("handler").agg(pl.col("said_end", "said_removal").sum())


def _requested_again(signals: pl.LazyFrame, nameless: linking.Nameless) -> pl.DataFrame:
    """Keys of interactions with two requests that went through, or with one after the channel was closed."""
    kind, us = pl.col("kind"), pl.col("occurred_us")
    went_through = ~pl.col("outcome").fill_null(Outcome.UNKNOWN.value).is_in([Outcome.REJECTED, Outcome.SKIPPED])
    request = kind.is_in(_REPEATABLE) & went_through
    closed = kind == SignalKind.CHANNEL_CLOSED
    late = pl.col("late_us") > pl.col("closed_us") + SKEW_US
    again = (
        signals.filter(request | closed, pl.col("ikey").is_not_null())
        .select(
            "ikey",
            request=request.cast(pl.UInt32),
            late_us=pl.when(kind == SignalKind.CLOSE_CHANNEL_REQUESTED).then(us),
            closed_us=pl.when(closed).then(us),
        )
        .group_by("ikey")
        .agg(pl.col("request").sum(), pl.col("late_us").max(), pl.col("closed_us").min())
        .filter((pl.col("request") > 1) | late)
        .select("ikey")
        .collect(engine="streaming")
    )
    return pl.concat([again, nameless.owned().filter(request).select("ikey").collect(engine="streaming")])


def evidence_of(signals: pl.LazyFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Every signal of the interactions with ``ikey`` in *keys*, those included that name only a part of it."""
    rows = linking.of_interactions(signals, keys).collect(engine="streaming")
    return _with_parts(rows, keys, linking.Nameless.of(signals), signals)


def _with_parts(
    rows: pl.DataFrame, keys: pl.DataFrame, nameless: linking.Nameless, signals: pl.LazyFrame
) -> pl.DataFrame:
    """*rows*, the *signals* that name the interactions in *keys*, with those that name only a part of them."""
    owned = nameless.owned(keys).select(rows.columns).collect(engine="streaming")
    rows = pl.concat([rows, owned])
    return pl.concat([rows, linking.steps(rows, signals)])


def cases(signals: pl.LazyFrame, alerts: pl.LazyFrame | None) -> pl.LazyFrame:
    """The pairs of `affected`, computed when the frame is collected and not before."""

    def compute() -> pl.DataFrame:
        found = pl.concat([piece.pairs for piece in pieces(signals, alerts)])
        return found.sort("interaction_sid", maintain_order=True)

    return pl.defer(compute, schema=PAIRS)
