"""Single resources: interactions with all that belongs to them, conversations, Studio executions.

There is no list of interactions. They are found by their SIDs in any text of other evidence, here and in
the store. A unit counts as read when all of it is stored: its own record comes last, and a mark says so
where a part of it could not be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flexkit.collect.fetch.held import unseen
from flexkit.collect.fetch.sink import Covered, texts
from flexkit.collect.network.answers import RefusedError
from flexkit.errors import FetchError
from flexkit.tables.normalize import RecordKind
from flexkit.terms import CoverageState, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flexkit.collect.fetch.run import Run
    from flexkit.collect.network.answers import Answer

Json = dict[str, Any]
_INTERACTION = re.compile(r"KD[0-9a-fA-F]{32}(?![0-9a-fA-F])")
_CONVERSATION = re.compile(r"CH[0-9a-fA-F]{32}(?![0-9a-fA-F])")
_OF_A_CHANNEL = (RecordKind.PARTICIPANT, RecordKind.INVITE)
_FEW_GONE = 3
_LINKED = re.compile(r"(?:KD|UO|CH|WT)[0-9a-fA-F]{32}(?![0-9a-fA-F])")


def find(run: Run, told: Iterable[str]) -> None:
    """Queue the interactions that texts of records name anywhere, and the conversations named beside them."""
    for text in told:
        named = _INTERACTION.findall(text)
        if run.wants("interactions"):
            for sid in unseen(named, run.interactions):
                run.jobs.add(read_interaction, run, sid)
        if named:
            find_conversations(run, text)


def find_conversations(run: Run, text: str) -> None:
    """Queue the conversations that *text* names."""
    if run.wants("conversations"):
        for sid in unseen(_CONVERSATION.findall(text), run.conversations):
            run.jobs.add(read_conversation, run, sid)


@dataclass(frozen=True, slots=True)
class Unit:
    """A resource with what belongs to it."""

    source: str
    kind: RecordKind
    sid: str
    version: Any
    path: str

    @property
    def origin(self) -> str:
        """Version and path."""
        return f"/{self.version.version}{self.path}"


async def read_interaction(run: Run, sid: str) -> None:
    """One interaction with its channels, participants and invites; a deleted one leaves a tombstone."""
    unit = Unit("interactions", RecordKind.INTERACTION, sid, run.client.flex_api.v1, f"/Interactions/{sid}")
    answer = await _itself(run, unit)
    if answer is None:
        return
    find_conversations(run, answer.text)
    channels, problem = await _part(run, unit, "/Channels", "channels")
    named = [item["sid"] for item in channels if isinstance(item, dict) and isinstance(item.get("sid"), str)]
    lists = [(kind, f"/Channels/{channel}/{kind.title()}s") for channel in named for kind in _OF_A_CHANNEL]
    # One after another: the pool has other interactions to keep the line full, and tasks cost more than they save.
    parts = [await _part(run, unit, below, f"{kind}s") for kind, below in lists]
    problem = problem or next((told for _, told in parts if told), None)
    marks = _marks(run, unit, problem)
    await run.sink.put(unit.source, RecordKind.CHANNEL, texts(channels), f"{unit.origin}/Channels", marks=marks)
    for (kind, below), (items, _) in zip(lists, parts, strict=True):
        told = texts(items)
        find_conversations(run, "".join(told))
        await run.sink.put(unit.source, kind, told, unit.origin + below)
    await _put_itself(run, unit, answer.payload, problem)


async def read_conversation(run: Run, sid: str) -> None:
    """One conversation's state and dates; a deleted one leaves a tombstone."""
    version = run.client.conversations.v1
    unit = Unit("conversations", RecordKind.CONVERSATION, sid, version, f"/Conversations/{sid}")
    answer = await _itself(run, unit)
    if answer is not None:
        find(run, [answer.text])
        await run.sink.put(unit.source, unit.kind, texts([answer.payload]), unit.origin)


async def read_execution(run: Run, execution: Json, *, is_closing: bool) -> None:
    """One Studio execution's steps, then itself; with its context where its flow can close a channel.

    The context is what ties such an execution to its conversation; only SIDs of it are kept.
    """
    if not run.wants("studio"):
        return
    path = f"/Flows/{execution['flow_sid']}/Executions/{execution['sid']}"
    unit = Unit("studio", RecordKind.EXECUTION, execution["sid"], run.client.studio.v2, path)
    steps, problem = await _part(run, unit, "/Steps", "steps")
    if is_closing and not _LINKED.search("".join(texts([execution]))):
        context, missing = await _context(run, unit)
        problem = problem or missing
        execution = {**execution, "context": context}
    marks = _marks(run, unit, problem)
    told = texts(steps)
    find(run, [*told, *texts([execution])])
    await run.sink.put(unit.source, RecordKind.STEP, told, f"{unit.origin}/Steps", marks=marks)
    await _put_itself(run, unit, execution, problem)


