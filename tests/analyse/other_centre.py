"""A second author's contact centre: the four causes and their look-alikes, in conventions unlike the simulator's.

Everything is written as raw records in Twilio's and the completion log's formats, one interaction after
another, and goes through normalization like a user's files. A *dialect* says how this centre writes things down.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import polars as pl

from flexkit.tables.normalize import RECORDS, RecordKind, normalize
from flexkit.tables.redact import Redactor
from tests.analyse.worlds import sid

if TYPE_CHECKING:
    from collections.abc import Callable

START = dt.datetime(2026, 10, 5, 8, tzinfo=dt.UTC)
C1, C2 = "duplicate_processing", "channel_closed_directly"
C3, C4 = "closed_instead_of_participant", "uncoordinated_terminal"


@dataclass(frozen=True)
class Dialect:
    """How a centre writes down what happens."""

    trigger: str = "token"
    """What its handlers log as trigger: token (of the delivery), event (its SID), opaque or none."""
    intent: bool = True
    answer: str = "outcome"
    """outcome, http (status only) or silent."""
    reads_status: bool = False
    offset: str = "Z"
    whole_seconds: bool = False
    log_skew: float = 0.0
    receiver_skew: float = 0.0
    alerts: str = "rest"
    alert_names: str = "KD"
    tasks: str = "callback"
    logs_agents: bool = True
    log_names: str = "KD"


@dataclass
class Centre:
    """Records and labels, written interaction by interaction."""

    dialect: Dialect
    seed: int
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    labels: list[dict[str, str]] = field(default_factory=list)
    serial: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def new(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.random.getrandbits(96):024x}{self.serial:08x}"

    def tables(self) -> dict[str, pl.DataFrame]:
        rows = [
            (str(kind), json.dumps(record), START + dt.timedelta(days=3), f"line {line}")
            for line, (kind, record) in enumerate(self.records)
        ]
        self.random.shuffle(rows)
        frame = pl.DataFrame(rows, schema=RECORDS, orient="row")
        return normalize(frame, redactor=Redactor(b"other"), now=START + dt.timedelta(days=3))

    def run(self, count: int) -> None:
        """*count* interactions: a fifth completed twice, the rest in one benign way or another."""
        for number in range(count):
            chat = Chat(self, START + dt.timedelta(seconds=97 * number))
            story = self.random.choice(TROUBLE if self.random.random() < 0.35 else BENIGN)
            cause = story(chat)
            self.labels.append({"interaction_sid": chat.kd, "cause": cause or "none", "story": story.__name__})

    def label_frame(self) -> pl.DataFrame:
        return pl.DataFrame(self.labels)


class Chat:
    """One interaction, told by what happens at how many seconds after its end begins."""

    def __init__(self, centre: Centre, start: dt.datetime) -> None:
        self.centre, self.say, self.random = centre, centre.dialect, centre.random
        self.kd, self.uo, self.ch = centre.new("KD"), centre.new("UO"), centre.new("CH")
        self.wt = centre.new("WT")
        self.start = start + dt.timedelta(minutes=20, milliseconds=self.random.randrange(1000))
        self.type = self.random.choice(["web", "sms", "whatsapp"])
        self.hook("onChannelStatusUpdated", -900, ChannelStatus="active")
        self.event("task.created", -900)

    # What is seen ---------------------------------------------------------------------------------

    def time(self, seconds: float, *, skew: float = 0.0) -> dt.datetime:
        return self.start + dt.timedelta(seconds=seconds + skew)

    def add(self, kind: RecordKind, record: dict[str, Any]) -> None:
        self.centre.records.append((kind, record))

    def deliver(self, url: str, fields: dict[str, Any], seconds: float, token: str) -> None:
        received = self.time(seconds, skew=self.say.receiver_skew)
        headers = {"i-twilio-idempotency-token": token, "User-Agent": "TwilioProxy/1.1"}
        self.add(
            RecordKind.WEBHOOK,
            {"received_at": received.isoformat(timespec="milliseconds"), "method": "POST", "url": url,
             "headers": headers, "body": urlencode(fields)},
        )  # fmt: skip

    def hook(self, event: str, seconds: float, *, token: str = "", url: str = "hooks/global", **fields: str) -> str:
        token = token or self.centre.new("tk")
        body = {"EventType": event, "AccountSid": sid("AC", 1), "InteractionSid": self.kd, "ChannelSid": self.uo,
                "MediaChannelSid": self.ch, "MediaChannelType": self.type, **fields}  # fmt: skip
        self.deliver(f"https://cx.example.org/{url}", body, seconds, token)
        return token

    def event(self, name: str, seconds: float, *, actor: str = "workspace", again: float | None = None) -> str:
        """A TaskRouter event; gives what a handler would log as its trigger. *again*: delivered again then."""
        event_sid, token, at = self.centre.new("EV"), self.centre.new("tk"), self.time(seconds)
        attributes = json.dumps({"flexInteractionSid": self.kd, "flexInteractionChannelSid": self.uo,
                                 "conversationSid": self.ch, "channelType": self.type})  # fmt: skip
        worker = {"worker_sid": sid("WK", 7)} if actor == "worker" else {}
        if self.say.tasks == "callback":
            body = {"EventType": name, "Sid": event_sid, "TaskSid": self.wt, "TaskAttributes": attributes,
                    "WorkspaceSid": sid("WS", 1), "ResourceSid": self.wt, "ResourceType": "task",
                    "TimestampMs": str(int(at.timestamp() * 1000)), "Timestamp": str(int(at.timestamp()))}  # fmt: skip
            for moment in (seconds + 0.1, *([] if again is None else [again])):
                self.deliver("https://cx.example.org/task-events", body, moment, token)
        elif self.say.tasks == "stream":
            payload = {"eventtype": name, "sid": event_sid, "task_sid": self.wt, "task_attributes": attributes,
                       "timestamp": at.isoformat(timespec="milliseconds"), **worker}  # fmt: skip
            self.add(
                RecordKind.CLOUD_EVENT,
                {"specversion": "1.0", "type": f"com.twilio.taskrouter.{name}", "id": token, "source": "x",
                 "time": at.isoformat(), "data": {"sid": event_sid, "payload": payload}},
            )  # fmt: skip
        else:
            self.add(
                RecordKind.TASK_EVENT,
                {"sid": event_sid, "event_type": name, "event_date_ms": int(at.timestamp() * 1000),
                 "actor_type": actor, "actor_sid": sid("WK", 7) if actor == "worker" else sid("WS", 1),
                 "source": "twilio", "resource_sid": self.wt, "resource_type": "task", "workspace_sid": sid("WS", 1),
                 "event_data": {"task_sid": self.wt, "task_attributes": attributes, **worker}},
            )  # fmt: skip
        if self.say.trigger == "token" and self.say.tasks != "rest":
            return token
        return event_sid if self.say.trigger in ("token", "event") else self.job()

    def job(self) -> str:
        return f"job-{self.random.getrandbits(40):x}"

    def cascade(self, seconds: float, *, reason: str = "API", served: bool = True) -> None:
        """What one close brings: webhook, conversation, wrap-up."""
        self.hook("onChannelStatusUpdated", seconds + self.random.uniform(0.1, 0.7), ChannelStatus="closed")
        change = {"EventType": "onConversationStateUpdated", "ConversationSid": self.ch, "StateFrom": "active",
                  "StateTo": "closed", "Reason": reason,
                  "StateUpdated": self.time(seconds + 0.1).isoformat(timespec="milliseconds")}  # fmt: skip
        self.deliver("https://cx.example.org/conversations", change, seconds + 0.4, self.centre.new("tk"))
        if served:
            self.event("task.wrapup", seconds + 0.3)

    def log(
        self, operation: str, seconds: float, handler: str, trigger: str | None, *, intent: str = "end",
        result: str = "accepted", status: str | None = None,
    ) -> None:  # fmt: skip
        """A line of the completion log, in this centre's dialect."""
        at = self.time(seconds, skew=self.say.log_skew)
        if self.say.offset != "Z":
            at = at.astimezone(dt.timezone(dt.timedelta(hours=int(self.say.offset[:3]))))
        line: dict[str, Any] = {"at": at.isoformat(timespec="seconds" if self.say.whole_seconds else "milliseconds"),
                                "operation": operation, "handler": handler}  # fmt: skip
        named = {
            "KD": {"interaction_sid": self.kd},
            "UO": {"channel_sid": self.uo},
            "CH": {"conversation_sid": self.ch},
        }
        line |= named[self.say.log_names]
        if trigger is not None and self.say.trigger != "none":
            line["trigger_id"] = trigger
        if self.say.intent:
            line["intent"] = intent
        if self.say.reads_status:
            line["status_before"] = status or "active"
        if self.say.answer == "outcome" or result == "skipped":
            line["outcome"] = result
        elif self.say.answer == "http":
            line["http_status"] = {"accepted": 200, "rejected": 409, "timeout": 504, "refused": 429}[result]
        if line.get("outcome") in ("timeout", "refused"):
            line["outcome"] = {"timeout": "unknown", "refused": "rejected"}[line["outcome"]]
        self.add(RecordKind.COMPLETION, line)

    def agent(self, seconds: float, *, result: str = "accepted") -> None:
        """An agent completes the task, in Flex."""
        if self.say.logs_agents:
            self.log("complete_task", seconds, "agent-desktop", None, result=result, status="closed")
        self.event("task.completed", seconds + 0.2, actor="worker")

    def step(self, seconds: float, execution: str) -> None:
        at = self.time(seconds).replace(microsecond=0).isoformat().replace("+00:00", "Z")
        self.add(
            RecordKind.STEP,
            {"sid": self.centre.new("FT"), "execution_sid": execution, "flow_sid": sid("FW", 3), "name": "success",
             "transitioned_from": "close_interaction", "transitioned_to": "done", "date_created": at,
             "context": {"flow": {"data": {"interaction": self.kd}}}},
        )  # fmt: skip

    def warn(self, seconds: float) -> None:
        """An 80906 alert."""
        at = self.time(seconds).replace(microsecond=0)
        number = self.centre.new("NO")
        named = {"KD": self.kd, "UO": self.uo, "CH": self.ch, "WT": self.wt}[self.say.alert_names]
        text = f"Msg=Received+interaction+completion+event&ErrorCode=80906&resource={named}"
        if self.say.alerts == "rest":
            record = {"sid": number, "error_code": "80906", "log_level": "warning", "alert_text": text,
                      "date_generated": at.isoformat().replace("+00:00", "Z"), "resource_sid": named}  # fmt: skip
            self.add(RecordKind.ALERT, record)
        elif self.say.alerts == "debugger":
            payload = {"resource_sid": named, "service_sid": None, "error_code": "80906", "more_info": {"Msg": "x"}}
            body = {"Sid": number, "AccountSid": sid("AC", 1), "Timestamp": at.isoformat(), "Level": "WARNING",
                    "PayloadType": "application/json", "Payload": json.dumps(payload)}  # fmt: skip
            self.deliver("https://cx.example.org/debugger", body, seconds + 2, self.centre.new("tk"))
        else:
            data = {"sid": number, "error_code": "80906", "level": "WARNING", "date_created": at.isoformat(),
                    "product_name": "Flex", "payload": json.dumps({"resource_sid": named})}  # fmt: skip
            self.add(
                RecordKind.CLOUD_EVENT,
                {"specversion": "1.0", "type": "com.twilio.error-logs.error.logged", "id": number, "source": "x",
                 "time": at.isoformat(), "data": data},
            )  # fmt: skip

    def unserved(self) -> tuple[str, str]:
        """The task times out; gives the triggers of the two events that say so."""
        return self.event("workflow.timeout", -0.6), self.event("task.canceled", -0.5)


