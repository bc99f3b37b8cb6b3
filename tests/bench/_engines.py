"""One question, answered by several engines over the same files; each function is run in a fresh process.

The question: **per UTC day of the first completion and channel type, how many interactions were completed,
how many of them may have been completed twice, and the sum of the gaps in between.**

Among the signals of an interaction that were neither rejected nor skipped:

- *closing*: the earliest of ``channel_closed``, ``conversation_closed``, ``close_channel_requested`` and
  ``close_conversation_requested``;
- *task*: the latest of ``task_completed``, ``task_canceled``, ``task_deleted``, ``task.system-deleted`` and
  ``complete_requested``; it does not count where a ``channel_inactive`` or ``close_participant_requested``
  is less than 60 s before it, or after it;
- *warned*: the earliest ``warning``; *last*: the latest ``close_channel_requested`` or ``complete_requested``;
- *first* is closing, else task, else warned; interactions without it are not completed;
- *affected*: warned, or two requests, or a ``close_channel_requested`` over 10 s after ``channel_closed``;
- *gap*: from first to warned, else to last, at least 0, in microseconds.

Signals that name no interaction are left out. Every answer is a list of (days since 1970, channel type,
completed, affected, sum of gaps), sorted; they must be equal to the last row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flexkit.analyse import fast_pass, heavy_pass

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

Answer = list[tuple[object, ...]]


def files(path: Path) -> list[str]:
    """The Parquet files of the signals of the store at *path*."""
    from deltalake import DeltaTable

    return DeltaTable(str(path / "tables" / "signals")).file_uris()


def _signals(path: Path) -> pl.LazyFrame:
    from flexkit.tables.store import Store

    return Store(path).table("signals")


def flexkit(path: Path) -> Answer:
    """flexkit's pass from the store."""
    return list(fast_pass.answer(_signals(path)).rows())


def flexkit_portable(path: Path) -> Answer:
    """The pass in its portable form, on Polars."""
    return list(heavy_pass.answer(_signals(path)).collect(engine="streaming").rows())


def native_polars(path: Path) -> Answer:
    """The same plan, written in Polars itself: what Narwhals adds."""
    return list(native_plan(_signals(path)).collect(engine="streaming").rows())


def scan(path: Path) -> Answer:
    """Only the needed columns, read and thrown away."""
    _signals(path).select(*heavy_pass.NEEDED).collect(engine="streaming")
    return []


def duckdb_keys(path: Path) -> Answer:
    """DuckDB's SQL on the same integer keys."""
    return _duckdb(path, has_keys=True)


def duckdb_strings(path: Path) -> Answer:
    """DuckDB's SQL on the identifiers as text and the instants as instants."""
    return _duckdb(path, has_keys=False)


def duckdb_portable(path: Path) -> Answer:
    """flexkit's pass, run by DuckDB through Narwhals."""
    import duckdb

    connection = duckdb.connect()
    return [tuple(row) for row in heavy_pass.answer(connection.read_parquet(files(path))).fetchall()]


def pandas(path: Path) -> Answer:
    """The same question in pandas, on the keys."""
    import duckdb

    needed = list(heavy_pass.NEEDED)
    # pandas reads Parquet by another library only; DuckDB is at hand.
    rows = duckdb.connect().read_parquet(files(path)).project(", ".join(needed)).df()
    rows = rows[rows["ending"].notna() & rows["ikey"].notna()].astype({"ikey": "int64", "ending": "int64"})
    moments = {
        "closing": ("min", (*heavy_pass.SHOWN, *heavy_pass.CLOSES)),
        "closed": ("min", ("channel_closed",)),
        "warned": ("min", ("warning",)),
        "task": ("max", heavy_pass.TASK_ENDS),
        "park": ("max", heavy_pass.PARKS),
        "late": ("max", ("close_channel_requested",)),
        "last": ("max", heavy_pass.REPEATABLE),
        "requests": ("count", heavy_pass.REPEATABLE),
    }
    per = rows.groupby("ikey")["channel_type"].first().to_frame()
    for name, (how, wanted) in moments.items():
        chosen = rows[rows["ending"].isin(heavy_pass.places(wanted))].groupby("ikey")["occurred_us"].agg(how)
        per[name] = chosen.astype("Int64")
    parked = (per["task"] <= per["park"] + heavy_pass.PARK_US).fillna(value=False)
    per["first"] = per["closing"].fillna(per["task"].mask(parked)).fillna(per["warned"])
    late = (per["late"] > per["closed"] + heavy_pass.SKEW_US).fillna(value=False)
    affected = per["warned"].notna() | (per["requests"].fillna(0) > 1) | late
    per["affected"] = affected.astype("int64")
    per["gap"] = (per["warned"].fillna(per["last"]) - per["first"]).clip(lower=0).where(affected).fillna(0)
    per = per[per["first"].notna()]
    per["day"] = per["first"] // heavy_pass.DAY_US
    found = per.groupby(["day", "channel_type"]).agg(
        completed=("affected", "size"), affected=("affected", "sum"), gap=("gap", "sum")
    )
    return [
        (int(day), kind, int(row[0]), int(row[1]), int(row[2]))
        for (day, kind), row in zip(found.index, found.itertuples(index=False), strict=True)
    ]


def spark(path: Path) -> Answer:
    """flexkit's pass, run by Spark on this machine."""
    from flexkit.tables import spark as on_spark

    session = _session()
    return [tuple(row) for row in heavy_pass.answer(on_spark.frame(session, files(path))).collect()]


def spark_sql(path: Path) -> Answer:
    """Spark's own SQL on the same keys."""
    session = _session()
    session.read.parquet(*files(path)).createOrReplaceTempView("signals")
    return [tuple(row) for row in session.sql(question("signals", has_keys=True)).collect()]


