"""The evidence of affected interactions, read once: from all signals to a few small frames in memory."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from flexkit.analyse import linking
from flexkit.analyse.attempts import attempts
from flexkit.analyse.clocks import corrected
from flexkit.analyse.handlers import named, no_map
from flexkit.analyse.matching import SKEW_US
from flexkit.analyse.pairing import PAIRS, pairs
from flexkit.terms import Intent, Origin, Outcome, SignalKind

_REPEATABLE = (SignalKind.CLOSE_CHANNEL_REQUESTED.value, SignalKind.COMPLETE_REQUESTED.value)


_IDENTITY = ("signal_id", "evidence_sid", "kind", "occurred_us")


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
    """Warnings about Proxy, and warnings that lead to no interaction: ``interaction_sid`` is null."""
    habits: pl.DataFrame
    """For each handler that logs its intent, how often it ``said_end`` and ``said_removal``."""


def affected(
    signals: pl.LazyFrame,
    alerts: pl.LazyFrame | None,
    handlers: pl.LazyFrame | None = None,
    configuration: pl.DataFrame | None = None,
) -> Affected:
    """Read the evidence of every interaction with a warning, or with a request that went through twice.

    Handlers get the names and intents that the map *handlers* gives them; *configuration* tells which Studio
    widgets can close.
    """
    names = no_map() if handlers is None else handlers.collect()
    known = linking.prepared(signals)
    warned = linking.warnings(known, alerts)
    is_proxy = pl.col("origin") == Origin.PROXY
    strays = warned.filter(is_proxy | pl.col("interaction_sid").is_null()).with_columns(
        interaction_sid=pl.lit(None, dtype=pl.String)
    )
    warned = warned.filter(~is_proxy, pl.col("interaction_sid").is_not_null())
    others = known.filter(pl.col("kind") != SignalKind.WARNING)
    keys = pl.concat([warned.select("interaction_sid"), _requested_again(others)]).unique()
    rows = evidence_of(others, keys).with_columns(origin=pl.lit(None, dtype=pl.String))
    rows = pl.concat([rows, warned.select(rows.columns)])
    rows = corrected(named(rows.lazy(), names).collect())
    tried = attempts(rows, configuration)
    has_alerts = bool(warned.height or strays.height) or (
        alerts is not None and not alerts.select("alert_sid").head(1).collect().is_empty()
    )
    return Affected(rows, tried, pairs(rows, tried, has_alerts=has_alerts), strays, _habits(others, names))


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


def _requested_again(signals: pl.LazyFrame) -> pl.DataFrame:
    """Interactions with two requests that went through, or with one after the channel was closed."""
    went_through = ~pl.col("outcome").fill_null(Outcome.UNKNOWN.value).is_in([Outcome.REJECTED, Outcome.SKIPPED])
    requests = signals.filter(pl.col("kind").is_in(_REPEATABLE), went_through)
    named = requests.filter(pl.col("interaction_sid").is_not_null())
    several = named.group_by("interaction_sid").agg(pl.len()).filter(pl.col("len") > 1)
    closed = (
        signals.filter(pl.col("kind") == SignalKind.CHANNEL_CLOSED, pl.col("interaction_sid").is_not_null())
        .group_by("interaction_sid")
        .agg(closed_us=pl.col("occurred_us").min())
    )
    late = (
        named.filter(pl.col("kind") == SignalKind.CLOSE_CHANNEL_REQUESTED)
        .join(closed, on="interaction_sid")
        .filter(pl.col("occurred_us") > pl.col("closed_us") + SKEW_US)
    )
    lost = requests.filter(pl.col("interaction_sid").is_null())
    by_count, by_time, orphans = pl.collect_all(
        [several.select("interaction_sid"), late.select("interaction_sid"), lost]
    )
    found = linking.resolved(orphans, signals).select("interaction_sid").drop_nulls()
    return pl.concat([by_count, by_time, found])


def evidence_of(signals: pl.LazyFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Every signal of the interactions in *keys*, those included that name only a part of it."""
    rows = signals.join(keys.lazy(), on="interaction_sid", how="semi").collect()
    for _ in range(2):
        orphans = pl.concat(
            pl.collect_all(
                signals.filter(pl.col("interaction_sid").is_null()).join(
                    rows.lazy().select(link).drop_nulls().unique(), on=link, how="semi"
                )
                for link in linking.LINKS
            )
        ).unique(maintain_order=True)
        found = linking.resolved(orphans, signals).join(keys, on="interaction_sid", how="semi")
        fresh = found.join(rows, on=_IDENTITY, how="anti", nulls_equal=True)
        if fresh.is_empty():
            break
        rows = pl.concat([rows, fresh])
    return pl.concat([rows, linking.steps(rows, signals)])


def cases(signals: pl.LazyFrame, alerts: pl.LazyFrame | None) -> pl.LazyFrame:
    """The pairs of `affected`, computed when the frame is collected and not before."""
    return pl.defer(lambda: affected(signals, alerts).pairs, schema=PAIRS)
