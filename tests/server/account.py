"""A made-up Twilio account: every resource that flexkit reads, in the shape of Twilio's API, seeded."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

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
        self.sid = self._sid("AC")
        self.instance = self._sid("GO")
        self.workspace_sids = [self._sid("WS") for _ in range(self.workspaces)]
        self.flow, self.closing_flow, self.idle_flow = (self._sid("FW") for _ in range(3))
        self.workers = [self._sid("WK") for _ in range(8)]
        self.workflow, self.queue, self.task_channel = self._sid("WW"), self._sid("WQ"), self._sid("TC")
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
        self._configure()
        span = dt.timedelta(days=self.days)
        for number in range(self.interactions):
            began = self.now - span + span * (number + 0.5) / self.interactions * 0.97
            self._interaction(number, began.replace(microsecond=0))
        for events in self.events.values():
            events.sort(key=lambda event: event["event_date_ms"])
        self.alerts.sort(key=lambda alert: alert["date_generated"])

    def _sid(self, prefix: str) -> str:
        return f"{prefix}{self.rng.getrandbits(128):032x}"

    # Configuration ------------------------------------------------------------------------------------

    def _configure(self) -> None:
        born = iso(self.now - dt.timedelta(days=400))
        self.items["flex-api.twilio.com/v1/Configuration"] = {
            "account_sid": self.sid,
            "flex_instance_sid": self.instance,
            "taskrouter_workspace_sid": self.workspace_sids[0],
            "agent_conv_end_methods": {"end": True, "leave": False},
            "status": "ok",
            "date_created": born,
            "date_updated": born,
            "url": "https://flex-api.twilio.com/v1/Configuration",
        }
        root = "taskrouter.twilio.com/v1/Workspaces"
        spaces = [
            {
                "sid": workspace,
                "account_sid": self.sid,
                "friendly_name": "Flex Task Assignment",
                "event_callback_url": "https://hooks.example.com/taskrouter?token=sesame#rc=3",
                "events_filter": "task.wrapup,task.completed,task.canceled",
                "default_activity_name": "Offline",
                "default_activity_sid": self._sid("WA"),
                "multi_task_enabled": True,
                "prioritize_queue_order": "FIFO",
                "timeout_activity_name": "Offline",
                "timeout_activity_sid": self._sid("WA"),
                "date_created": born,
                "date_updated": born,
                "url": f"https://{root}/{workspace}",
                "links": {"events": f"https://{root}/{workspace}/Events"},
            }
            for workspace in self.workspace_sids
        ]
        self.lists[root] = ("workspaces", spaces)
        self.items |= {f"{root}/{space['sid']}": space for space in spaces}
        hooks = f"flex-api.twilio.com/v1/Instances/{self.instance}/InteractionWebhooks"
        hook = "flex_interactionwebhook_01jke8z8vte4ette30t5w9h081"
        self.lists[hooks] = (
            "data",
            [
                {
                    "ttid": hook,
                    "account_sid": self.sid,
                    "instance_sid": self.instance,
                    "type": "global",
                    "webhook_url": "https://user:secret@hooks.example.com/interactions",
                    "webhook_method": "POST",
                    "webhook_events": ["onChannelStatusUpdated", "onParticipantLeft"],
                    "url": f"https://{hooks}/{hook}",
                }
            ],
        )
        sink, subscription = self._sid("DG"), self._sid("DF")
        self.lists["events.twilio.com/v1/Sinks"] = (
            "sinks",
            [
                {
                    "sid": sink,
                    "description": "own receiver",
                    "sink_configuration": {"destination": "https://hooks.example.com/stream", "method": "POST"},
                    "sink_type": "webhook",
                    "status": "active",
                    "date_created": born,
                    "date_updated": born,
                }
            ],
        )
        self.lists["events.twilio.com/v1/Subscriptions"] = (
            "subscriptions",
            [{"sid": subscription, "account_sid": self.sid, "sink_sid": sink, "description": "Flex"}],
        )
        self.lists[f"events.twilio.com/v1/Subscriptions/{subscription}/SubscribedEvents"] = (
            "types",
            [
                {"type": kind, "schema_version": 4, "account_sid": self.sid, "subscription_sid": subscription}
                for kind in ("com.twilio.taskrouter.task.completed", "com.twilio.error-logs.error.logged")
            ],
        )
        self._flows(born)
        self.audit.append(
            {
                "sid": self._sid("AE"),
                "account_sid": self.sid,
                "actor_sid": self._sid("US"),
                "actor_type": "user",
                "description": None,
                "event_data": {"flow_revision": 7},
                "event_date": iso(self.now - dt.timedelta(days=self.days / 2)),
                "event_type": "flow.updated",
                "resource_sid": self.closing_flow,
                "resource_type": "flow",
                "source": "web",
                "source_ip_address": "192.0.2.10",
                "url": "https://monitor.twilio.com/v1/Events/AE",
                "links": {},
            }
        )

    def _flows(self, born: str) -> None:
        close = "https://flex-api.twilio.com/v1/Interactions/{{flow.kd}}/Channels/{{flow.uo}}"
        definitions: dict[str, list[Json]] = {
            self.flow: [{"name": "send_to_flex", "type": "send-to-flex", "properties": {"workflow": self.workflow}}],
            self.closing_flow: [
                {"name": "close_it", "type": "make-http-request", "properties": {"url": close, "body": "Status=closed"}}
            ],
            self.idle_flow: [{"name": "say", "type": "say-play", "properties": {"say": "Hello"}}],
        }
        flows = [
            {
                "sid": flow,
                "account_sid": self.sid,
                "author_sid": None,
                "friendly_name": name,
                "status": "published",
                "revision": 7,
                "definition": None,
                "commit_message": None,
                "valid": None,
                "errors": None,
                "warnings": None,
                "webhook_url": f"https://webhooks.twilio.com/v1/Accounts/{self.sid}/Flows/{flow}",
                "date_created": born,
                "date_updated": born,
                "url": f"https://studio.twilio.com/v2/Flows/{flow}",
                "links": {"executions": f"https://studio.twilio.com/v2/Flows/{flow}/Executions"},
            }
            for flow, name in zip(definitions, ("Inbound", "Close on timeout", "Out of hours"), strict=True)
        ]
        self.lists["studio.twilio.com/v2/Flows"] = ("flows", flows)
        for flow, shown in zip(definitions, flows, strict=True):
            whole = {"description": "A flow", "initial_state": "Trigger", "states": definitions[flow]}
            self.items[f"studio.twilio.com/v2/Flows/{flow}"] = {**shown, "definition": whole, "valid": True}

    # Interactions -------------------------------------------------------------------------------------

    def _interaction(self, number: int, began: dt.datetime) -> None:
        # Evenly spread instead of random, so that a small account has one of each, too.
        draw = (number * 0.618 + 0.31) % 1
        is_open, is_deleted = draw < self.open_share, draw > 1 - self.deleted_share
        kind = self.rng.choice(CHANNEL_TYPES)
        sids = {prefix: self._sid(prefix) for prefix in ("KD", "UO", "CH", "WT", "KG", "WR", "FN")}
        workspace = self.rng.choice(self.workspace_sids)
        worker = self.rng.choice(self.workers)
        phone = f"+1555{self.rng.randrange(10**7):07d}"
        attributes = {
            "flexInteractionSid": sids["KD"],
            "flexInteractionChannelSid": sids["UO"],
            "flexChannelInviteSid": sids["KG"],
            "conversationSid": sids["CH"],
            "conversations": {"conversation_id": sids["KD"], "media": [{"type": "ChatTranscript", "sid": sids["CH"]}]},
            "channelType": kind,
            "direction": "inbound",
            "customerAddress": phone,
            "from": phone,
            "customerName": "Zoë Ångström",
        }
        routing = self._routing(sids, workspace, attributes, began, is_open=is_open)
        self.conversation_sids.append(sids["CH"])
        self._events(sids, workspace, worker, attributes, began, is_open=is_open)
        self._conversation(sids, began, is_open=is_open)
        self._execution(sids, number, began, phone)
        if is_deleted:
            self.deleted.append(sids["KD"])
        else:
            self._flex(sids, kind, routing, worker, is_open=is_open)
        if (number * 0.755 + 0.05) % 1 < self.duplicate_share:
            self._alert(sids, began + dt.timedelta(seconds=263))
        if number % 3 == 0:
            self._other_alert(began, phone)

    def _routing(
        self, sids: dict[str, str], workspace: str, attributes: Json, began: dt.datetime, *, is_open: bool
    ) -> Json:
        epoch = int(began.timestamp())
        return {
            "reservation": None,
            "properties": {
                "sid": sids["WT"],
                "account_sid": self.sid,
                "workspace_sid": workspace,
                "workflow_sid": self.workflow,
                "workflow_name": "Assign to Anyone",
                "queue_sid": self.queue,
                "queue_name": "Everyone",
                "task_channel_sid": self.task_channel,
                "task_channel_unique_name": "chat",
                "assignment_status": "assigned" if is_open else "completed",
                "attributes": json.dumps(attributes),
                "priority": 0,
                "age": 300,
                "reason": "",
                "date_created": epoch,
                "date_updated": epoch + 262,
                "task_queue_entered_date": epoch + 1,
            },
        }

    def _flex(self, sids: dict[str, str], kind: str, routing: Json, worker: str, *, is_open: bool) -> None:
        base = f"flex-api.twilio.com/v1/Interactions/{sids['KD']}"
        channel = f"{base}/Channels/{sids['UO']}"
        self.items[base] = {
            "sid": sids["KD"],
            "channel": {"type": kind, "sid": sids["UO"]},
            "routing": routing,
            "interaction_context_sid": None,
            "webhook_ttid": None,
            "url": f"https://{base}",
            "links": {"channels": f"https://{base}/Channels"},
        }
        self.lists[f"{base}/Channels"] = (
            "channels",
            [
                {
                    "sid": sids["UO"],
                    "interaction_sid": sids["KD"],
                    "type": kind,
                    "status": "active" if is_open else "closed",
                    "error_code": None,
                    "error_message": None,
                    "url": f"https://{channel}",
                    "links": {name: f"https://{channel}/{name.title()}" for name in ("participants", "invites")},
                }
            ],
        )
        invite = {
            "sid": sids["KG"],
            "interaction_sid": sids["KD"],
            "channel_sid": sids["UO"],
            "routing": routing,
            "url": f"https://{channel}/Invites/{sids['KG']}",
        }
        self.lists[f"{channel}/Invites"] = ("invites", [invite])
        agent = {"task_sid": sids["WT"], "worker_sid": worker, "reservation_sid": sids["WR"]}
        self.lists[f"{channel}/Participants"] = (
            "participants",
            [
                {
                    "sid": self._sid("UT"),
                    "interaction_sid": sids["KD"],
                    "channel_sid": sids["UO"],
                    "type": who,
                    "routing_properties": properties,
                    "url": f"https://{channel}/Participants",
                }
                for who, properties in (("customer", None), ("agent", agent))
            ],
        )

    def _events(
        self,
        sids: dict[str, str],
        workspace: str,
        worker: str,
        attributes: Json,
        began: dt.datetime,
        *,
        is_open: bool,
    ) -> None:
        root = f"https://taskrouter.twilio.com/v1/Workspaces/{workspace}"
        for name, offset in EVENTS:
            if is_open and offset > 100:
                continue
            at = began + dt.timedelta(seconds=offset, milliseconds=self.rng.randrange(1000))
            is_reservation = name.startswith("reservation")
            resource = sids["WR"] if is_reservation else sids["WT"]
            data = {
                "task_sid": sids["WT"],
                "task_attributes": json.dumps(attributes),
                "task_age": str(offset),
                "task_priority": "0",
                "task_assignment_status": "completed",
                "task_queue_sid": self.queue,
                "workflow_sid": self.workflow,
                "workspace_sid": workspace,
            }
            if is_reservation:
                data |= {"reservation_sid": sids["WR"], "worker_sid": worker, "worker_name": "ana"}
            event = self._sid("EV")
            self.events[workspace].append(
                {
                    "sid": event,
                    "account_sid": self.sid,
                    "actor_sid": worker if is_reservation else workspace,
                    "actor_type": "worker" if is_reservation else "workspace",
                    "actor_url": f"{root}/Workers/{worker}",
                    "description": f"{name} for {sids['WT']}",
                    "event_data": data,
                    "event_date": iso(at),
                    "event_date_ms": int(at.timestamp() * 1000),
                    "event_type": name,
                    "resource_sid": resource,
                    "resource_type": name.split(".")[0],
                    "resource_url": f"{root}/Tasks/{sids['WT']}",
                    "source": "twilio",
                    "source_ip_address": "198.51.100.7",
                    "url": f"{root}/Events/{event}",
                    "workspace_sid": workspace,
                }
            )

    def _conversation(self, sids: dict[str, str], began: dt.datetime, *, is_open: bool) -> None:
        base = f"conversations.twilio.com/v1/Conversations/{sids['CH']}"
        self.items[base] = {
            "sid": sids["CH"],
            "account_sid": self.sid,
            "chat_service_sid": self._fixed("IS"),
            "messaging_service_sid": self._fixed("MG"),
            "friendly_name": "Zoë's conversation",
            "unique_name": None,
            "attributes": "{}",
            "state": "active" if is_open else "closed",
            "date_created": iso(began),
            "date_updated": iso(began + dt.timedelta(seconds=240)),
            "timers": {},
            "bindings": {},
            "url": f"https://{base}",
            "links": {"participants": f"https://{base}/Participants"},
        }

    def _execution(self, sids: dict[str, str], number: int, began: dt.datetime, phone: str) -> None:
        flow = self.closing_flow if number % 5 == 2 else self.flow
        base = f"studio.twilio.com/v2/Flows/{flow}/Executions/{sids['FN']}"
        execution = {
            "sid": sids["FN"],
            "account_sid": self.sid,
            "flow_sid": flow,
            "contact_channel_address": phone,
            "contact_sid": self._sid("FC"),
            "flow_version": 7,
            "status": "ended",
            "context": {},
            "date_created": iso(began - dt.timedelta(seconds=5)),
            "date_updated": iso(began),
            "initiated_by": sids["CH"] if flow == self.flow else self._sid("SM"),
            "url": f"https://{base}",
            "links": {"steps": f"https://{base}/Steps"},
        }
        self.executions[flow].append(execution)
        self.items[base] = execution
        self.items[f"{base}/Context"] = {
            "account_sid": self.sid,
            "context": {"trigger": {"conversation": {"ConversationSid": sids["CH"], "Author": phone}}},
            "execution_sid": sids["FN"],
            "flow_sid": flow,
            "url": f"https://{base}/Context",
        }
        names = STEPS if flow == self.flow else ("Trigger", "close_it")
        steps = [
            {
                "sid": self._sid("FT"),
                "account_sid": self.sid,
                "flow_sid": flow,
                "execution_sid": sids["FN"],
                "parent_step_sid": None,
                "name": "success" if place else "incomingConversationMessage",
                "context": {},
                "transitioned_from": name,
                "transitioned_to": names[place + 1] if place + 1 < len(names) else "Ended",
                "type": "trigger" if place == 0 else "widget",
                "date_created": iso(began - dt.timedelta(seconds=5 - place)),
                "date_updated": None,
                "url": f"https://{base}/Steps",
                "links": {},
            }
            for place, name in enumerate(names)
        ]
        self.lists[f"{base}/Steps"] = ("steps", steps)

    def _alert(self, sids: dict[str, str], at: dt.datetime) -> None:
        text = "Received interaction completion event for an Interaction that is already complete"
        self._keep_alert(at, "80906", "warning", sids[self.rng.choice(("KD", "UO"))], text, sids["KD"])

    def _other_alert(self, at: dt.datetime, phone: str) -> None:
        text = f"phonenumber={phone.replace('+', '%2B')}&LogLevel=WARN&Msg=forbidden+phone+number+&ErrorCode=13225"
        self._keep_alert(at, "13225", "warning", self._sid("CA"), text, None)

    def _keep_alert(
        self, at: dt.datetime, code: str, level: str, resource: str, text: str, interaction: str | None
    ) -> None:
        sid = self._sid("NO")
        alert = {
            "sid": sid,
            "account_sid": self.sid,
            "alert_text": text,
            "api_version": "2010-04-01",
            "date_created": iso(at + dt.timedelta(seconds=2)),
            "date_generated": iso(at),
            "date_updated": iso(at + dt.timedelta(seconds=2)),
            "error_code": code,
            "log_level": level,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "request_method": "POST" if interaction else None,
            "request_url": f"https://flex-api.twilio.com/v1/Interactions/{interaction}" if interaction else None,
            "resource_sid": resource,
            "service_sid": self._fixed("IS"),
            "url": f"https://monitor.twilio.com/v1/Alerts/{sid}",
        }
        self.alerts.append(alert)
        self.items[f"monitor.twilio.com/v1/Alerts/{sid}"] = {
            **alert,
            "request_headers": None,
            "request_variables": "Status=closed",
            "response_body": None,
            "response_headers": None,
        }

    def _fixed(self, prefix: str) -> str:
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
