"""The rules that name a cause: one table, and the facts that the rules are made of.

A fact is a yes-or-no column about one duplicate (`flexkit.analyse.facts` computes them); null means that
the evidence cannot tell. A rule holds where all its facts are true and nothing that contradicts it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from flexkit.terms import Cause, Status

FACTS: dict[str, str] = {
    "first_is_recorded": "the first close is a recorded attempt",
    "first_closed_channel": "the first close went through the Channels subresource",
    "first_was_answered": "Twilio's answer to the first close is known to be a success",
    "first_is_step": "the first close is a step of a Studio flow",
    "second_is_recorded": "the second completion is a recorded attempt",
    "second_is_known": "the second completion is seen, as an attempt or as an agent's completion",
    "second_is_agent": "the second completion is an agent's",
    "second_is_step": "the second completion is a step of a Studio flow",
    "second_completes": "the second completion completes a task or a conversation",
    "second_closes": "the second completion closes the channel",
    "second_by_someone": "the second completion is a recorded attempt, or an agent's completion",
    "second_is_suspect": "the second is not a task completed after its wrap-up by design",
    "second_by_another": "the second completion is another handler's, or of another kind, or much later",
    "both_are_flows": "executions of Studio flows did or set off both",
    "step_and_unrecorded": "a Studio step is one of the two, and the other is not recorded",
    "nothing_recorded": "no attempt is recorded at all",
    "same_operation": "both did the same",
    "same_handler": "one handler did both",
    "another_handler": "two different handlers did them",
    "handler_unnamed": "a handler has no name, or one that stands for many routines",
    "same_trigger": "one event, token or job set off both",
    "another_trigger": "two different events, tokens or jobs set them off",
    "trigger_unknown": "at least one of the two names no trigger",
    "first_may_be_reaction": "the first close names no trigger, or was set off by a Studio flow",
    "another_form": "what set them off is numbered in two different ways (req-17, job-17)",
    "events_differ": "two different events set them off",
    "first_is_agent": "an agent ended it in the Flex UI",
    "first_on_leaving": "somebody's leaving, or the closing, set off the first close",
    "first_may_react": "somebody left just before the first close, which names no trigger",
    "second_may_react": "the second's handler always acts just after a task's end, and names no trigger here",
    "same_logic": "one handler did the same twice for one trigger",
    "same_kind_of_event": "both triggers are deliveries of what looks like one event of the channel or one participant",
    "counted_retry": "the second says that it is not the first try",
    "first_redelivered": "what had set off the first close was delivered again just before the warning",
    "second_unrecorded": "the second completion is no recorded attempt",
    "redelivered": "a delivery came just before the first close, and again just before the warning",
    "within_seconds": "the second came within 20 seconds",
    "within_retry": "the second came within 5 minutes",
    "follows_own_event": "the end of a task, other than what surrounds the first close, stands just before the second",
    "second_has_no_event": "TaskRouter is held, and no end of a task stands just before the second",
    "first_follows_event": "the end of a task stands just before the first close",
    "first_on_terminal": "a terminal TaskRouter event set off the first close",
    "second_on_terminal": "a terminal TaskRouter event set off the second completion",
    "first_on_task_event": "a TaskRouter event set off the first close",
    "second_on_task_event": "a TaskRouter event set off the second completion",
    "second_event_earlier": "the event that set off the second came before the first close",
    "first_reacts": "the end of a task set off the first close, or it usually sets off that handler",
    "second_reacts": "the end of a task set off the second completion, or it usually sets off that handler",
    "second_is_automation": "the second completion is an automation's",
    "first_not_terminal": "something else than the end of a task set off the first close",
    "task_was_open": "a task was open when the channel was closed",
    "unserved": "the task ended without an agent just before the first close",
    "order_certain": "it is certain which of the two came first",
    "means_end": "the first handler meant to end the conversation",
    "means_removal": "the first handler meant to remove the agent only",
    "usually_means_removal": "wherever it says so, the first handler means to remove the agent only",
    "named_for_removal": "the first handler is named for parking, leaving or transferring",
    "intent_unknown": "nothing tells what the first handler meant",
    "ends_or_soon": "it meant to end the conversation, or its handler is named and the second came within 15 minutes",
    "ends_or_at_once": "it meant to end the conversation, or its handler is named and the second came within a minute",
    "invited_after": "an agent or a task was added to the interaction after the first close",
    "other_listener": "the configuration shows an automation that listens to the end of tasks",
}
"""Each fact in words, as it reads where it is true."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule: what it supports and how strongly, what must be true, what must not."""

    id: str
    sentence: str
    cause: Cause
    status: Status
    needs: tuple[str, ...]
    contradicted_by: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("app_log", "debugger")

    def expression(self) -> pl.Expr:
        """Whether it holds: true or false; what cannot be told does not hold."""
        held = pl.all_horizontal(pl.col(fact).fill_null(value=False) for fact in self.needs)
        if not self.contradicted_by:
            return held
        return held & ~pl.any_horizontal(pl.col(fact).fill_null(value=False) for fact in self.contradicted_by)


