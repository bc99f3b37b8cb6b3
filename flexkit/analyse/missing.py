"""What would settle an open question, and what to collect next, the cheapest first."""

from __future__ import annotations

from flexkit.terms import Missing

COLLECT: dict[Missing, str] = {
    Missing.NO_HANDLER_MAP: (
        "Say in handlers.toml what each automation is and means to do, or log 'intent' in the completion log."
    ),
    Missing.ALERTS_ONLY: (
        "Import anything beside alerts: TaskRouter events ('flexkit fetch'), captured webhooks, a completion log."
    ),
    Missing.SOURCE_NOT_COLLECTED: (
        "Collect the source that is missing: 'flexkit fetch' for TaskRouter and Studio; have your handlers write "
        "the completion log for what only they know."
    ),
    Missing.NO_TRIGGER_IDENTITY: (
        "Log the id of what set a handler off (I-Twilio-Idempotency-Token, event SID, job id) as 'trigger_id'."
    ),
    Missing.FIRST_CLOSER_UNKNOWN: (
        "Have everything that can close a channel write the completion log, the agents' plugin included."
    ),
    Missing.ORDER_AMBIGUOUS: (
        "Log times in milliseconds and the channel status that a handler read before it acted ('status_before')."
    ),
    Missing.NO_CONTROLS: (
        "Collect interactions without a duplicate from the same days too: without them a normal order looks guilty."
    ),
    Missing.SATURATED_PAGE: "Fetch that window again in smaller slices: Twilio cut the answer off.",
    Missing.ATTRIBUTES_REDACTED: (
        "The task's events are held, but not the attributes that name its interaction: Twilio removes them after 30 "
        "days. Fetch at least every 4 weeks, or subscribe to Event Streams."
    ),
    Missing.RETENTION_EXPIRED: "Gone at Twilio. Fetch at least every 4 weeks, or subscribe to Event Streams.",
    Missing.UNLINKABLE_RESOURCE: (
        "The alert names nothing that other evidence ties to an interaction: collect TaskRouter events and "
        "webhooks of that time, and the alert's detail ('flexkit fetch')."
    ),
    Missing.ORIGIN_UNDETERMINED: (
        "The alert names no resource: fetch its detail, or subscribe to error logs with Event Streams, which name "
        "the product."
    ),
}
"""What to do about each, in the order of what it costs: the first is the cheapest."""

ORDER = tuple(COLLECT)


def what_to_collect(missing: str) -> str:
    """One sentence on what to collect next to settle *missing*."""
    return COLLECT[Missing(missing)]
