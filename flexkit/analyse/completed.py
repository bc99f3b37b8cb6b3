"""Completed interactions: when each was first complete, and by whom; all of them, or those that changed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.analyse import linking, memory, runs
from flexkit.analyse.handlers import named, no_map
from flexkit.analyse.heavy_pass import CLOSES, COUNTED, PARK_US, PARKS, SHOWN, SKEW_US, TASK_ENDS
from flexkit.analyse.memory import Layer, Memory
from flexkit.analyse.renewal import prints, touched_by
from flexkit.tables.schema import INSTANT
from flexkit.tables.streamed import streamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flexkit.analyse.extracts import Extracts
    from flexkit.analyse.nameless import Nameless

COMPLETIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_sid": pl.String,
    "channel_type": pl.String,
    "first_closed_at": INSTANT,
    "first_source": pl.String,
    "first_handler": pl.String,
    "signal_count": pl.Int64,
    "completion_count": pl.Int64,
}

_SCHEMA = pl.Schema({"ikey": pl.Int64, **COMPLETIONS})
AT_ONCE = 2_000_000
"""Rows that are sorted at once; more are cut by their keys, so that memory stays bounded."""
_TEXTS = ("channel_type", "source", "handler")


@dataclass(frozen=True, slots=True)
class Sources:
    """All signals (as `flexkit.analyse.linking.prepared` gives them), their extracts, and whose the nameless are."""

    signals: pl.LazyFrame
    extracts: Extracts
    nameless: Nameless
    names: pl.DataFrame | None = None
    """The user's handler map."""

    def rows(self, keys: pl.DataFrame | None = None) -> pl.LazyFrame:
        """What ends an interaction or shows its end (of those with ``ikey`` in *keys*, where given)."""
        names = no_map() if self.names is None else self.names
        having = self.extracts.having
        signals = self.signals if having is None or keys is None else having("moments", keys)
        known = signals.filter(pl.col("ikey").is_not_null())
        held = known if keys is None else linking.of_interactions(known, keys)
        owned = self.nameless.owned(keys)
        return pl.concat(runs.read(named(some, names), "interaction_sid", *_TEXTS) for some in (held, owned))

    def count(self) -> int:
        """About how many rows that are."""
        return int(self.extracts.moments.select(pl.col("signal_count").sum()).collect(engine="streaming").item() or 0)


def repeats(duplicates: pl.LazyFrame) -> pl.DataFrame:
    """What `pieces` needs of the table ``duplicates`` (``ikey`` is derived where it is absent), per interaction."""
    has_keys = "ikey" in duplicates.collect_schema()
    return (
        (duplicates if has_keys else duplicates.with_columns(linking.key()))
        .group_by("ikey")
        .agg(
            again_us=pl.col("first_closed_at").min().dt.timestamp("us"),
            warned_us=pl.col("second_at").min().dt.timestamp("us"),
            duplicates=pl.len().cast(pl.Int64),
        )
        .collect()
    )


def pieces(seen: Sources, again: pl.DataFrame, keys: pl.DataFrame | None = None) -> Iterator[pl.DataFrame]:
    """The interactions (with ``ikey`` in *keys*) that were completed: `COMPLETIONS`, and ``ikey``.

    *again* are the `repeats` of all duplicates.
    """
    number = -(-seen.count() // AT_ONCE) if keys is None else 1
    if number <= 1:
        yield _completed(seen.rows(keys).collect(engine="streaming"), again)
        return
    with tempfile.TemporaryDirectory(prefix="flexkit-") as folder:
        piece = pl.col("ikey").reinterpret(signed=False) % number
        seen.rows(keys).with_columns(piece=piece).sink_parquet(
            pl.PartitionBy(Path(folder), key="piece", include_key=False), compression="lz4", mkdir=True
        )
        for place in range(number):
            if files := sorted((Path(folder) / f"piece={place}").glob("*.parquet")):
                yield _completed(pl.read_parquet(files, hive_partitioning=False), again)


def renewed(
    seen: Sources, duplicates: pl.LazyFrame, before: Memory | None = None, changed: pl.LazyFrame | None = None
) -> Memory:
    """All `pieces` (``completions``), and what they were made from.

    *before* and *changed* are as in `flexkit.analyse.renewal.judgements`; the result is the same without them.
    """
    again = cache(partial(repeats, duplicates))
    if before is None or changed is None:
        marks = prints(again())
        found = [Layer(streamed(lambda: pieces(seen, again()), _SCHEMA))]
    else:
        touched, marks = touched_by(changed, seen.nameless, before, "again", again)
        found = memory.changed(before, "completions", touched, pl.concat(pieces(seen, again(), touched)))
    whole = {"again": marks, "owners": seen.nameless.owners, "executions": seen.nameless.runs}
    return Memory({}, {"completions": found, **{name: [Layer.of(rows)] for name, rows in whole.items()}})


def _completed(rows: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    """The completions of *rows* (`flexkit.analyse.runs.read`), of whose interactions *again* has the `repeats`."""
    if rows.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    by = runs.Runs(rows, texts=_TEXTS)
    asked, closing, ended = (by.among(kinds) for kinds in (CLOSES, (*SHOWN, *CLOSES), TASK_ENDS))
    first = {"request": by.first(asked), "closing": by.first(closing), "task": by.last(ended)}
    at_request = by.standing_at(first["request"], asked)
    per = pl.DataFrame(
        {
            "ikey": by.keys,
            "interaction_sid": by.rows["interaction_sid"].gather(pl.Series(by.starts)),
            "channel_type": by.text("channel_type", np.arange(len(rows)), greatest=True),
            **{f"{name}_us": moments for name, moments in first.items()},
            "park_us": by.last(by.among(PARKS)),
            "requester": by.text("handler", at_request),
            "request_source": by.text("source", at_request),
            "closing_source": by.text("source", by.standing_at(first["closing"], closing)),
            "task_source": by.text("source", by.standing_at(first["task"], ended), greatest=True),
            "signal_count": by.count(by.among(COUNTED)),
        }
    )
    parked = pl.col("closing_us").is_null() & (pl.col("task_us") <= pl.col("park_us") + PARK_US).fill_null(value=False)
    by_request = (pl.col("request_us") <= pl.col("closing_us") + SKEW_US).fill_null(value=False)
    return (
        per.join(again, on="ikey", how="left", maintain_order="left")
        .with_columns(own_us=pl.when(~parked).then(pl.coalesce("closing_us", "task_us")))
        .with_columns(at_us=pl.coalesce(pl.min_horizontal("own_us", "again_us"), "warned_us"))
        .filter(pl.col("at_us").is_not_null(), (pl.col("signal_count") > 0) | pl.col("own_us").is_not_null())
        .select(
            "ikey",
            "interaction_sid",
            "channel_type",
            first_closed_at=instant("at_us"),
            first_source=pl.when(by_request)
            .then("request_source")
            .when(pl.col("closing_us").is_not_null())
            .then("closing_source")
            .otherwise("task_source"),
            first_handler=pl.when(by_request).then("requester"),
            signal_count="signal_count",
            completion_count=1 + pl.col("duplicates").fill_null(0),
        )
        .cast(_SCHEMA)
    )


def instant(column: str) -> pl.Expr:
    """*column*, microseconds since 1970 UTC, as an instant."""
    return pl.col(column).cast(INSTANT)
