"""A seeded large store for benchmarks: days of signals written in the layout that the store itself writes."""

from __future__ import annotations

import datetime as dt
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.tables import store_delta, store_layout
from flexkit.tables.keys import key64, signal_keys
from flexkit.tables.schema import INSTANT, SIGNALS
from flexkit.tables.store import FORMAT, Store
from flexkit.tables.store_delta import DeltaFolder
from flexkit.tables.store_opened import created

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FIRST_DAY = dt.date(2026, 1, 1)
PER_INTERACTION = 8.0
"""Signals of an interaction, on average."""
DAYS = {1_000_000: 10, 10_000_000: 90, 100_000_000: 90}

_HEX = np.array([ord(a) | ord(b) << 8 for a in "0123456789abcdef" for b in "0123456789abcdef"], dtype="<u2")
_TYPES = ["web", "chat", "sms", "whatsapp", "voice", "email"]
_TYPE_SHARES = [0.3, 0.2, 0.15, 0.15, 0.15, 0.05]
_DAY_US = 86_400 * 1_000_000
_LONGEST_DAYS = 6
"""No interaction is open for longer, but for one in a million."""


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of signal of an interaction's life: how often it is there, and how long after what."""

    kind: str
    source: str
    event_name: str
    share: float
    after: str
    """``start``, ``end`` or ``again``: the moment that *seconds* are counted from."""
    seconds: float


STEPS = (
    Step("channel_active", "interactions_webhook", "onChannelStatusUpdated", 1.0, "start", 0.5),
    Step("task_created", "taskrouter", "task.created", 1.0, "start", 1.0),
    Step("participant_joined", "interactions_webhook", "onParticipantAdded", 1.0, "start", 25.0),
    Step("task.reserved", "taskrouter", "task.reserved", 0.8, "start", 12.0),
    Step("close_channel_requested", "app_log", "close_channel", 0.7, "end", 0.0),
    Step("channel_closed", "interactions_webhook", "onChannelStatusUpdated", 0.97, "end", 0.6),
    Step("conversation_closed", "conversations", "onConversationStateUpdated", 0.4, "end", 0.9),
    Step("task_wrapup", "taskrouter", "task.wrapup", 0.95, "end", 1.1),
    Step("task_completed", "taskrouter", "task.completed", 0.97, "end", 35.0),
    Step("complete_requested", "app_log", "complete_task", 0.10, "again", 0.0),
    Step("close_channel_requested", "app_log", "close_channel", 0.05, "again", 0.1),
    Step("warning", "debugger", "80906", 0.06, "again", 0.7),
)
_REQUESTS = ("close_channel_requested", "complete_requested")


def sids(rng: np.random.Generator, prefix: str, count: int) -> pl.Series:
    """*count* random SIDs with that *prefix*."""
    text = np.empty((count, 35), np.uint8)
    text[:, :2] = np.frombuffer(prefix.encode(), np.uint8)
    text[:, 2:34] = _HEX[rng.integers(0, 256, (count, 16), dtype=np.uint8)].view(np.uint8)
    text[:, 34] = ord("\n")
    return pl.read_csv(io.BytesIO(text.tobytes()), has_header=False, schema={"sid": pl.String})["sid"]


def signals_of(interactions: int, day: int, seed: int) -> pl.DataFrame:
    """The signals of *interactions* that begin on that *day*; some end on a later one."""
    rng = np.random.default_rng([seed, day])
    start = rng.integers(0, _DAY_US, interactions) + _epoch_us(day)
    minutes = rng.lognormal(2.3, 1.0, interactions)
    # One interaction in a hundred stays open for days: conversations in chat and e-mail do.
    minutes = np.where(rng.random(interactions) < 0.01, rng.uniform(600, 4 * 1440, interactions), minutes)
    end = start + (minutes * 60e6).astype(np.int64)
    again = end + (rng.lognormal(2.0, 1.6, interactions) * 1e6).astype(np.int64)
    moments = {"start": start, "end": end, "again": again}
    people = pl.DataFrame(
        {
            "interaction_sid": sids(rng, "KD", interactions),
            "channel_sid": sids(rng, "UO", interactions),
            "task_sid": sids(rng, "WT", interactions),
            "conversation_sid": sids(rng, "CH", interactions),
            "channel_type": pl.Series(rng.choice(len(_TYPES), interactions, p=_TYPE_SHARES)).replace_strict(
                dict(enumerate(_TYPES)), return_dtype=pl.String
            ),
        }
    )
    parts = [_step(step, people, moments[step.after], rng) for step in STEPS]
    rows = pl.concat(parts)
    token = sids(rng, "EV", rows.height)
    rows = rows.with_columns(
        signal_id=sids(rng, "SG", rows.height),
        evidence_sid=token,
        trigger_id=pl.when(pl.col("kind").is_in(_REQUESTS)).then(token),
        # A TaskRouter event does not always name the interaction of its task.
        interaction_sid=pl.when(
            ~((pl.col("source") == "taskrouter") & pl.Series(rng.random(rows.height) < 0.002))
        ).then("interaction_sid"),
    )
    keyed = SIGNALS.conform(rows.lazy()).with_columns(*signal_keys(), key64("trigger_id").alias("tkey"))
    return SIGNALS.conform(keyed).collect()