def _session() -> Any:
    from pyspark.sql import SparkSession

    return (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.driver.memory", "3g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )


def _source(path: Path) -> str:
    return "read_parquet([" + ", ".join(f"'{file}'" for file in files(path)) + "])"


def _duckdb(path: Path, *, has_keys: bool) -> Answer:
    import duckdb

    connection = duckdb.connect()
    return [tuple(row) for row in connection.execute(question(_source(path), has_keys=has_keys)).fetchall()]


def question(source: str, *, has_keys: bool) -> str:
    """The question in SQL, for Spark and DuckDB, or for DuckDB alone in what records themselves say."""
    if has_keys:
        key, us, kind, went_through = "ikey", "occurred_us", "ending", "ending is not null"
    else:
        key, us, kind = "interaction_sid", "epoch_us(occurred_at)", "kind"
        went_through = "coalesce(outcome, 'unknown') not in ('rejected', 'skipped')"

    def these(*kinds: str) -> str:
        if has_keys:
            return "kind in (" + ", ".join(map(str, heavy_pass.places(kinds))) + ")"
        return "kind in (" + ", ".join(f"'{kind}'" for kind in kinds) + ")"

    closing = these(*heavy_pass.SHOWN, *heavy_pass.CLOSES)
    task, park, request = these(*heavy_pass.TASK_ENDS), these(*heavy_pass.PARKS), these(*heavy_pass.REPEATABLE)
    warning, closed, late = these("warning"), these("channel_closed"), these("close_channel_requested")
    asked = "" if has_keys else f"and ({closing} or {task} or {park} or {request} or {warning})"
    return f"""
    with ends as (
        select {key} as k, channel_type, {us} as us, {kind} as kind from {source}
        where {key} is not null and {went_through} {asked}
    ), per as (
        select k, max(channel_type) as channel_type,
            min(us) filter (where {closing}) as closing, min(us) filter (where {closed}) as closed,
            min(us) filter (where {warning}) as warned, max(us) filter (where {task}) as task,
            max(us) filter (where {park}) as park, max(us) filter (where {request}) as last_at,
            max(us) filter (where {late}) as late,
            count(*) filter (where {request}) as requests
        from ends group by k
    ), judged as (
        select channel_type, warned, last_at,
            coalesce(closing, case when coalesce(task <= park + {heavy_pass.PARK_US}, false) then null else task end,
                warned) as first_at,
            warned is not null or requests > 1 or coalesce(late > closed + {heavy_pass.SKEW_US}, false) as affected
        from per
    )
    select cast(floor(first_at / {heavy_pass.DAY_US}) as bigint) as day, channel_type, count(*) as completed_count,
        cast(sum(case when affected then 1 else 0 end) as bigint) as affected_count,
        cast(coalesce(sum(case when affected then greatest(0, coalesce(warned, last_at) - first_at) end), 0)
            as bigint) as gap_us
    from judged where first_at is not null group by 1, 2 order by 1, 2 nulls first
    """  # noqa: S608 - the text is made from constants and our own paths


def native_plan(signals: pl.LazyFrame) -> pl.LazyFrame:
    """`heavy_pass.answer` in Polars' own words."""
    import polars as pl

    us = pl.col("occurred_us")

    def these(*kinds: str) -> pl.Expr:
        return pl.col("ending").is_in(heavy_pass.places(kinds))

    closing = these(*heavy_pass.SHOWN, *heavy_pass.CLOSES)
    request = these(*heavy_pass.REPEATABLE)
    is_task, is_park, warning = these(*heavy_pass.TASK_ENDS), these(*heavy_pass.PARKS), these("warning")
    per = (
        signals.filter(pl.col("ending").is_not_null(), pl.col("ikey").is_not_null())
        .select(
            "ikey",
            "channel_type",
            closing=pl.when(closing).then(us),
            closed=pl.when(these("channel_closed")).then(us),
            warned=pl.when(warning).then(us),
            task=pl.when(is_task).then(us),
            park=pl.when(is_park).then(us),
            late=pl.when(these("close_channel_requested")).then(us),
            last=pl.when(request).then(us),
        )
        .group_by("ikey")
        .agg(
            pl.col("closing", "closed", "warned").min(),
            pl.col("channel_type", "task", "park", "late", "last").max(),
            requests=pl.col("last").count(),
        )
    )
    parked = (pl.col("task") <= pl.col("park") + heavy_pass.PARK_US).fill_null(value=False)
    late = (pl.col("late") > pl.col("closed") + heavy_pass.SKEW_US).fill_null(value=False)
    return (
        per.with_columns(
            first=pl.coalesce("closing", pl.when(~parked).then("task"), "warned"),
            affected=pl.col("warned").is_not_null() | (pl.col("requests") > 1) | late,
        )
        .filter(pl.col("first").is_not_null())
        .with_columns(gap=pl.when("affected").then((pl.coalesce("warned", "last") - pl.col("first")).clip(0)))
        .group_by(day=pl.col("first") // heavy_pass.DAY_US, channel_type="channel_type")
        .agg(pl.len().cast(pl.Int64), pl.col("affected").sum().cast(pl.Int64), pl.col("gap").sum())
        .sort("day", "channel_type")
    )


ENGINES = {
    "scan": scan,
    "flexkit": flexkit,
    "flexkit portable": flexkit_portable,
    "native polars": native_polars,
    "duckdb keys": duckdb_keys,
    "duckdb strings": duckdb_strings,
    "flexkit on duckdb": duckdb_portable,
    "pandas": pandas,
    "flexkit on spark": spark,
    "spark sql": spark_sql,
}
"""Every engine by its name in the table."""
