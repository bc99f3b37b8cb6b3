"""Which interaction a signal belongs to: identities seen in other signals, and alerts turned into signals.

A record often names only a task, a channel or a conversation. Its interaction is looked up here, when
the analysis runs, so that stored tables do not depend on the order in which evidence arrived.
"""

from __future__ import annotations

import polars as pl

from flexkit.tables.keys import ending, key64
from flexkit.tables.lookup import LINKS
from flexkit.tables.schema import ALERTS, SIGNALS
from flexkit.terms import Origin, SignalKind, Source

ERROR_CODE = "80906"
"""Twilio's warning "Interaction Not Open"."""

_SID = "[0-9a-fA-F]{32}"
# Proxy has a resource called Interaction too (KI…); its sessions, participants and services are KC, KP, KS.
_PROXY = rf"\bK[ICPS]{_SID}\b"


_HASHED = "_hashed"
FEW = 300_000
"""Values up to which rows are told by looking each up as they are read, and not by a join of what was read."""


def prepared(signals: pl.LazyFrame) -> pl.LazyFrame:
    """*signals* with every column of that table; what can be derived is derived where it is absent.

    An ``ikey`` and an ``ending`` that are there are taken to be right, as in every store.
    """
    SIGNALS.require(signals, "interaction_sid", "occurred_at", "source", "kind")
    held = signals.collect_schema()
    return SIGNALS.conform(signals).with_columns(
        occurred_us=pl.coalesce("occurred_us", pl.col("occurred_at").dt.timestamp("us")),
        evidence_sid=pl.coalesce("evidence_sid", "signal_id"),
        ikey=pl.col("ikey") if "ikey" in held else key(),
        ending=pl.col("ending") if "ending" in held else ending(),
    )


def key() -> pl.Expr:
    """``interaction_sid`` as ``ikey`` holds it, whatever text it is."""
    text = pl.col("interaction_sid")
    return pl.coalesce(key64("interaction_sid"), text.hash(0).reinterpret(signed=True)).alias("ikey")


def keyed(rows: pl.DataFrame) -> pl.DataFrame:
    """*rows* with an ``ikey`` (`key`), in whatever order: to make one takes longer than all else about a row."""
    has_key = pl.col("ikey").is_not_null()
    return pl.concat([rows.filter(has_key), rows.filter(~has_key).with_columns(key())])


def at_once(rows: pl.LazyFrame) -> pl.LazyFrame:
    """*rows*, read once where they are few, and not each time that they are asked for."""
    some = rows.head(FEW + 1).collect(engine="streaming")
    return some.lazy() if some.height <= FEW else rows


def of_interactions(signals: pl.LazyFrame, keys: pl.DataFrame) -> pl.LazyFrame:
    """Those of *signals* (as `prepared` gives them) that name one of the interactions with ``ikey`` in *keys*.

    Only the rows wanted are read in full: in a large store they are few, and the other forty columns many.
    """
    if keys.height > FEW:
        return signals.join(keys.lazy(), on="ikey", how="semi")
    span = pl.col("ikey").is_between(keys["ikey"].min(), keys["ikey"].max())
    return signals.filter(span, pl.col("ikey").is_in(keys["ikey"].implode()))


def whole(signals: pl.LazyFrame, keys: pl.DataFrame) -> pl.LazyFrame:
    """`of_interactions` where these are few, with all columns: first their days, so that others stay unread."""
    if keys.is_empty():
        return signals.limit(0)
    days = of_interactions(signals, keys).select(pl.col("day").unique()).collect(engine="streaming")["day"]
    found = of_interactions(signals, keys)
    return found if days.has_nulls() else found.filter(pl.col("day").is_in(days.implode()))


def naming(signals: pl.LazyFrame, parts: pl.DataFrame) -> pl.LazyFrame:
    """Those of *signals* that name a channel, a conversation or a task of *parts*."""
    named = {link: parts[link].drop_nulls().unique() for link in LINKS}
    held = {link: values for link, values in named.items() if len(values)}
    if not held:
        return signals.filter(pl.lit(value=False))
    if max(len(values) for values in held.values()) <= FEW:
        return signals.filter(
            pl.any_horizontal(
                pl.col(link).is_in(values.implode()).fill_null(value=False) for link, values in held.items()
            )
        )
    joined = (signals.join(values.to_frame().lazy(), on=link, how="semi") for link, values in held.items())
    return pl.concat(joined).unique()


def resolved(orphans: pl.DataFrame, signals: pl.LazyFrame) -> pl.DataFrame:
    """*orphans* with the interaction that their channel, conversation or task was seen with in *signals*.

    An identity that was seen with two interactions tells nothing. Two steps are looked ahead: a task
    whose channel is known only from a record that does not name the interaction either.
    """
    return resolved_in_steps(orphans, signals)[-1]


