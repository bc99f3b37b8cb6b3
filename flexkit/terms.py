"""The closed sets of words that tables, JSON, pages and code share; each said once, here."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Why an interaction was completed again, in the order of the contract."""

    DUPLICATE_PROCESSING = "duplicate_processing"
    CHANNEL_CLOSED_DIRECTLY = "channel_closed_directly"
    CLOSED_INSTEAD_OF_PARTICIPANT = "closed_instead_of_participant"
    UNCOORDINATED_TERMINAL = "uncoordinated_terminal"
    PROXY_ORIGIN = "proxy_origin"
    UNDETERMINED = "undetermined"


class Status(StrEnum):
    """How sure a cause is."""

    CONFIRMED = "confirmed"
    SUPPORTED = "supported"
    COMPATIBLE = "compatible"
    CONTRADICTED = "contradicted"
    NOT_ASSESSABLE = "not_assessable"


class Missing(StrEnum):
    """Why a cause is undetermined, or what would settle it."""

    ALERTS_ONLY = "alerts_only"
    UNLINKABLE_RESOURCE = "unlinkable_resource"
    ORIGIN_UNDETERMINED = "origin_undetermined"
    FIRST_CLOSER_UNKNOWN = "first_closer_unknown"
    ORDER_AMBIGUOUS = "order_ambiguous"
    SOURCE_NOT_COLLECTED = "source_not_collected"
    RETENTION_EXPIRED = "retention_expired"
    ATTRIBUTES_REDACTED = "attributes_redacted"
    SATURATED_PAGE = "saturated_page"
    NO_TRIGGER_IDENTITY = "no_trigger_identity"
    NO_HANDLER_MAP = "no_handler_map"
    NO_CONTROLS = "no_controls"


class FixKind(StrEnum):
    """What a fix changes: Twilio's four recommendations, or something else."""

    CHECK_STATUS_FIRST = "check_status_first"
    IDEMPOTENT_HANDLING = "idempotent_handling"
    CLOSE_PARTICIPANT = "close_participant"
    SINGLE_TERMINAL_OWNER = "single_terminal_owner"
    OTHER = "other"


class SignalKind(StrEnum):
    """What a signal shows. An unknown event of a known source keeps its own name instead."""

    CHANNEL_ACTIVE = "channel_active"
    CHANNEL_INACTIVE = "channel_inactive"
    CHANNEL_CLOSED = "channel_closed"
    CHANNEL_FAILED = "channel_failed"
    CLOSE_CHANNEL_REQUESTED = "close_channel_requested"
    CLOSE_PARTICIPANT_REQUESTED = "close_participant_requested"
    CLOSE_CONVERSATION_REQUESTED = "close_conversation_requested"
    COMPLETE_REQUESTED = "complete_requested"
    PARTICIPANT_JOINED = "participant_joined"
    PARTICIPANT_LEFT = "participant_left"
    CONVERSATION_CLOSED = "conversation_closed"
    TASK_CREATED = "task_created"
    TASK_WRAPUP = "task_wrapup"
    TASK_COMPLETED = "task_completed"
    TASK_CANCELED = "task_canceled"
    TASK_DELETED = "task_deleted"
    WORKFLOW_TIMEOUT = "workflow_timeout"
    RESERVATION_WRAPUP = "reservation_wrapup"
    RESERVATION_COMPLETED = "reservation_completed"
    STUDIO_STEP = "studio_step"
    WARNING = "warning"


class Source(StrEnum):
    """Where a signal was seen."""

    INTERACTIONS_WEBHOOK = "interactions_webhook"
    TASKROUTER = "taskrouter"
    STUDIO = "studio"
    CONVERSATIONS = "conversations"
    DEBUGGER = "debugger"
    APP_LOG = "app_log"
    TWILIO_API = "twilio_api"


class TimeKind(StrEnum):
    """Whose clock a signal's time comes from: the event's own, or the receiver's."""

    EVENT = "event"
    RECEIPT = "receipt"


class Outcome(StrEnum):
    """What became of an attempt."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Intent(StrEnum):
    """What a handler meant to do; only a completion log or a handler map can tell."""

    END = "end"
    REMOVE_AGENT = "remove_agent"


class Origin(StrEnum):
    """Which product's interaction an alert is about."""

    FLEX = "flex"
    PROXY = "proxy"
    UNDETERMINED = "undetermined"


class EvidenceKind(StrEnum):
    """How a duplicate is known."""

    WARNED = "warned"
    INFERRED = "inferred"
    BOTH = "both"


class CoverageState(StrEnum):
    """How completely a window of a source is held."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    SATURATED = "saturated"
    EXPIRED = "expired"


class Verdict(StrEnum):
    """What a report decided."""

    OK = "ok"
    BREACH = "breach"
    UNDECIDED = "undecided"
    FAILED = "failed"