def _step(step: Step, people: pl.DataFrame, moment: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    chosen = np.flatnonzero(rng.random(people.height) < step.share)
    late = rng.exponential(0.3e6, len(chosen)).astype(np.int64)
    occurred = moment[chosen] + int(step.seconds * 1e6) + late
    outcomes = ["accepted", "rejected", "skipped", "unknown"]
    shares = [0.80, 0.12, 0.05, 0.03] if step.after == "again" else [0.97, 0.0, 0.0, 0.03]
    is_request = step.kind in _REQUESTS
    outcome = (
        pl.Series(rng.choice(4, len(chosen), p=shares)).replace_strict(
            dict(enumerate(outcomes)), return_dtype=pl.String
        )
        if is_request
        else pl.Series(["unknown"]).new_from_index(0, len(chosen))
    )
    handler = pl.Series(rng.integers(0, 6, len(chosen))).replace_strict(
        {number: f"close-fn-{number}" for number in range(6)}, return_dtype=pl.String
    )
    return people[chosen].with_columns(
        occurred_at=pl.Series(occurred).cast(INSTANT),
        kind=pl.lit(step.kind),
        source=pl.lit(step.source),
        event_name=pl.lit(step.event_name),
        time_kind=pl.lit("receipt" if step.source == "interactions_webhook" else "event"),
        outcome=outcome,
        handler=handler if is_request else pl.lit(None, dtype=pl.String),
        precision_us=pl.lit(1_000_000 if step.kind == "warning" else 1000, dtype=pl.Int64),
    )


def _epoch_us(day: int) -> int:
    return (FIRST_DAY - dt.date(1970, 1, 1)).days * _DAY_US + day * _DAY_US


def build(folder: Path, signals: int, *, seed: int = 80906, days: int | None = None, at_once: int = 0) -> Path:
    """A store with about that many *signals* below *folder*, made once; one sorted file per day.

    What was begun is gone on with. With *at_once*, no more than that many days are made now.
    """
    days = days or DAYS.get(signals, max(10, min(90, signals // 100_000)))
    path = folder / f"{signals}-{days}-{seed}-{FORMAT}"
    if (path / "meta.json").is_file():
        return path
    store = DeltaFolder(str(path / "tables" / "signals"), SIGNALS)
    shares = sum(step.share for step in STEPS)
    per_day = round(signals / shares / days)
    made = 0 if (begun := store.opened()) is None else len(begun.file_uris())
    held = SIGNALS.empty()
    for day in range(max(0, made - _LONGEST_DAYS), days):
        rows = pl.concat([held, signals_of(per_day, day, seed)])
        today = FIRST_DAY + dt.timedelta(days=day)
        if day >= made:
            write(store, rows if day == days - 1 else rows.filter(pl.col("day") <= today))
        held = rows.filter(pl.col("day") > today)
        if at_once and day == made + at_once - 1:
            return path
    # Written last: a folder without it was not finished.
    (path / "meta.json").write_text(json.dumps({"format": FORMAT, "created_at": "2026-01-01T00:00:00Z"}))
    return path


def write(store: DeltaFolder, rows: pl.DataFrame) -> None:
    """Append *rows* as the store does, without looking for rows that are there already: none are."""
    from deltalake import write_deltalake

    folder = store.opened() or created(store.uri, SIGNALS, rows.schema, by_day=True)
    ordered = store_layout.in_order(SIGNALS, rows)
    write_deltalake(
        folder,
        ordered,
        mode="append",
        partition_by=["day"],
        writer_properties=store_layout.layout(SIGNALS, ordered),
        commit_properties=store_delta.commit_after(folder),
    )


def opened(path: Path) -> Store:
    """The store at *path* with every result."""
    from flexkit.analyse.results import RESULTS

    return Store(path, results=RESULTS)
