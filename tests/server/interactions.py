"""One interaction of a made-up account, with everything that Twilio would tell of it."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from tests.server.words import CHANNEL_TYPES, EVENTS, STEPS, iso

if TYPE_CHECKING:
    from tests.server.account import Account

Json = dict[str, Any]


def add_interaction(account: Account, number: int, began: dt.datetime) -> None:
    # Evenly spread instead of random, so that a small account has one of each, too.
    draw = (number * 0.618 + 0.31) % 1
    is_open, is_deleted = draw < account.open_share, draw > 1 - account.deleted_share
    kind = account.rng.choice(CHANNEL_TYPES)
    sids = {prefix: account.new_sid(prefix) for prefix in ("KD", "UO", "CH", "WT", "KG", "WR", "FN")}
    workspace = account.rng.choice(account.workspace_sids)
    worker = account.rng.choice(account.workers)
    phone = f"+1555{account.rng.randrange(10**7):07d}"
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
    routing = _routing(account, sids, workspace, attributes, began, is_open=is_open)
    account.conversation_sids.append(sids["CH"])
    _events(account, sids, workspace, worker, attributes, began, is_open=is_open)
    _conversation(account, sids, began, is_open=is_open)
    _execution(account, sids, number, began, phone)
    if is_deleted:
        account.deleted.append(sids["KD"])
    else:
        _flex(account, sids, kind, routing, worker, is_open=is_open)
    if (number * 0.755 + 0.05) % 1 < account.duplicate_share:
        _alert(account, sids, began + dt.timedelta(seconds=263))
    if number % 3 == 0:
        _other_alert(account, began, phone)


def _routing(
    account: Account, sids: dict[str, str], workspace: str, attributes: Json, began: dt.datetime, *, is_open: bool
) -> Json:
    epoch = int(began.timestamp())
    return {
        "reservation": None,
        "properties": {
            "sid": sids["WT"],
            "account_sid": account.sid,
            "workspace_sid": workspace,
            "workflow_sid": account.workflow,
            "workflow_name": "Assign to Anyone",
            "queue_sid": account.queue,
            "queue_name": "Everyone",
            "task_channel_sid": account.task_channel,
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


def _flex(account: Account, sids: dict[str, str], kind: str, routing: Json, worker: str, *, is_open: bool) -> None:
    base = f"flex-api.twilio.com/v1/Interactions/{sids['KD']}"
    channel = f"{base}/Channels/{sids['UO']}"
    account.items[base] = {
        "sid": sids["KD"],
        "channel": {"type": kind, "sid": sids["UO"]},
        "routing": routing,
        "interaction_context_sid": None,
        "webhook_ttid": None,
        "url": f"https://{base}",
        "links": {"channels": f"https://{base}/Channels"},
    }
    account.lists[f"{base}/Channels"] = (
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
    account.lists[f"{channel}/Invites"] = ("invites", [invite])
    agent = {"task_sid": sids["WT"], "worker_sid": worker, "reservation_sid": sids["WR"]}
    account.lists[f"{channel}/Participants"] = (
        "participants",
        [
            {
                "sid": account.new_sid("UT"),
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
    account: Account,
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
        at = began + dt.timedelta(seconds=offset, milliseconds=account.rng.randrange(1000))
        is_reservation = name.startswith("reservation")
        resource = sids["WR"] if is_reservation else sids["WT"]
        data = {
            "task_sid": sids["WT"],
            "task_attributes": json.dumps(attributes),
            "task_age": str(offset),
            "task_priority": "0",
            "task_assignment_status": "completed",
            "task_queue_sid": account.queue,
            "workflow_sid": account.workflow,
            "workspace_sid": workspace,
        }
        if is_reservation:
            data |= {"reservation_sid": sids["WR"], "worker_sid": worker, "worker_name": "ana"}
        event = account.new_sid("EV")
        account.events[workspace].append(
            {
                "sid": event,
                "account_sid": account.sid,
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


def _conversation(account: Account, sids: dict[str, str], began: dt.datetime, *, is_open: bool) -> None:
    base = f"conversations.twilio.com/v1/Conversations/{sids['CH']}"
    account.items[base] = {
        "sid": sids["CH"],
        "account_sid": account.sid,
        "chat_service_sid": account.fixed("IS"),
        "messaging_service_sid": account.fixed("MG"),
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


def _execution(account: Account, sids: dict[str, str], number: int, began: dt.datetime, phone: str) -> None:
    flow = account.closing_flow if number % 5 == 2 else account.flow
    base = f"studio.twilio.com/v2/Flows/{flow}/Executions/{sids['FN']}"
    execution = {
        "sid": sids["FN"],
        "account_sid": account.sid,
        "flow_sid": flow,
        "contact_channel_address": phone,
        "contact_sid": account.new_sid("FC"),
        "flow_version": 7,
        "status": "ended",
        "context": {},
        "date_created": iso(began - dt.timedelta(seconds=5)),
        "date_updated": iso(began),
        "initiated_by": sids["CH"] if flow == account.flow else account.new_sid("SM"),
        "url": f"https://{base}",
        "links": {"steps": f"https://{base}/Steps"},
    }
    account.executions[flow].append(execution)
    account.items[base] = execution
    account.items[f"{base}/Context"] = {
        "account_sid": account.sid,
        "context": {"trigger": {"conversation": {"ConversationSid": sids["CH"], "Author": phone}}},
        "execution_sid": sids["FN"],
        "flow_sid": flow,
        "url": f"https://{base}/Context",
    }
    names = STEPS if flow == account.flow else ("Trigger", "close_it")
    steps = [
        {
            "sid": account.new_sid("FT"),
            "account_sid": account.sid,
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
    account.lists[f"{base}/Steps"] = ("steps", steps)


def _alert(account: Account, sids: dict[str, str], at: dt.datetime) -> None:
    text = "Received interaction completion event for an Interaction that is already complete"
    _keep_alert(account, at, "80906", "warning", sids[account.rng.choice(("KD", "UO"))], text, sids["KD"])


def _other_alert(account: Account, at: dt.datetime, phone: str) -> None:
    text = f"phonenumber={phone.replace('+', '%2B')}&LogLevel=WARN&Msg=forbidden+phone+number+&ErrorCode=13225"
    _keep_alert(account, at, "13225", "warning", account.new_sid("CA"), text, None)


def _keep_alert(
    account: Account, at: dt.datetime, code: str, level: str, resource: str, text: str, interaction: str | None
) -> None:
    sid = account.new_sid("NO")
    alert = {
        "sid": sid,
        "account_sid": account.sid,
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
        "service_sid": account.fixed("IS"),
        "url": f"https://monitor.twilio.com/v1/Alerts/{sid}",
    }
    account.alerts.append(alert)
    account.items[f"monitor.twilio.com/v1/Alerts/{sid}"] = {
        **alert,
        "request_headers": None,
        "request_variables": "Status=closed",
        "response_body": None,
        "response_headers": None,
    }
