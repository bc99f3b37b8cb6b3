"""What the centre's own automations leave behind: the completion log, Studio executions and their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.collect.simulate.attempts import Operation
from flexkit.collect.simulate.centre import MINUTE, SECOND, Role
from flexkit.collect.simulate.observe import Scene, finish, is_terminal_mode
from flexkit.collect.simulate.server import Fate
from flexkit.collect.simulate.sids import generator, pick, sids
from flexkit.collect.simulate.tasks import NO_TIME, Actor
from flexkit.terms import FixKind, Intent, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOSE_WIDGET = "close_channel"
SURVEY_WIDGET = "send_survey"
_OPERATIONS = ("close_channel", "close_participant", "complete_task", "close_conversation")


def completion_log(seen: Scene) -> pl.DataFrame:
    """The lines that handlers write about their own attempts, each by its own habits."""
    world, ids, centre = seen.world, seen.identity, seen.world.centre
    attempts, fate = world.attempts, world.resolution.fate
    rng = generator(world.seed, "completion-log")
    luck = rng.random((4, len(attempts)))
    shown = np.isin(attempts.role, [role for role in centre.logged if role != Role.TIMER]) & (fate != Fate.NOT_SENT)
    reads = attempts.guarded | world.fixed.get(FixKind.CHECK_STATUS_FIRST, np.zeros_like(shown)) | (luck[0] < 0.1)
    operation = np.where(fate == Fate.PARTICIPANT_ONLY, Operation.CLOSE_PARTICIPANT, attempts.operation)
    frame = pl.DataFrame(
        {
            "a": np.arange(len(attempts)),
            "i": attempts.interaction,
            "at_us": 2 * attempts.served - attempts.sent if centre.logs_after_reply else attempts.sent,
            "fate": fate,
            "role": attempts.role,
            "refused": attempts.refused,
            "lost": attempts.reply_lost,
            "operation": pick(pl.Series(_OPERATIONS), operation),
            "handler": pick(_names(seen), attempts.role),
            "interaction_sid": pick(ids.interaction, attempts.interaction),
            "channel_sid": pick(ids.channel, attempts.interaction),
            "trigger": ids.trigger,
            "has_key": luck[1] < centre.key_logged,
            "has_intent": luck[2] < centre.intent_logged,
            "removes_agent": attempts.removes_agent,
            "reads": reads,
            "shown": shown,
        }
    ).filter("shown")
    answered = pl.col("fate").is_in([Fate.COMPLETED, Fate.PARTICIPANT_ONLY, Fate.SILENT])
    second = {
        "accepted": (pl.lit(Outcome.ACCEPTED), pl.lit(200)),
        "rejected": (pl.lit(Outcome.REJECTED), pl.lit(409)),
        # The handler does not look at the answer.
        "silent": (pl.lit(None, pl.String), pl.lit(None, pl.Int64)),
    }[centre.closed_reply]
    lost = answered & pl.col("lost")
    skipped = pl.col("fate").is_in([Fate.SAW_CLOSED, Fate.SEEN_BEFORE])
    frame = frame.with_columns(
        outcome=pl.when(lost).then(pl.lit(Outcome.UNKNOWN)).when(answered).then(pl.lit(Outcome.ACCEPTED)).when(
            pl.col("fate") == Fate.WARNED
        ).then(second[0]).when(skipped).then(pl.lit(Outcome.SKIPPED)).otherwise(pl.lit(Outcome.REJECTED)),
        http_status=pl.when(lost | skipped).then(None).when(answered).then(pl.lit(200)).when(
            pl.col("fate") == Fate.WARNED
        ).then(second[1]).otherwise(pl.col("refused").cast(pl.Int64)),
        trigger_id=pl.when("has_key").then("trigger"),
        intent=pl.when("has_intent").then(
            pl.when("removes_agent").then(pl.lit(Intent.REMOVE_AGENT)).otherwise(pl.lit(Intent.END))
        ),
        status_before=pl.when(pl.col("fate") == Fate.SAW_CLOSED).then(pl.lit("closed")).when(
            pl.col("reads") & answered
        ).then(pl.lit("active")),
        channel_sid=pl.when(pl.col("operation") != "complete_task").then("channel_sid"),
        interaction_sid=pl.when(pl.lit(not centre.job_names_channel_only) | (pl.col("role") != Role.INACTIVITY)).then(
            "interaction_sid"
        ),
    )  # fmt: skip
    columns = ["a", "i", "at_us", "interaction_sid", "channel_sid", "operation", "handler", "trigger_id", "outcome",
               "intent", "http_status", "status_before"]  # fmt: skip
    lines = frame.select(columns)
    if Role.AGENT in centre.logged:
        lines = pl.concat([lines, _clicks(seen).select(columns)])
    return finish(lines, world)


def _names(seen: Scene) -> pl.Series:
    return pl.Series([seen.world.centre.names[role] for role in Role])


def _clicks(seen: Scene) -> pl.DataFrame:
    """Where the agents' plugin writes a log: the click that completes a task after its wrap-up, by design."""
    tasks, ids, world = seen.tasks, seen.identity, seen.world
    second = world.plan.agent_second_at[tasks.interaction] >= 0
    k = np.flatnonzero((tasks.completed != NO_TIME) & (tasks.completed_by == Actor.WORKER) & ~second)
    return pl.DataFrame(
        {
            "a": np.full(len(k), -1),
            "i": tasks.interaction[k],
            "at_us": tasks.completed[k] - 40_000,
            "interaction_sid": pick(ids.interaction, tasks.interaction[k]),
        }
    ).with_columns(
        channel_sid=pl.lit(None, pl.String),
        operation=pl.lit("complete_task"),
        handler=pl.lit(world.centre.names[Role.AGENT]),
        trigger_id=pl.lit(None, pl.String),
        outcome=pl.lit(Outcome.ACCEPTED.value),
        intent=pl.lit(None, pl.String),
        http_status=pl.lit(200, pl.Int64),
        status_before=pl.lit(None, pl.String),
    )


