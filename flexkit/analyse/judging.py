"""Duplicates and their facts to causes: which rules hold, how sure that is, and what would settle it."""

from __future__ import annotations

import polars as pl

from flexkit.analyse.attempts import SECOND
from flexkit.analyse.coverage import shortfalls
from flexkit.analyse.missing import ORDER
from flexkit.analyse.rules import RULES
from flexkit.tables.schema import INSTANT, SIDS
from flexkit.terms import Cause, EvidenceKind, Missing, Origin, Source, Status

CAUSES: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "occurred_at": INSTANT,
    "channel_type": pl.String,
    "cause": pl.String,
    "status": pl.String,
    "also": SIDS,
    "rules": SIDS,
    "evidence_sids": SIDS,
    "missing": SIDS,
    "first_source": pl.String,
    "first_handler": pl.String,
    "second_source": pl.String,
    "second_handler": pl.String,
    "gap_seconds": pl.Float64,
    "first_closed_at": INSTANT,
    "evidence_kind": pl.String,
    "alert_sids": SIDS,
    "first_evidence_sid": pl.String,
    "second_evidence_sid": pl.String,
}
"""Columns of the ``causes`` table. ``occurred_at`` is the second completion's time, ``first_closed_at`` the first
close's, both on Twilio's clock where a log's own is known to be off; ``first_evidence_sid`` and
``second_evidence_sid`` name the signals of the two, where they were seen."""

_RANK = {Status.CONFIRMED: 0, Status.SUPPORTED: 1}


def judge(known: pl.DataFrame) -> pl.DataFrame:
    """*known* (see `flexkit.analyse.facts`) with ``cause``, ``status``, ``also`` and ``rules``."""
    fired = known.select("pair", *(rule.expression().alias(rule.id) for rule in RULES)).unpivot(
        index="pair", variable_name="rule", value_name="holds"
    )
    table = pl.DataFrame(
        {
            "rule": [rule.id for rule in RULES],
            "cause": [rule.cause.value for rule in RULES],
            "status": [rule.status.value for rule in RULES],
            "rank": [_RANK[rule.status] * len(RULES) + place for place, rule in enumerate(RULES)],
        }
    )
    held = fired.filter("holds").join(table, on="rule").sort("pair", "rank")
    named = held.group_by("pair", maintain_order=True).agg(
        cause=pl.col("cause").first(),
        status=pl.col("status").first(),
        also=pl.col("cause").unique(maintain_order=True),
        rules=pl.col("rule"),
    )
    return known.join(named, on="pair", how="left", maintain_order="left").with_columns(
        cause=pl.col("cause").fill_null(Cause.UNDETERMINED.value),
        also=pl.col("also").list.set_difference(pl.concat_list("cause")).fill_null([]),
        rules=pl.col("rules").fill_null([]),
        # What no alert shows may be a quirk of a log: never more than supported.
        status=pl.when((pl.col("status") == Status.CONFIRMED) & (pl.col("evidence_kind") == EvidenceKind.INFERRED))
        .then(pl.lit(Status.SUPPORTED.value))
        .otherwise(pl.col("status").fill_null(Status.NOT_ASSESSABLE.value)),
    )


def judged(known: pl.DataFrame, windows: pl.DataFrame | None, *, has_controls: bool) -> pl.DataFrame:
    """A row of the ``causes`` table for each duplicate in *known*, in its order.

    *windows* are those of the table ``coverage``; *has_controls* says whether any interaction is held that came to
    its end without a duplicate, so that what is normal can be told.
    """
    found = _with_missing(judge(known), windows, has_controls=has_controls)
    evidence = pl.concat_list(
        "alert_sids",
        *(
            pl.concat_list(pl.col(name).fill_null(""))
            for name in ("first_evidence_sid", "second_evidence_sid", "first_trigger_key", "second_trigger_key")
        ),
    )
    return found.select(
        "interaction_sid",
        occurred_at=pl.col("second_us").cast(INSTANT),
        channel_type="channel_type",
        cause="cause",
        status="status",
        also="also",
        rules="rules",
        evidence_sids=evidence.list.unique(maintain_order=True).list.set_difference(pl.lit([""], dtype=SIDS)),
        missing="missing",
        first_source="first_source",
        first_handler="first_handler",
        second_source=pl.coalesce("second_source", pl.lit(Source.DEBUGGER.value)),
        second_handler="second_handler",
        gap_seconds=(pl.col("gap_us").clip(0) / SECOND),
        first_closed_at=pl.col("first_us").cast(INSTANT),
        evidence_kind="evidence_kind",
        alert_sids="alert_sids",
        first_evidence_sid="first_evidence_sid",
        second_evidence_sid="second_evidence_sid",
    ).cast(CAUSES)  # type: ignore[arg-type]