# Completed twice ----------------------------------------------------------------------------------


def delivery_again(chat: Chat) -> str:
    """A slow function is called again with the same token."""
    again = chat.random.uniform(14, 40)
    trigger = chat.event("task.wrapup", 0, actor="worker", again=again - 0.3)
    chat.log("close_channel", 0.4, "close-on-wrapup", trigger, result=chat.random.choice(["accepted", "timeout"]))
    chat.cascade(0.5, served=False)
    chat.log("close_channel", again, "close-on-wrapup", trigger, result="rejected", status="closed")
    chat.warn(again + 0.2)
    chat.agent(again + chat.random.uniform(10, 90))
    return C1


def double_click(chat: Chat) -> str:
    trigger, later = chat.job(), chat.random.uniform(0.3, 2)
    chat.log("close_channel", 0, "end-chat-button", trigger)
    chat.cascade(0.1)
    chat.log("close_channel", later, "end-chat-button", trigger, result="accepted")
    chat.warn(later + 0.1)
    chat.agent(later + chat.random.uniform(10, 90))
    return C1


def queue_again(chat: Chat) -> str:
    trigger, later = chat.job(), chat.random.uniform(30, 290)
    chat.log("close_channel", 0, "closing-worker", trigger)
    chat.cascade(0.1)
    chat.log("close_channel", later, "closing-worker", trigger, result="rejected", status="closed")
    chat.warn(later + 0.1)
    chat.agent(later + chat.random.uniform(10, 90))
    return C1


