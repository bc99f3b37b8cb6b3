"""An account with as many TaskRouter events as wanted, made when they are asked for: it needs no memory."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from tests.server.account import Account
from tests.server.words import EVENTS, iso


class BulkAccount(Account):
    """*count* events in one workspace, evenly over the last *days* days; nine of each interaction."""

    def __init__(self, count: int, *, days: float = 28.0) -> None:
        before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        super().__init__(interactions=0, days=days, now=before)
        self.count = count
        self.begun_ms = int((self.now - dt.timedelta(days=days)).timestamp() * 1000)
        self.step_ms = days * 86_400_000 / count
        self._template = self._made()

    def _made(self) -> str:
        """The text of one event, with places for its number and times."""
        attributes = {
            "flexInteractionSid": "KD@KEY@",
            "flexInteractionChannelSid": "UO@KEY@",
            "conversationSid": "CH@KEY@",
            "conversations": {"conversation_id": "KD@KEY@", "media": [{"type": "ChatTranscript", "sid": "CH@KEY@"}]},
            "channelType": "web",
            "direction": "inbound",
            "customerAddress": "+15550001111",
        }
        workspace = self.workspace_sids[0]
        event = {
            "sid": "EV@SID@",
            "account_sid": self.sid,
            "actor_sid": workspace,
            "actor_type": "workspace",
            "actor_url": f"https://taskrouter.twilio.com/v1/Workspaces/{workspace}",
            "description": "Task WT@KEY@ changed",
            "event_data": {
                "task_sid": "WT@KEY@",
                "task_attributes": json.dumps(attributes),
                "task_age": "12",
                "task_priority": "0",
                "task_queue_sid": self.queue,
                "workflow_sid": self.workflow,
                "workspace_sid": workspace,
            },
            "event_date": "@DATE@",
            "event_date_ms": "@MS@",
            "event_type": "@TYPE@",
            "resource_sid": "WT@KEY@",
            "resource_type": "task",
            "resource_url": f"https://taskrouter.twilio.com/v1/Workspaces/{workspace}/Tasks/WT@KEY@",
            "source": "twilio",
            "source_ip_address": "198.51.100.7",
            "url": f"https://taskrouter.twilio.com/v1/Workspaces/{workspace}/Events/EV@SID@",
            "workspace_sid": workspace,
        }
        text = json.dumps(event).replace('"@MS@"', "@MS@")
        for place, name in (("@KEY@", "key"), ("@SID@", "sid"), ("@DATE@", "date"), ("@MS@", "ms"), ("@TYPE@", "type")):
            text = text.replace(place, f"%({name})s")
        return text

    def event_page(self, low_ms: float, high_ms: float, size: int) -> list[Any]:
        """The newest *size* events from *low_ms* to *high_ms*, as texts."""
        first = max(0, int(-(-(low_ms - self.begun_ms) // self.step_ms)))
        last = min(self.count - 1, int((high_ms - self.begun_ms) // self.step_ms))
        return [self._event(number) for number in range(last, max(first, last - size + 1) - 1, -1)]

    def _event(self, number: int) -> str:
        at = int(self.begun_ms + number * self.step_ms)
        return self._template % {
            "key": f"{number // 9:032x}",
            "sid": f"{number:032x}",
            "date": iso(dt.datetime.fromtimestamp(at / 1000, dt.UTC)),
            "ms": at,
            "type": EVENTS[number % 9][0],
        }
