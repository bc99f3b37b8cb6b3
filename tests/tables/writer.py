"""A process that writes batches of signals into a store, for tests of two writers and of killed ones."""

from __future__ import annotations

import datetime as dt
import sys

import polars as pl

from flexkit.tables.ids import derive
from flexkit.tables.schema import SIGNALS
from flexkit.tables.store import Store

BEGIN = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)


def batch(number: int, *, rows: int = 200, days: int = 3) -> pl.DataFrame:
    """Signals that every process makes alike; neighbouring batches share half of their rows."""
    first = number * rows // 2
    index = pl.int_range(first, first + rows, eager=True)
    frame = pl.DataFrame(
        {
            "signal_id": ["SG" + f"{i:032x}" for i in index],
            "occurred_at": [BEGIN + dt.timedelta(minutes=7 * (i % (days * 200))) for i in index],
            "interaction_sid": ["KD" + f"{i // 8:032x}" for i in index],
        }
    ).with_columns(kind=pl.lit("task_completed"), source=pl.lit("taskrouter"), precision_us=pl.lit(1_000))
    return derive(SIGNALS.conform(frame.lazy()).collect())


def main(folder: str, batches: int) -> None:
    store = Store(folder)
    print("ready", flush=True)
    for number in range(batches):
        store.add({"signals": batch(number)})
        print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