def resolved_in_steps(orphans: pl.DataFrame, signals: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """*orphans* after the first step of `resolved`, for which signals count that name a part of theirs, and at last."""
    lost = orphans.filter(pl.col("interaction_sid").is_null())
    if lost.is_empty():
        return orphans, orphans
    seen = _seen_with(signals, lost)
    found = _owned(orphans, seen)
    if found["interaction_sid"].null_count() == 0:
        return found, found
    # What shares a channel or a conversation with a lost record may lead on.
    bridges = seen.filter(pl.col("interaction_sid").is_null())
    return found, _owned(found, _owned(bridges, _seen_with(signals, bridges)))


def _seen_with(signals: pl.LazyFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """The identities that stand together in a signal that names one of those of *lost*."""
    named = ("interaction_sid", *LINKS)
    if LINKS[0] + _HASHED in signals.collect_schema():
        # Numbers are read and looked up in a fraction of the time; of the rows that they tell, text decides.
        wanted = {link + _HASHED: lost[link].drop_nulls().unique().hash() for link in LINKS}
        alike = [pl.col(link).is_in(some.implode()) for link, some in wanted.items() if len(some)]
        near = signals.filter(pl.any_horizontal(alike)) if alike else signals.limit(0)
        signals = near.select(named).collect(engine="streaming").lazy()
    return naming(signals.select(named), lost).unique().collect(engine="streaming")


def hashes() -> list[pl.Expr]:
    """`LINKS` as numbers, by which rows that may name some of them are found."""
    return [pl.col(link).hash().alias(link + _HASHED) for link in LINKS]


def _owned(rows: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """*rows* without an interaction take that of their channel, else conversation, else task."""
    guesses = []
    for link in LINKS:
        guesses.append(f"_{link}")
        owners = (
            seen.drop_nulls(["interaction_sid", link])
            .group_by(link)
            .agg(owner=pl.col("interaction_sid").first(), owners=pl.col("interaction_sid").n_unique())
            .filter(pl.col("owners") == 1)
        )
        rows = rows.join(
            owners.select(link, pl.col("owner").alias(guesses[-1])), on=link, how="left", maintain_order="left"
        )
    return rows.with_columns(interaction_sid=pl.coalesce("interaction_sid", *guesses)).drop(guesses)


def warnings(signals: pl.LazyFrame, alerts: pl.LazyFrame | None, *, links: pl.LazyFrame | None = None) -> pl.DataFrame:
    """One warning signal per 80906 alert, whether *alerts* or *signals* hold it; adds ``origin``.

    An alert that names only a part of an interaction is told by other signals, or by their *links* where those
    are known (`flexkit.analyse.extracts`).

    The copies of one alert in both frames become one row that keeps every identity that either names.
    """
    held = signals.filter(pl.col("kind") == SignalKind.WARNING).with_columns(origin=pl.lit(None, dtype=pl.String))
    copies = pl.concat(pl.collect_all([held] if alerts is None else [alert_signals(alerts), held]))
    # A warning that carries no id of its own is told apart by what it names and when.
    if copies["evidence_sid"].null_count():
        unnamed = pl.concat_str("interaction_sid", *LINKS, "occurred_us", separator="/", ignore_nulls=True)
        copies = copies.with_columns(evidence_sid=pl.coalesce("evidence_sid", unnamed))
    once = copies if copies["evidence_sid"].n_unique() == copies.height else _merged(copies)
    known = resolved(once, signals.filter(pl.col("kind") != SignalKind.WARNING) if links is None else links)
    return known.with_columns(
        origin=pl.when(pl.col("interaction_sid").is_not_null())
        .then(pl.col("origin").fill_null(Origin.FLEX.value))
        .otherwise(pl.col("origin").fill_null(Origin.UNDETERMINED.value))
    )


def _merged(copies: pl.DataFrame) -> pl.DataFrame:
    """*copies* with each ``evidence_sid`` once: of every column the first value that is not null."""
    repeated = copies["evidence_sid"].is_duplicated()
    merged = (
        copies.filter(repeated)
        .group_by("evidence_sid", maintain_order=True)
        .agg(pl.all().drop_nulls().first())
        # Copies may name different interactions: the first key need not be that of the first name.
        .with_columns(ikey=pl.lit(None, dtype=pl.Int64))
    )
    return pl.concat([copies.filter(~repeated), merged.select(copies.columns)])


def alert_signals(alerts: pl.LazyFrame) -> pl.LazyFrame:
    """The 80906 rows of *alerts* as warning signals, with the identities found in any of their fields."""
    ALERTS.require(alerts, "alert_sid", "error_code")
    rows = ALERTS.conform(alerts).filter(pl.col("error_code") == ERROR_CODE)
    text = pl.concat_str("resource_sid", "service_sid", "request_path", "message", separator=" ", ignore_nulls=True)
    named = {"interaction_sid": "KD", "channel_sid": "UO", "task_sid": "WT", "conversation_sid": "CH"}
    rows = rows.with_columns(
        *(
            pl.coalesce(column, text.str.extract(rf"\b({prefix}{_SID})\b")).alias(column)
            for column, prefix in named.items()
        ),
        _proxy=text.str.contains(_PROXY),
    ).with_columns(
        origin=pl.when(pl.col("origin").is_in([Origin.FLEX, Origin.PROXY]))
        .then("origin")
        .when("_proxy")
        .then(pl.lit(Origin.PROXY.value))
        .when(pl.any_horizontal(pl.col(list(named)).is_not_null()))
        .then(pl.lit(Origin.FLEX.value)),
        occurred_at=pl.coalesce("generated_at", "created_at", "received_at"),
    )
    constants = {
        "kind": SignalKind.WARNING.value,
        "source": Source.DEBUGGER.value,
        "time_kind": "event",
        "precision_us": 1_000_000,
    }
    as_signals = rows.select(
        "origin",
        "occurred_at",
        *named,
        evidence_sid=pl.col("alert_sid"),
        signal_id=pl.col("alert_sid"),
        occurred_us=pl.col("occurred_at").dt.timestamp("us"),
        **{name: pl.lit(value) for name, value in constants.items()},
    )
    held = as_signals.collect_schema().names()
    return as_signals.select(
        *(pl.col(n) if n in held else pl.lit(None, dtype=t).alias(n) for n, t in SIGNALS.dtypes.items()),
        "origin",
    ).cast({"precision_us": pl.Int64})
