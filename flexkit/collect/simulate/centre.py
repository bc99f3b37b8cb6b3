"""What one simulated contact centre is like: its automations, habits and delays, drawn from ranges by seed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

CHANNEL_TYPES = ("web", "sms", "whatsapp", "email", "voice")
ZONES = ("Europe/Berlin", "America/New_York", "America/Denver", "Europe/London", "Australia/Sydney", "Asia/Tokyo")


class Role(IntEnum):
    """Who can complete an interaction in the simulated centre."""

    AGENT = 0
    END_BUTTON = 1
    CUSTOMER_LEFT = 2
    OWNER = 3
    STUDIO = 4
    SWEEPER = 5
    PARK = 6
    INACTIVITY = 7
    TIMER = 8
    CRM = 9


TERMINAL_ROLES = (Role.OWNER, Role.STUDIO, Role.SWEEPER)

# What a team might call each automation; a centre draws one name for each role.
_NAMES: dict[Role, tuple[str, ...]] = {
    Role.AGENT: ("flex-ui", "agent-desktop", "flex-plugin-complete"),
    Role.END_BUTTON: ("end-chat-fn", "close-conversation-fn", "finish-button", "hangup-service"),
    Role.CUSTOMER_LEFT: ("customer-left-hook", "visitor-gone", "participant-left-fn"),
    Role.OWNER: ("task-events-hook", "terminal-events-fn", "janitor", "taskrouter-callback"),
    Role.STUDIO: ("studio-after-task", "after-service-flow", "post-chat-flow"),
    Role.SWEEPER: ("sweeper", "task-stream-consumer", "cleanup-worker"),
    Role.PARK: ("park-fn", "leave-chat-fn", "hold-conversation", "pause-fn"),
    Role.INACTIVITY: ("inactivity-job", "idle-closer", "stale-chat-cron"),
    Role.TIMER: ("conversation-timer",),
    Role.CRM: ("crm-sync", "case-closer", "ticket-bridge"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Everything about a centre that does not change from one interaction to the next.

    Shares and probabilities are 0 to 1, delays are seconds. `cause_mix` has one share for each of the
    four causes in the order of the contract; `logged` says which roles write to the completion log.
    """

    zone: str
    names: Mapping[Role, str]
    channel_mix: tuple[float, ...]
    workers: int
    queues: int
    flows: int
    rate: float
    cause_mix: tuple[float, float, float, float]
    mixture: float
    day_sigma: float
    day_rho: float
    incidents_per_month: float
    incident_factor: tuple[float, float]
    benign: float
    retry_delay: float
    retry_jitter: float
    retry_tries: int
    retry_again: float
    redelivery: tuple[float, float]
    double_click: tuple[float, float]
    owner_delay: float
    studio_delay: float
    sweeper_delay: float
    ui_second: float
    ui_second_sigma: float
    job_delay: float
    latency: float
    delta_read: float
    wrapup: float
    routing_closed: float
    leave_sets_inactive: bool
    scoped_webhooks: float
    key_logged: float
    intent_logged: float
    logged: frozenset[Role]
    closed_reply: str
    alert_resources: tuple[float, ...]
    alert_style: str
    task_feed: str
    reservation_events: bool
    job_names_channel_only: bool
    logs_after_reply: bool
    participant_events: bool
    proxy_alerts_per_day: float
    other_alerts_per_day: float

    def but(self, **changes: object) -> Centre:
        """This centre with some of its traits replaced."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def draw_centre(rng: np.random.Generator) -> Centre:
    """A centre with every trait drawn from its range, so that no rule can be tuned to one centre."""

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def around(shares: tuple[float, ...], strength: float) -> tuple[float, ...]:
        return tuple(float(share) for share in rng.dirichlet(np.asarray(shares) * strength))

    mix = around((0.42, 0.20, 0.13, 0.25), 40)
    optional = [role for role in (Role.AGENT, Role.STUDIO) if rng.random() < 0.6]
    names = {role: str(rng.choice(choice)) for role, choice in _NAMES.items()}
    if rng.random() < 0.15:
        # One function both ends and parks; its log says which, or nobody knows.
        names[Role.PARK] = names[Role.END_BUTTON]
    always = (Role.END_BUTTON, Role.CUSTOMER_LEFT, Role.OWNER, Role.SWEEPER, Role.PARK, Role.INACTIVITY, Role.CRM)
    return Centre(
        zone=str(rng.choice(ZONES)),
        names=names,
        channel_mix=around((0.45, 0.27, 0.16, 0.07, 0.05), 60),
        workers=int(rng.integers(12, 60)),
        queues=int(rng.integers(3, 7)),
        flows=int(rng.integers(2, 6)),
        rate=between(0.01, 0.05),
        cause_mix=(mix[0], mix[1], mix[2], mix[3]),
        mixture=between(0.04, 0.10),
        day_sigma=float(rng.choice([0.0, 0.15, 0.3])),
        day_rho=float(rng.choice([0.0, 0.3, 0.6])),
        incidents_per_month=between(0, 1),
        incident_factor=(3.0, 8.0),
        benign=between(0.6, 1.5),
        retry_delay=float(rng.choice([10.0, 15.0, 30.0])) + between(0, 1),
        retry_jitter=between(0.1, 2.0),
        retry_tries=int(rng.integers(2, 6)),
        retry_again=between(0.15, 0.5),
        redelivery=(between(20, 60), between(120, 320)),
        double_click=(between(0.15, 0.4), between(1.2, 2.5)),
        owner_delay=between(0.3, 1.2),
        studio_delay=between(1.2, 4.0),
        sweeper_delay=between(90, 420),
        ui_second=between(2.0, 9.0),
        ui_second_sigma=between(0.5, 1.0),
        job_delay=between(40, 120) * 60,
        latency=between(0.015, 0.06),
        delta_read=0.8,
        wrapup=between(20, 90),
        routing_closed=float(rng.choice([0.0, 0.0, 0.3, 1.0])),
        leave_sets_inactive=bool(rng.random() < 0.4),
        scoped_webhooks=float(rng.choice([0.0, 0.04, 0.2])),
        key_logged=between(0.65, 1.0),
        intent_logged=float(rng.choice([0.0, 0.8, 1.0], p=[0.2, 0.4, 0.4])),
        logged=frozenset(always) | frozenset(optional),
        closed_reply=str(rng.choice(["accepted", "rejected", "silent"])),
        alert_resources=around((0.72, 0.16, 0.08, 0.03, 0.01), 60),
        alert_style=str(rng.choice(["form", "plain", "json"])),
        reservation_events=bool(rng.random() < 0.7),
        task_feed=str(rng.choice(["rest", "stream"])),
        job_names_channel_only=bool(rng.random() < 0.3),
        logs_after_reply=bool(rng.random() < 0.4),
        participant_events=bool(rng.random() < 0.8),
        proxy_alerts_per_day=between(0.2, 3.0),
        other_alerts_per_day=between(2.0, 12.0),
    )