async def reread_execution(run: Run, flow: str, sid: str) -> None:
    """An execution that had not ended, or of which a part was missing, when it was read before."""
    unit = Unit("studio", RecordKind.EXECUTION, sid, run.client.studio.v2, f"/Flows/{flow}/Executions/{sid}")
    if not run.wants("studio"):
        return
    with run.guard(unit.source, sid):
        answer = await run.asker.one(unit.version, unit.path)
        await read_execution(run, {**answer.payload, "flow_sid": flow, "sid": sid}, is_closing=True)


async def _context(run: Run, unit: Unit) -> tuple[object, str | None]:
    try:
        answer = await run.asker.one(unit.version, f"{unit.path}/Context")
    except RefusedError as refused:
        if refused.status == 404:
            return {}, None
        run.refuse(unit.source, f"context of {unit.sid}", refused)
        return {}, f"context refused (HTTP {refused.status})"
    except FetchError as error:
        run.miss(unit.source, f"context of {unit.sid}", error)
        return {}, "context could not be read"
    return answer.payload.get("context"), None


async def _itself(run: Run, unit: Unit) -> Answer | None:
    """The answer for *unit*; None where there is none, which is noted (404 as a tombstone)."""
    if not run.wants(unit.source):
        return None
    try:
        answer = await run.asker.one(unit.version, unit.path)
    except RefusedError as refused:
        if refused.status == 404:
            run.gone.setdefault(unit.source, []).append((unit.kind, unit.sid))
            if unit.source in run.found:
                await bury(run, unit.source)
        else:
            run.refuse(unit.source, unit.sid, refused)
    except FetchError as error:
        run.miss(unit.source, unit.sid, error)
    else:
        run.found.add(unit.source)
        return answer
    return None


async def bury(run: Run, source: str) -> None:
    """Leave a tombstone for each resource of *source* that is gone, so that nobody asks for it again."""
    stones = [{"resource": kind.value, "sid": sid, "status": 404} for kind, sid in run.gone.pop(source, [])]
    await run.sink.put(source, RecordKind.TOMBSTONE, texts(stones), f"404 {source}")


async def bury_the_rest(run: Run) -> None:
    """Bury what is gone where nothing was found; many that are all gone are rather somebody else's."""
    for source, gone in list(run.gone.items()):
        if source in run.found or len(gone) <= _FEW_GONE:
            await bury(run, source)
            continue
        reason = f"none of {len(gone):,} exists for this account (HTTP 404)."
        run.summary.miss(source, gone[0][1], reason, "Check TWILIO_ACCOUNT_SID and TWILIO_REGION, then fetch again.")


async def _part(run: Run, unit: Unit, below: str, key: str) -> tuple[list[Any], str | None]:
    """A list that belongs to *unit*, and why it is not whole."""
    try:
        listing = await run.asker.listing(unit.version, unit.path + below, key)
    except RefusedError as refused:
        if refused.status == 404:
            # It went away meanwhile: there is nothing left to read.
            return [], None
        run.refuse(unit.source, f"{key} of {unit.sid}", refused)
        return [], f"{key} refused (HTTP {refused.status})"
    except FetchError as error:
        run.miss(unit.source, f"{key} of {unit.sid}", error)
        return [], f"{key} could not be read"
    if listing.problem is not None:
        run.summary.miss(unit.source, f"{key} of {unit.sid}", listing.problem)
    return listing.items, listing.problem


def _marks(run: Run, unit: Unit, problem: str | None) -> list[Covered]:
    """A mark that a part of *unit* is missing."""
    return [] if problem is None else [_mark(run, unit, CoverageState.PARTIAL, problem)]


async def _put_itself(run: Run, unit: Unit, record: Json, problem: str | None) -> None:
    """The record of *unit* itself, which says that its parts are stored; mended, where they were missing before."""
    is_mended = problem is None and f"{unit.kind}:{unit.sid}" in run.open_units
    done = [_mark(run, unit, CoverageState.COMPLETE, None)] if is_mended else []
    await run.sink.put(unit.source, unit.kind, texts([record]), unit.origin, covered=done)


def _mark(run: Run, unit: Unit, state: CoverageState, reason: str | None) -> Covered:
    return Covered(Source.TWILIO_API, f"{unit.kind}:{unit.sid}", run.window, 0, state, reason)