def studio(seen: Scene) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Executions of the flow that runs after a task, and their steps: some close, others only ask how it was."""
    world, ids = seen.world, seen.identity
    attempts, fate = world.attempts, world.resolution.fate
    rng = generator(world.seed, "studio")
    ran = np.flatnonzero((attempts.role == Role.STUDIO) & (fate != Fate.NOT_SENT))
    closes = ~np.isin(fate[ran], (Fate.SEEN_BEFORE, Fate.SAW_CLOSED))
    took_part = np.zeros(len(world.interactions), dtype=np.bool_)
    took_part[attempts.interaction[ran]] = True
    asks = np.flatnonzero(
        is_terminal_mode(world) & ~took_part & (world.resolution.closer >= 0) & (rng.random(len(took_part)) < 0.3)
    )
    asked_at = world.interactions.ended[asks] + (rng.lognormal(0.7, 0.6, len(asks)) * SECOND).astype(np.int64)
    size = len(ran) + len(asks)
    version = 41 + (np.concatenate([attempts.sent[ran], asked_at]) > (world.start + world.end) // 2)
    i = np.concatenate([attempts.interaction[ran], asks])
    executions = pl.DataFrame(
        {
            "i": i,
            "at_us": np.concatenate([attempts.sent[ran], asked_at]),
            "execution_sid": pl.concat([pick(ids.execution, ran), sids(world.seed, "FN", "survey", len(asks))]),
            "flow_version": version,
            "closes": np.concatenate([closes, np.zeros(len(asks), dtype=np.bool_)]),
            "interaction_sid": pick(ids.interaction, i),
            "channel_sid": pick(ids.channel, i),
            "media_sid": pick(ids.media, i),
            "customer_phone": pick(ids.customer_phone, i),
            "contact_sid": sids(world.seed, "FC", "contact", size),
            # Two executions of one interaction were started by one request.
            "initiated_by": pick(sids(world.seed, "RQ", "start", len(world.interactions)), i),
        }
    )
    step_sids = sids(world.seed, "FT", "step", 2 * size)
    first, second = (executions.with_columns(step_sid=step_sids[part * size : (part + 1) * size]) for part in (0, 1))
    # The execution starts and looks around just before its widget sends the request.
    steps = pl.concat(
        [
            first.with_columns(
                at_us=pl.col("at_us") - SECOND // 2, name=pl.lit("incomingRequest"), left=pl.lit("Trigger"),
                entered=pl.lit("split_outcome"), is_close=pl.lit(value=False),
            ),
            second.with_columns(
                name=pl.when("closes").then(pl.lit("success")).otherwise(pl.lit("match")),
                left=pl.when("closes").then(pl.lit(CLOSE_WIDGET)).otherwise(pl.lit("split_outcome")),
                entered=pl.lit(SURVEY_WIDGET),
                is_close=pl.col("closes"),
            ),
        ]
    )  # fmt: skip
    begun = executions.with_columns(at_us=pl.col("at_us") - SECOND, ended_us=pl.col("at_us") + 2 * MINUTE)
    return finish(begun, world, resolution=SECOND), finish(steps, world, resolution=SECOND)


def attempt_sids(seen: Scene, which: NDArray[np.integer]) -> pl.Series:
    """The alert that each warned attempt brought."""
    return pick(sids(seen.world.seed, "NO", "warning", len(seen.world.attempts)), which)