def flow_again(chat: Chat) -> str:
    later = chat.random.uniform(3, 60)
    chat.step(0, chat.centre.new("FN"))
    chat.cascade(0.2)
    chat.step(later, chat.centre.new("FN"))
    chat.warn(later + 0.3)
    chat.agent(later + chat.random.uniform(20, 90))
    return C1


def plugin_then_agent(chat: Chat) -> str:
    later = max(chat.random.lognormvariate(1.5, 0.7), 1.6)
    chat.log("close_channel", 0, "plugin-finish", chat.job())
    chat.cascade(0.1)
    chat.agent(later, result=chat.random.choice(["accepted", "rejected"]))
    chat.warn(later + 0.1)
    return C2


def plugin_then_crm(chat: Chat) -> str:
    later = chat.random.uniform(3, 60)
    chat.log("close_channel", 0, "plugin-finish", chat.job())
    chat.cascade(0.1)
    chat.log("close_conversation", later, "crm-sync", chat.job(), result="rejected", status="closed")
    chat.warn(later + 0.2)
    chat.agent(later + chat.random.uniform(20, 90))
    return C2


def leave_closes(chat: Chat) -> str:
    later = 60 * chat.random.lognormvariate(4.2, 0.8)
    chat.log("close_channel", 0, "agent-steps-out", chat.job(), intent="remove_agent")
    chat.cascade(0.1)
    chat.agent(chat.random.uniform(5, 60))
    chat.log(chat.random.choice(["close_channel", "close_conversation"]), later, "idle-closer", chat.job(),
             result="rejected", status="closed")  # fmt: skip
    chat.warn(later + 0.1)
    return C3


