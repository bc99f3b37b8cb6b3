"""Handlers by the names that the user gave them in handlers.toml, else by stable derived names."""

from __future__ import annotations

import polars as pl

from flexkit.analyse import linking
from flexkit.analyse.attempts import OPERATIONS, can_close
from flexkit.tables.declared import HANDLERS
from flexkit.terms import SignalKind, Source

AGENT = "agent (Flex)"
"""Name of whoever completes a task by hand, where no entry of the map names the worker."""
TIMER = "conversation timer"

# What an entry of the map gives, and the column of signals that it is held against.
_COLUMNS = {
    "url_path": "subscription",
    "user_agent": "user_agent",
    "flow": "flow_sid",
    "widget": "widget",
    "worker": "worker_sid",
    "event": "event_name",
}


def named(signals: pl.LazyFrame, handlers: pl.DataFrame) -> pl.LazyFrame:
    """*signals* with ``handler`` as the map *handlers* (`flexkit.tables.declared.HANDLERS`) names it.

    Also fills ``intent`` where the signal has none, and adds ``handler_kind`` and ``receiver``. The first
    entry counts of which everything matches that it gives; a signal that no entry matches keeps its derived
    name. What received a webhook did not send what the webhook tells of: it is the ``receiver``.
    """
    entries = handlers.sort("order").to_dicts()
    held = signals.collect_schema().names()
    name, intent, kind = pl.col("handler"), pl.lit(None, dtype=pl.String), pl.lit(None, dtype=pl.String)
    for entry in reversed(entries):
        matches = _matches(entry, held)
        if matches is None:
            continue
        name = pl.when(matches).then(pl.lit(entry["handler"])).otherwise(name)
        intent = pl.when(matches).then(pl.lit(entry["intent"], dtype=pl.String)).otherwise(intent)
        kind = pl.when(matches).then(pl.lit(entry["kind"], dtype=pl.String)).otherwise(kind)
    is_receipt = pl.col("source").is_in([Source.INTERACTIONS_WEBHOOK, Source.CONVERSATIONS])
    said = pl.col("intent") if "intent" in held else pl.lit(None, dtype=pl.String)
    return signals.with_columns(
        handler=pl.when(is_receipt).then("handler").otherwise(name),
        intent=pl.coalesce(said, intent),
        handler_kind=pl.when(~is_receipt).then(kind),
        receiver=pl.when(is_receipt & (name != pl.col("handler")).fill_null(value=True)).then(name),
    )


def _matches(entry: dict[str, object], held: list[str]) -> pl.Expr | None:
    """Whether a signal matches all that *entry* gives; nothing where it asks for a column that is absent."""
    tests: list[pl.Expr] = []
    for pattern, column in (*_COLUMNS.items(), ("logged", "handler")):
        if (wanted := entry.get(pattern)) is None:
            continue
        if column not in held:
            return None
        tests.append(pl.col(column).str.contains(str(wanted)))
    if entry.get("logged") is not None:
        tests.append(pl.col("source") == Source.APP_LOG)
    hashes = entry.get("ip_hashes")
    if isinstance(hashes, list):
        if "source_ip_hash" not in held:
            return None
        tests.append(pl.col("source_ip_hash").is_in(hashes))
    return pl.all_horizontal(tests).fill_null(value=False) if tests else None


def no_map() -> pl.DataFrame:
    """A handler map without entries."""
    return pl.DataFrame(schema=HANDLERS)


def seen(signals: pl.LazyFrame, handlers: pl.DataFrame | None = None) -> pl.LazyFrame:
    """Every automation that the evidence shows, and whether the map names it.

    Columns: handler, source, operation (what it attempts, or ``receives`` for the receiver of webhooks),
    signals (count), last_seen_at, is_named. Agents and Twilio itself are not listed.
    """
    kinds = list(OPERATIONS)
    column = pl.col("subscription")
    closes = (pl.col("kind") != SignalKind.STUDIO_STEP) | can_close()
    known = linking.prepared(signals)
    attempts = known.filter(pl.col("kind").is_in(kinds), pl.col("handler").is_not_null(), closes).with_columns(
        derived=pl.col("handler"), operation=pl.col("kind").replace_strict(OPERATIONS, return_dtype=pl.String)
    )
    receivers = known.filter(
        pl.col("source").is_in([Source.INTERACTIONS_WEBHOOK, Source.CONVERSATIONS, Source.TASKROUTER]),
        ~pl.col("kind").is_in([*kinds, SignalKind.WARNING.value]),
        column.is_not_null() & (column != "event-streams"),
    ).with_columns(derived=column, handler=column, operation=pl.lit("receives"))
    both = pl.concat([attempts, receivers], how="diagonal")
    if handlers is not None:
        both = named(both, handlers).with_columns(handler=pl.coalesce("receiver", "handler"))
    return (
        both.group_by("handler", "source", "operation")
        .agg(
            signals=pl.len(),
            last_seen_at=pl.col("occurred_at").max(),
            is_named=(pl.col("handler") != pl.col("derived")).any(),
        )
        .with_columns(
            is_named=pl.col("is_named")
            | pl.col("handler").is_in([] if handlers is None else handlers["handler"].unique().to_list())
        )
        .sort("is_named", "signals", "handler", descending=[False, True, False])
    )