def _with_missing(judged: pl.DataFrame, windows: pl.DataFrame | None, *, has_controls: bool) -> pl.DataFrame:
    """What would settle each duplicate that is not confirmed, the cheapest first."""
    col = pl.col
    others = [f"has_{source}" for source in Source if source != Source.DEBUGGER]
    alone = ~pl.any_horizontal(others)
    recorded = col("first_is_recorded")
    lacks = {
        Missing.ALERTS_ONLY: alone,
        Missing.FIRST_CLOSER_UNKNOWN: ~recorded & (col("closer").fill_null("unknown") != "agent"),
        Missing.ORDER_AMBIGUOUS: recorded & col("second_is_known") & ~col("order_certain").fill_null(value=True),
        Missing.SOURCE_NOT_COLLECTED: ~col(f"holds_{Source.APP_LOG}")
        | ~col(f"holds_{Source.TASKROUTER}")
        | ~col("second_is_known"),
        Missing.NO_TRIGGER_IDENTITY: recorded & col("second_is_recorded") & col("trigger_unknown"),
        # Where only the order of Twilio's events speaks, interactions without a duplicate tell what is normal.
        Missing.NO_CONTROLS: ~col("second_is_recorded") & pl.lit(value=not has_controls),
        Missing.NO_HANDLER_MAP: recorded
        & (
            (col("first_closed_channel") & col("intent_unknown")) | (col("second_is_recorded") & col("handler_unnamed"))
        ),
    }
    if windows is not None:
        short = [shortfalls(windows, source, judged) for source in (Source.TASKROUTER, Source.INTERACTIONS_WEBHOOK)]
        lacks[Missing.SATURATED_PAGE] = pl.any_horizontal(*(frame["saturated"] for frame in short))
        lacks[Missing.RETENTION_EXPIRED] = pl.any_horizontal(*(frame["expired"] for frame in short))
    open_question = col("status") != Status.CONFIRMED
    words = [
        pl.when(
            lacks[word].fill_null(value=False) & open_question & (pl.lit(value=word == Missing.ALERTS_ONLY) | ~alone)
        ).then(pl.lit(word.value))
        for word in ORDER
        if word in lacks
    ]
    # Where all is held and still no rule fits, only the owner can say what her automations are and mean.
    owner = pl.lit([Missing.NO_HANDLER_MAP.value], dtype=SIDS)
    is_open = (col("cause") == Cause.UNDETERMINED) & (col("missing").list.len() == 0)
    return judged.with_columns(missing=pl.concat_list(words).list.drop_nulls()).with_columns(
        missing=pl.when(is_open).then(owner).otherwise("missing")
    )


def stray(strays: pl.DataFrame) -> pl.DataFrame:
    """Alerts that belong to no interaction: one row each, so that none is lost."""
    is_proxy = pl.col("origin") == Origin.PROXY
    unnamed = pl.all_horizontal(pl.col("channel_sid", "task_sid", "conversation_sid").is_null())
    redacted = pl.when("is_bare").then(pl.lit(Missing.ATTRIBUTES_REDACTED.value))
    unknown = pl.when(unnamed).then(pl.lit(Missing.ORIGIN_UNDETERMINED.value))
    rows = strays.select(
        pl.lit(None, dtype=pl.String).alias("interaction_sid"),
        "occurred_at",
        "channel_type",
        pl.when(is_proxy).then(pl.lit(Cause.PROXY_ORIGIN)).otherwise(pl.lit(Cause.UNDETERMINED)).alias("cause"),
        pl.when(is_proxy).then(pl.lit(Status.CONFIRMED)).otherwise(pl.lit(Status.NOT_ASSESSABLE)).alias("status"),
        pl.lit([], dtype=SIDS).alias("also"),
        pl.when(is_proxy).then(["proxy-sids"]).otherwise([]).alias("rules"),
        pl.concat_list("evidence_sid").alias("evidence_sids"),
        pl.when(is_proxy)
        .then([])
        .otherwise(pl.concat_list(redacted, pl.lit(Missing.UNLINKABLE_RESOURCE.value), unknown).list.drop_nulls())
        .alias("missing"),
        second_source=pl.lit(Source.DEBUGGER.value),
        evidence_kind=pl.lit(EvidenceKind.WARNED.value),
        alert_sids=pl.concat_list("evidence_sid"),
    )
    absent = [pl.lit(None).cast(dtype).alias(name) for name, dtype in CAUSES.items() if name not in rows.columns]
    return rows.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in CAUSES.items())
