"""What the made-up account is written with: event types, instants as Twilio writes them."""

from __future__ import annotations

import datetime as dt

EVENTS = (
    ("task.created", 0),
    ("task-queue.entered", 1),
    ("workflow.entered", 1),
    ("reservation.created", 4),
    ("reservation.accepted", 9),
    ("task.wrapup", 240),
    ("reservation.wrapup", 240),
    ("reservation.completed", 262),
    ("task.completed", 262),
)
CHANNEL_TYPES = ("web", "sms", "whatsapp", "email")
STEPS = ("Trigger", "greet", "send_to_flex")


def iso(instant: dt.datetime) -> str:
    """An instant as Twilio writes it: whole seconds, Z."""
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
