"""What a fetch would ask: sources, the window that Twilio still has, and about how many requests. It asks nothing."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from flexkit.collect.fetch.held import NEARLY, RETENTION, Held
from flexkit.collect.fetch.summary import SOURCES, FetchPlan, Planned
from flexkit.collect.fetch.windows import LONGEST_WIDTH, PAGE
from flexkit.errors import UsageError
from flexkit.terms import Source
from flexkit.window import Window, stamp

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flexkit.tables.store import Store

MARGIN = dt.timedelta(seconds=10)
"""Before Twilio's now: the newest rows may not be listed yet."""
EDGE = dt.timedelta(minutes=5)
"""After the end of retention: a question beyond it is refused."""
TIMED = ((Source.DEBUGGER, "alerts", "alerts"), (Source.TASKROUTER, "events:", "task_events"))
"""What Twilio keeps for thirty days: source, beginning of the resource's name, name of the source of a fetch."""
_OF_AN_INTERACTION = 4
"""Requests for one interaction: itself, its channels, participants and invites."""


def plan(store: Store, window: Window, *, sources: Collection[str] | None = None) -> FetchPlan:
    """What `fetch` would ask, as far as the store can tell, without asking anything."""
    chosen = chosen_sources(sources or ())
    now = dt.datetime.now(dt.UTC)
    held = Held(store)
    span, warnings = obtainable(window, now)
    asked = Window(min(window.start, span.start), span.end)
    recent = Window(min(span.start, now - RETENTION), span.end)
    steps: list[Planned] = []
    if "alerts" in chosen:
        steps.append(_planned(held, span, Source.DEBUGGER, "alerts", "alerts"))
    if "task_events" in chosen:
        known = held.workspaces() or [""]
        steps += [_planned(held, span, Source.TASKROUTER, f"events:{name}", "task_events") for name in known]
    if "interactions" in chosen:
        unread = len(held.interactions_to_read(asked, recent))
        what = f"{unread:,} known and not final; {_OF_AN_INTERACTION} requests for each that the events name besides"
        steps.append(Planned("interactions", what, [], _OF_AN_INTERACTION * unread, is_least=True))
    if "conversations" in chosen:
        unread = len(held.conversations_to_read(asked, recent))
        what = f"{unread:,} known and not final; one request for each that is found besides"
        steps.append(Planned("conversations", what, [], unread, is_least=True))
    if "studio" in chosen:
        what = "flows, and the executions and steps of those that matter"
        steps.append(Planned("studio", what, [], 1 + len(held.resources(Source.STUDIO, "executions:")), is_least=True))
    if "configuration" in chosen:
        steps.append(Planned("configuration", "workspaces, webhooks, subscriptions, Flex settings", [], 6))
    if "audit_events" in chosen:
        steps.append(_planned(held, span, Source.TWILIO_API, "audit_events", "audit_events"))
    return FetchPlan(span, steps, [*warnings, *late(held, now)])


def chosen_sources(sources: Iterable[str], without: Iterable[str] = ()) -> frozenset[str]:
    """The sources to read: *sources* (all if none) but *without*; `UsageError` names an unknown one."""
    given, left = list(sources), list(without)
    if unknown := sorted({*given, *left} - set(SOURCES)):
        msg = f"There is no source {', '.join(map(repr, unknown))}. The sources are: {', '.join(SOURCES)}."
        raise UsageError(msg)
    chosen = frozenset(given or SOURCES) - frozenset(left)
    if not chosen:
        msg = "Every source is left out: there is nothing to fetch."
        raise UsageError(msg)
    return chosen


def obtainable(window: Window, now: dt.datetime) -> tuple[Window, list[str]]:
    """The part of *window* that Twilio still has at *now*, and a sentence about the rest."""
    now = now.replace(microsecond=0)
    earliest, latest = now - RETENTION + EDGE, now - MARGIN
    if window.end <= earliest:
        msg = (
            f"{window} is older than the 30 days that Twilio keeps alerts and TaskRouter events. "
            "Import what you archived of it with 'flexkit import'."
        )
        raise UsageError(msg)
    start, end = max(window.start, earliest), min(window.end, latest)
    if start >= end:
        msg = f"{window} lies in the future. Nothing has happened in it yet."
        raise UsageError(msg)
    warnings = []
    if window.start < earliest - EDGE:
        warnings.append(f"what happened before {stamp(earliest)} is gone: Twilio keeps 30 days")
    return Window(start, end), warnings


def late(held: Held, now: dt.datetime) -> list[str]:
    """Warnings where the last fetch was so long ago that evidence expires, or did."""
    told = []
    for source, prefix, name in TIMED:
        ends = [end for resource in held.resources(source, prefix) if (end := held.last_end(source, resource))]
        if not ends:
            continue
        age = now - min(ends)
        if age > RETENTION:
            told.append(f"{name} from {stamp(min(ends))} to {stamp(now - RETENTION)} are lost: fetch at least weekly")
        elif age > NEARLY:
            told.append(f"{name} were last read {age.days} days ago; after 30 they are lost: fetch at least weekly")
    return told


def _planned(held: Held, window: Window, source: Source, resource: str, name: str) -> Planned:
    spans = held.open_windows(source, resource, window)
    density = held.rows_per_second(source, resource)
    slices = sum(math.ceil(span.seconds / LONGEST_WIDTH) for span in spans)
    rows = 0 if density is None else sum(span.seconds for span in spans) * density
    workspace = resource.partition(":")[2]
    what = f"TaskRouter events of {workspace or 'each workspace'}" if name == "task_events" else name.replace("_", " ")
    return Planned(name, what, spans, max(slices, math.ceil(rows / (0.6 * PAGE))), is_least=density is None)