def two_listeners(chat: Chat) -> str:
    timeout, canceled = chat.unserved()
    later = 0.3 + chat.random.expovariate(0.5)
    chat.log("close_channel", 0, "on-timeout", timeout)
    chat.cascade(0.1, served=False)
    chat.log("close_channel", later, "on-cancel", canceled, result="rejected", status="closed")
    chat.warn(later + 0.1)
    return C4


def one_janitor(chat: Chat) -> str:
    wrapup, talk = chat.event("task.wrapup", -0.5, actor="worker"), chat.random.uniform(8, 80)
    chat.log("close_channel", 0, "janitor", wrapup)
    chat.cascade(0.1, served=False)
    if chat.say.logs_agents:
        chat.log("complete_task", talk - 0.2, "agent-desktop", None, status="closed")
    completed = chat.event("task.completed", talk, actor="worker")
    chat.log("close_channel", talk + 0.5, "janitor", completed, result="rejected", status="closed")
    chat.warn(talk + 0.6)
    return C4


def listener_and_flow(chat: Chat) -> str:
    _, canceled = chat.unserved()
    later = chat.random.uniform(2.5, 20)
    chat.log("close_channel", 0, "on-cancel", canceled)
    chat.cascade(0.1, served=False)
    chat.step(later, chat.centre.new("FN"))
    chat.warn(later + 0.4)
    return C4


