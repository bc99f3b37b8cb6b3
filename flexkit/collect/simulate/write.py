"""Evidence to files, as a receiver or Twilio's REST API would have left them: gzipped, always the same bytes."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from flexkit.collect.simulate import formats, formats_alerts, formats_tasks, snapshots
from flexkit.collect.simulate.attempts import Feed
from flexkit.collect.simulate.centre import DAY, SECOND, Role
from flexkit.collect.simulate.observe import Stream
from flexkit.collect.simulate.server import Fate
from flexkit.collect.simulate.sids import pick, tokens
from flexkit.collect.simulate.template import compact
from flexkit.terms import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flexkit.collect.simulate.evidence import Evidence

_CHUNK = 50_000
_PAGE = 1_000


def write_evidence(evidence: Evidence, folder: Path, *, level: int = 6) -> list[Path]:
    """Write every stream below *folder*; the files that have rows. *level* is gzip's."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder / name, parts) for name, parts in _files(evidence)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        written = pool.map(lambda job: _write(job[0], job[1](), level=level), jobs)
        return [path for path in written if path is not None]


def _write(path: Path, parts: Iterator[str], *, level: int) -> Path | None:
    first = next(parts, None)
    if first is None:
        path.unlink(missing_ok=True)
        return None
    # No file name and no time in the header: the same evidence gives the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", level, raw, mtime=0) as packed:
        packed.write(first.encode())
        for part in parts:
            packed.write(part.encode())
    return path


def _files(evidence: Evidence) -> Iterator[tuple[str, Callable[[], Iterator[str]]]]:
    frames, ids, damage = evidence.frames, evidence.seen.identity, evidence.damage
    style = evidence.seen.world.centre.alert_style
    events, warned = frames[Stream.TASK_EVENTS], frames[Stream.ALERTS]
    events = events.with_columns(is_first=pl.Series(evidence.seen.tasks.number[events["k"].to_numpy()] == 1))
    listed = _unordered(events.filter("by_rest"))

    def coarse(stream: Stream) -> bool:
        return formats.whole_seconds(stream, damage.truncated)

    def delivered() -> list[pl.DataFrame]:
        """What one receiver captured of all webhooks: rows of time, interaction and record."""
        heard, changed = frames[Stream.INTERACTIONS], frames[Stream.CONVERSATIONS]
        called = callbacks(evidence, events)
        exact = not coarse(Stream.CONVERSATIONS)
        return [
            _placed(heard, formats.interactions_webhooks(heard, ids)),
            _placed(changed, formats.conversations_webhooks(changed, ids, fraction=exact)),
            _placed(called, formats_tasks.callback(called, ids)),
            _placed(warned, formats_alerts.debugger_webhook(warned, ids)),
        ]

    yield "webhooks.jsonl.gz", lambda: _lines(_unordered(pl.concat(delivered())), lambda part: part["record"])
    yield (
        "taskrouter-stream.jsonl.gz",
        lambda: _lines(_unordered(events.filter("by_stream")), lambda part: formats_tasks.stream(part, ids)),
    )
    yield from _items("taskrouter-events", listed, "events", lambda part: formats_tasks.rest(part, ids))
    recent = warned.filter("by_rest")
    yield from _items("alerts", recent, "alerts", lambda part: formats_alerts.rest(part, ids, style=style))
    yield (
        "error-stream.json.gz",
        lambda: _array(warned.filter("by_stream"), lambda part: formats_alerts.error_stream(part, ids)),
    )
    yield (
        "completion-log.jsonl.gz",
        lambda: _lines(
            frames[Stream.COMPLETION_LOG],
            lambda part: formats.completion_log(part, fraction=not coarse(Stream.COMPLETION_LOG)),
        ),
    )
    if Source.TWILIO_API not in damage.missing:
        yield "configuration.json.gz", lambda: _listed(snapshots.configuration(evidence))
        yield "interactions-and-channels.json.gz", lambda: _listed(snapshots.resources(evidence))
    ran, went = frames[Stream.EXECUTIONS], frames[Stream.STEPS]
    yield from _items("studio-executions", ran, "executions", lambda part: formats.executions(part, ids))
    yield from _items("studio-steps", went, "steps", lambda part: formats.steps(part, ids))


def _lines(frame: pl.DataFrame, render: Callable[[pl.DataFrame], pl.Series]) -> Iterator[str]:
    """JSON lines."""
    for part in frame.iter_slices(_CHUNK):
        if part.height:
            yield "\n".join(render(part).to_list()) + "\n"


def _listed(resources: list[dict[str, Any]]) -> Iterator[str]:
    """Resources that were read one by one, as one JSON array."""
    if resources:
        yield "[" + ",\n".join(compact(resource) for resource in resources) + "]\n"


def _array(
    frame: pl.DataFrame, render: Callable[[pl.DataFrame], pl.Series], *, head: str = "[", tail: str = "]\n"
) -> Iterator[str]:
    """One JSON array, or an object around it."""
    if frame.height:
        yield head + ",\n".join(render(frame).to_list()) + tail


def _items(
    name: str, frame: pl.DataFrame, key: str, render: Callable[[pl.DataFrame], pl.Series]
) -> Iterator[tuple[str, Callable[[], Iterator[str]]]]:
    """Files of a REST list: the page where one holds it all, else arrays of its items, so many to a file."""
    if frame.height <= _PAGE:
        meta = compact({"key": key, "page": 0, "page_size": _PAGE, "next_page_url": None})
        yield f"{name}.json.gz", lambda: _array(frame, render, head=f'{{"meta":{meta},"{key}":[', tail="]}\n")
        return
    for number, part in enumerate(frame.iter_slices(_CHUNK), start=1):
        # Bound now: the file is written later.
        yield f"{name}-{number:03}.json.gz", lambda part=part: _array(part, render)  # type: ignore[misc]


def _placed(frame: pl.DataFrame, record: pl.Series) -> pl.DataFrame:
    return frame.select("order_us", "i").with_columns(record=record)


def _unordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Neither Event Streams nor an export keeps order: half a day's records come by interaction."""
    return frame.sort(pl.col("order_us") // (DAY // 2), "i", "order_us", maintain_order=True)


def callbacks(evidence: Evidence, events: pl.DataFrame) -> pl.DataFrame:
    """Task events that the owner of terminal events received and acted upon, once for each delivery."""
    world, ids = evidence.seen.world, evidence.seen.identity
    attempts, fate = world.attempts, world.resolution.fate
    acted = (attempts.role == Role.OWNER) & (attempts.feed == Feed.TASK_EVENT) & (fate != Fate.NOT_SENT)
    which = np.flatnonzero(acted)
    deliveries = pl.DataFrame(
        {
            "event_sid": pick(ids.trigger, which),
            "received_us": attempts.sent[which] - SECOND // 20,
            "token": tokens(world.seed, "callbacks", len(which)),
        }
    )
    known = events.unique("event_sid", keep="first", maintain_order=True)
    return deliveries.join(known, on="event_sid", how="inner", maintain_order="left").sort("received_us")
