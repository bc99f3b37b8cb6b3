"""A made-up Twilio account: every resource that flexkit reads, in the shape of Twilio's API, seeded."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field
from typing import Any

from tests.server.configuration import configure
from tests.server.interactions import add_interaction

Json = dict[str, Any]


@dataclass
class Account:
    """What an account holds. Lists are in order of time; the API decides in which order it answers."""

    interactions: int = 40
    days: float = 2.0
    seed: int = 1
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    open_share: float = 0.05
    deleted_share: float = 0.04
    duplicate_share: float = 0.15
    workspaces: int = 1

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.now = self.now.replace(microsecond=0)
        self.sid = self.new_sid("AC")
        self.instance = self.new_sid("GO")
        self.workspace_sids = [self.new_sid("WS") for _ in range(self.workspaces)]
        self.flow, self.closing_flow, self.idle_flow = (self.new_sid("FW") for _ in range(3))
        self.workers = [self.new_sid("WK") for _ in range(8)]
        self.workflow, self.queue, self.task_channel = self.new_sid("WW"), self.new_sid("WQ"), self.new_sid("TC")
        self.alerts: list[Json] = []
        self.events: dict[str, list[Json]] = {workspace: [] for workspace in self.workspace_sids}
        self.items: dict[str, Json] = {}
        """Single resources by host and path; a path that is absent is a 404."""
        self.lists: dict[str, tuple[str, list[Json]]] = {}
        """Lists without a window by host and path: the key of their items, and the items."""
        self.executions: dict[str, list[Json]] = {self.flow: [], self.closing_flow: [], self.idle_flow: []}
        self.audit: list[Json] = []
        self.deleted: list[str] = []
        self.conversation_sids: list[str] = []
        configure(self)
        span = dt.timedelta(days=self.days)
        for number in range(self.interactions):
            began = self.now - span + span * (number + 0.5) / self.interactions * 0.97
            add_interaction(self, number, began.replace(microsecond=0))
        for events in self.events.values():
            events.sort(key=lambda event: event["event_date_ms"])
        self.alerts.sort(key=lambda alert: alert["date_generated"])

    def new_sid(self, prefix: str) -> str:
        """A new SID of *prefix*."""
        return f"{prefix}{self.rng.getrandbits(128):032x}"

    def fixed(self, prefix: str) -> str:
        """A SID of *prefix* that is the same for the whole account."""
        return f"{prefix}{self.sid[2:]}"

    # Truth --------------------------------------------------------------------------------------------

    def truth(self) -> dict[str, set[str]]:
        """The SIDs that a complete fetch holds, per table."""
        found: dict[str, set[str]] = {
            "alerts": {alert["sid"] for alert in self.alerts},
            "task_events": {event["sid"] for events in self.events.values() for event in events},
            "conversations": set(self.conversation_sids),
            "interactions": set(self.deleted),
            "channels": set(),
            "participants": set(),
            "invites": set(),
            "executions": {row["sid"] for flow in (self.flow, self.closing_flow) for row in self.executions[flow]},
            "steps": set(),
        }
        for path, (key, items) in self.lists.items():
            if key in found and ("Interactions" in path or "Steps" in path):
                found[key] |= {item["sid"] for item in items}
        found["interactions"] |= {path.split("/")[-1] for path in self.items if path.split("/")[-2] == "Interactions"}
        return found