def listener_and_sweeper(chat: Chat) -> str:
    _, canceled = chat.unserved()
    later = chat.random.expovariate(1 / 240) + 3
    chat.log("close_channel", 0, "on-cancel", canceled)
    chat.cascade(0.1, served=False)
    chat.log("complete_task", later, "sweeper", chat.job(), result="rejected", status="closed")
    chat.warn(later + 0.1)
    return C4


# Benign -------------------------------------------------------------------------------------------


def in_flex(chat: Chat) -> None:
    chat.event("task.wrapup", -0.2, actor="worker")
    chat.cascade(0, served=False)
    chat.agent(chat.random.uniform(5, 300))


def by_button(chat: Chat) -> None:
    chat.log("close_channel", 0, "end-chat-button", chat.job())
    chat.cascade(0.1)
    chat.agent(chat.random.uniform(5, 300))


def by_timer(chat: Chat) -> None:
    chat.cascade(0, reason="TIMER")
    chat.event("task.completed", 30)


def handled_retry(chat: Chat) -> None:
    trigger = chat.event("task.wrapup", 0, actor="worker", again=15)
    chat.log("close_channel", 0.4, "close-on-wrapup", trigger)
    chat.cascade(0.5, served=False)
    chat.log("close_channel", 15.4, "close-on-wrapup", trigger, result="skipped", status="closed")
    chat.agent(chat.random.uniform(20, 90))


def refused_then_done(chat: Chat) -> None:
    trigger = chat.job()
    chat.log("close_channel", -3, "end-chat-button", trigger, result="refused")
    chat.log("close_channel", 0, "end-chat-button", trigger)
    chat.cascade(0.1)
    chat.agent(chat.random.uniform(5, 300))


def two_subscriptions(chat: Chat) -> None:
    chat.log("close_channel", 0, "end-chat-button", chat.job())
    chat.cascade(0.1)
    chat.hook("onChannelStatusUpdated", 0.5, url="hooks/scoped", ChannelStatus="closed")
    again = chat.hook("onParticipantLeft", 0.6, ParticipantSid=chat.centre.new("UT"), ParticipantType="agent")
    chat.hook("onParticipantLeft", 9.6, token=again, ParticipantSid=chat.centre.new("UT"), ParticipantType="agent")
    chat.agent(chat.random.uniform(5, 300))


def transferred(chat: Chat) -> None:
    chat.log("close_participant", -400, "transfer-fn", chat.job(), intent="remove_agent")
    chat.event("task.completed", -399, actor="worker")
    chat.wt = chat.centre.new("WT")
    chat.event("task.created", -398)
    by_button(chat)


def parked(chat: Chat) -> None:
    chat.hook("onChannelStatusUpdated", -8000, ChannelStatus="inactive")
    chat.log("close_participant", -8000, "agent-steps-out", chat.job(), intent="remove_agent")
    chat.event("task.completed", -7999, actor="worker")
    chat.wt = chat.centre.new("WT")
    chat.hook("onChannelStatusUpdated", -600, ChannelStatus="active")
    chat.event("task.created", -600)
    by_button(chat)


def guarded(chat: Chat) -> None:
    timeout, canceled = chat.unserved()
    chat.log("close_channel", 0, "on-timeout", timeout)
    chat.cascade(0.1, served=False)
    chat.log("close_channel", 2, "on-cancel", canceled, result="skipped", status="closed")


TROUBLE: tuple[Callable[[Chat], str | None], ...] = (
    delivery_again, double_click, queue_again, flow_again, plugin_then_agent, plugin_then_agent, plugin_then_crm,
    leave_closes, leave_closes, two_listeners, one_janitor, listener_and_flow, listener_and_sweeper,
)  # fmt: skip
BENIGN: tuple[Callable[[Chat], str | None], ...] = (
    in_flex, by_button, by_timer, handled_retry, refused_then_done, two_subscriptions, transferred, parked, guarded,
)  # fmt: skip