_RECORDED = ("first_is_recorded", "second_is_recorded")
_C1, _C2 = Cause.DUPLICATE_PROCESSING, Cause.CHANNEL_CLOSED_DIRECTLY
_C3, _C4 = Cause.CLOSED_INSTEAD_OF_PARTICIPANT, Cause.UNCOORDINATED_TERMINAL
_CONFIRMED, _SUPPORTED = Status.CONFIRMED, Status.SUPPORTED

RULES: tuple[Rule, ...] = (
    Rule(
        "same-trigger-again",
        "One handler did the same twice for one trigger: the first try had closed the interaction.",
        _C1, _CONFIRMED, (*_RECORDED, "same_handler", "same_operation", "same_trigger"),
    ),
    Rule(
        "same-trigger-unnamed",
        "The same was done twice for one trigger, though not both attempts say by which handler.",
        _C1, _SUPPORTED, (*_RECORDED, "handler_unnamed", "same_operation", "same_trigger"),
        # An event reaches every subscriber: without names it may have set off two handlers.
        ("first_on_task_event", "another_handler"),
    ),
    Rule(
        "counted-retry",
        "The handler that had closed the interaction tried again, and counts it as a further try.",
        _C1, _SUPPORTED, (*_RECORDED, "same_handler", "same_operation", "counted_retry"), ("another_trigger",),
    ),
    Rule(
        "same-handler-at-once",
        "One handler did the same twice within 20 seconds; no trigger ids tell the two apart.",
        _C1, _SUPPORTED, (*_RECORDED, "same_handler", "same_operation", "trigger_unknown", "within_seconds"),
        ("follows_own_event", "another_form"),
    ),
    Rule(
        "same-handler-clicked-twice",
        "One handler did the same twice within 20 seconds under two ids of one kind, and no event set off the second.",
        _C1, _SUPPORTED, (*_RECORDED, "same_handler", "same_operation", "another_trigger", "within_seconds",
                          "second_has_no_event"),
        ("events_differ", "another_form"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "same-handler-within-retry",
        "One handler did the same twice within 5 minutes, and no task event of its own set off the second.",
        _C1, _SUPPORTED, (*_RECORDED, "same_handler", "same_operation", "trigger_unknown", "within_retry",
                          "second_has_no_event"),
        ("another_form",),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "same-flow-again",
        "The same Studio widget, or the same handler that Studio calls, ran in two executions for one interaction.",
        _C1, _SUPPORTED, (*_RECORDED, "both_are_flows", "same_handler", "another_trigger"), ("follows_own_event",),
        sources=("studio", "debugger"),
    ),
    Rule(
        "one-event-two-deliveries",
        "One handler acted on two deliveries of what looks like one event (two subscriptions, or a retry).",
        _C1, _SUPPORTED, (*_RECORDED, "same_handler", "same_operation", "another_trigger", "same_kind_of_event"),
        sources=("app_log", "interactions_webhook", "debugger"),
    ),
    Rule(
        "first-trigger-again",
        "What had set off the first close was delivered again just before the warning, and no attempt explains it.",
        _C1, _SUPPORTED, ("first_is_recorded", "first_redelivered", "second_unrecorded"),
        sources=("app_log", "interactions_webhook", "debugger"),
    ),
    Rule(
        "trigger-delivered-again",
        "A delivery with one token came just before the first close and again just before the warning.",
        _C1, _SUPPORTED, ("redelivered", "nothing_recorded"),
        sources=("interactions_webhook", "debugger"),
    ),
    Rule(
        "removal-closed-channel",
        "The channel was closed by a handler that meant to remove the agent only.",
        _C3, _CONFIRMED, ("first_is_recorded", "first_closed_channel", "means_removal", "second_by_another",
                          "order_certain"),
    ),
    Rule(
        "removal-by-habit",
        "The channel was closed by a handler that means to remove the agent wherever it says so.",
        _C3, _SUPPORTED, ("first_is_recorded", "first_closed_channel", "usually_means_removal", "second_by_another",
                          "order_certain"),
    ),
    Rule(
        "removal-by-name",
        "The channel was closed by a handler that is named for parking, leaving or transferring.",
        _C3, _SUPPORTED, ("first_is_recorded", "first_closed_channel", "named_for_removal", "intent_unknown",
                          "second_by_another", "order_certain"),
    ),
    Rule(
        "invited-after-close",
        "After the channel was closed somebody still added an agent: the conversation was meant to go on.",
        _C3, _SUPPORTED, ("first_is_recorded", "first_closed_channel", "invited_after", "intent_unknown",
                          "second_by_another", "order_certain"), ("first_on_terminal", "unserved"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "two-terminal-triggers",
        "Two different terminal TaskRouter events each set off a completion.",
        _C4, _CONFIRMED, (*_RECORDED, "first_on_terminal", "second_on_terminal", "another_trigger"),
        ("means_removal",),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "two-task-events",
        "Two different TaskRouter events each set off a completion; of which kind they were is not known.",
        _C4, _SUPPORTED, (*_RECORDED, "first_on_task_event", "second_on_task_event", "another_trigger"),
        ("means_removal",),
    ),
    Rule(
        "one-event-two-handlers",
        "One terminal TaskRouter event set off two different handlers.",
        _C4, _SUPPORTED, (*_RECORDED, "first_on_task_event", "same_trigger", "another_handler"), ("means_removal",),
    ),
    Rule(
        "terminal-then-another",
        "The end of a task set off the first close (or usually sets off its handler), and another automation followed.",
        _C4, _SUPPORTED, (*_RECORDED, "first_reacts", "another_handler", "second_is_automation"),
        ("means_removal", "same_trigger"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "closed-again-on-terminal",
        "The end of a task set off one automation to close what another had closed.",
        _C4, _SUPPORTED, (*_RECORDED, "second_on_terminal", "second_closes", "another_handler"),
        ("means_removal", "usually_means_removal", "named_for_removal", "same_trigger", "second_is_agent"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "two-events-of-the-end",
        "One handler closed on two different events of the end: somebody left or the closing, and the end of a task.",
        _C4, _SUPPORTED, (*_RECORDED, "first_on_leaving", "second_on_terminal", "second_closes", "events_differ"),
        ("means_removal", "usually_means_removal", "named_for_removal"),
        sources=("app_log", "taskrouter", "interactions_webhook", "debugger"),
    ),
    Rule(
        "agent-then-terminal",
        "An agent ended it in the Flex UI, and the end of the task set off an automation to close it again.",
        _C4, _SUPPORTED, ("first_is_agent", "second_is_recorded", "second_on_terminal", "second_closes"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "another-then-terminal",
        "The task had ended just before the first close, and that end set off another automation as well.",
        _C4, _SUPPORTED, (*_RECORDED, "first_may_be_reaction", "first_follows_event", "second_on_terminal",
                          "second_event_earlier", "another_handler"),
        ("means_removal", "second_is_agent"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "unserved-two-handlers",
        "The task ended without an agent, and two automations each completed the interaction.",
        _C4, _SUPPORTED, (*_RECORDED, "unserved", "another_handler"),
        ("means_removal", "second_is_agent", "same_trigger"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
    Rule(
        "listeners-configured",
        "The task ended without an agent, a Studio flow completed it, and another automation listens to that end.",
        _C4, _SUPPORTED, ("unserved", "step_and_unrecorded", "other_listener", "order_certain"),
        sources=("studio", "taskrouter", "debugger"),
    ),
    Rule(
        "channel-closed-then-completed",
        "A handler closed the channel to end the conversation, and another one completed the interaction after that.",
        _C2, _CONFIRMED, (*_RECORDED, "another_handler", "first_closed_channel", "first_was_answered", "means_end",
                          "second_completes", "first_not_terminal", "task_was_open", "order_certain",
                          "second_is_suspect"),
        ("same_logic",),
    ),
    Rule(
        "channel-closed-then-agent",
        "A handler closed the channel, and an agent completed the task when the warning came.",
        _C2, _SUPPORTED, ("first_is_recorded", "first_closed_channel", "second_completes", "second_by_someone",
                          "first_not_terminal", "order_certain", "ends_or_soon"),
        # One handler that closes and then completes is what an agent's own desktop does every day.
        ("means_removal", "usually_means_removal", "named_for_removal", "invited_after", "same_handler"),
    ),
    Rule(
        "channel-closed-then-closed",
        "A handler closed the channel, and a different one closed it again though no task event told it to.",
        _C2, _SUPPORTED, (*_RECORDED, "first_closed_channel", "second_closes", "another_handler",
                          "first_not_terminal", "second_has_no_event", "order_certain", "ends_or_at_once"),
        ("means_removal", "usually_means_removal", "named_for_removal", "invited_after", "second_on_terminal",
         "same_trigger", "first_may_react", "second_may_react"),
        sources=("app_log", "taskrouter", "debugger"),
    ),
)  # fmt: skip
"""All rules, in order of precedence: of the rules that hold, a confirmed cause goes before a supported one,
then this order decides. What the second completion itself shows (one trigger twice) goes before what the
first close shows (an intent), that before who else reacts to the task's end, and a plain direct close last."""

BY_ID = {rule.id: rule for rule in RULES}
