"""Copies of one thing become one row, the same whatever order they came in.

Twilio gives one event several times (REST, callback, stream) and each copy knows a little else, so a row
is joined field by field: what is known beats null, and of two different values a fixed rule keeps one.
Every rule is commutative, associative and idempotent; that is what makes imports independent of order.
Copies that contradict each other in a field that identifies them are also reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from flexkit.tables.ids import derive, digests, identity
from flexkit.tables.schema import REJECTS
from flexkit.terms import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flexkit.tables.table import Table

WHERE = "record_origin"
"""Optional column beside a table's own: file and line, for reports of contradictions; never stored."""

CONTRADICTION = "two copies with one id contradict each other: of each field the finer or greater value is kept"

_TOLERANCE_US = 2_000_000
"""Copies of one event may be rounded to the second, up or down."""

# Fields in which copies of one thing must agree; instants within the tolerance.
_IDENTIFYING: Mapping[str, tuple[str, ...]] = {
    "alerts": ("error_code", "resource_sid", "interaction_sid", "channel_sid", "task_sid", "generated_at"),
    "task_events": (
        *("event_type", "occurred_at", "task_sid", "reservation_sid", "worker_sid", "workflow_sid", "interaction_sid"),
        *("channel_sid", "conversation_sid", "actor_sid", "reason"),
    ),
    "interactions": ("channel_sid", "workspace_sid", "created_at"),
    "channels": ("interaction_sid", "status"),
    "participants": ("interaction_sid", "channel_sid", "task_sid"),
    "invites": ("interaction_sid", "channel_sid", "task_sid", "created_at"),
    "conversations": ("created_at",),
    "executions": ("flow_sid", "created_at"),
    "steps": ("execution_sid", "flow_sid", "name", "transitioned_from", "transitioned_to", "created_at"),
}

_LEAST = ("created_at", "received_at", "changed_at", "generated_at", "precision_us", "found")

_LATEST: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "interactions": ("seen_at", ("found",)),
    "conversations": ("updated_at", ("state",)),
    "configuration": ("observed_at", ("kind", "subject_sid", "handler", "event_types", "detail")),
}
"""Table to the instant that orders its copies, and the fields that are as the latest copy says."""

_ASSIGNMENT = ("pending", "reserved", "assigned", "wrapping", "completed", "canceled")


def merged(table: Table, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """*frame* with one row per key of *table*, and a reject for each key whose copies contradict each other.

    The rows keep ``record_origin`` where *frame* has it.
    """
    key = list(table.key)
    if frame.select(pl.struct(key) if len(key) > 1 else key[0]).to_series().n_unique() == frame.height:
        return frame, REJECTS.empty()
    repeated = frame.select(key).is_duplicated()
    copies = frame.filter(repeated)
    has_where = WHERE in frame.columns
    kept = [_kept(table.name, name, dtype) for name, dtype in table.dtypes.items() if name not in key]
    clashes = [_clash(name, table.dtypes[name]) for name in _IDENTIFYING.get(table.name, ())]
    origins = [pl.col(WHERE).drop_nulls().unique().sort().alias("origins")] if has_where else []
    joined = copies.group_by(key, maintain_order=True).agg(
        *kept, *origins, pl.any_horizontal(*clashes, pl.lit(value=False)).alias("clashes")
    )
    conflicts = _conflicts(table, joined.filter("clashes"))
    if has_where:
        joined = joined.with_columns(pl.col("origins").list.first().alias(WHERE))
    if table.name == "signals":
        joined = derive(joined)
    if "day" in frame.columns and table.time is not None:
        joined = joined.with_columns(day=pl.col(table.time).dt.date())
    return pl.concat([frame.filter(~repeated), joined.select(frame.columns)]), conflicts


def _kept(table: str, name: str, dtype: object) -> pl.Expr:
    """How the copies of field *name* become one."""
    column = pl.col(name)
    by, latest = _LATEST.get(table, ("", ()))
    if name in latest:
        text = column.list.join(",") if isinstance(dtype, pl.List) else column.cast(pl.String)
        known = column.is_not_null()
        return column.filter(known).sort_by(pl.col(by).filter(known), text.filter(known), nulls_last=False).last()
    if name == "occurred_at":
        # The finest resolution first: a row of task_events tells it by its fraction.
        coarse = pl.col("precision_us") if table == "signals" else column.dt.microsecond() == 0
        return column.sort_by(coarse, column, nulls_last=True).first()
    if isinstance(dtype, pl.List):
        listed = column.explode().drop_nulls().unique().sort().implode()
        rule: pl.Expr = pl.when(column.is_not_null().any()).then(listed)
    elif name in _LEAST:
        rule = column.min()
    elif name == "origin":
        rule = column.replace({Origin.UNDETERMINED.value: None}).max().fill_null(Origin.UNDETERMINED.value)
    elif name == "assignment_status":
        rank = column.replace_strict(_ASSIGNMENT, list(range(len(_ASSIGNMENT))), default=-1, return_dtype=pl.Int8)
        rule = column.sort_by(rank, column, nulls_last=False).last()
    else:
        rule = column.max()
    return rule


def _clash(name: str, dtype: object) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return (column.max() - column.min()).dt.total_microseconds() >= _TOLERANCE_US
    return column.drop_nulls().n_unique() > 1


def _conflicts(table: Table, joined: pl.DataFrame) -> pl.DataFrame:
    if joined.is_empty():
        return REJECTS.empty()
    key = list(table.key)
    source = pl.col("origins").list.head(2).list.join(" and ") if "origins" in joined.columns else pl.lit(None)
    named = joined.select(
        pl.lit(table.name).alias("table"),
        pl.lit(CONTRADICTION).alias("reason"),
        source.cast(pl.String).alias("source"),
        pl.struct(pl.col(key).cast(pl.String)).struct.json_encode().alias("record"),
        identity(key).alias("key"),
    )
    ids = digests(named.select(pl.format("conflict\x1f{}\x1f{}", "table", "key")).to_series(), prefix="RJ")
    return REJECTS.conform(named.with_columns(reject_id=ids).lazy()).collect()
