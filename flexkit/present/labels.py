"""What closed sets are called on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flexkit.terms import Cause, FixKind, Missing, Source

if TYPE_CHECKING:
    import polars as pl

CAUSE_LABELS: dict[str, str] = {
    Cause.DUPLICATE_PROCESSING: "Same event processed twice",
    Cause.CHANNEL_CLOSED_DIRECTLY: "Channel closed first",
    Cause.CLOSED_INSTEAD_OF_PARTICIPANT: "Closed instead of removing the agent",
    Cause.UNCOORDINATED_TERMINAL: "Several automations on the end",
    Cause.PROXY_ORIGIN: "Proxy, not Flex",
    Cause.UNDETERMINED: "Undetermined",
}

FIX_LABELS: dict[str, str] = {
    FixKind.CHECK_STATUS_FIRST: "Check the status before closing",
    FixKind.IDEMPOTENT_HANDLING: "Handle each event once",
    FixKind.CLOSE_PARTICIPANT: "Remove the agent, not the channel",
    FixKind.SINGLE_TERMINAL_OWNER: "One owner of the end",
    FixKind.OTHER: "Another change",
}

FIX_OF_CAUSE: dict[str, str] = {
    Cause.DUPLICATE_PROCESSING: FixKind.IDEMPOTENT_HANDLING,
    Cause.CHANNEL_CLOSED_DIRECTLY: FixKind.CHECK_STATUS_FIRST,
    Cause.CLOSED_INSTEAD_OF_PARTICIPANT: FixKind.CLOSE_PARTICIPANT,
    Cause.UNCOORDINATED_TERMINAL: FixKind.SINGLE_TERMINAL_OWNER,
}
"""The recommendation that goes with each cause (source: Twilio's documentation of warning 80906)."""

SOURCE_LABELS: dict[str, str] = {
    Source.INTERACTIONS_WEBHOOK: "Interactions webhooks",
    Source.TASKROUTER: "TaskRouter events",
    Source.STUDIO: "Studio",
    Source.CONVERSATIONS: "Conversations",
    Source.DEBUGGER: "Debugger alerts",
    Source.APP_LOG: "Completion log",
    Source.TWILIO_API: "Twilio's API",
}

MISSING_LABELS: dict[str, str] = {
    Missing.ALERTS_ONLY: "Only alerts are held",
    Missing.UNLINKABLE_RESOURCE: "The alert names nothing that is held",
    Missing.ORIGIN_UNDETERMINED: "Flex or Proxy is unknown",
    Missing.FIRST_CLOSER_UNKNOWN: "The first closer is unknown",
    Missing.ORDER_AMBIGUOUS: "Which came first is unknown",
    Missing.SOURCE_NOT_COLLECTED: "A source is not collected",
    Missing.RETENTION_EXPIRED: "Twilio has deleted the evidence",
    Missing.ATTRIBUTES_REDACTED: "Attributes were redacted",
    Missing.SATURATED_PAGE: "A source gave more than it shows",
    Missing.NO_TRIGGER_IDENTITY: "Triggers have no identity",
    Missing.NO_HANDLER_MAP: "Automations are not named",
    Missing.NO_CONTROLS: "Nothing to compare with",
}


def cause_label(cause: str) -> str:
    """A cause as a page calls it."""
    return CAUSE_LABELS.get(cause, cause.replace("_", " "))


def fix_label(kind: str) -> str:
    """A kind of fix as a page calls it."""
    return FIX_LABELS.get(kind, kind.replace("_", " "))


def source_label(source: str) -> str:
    """A source as a page calls it."""
    return SOURCE_LABELS.get(source, source.replace("_", " "))


def missing_label(missing: str) -> str:
    """What is missing, as a page calls it."""
    return MISSING_LABELS.get(missing, missing.replace("_", " "))


def kind_words(kind: pl.Expr) -> pl.Expr:
    """Kinds of signals in words, Twilio's own names too: ``onInteractionCreated`` is "interaction created"."""
    import polars as pl

    own = kind.str.strip_prefix("on").str.replace_all("([a-z])([A-Z])", "${1} ${2}").str.to_lowercase()
    return pl.when(kind.str.contains("^on[A-Z]")).then(own).otherwise(kind.str.replace_all("_", " "))
