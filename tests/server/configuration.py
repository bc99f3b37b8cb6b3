"""The configuration of a made-up account: who listens to what, and its flows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from tests.server.words import iso

if TYPE_CHECKING:
    from tests.server.account import Account

Json = dict[str, Any]


def configure(account: Account) -> None:
    born = iso(account.now - dt.timedelta(days=400))
    account.items["flex-api.twilio.com/v1/Configuration"] = {
        "account_sid": account.sid,
        "flex_instance_sid": account.instance,
        "taskrouter_workspace_sid": account.workspace_sids[0],
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
            "account_sid": account.sid,
            "friendly_name": "Flex Task Assignment",
            "event_callback_url": "https://hooks.example.com/taskrouter?token=sesame#rc=3",
            "events_filter": "task.wrapup,task.completed,task.canceled",
            "default_activity_name": "Offline",
            "default_activity_sid": account.new_sid("WA"),
            "multi_task_enabled": True,
            "prioritize_queue_order": "FIFO",
            "timeout_activity_name": "Offline",
            "timeout_activity_sid": account.new_sid("WA"),
            "date_created": born,
            "date_updated": born,
            "url": f"https://{root}/{workspace}",
            "links": {"events": f"https://{root}/{workspace}/Events"},
        }
        for workspace in account.workspace_sids
    ]
    account.lists[root] = ("workspaces", spaces)
    account.items |= {f"{root}/{space['sid']}": space for space in spaces}
    hooks = f"flex-api.twilio.com/v1/Instances/{account.instance}/InteractionWebhooks"
    hook = "flex_interactionwebhook_01jke8z8vte4ette30t5w9h081"
    account.lists[hooks] = (
        "data",
        [
            {
                "ttid": hook,
                "account_sid": account.sid,
                "instance_sid": account.instance,
                "type": "global",
                "webhook_url": "https://user:secret@hooks.example.com/interactions",
                "webhook_method": "POST",
                "webhook_events": ["onChannelStatusUpdated", "onParticipantLeft"],
                "url": f"https://{hooks}/{hook}",
            }
        ],
    )
    sink, subscription = account.new_sid("DG"), account.new_sid("DF")
    account.lists["events.twilio.com/v1/Sinks"] = (
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
    account.lists["events.twilio.com/v1/Subscriptions"] = (
        "subscriptions",
        [{"sid": subscription, "account_sid": account.sid, "sink_sid": sink, "description": "Flex"}],
    )
    account.lists[f"events.twilio.com/v1/Subscriptions/{subscription}/SubscribedEvents"] = (
        "types",
        [
            {"type": kind, "schema_version": 4, "account_sid": account.sid, "subscription_sid": subscription}
            for kind in ("com.twilio.taskrouter.task.completed", "com.twilio.error-logs.error.logged")
        ],
    )
    _flows(account, born)
    account.audit.append(
        {
            "sid": account.new_sid("AE"),
            "account_sid": account.sid,
            "actor_sid": account.new_sid("US"),
            "actor_type": "user",
            "description": None,
            "event_data": {"flow_revision": 7},
            "event_date": iso(account.now - dt.timedelta(days=account.days / 2)),
            "event_type": "flow.updated",
            "resource_sid": account.closing_flow,
            "resource_type": "flow",
            "source": "web",
            "source_ip_address": "192.0.2.10",
            "url": "https://monitor.twilio.com/v1/Events/AE",
            "links": {},
        }
    )


def _flows(account: Account, born: str) -> None:
    close = "https://flex-api.twilio.com/v1/Interactions/{{flow.kd}}/Channels/{{flow.uo}}"
    definitions: dict[str, list[Json]] = {
        account.flow: [{"name": "send_to_flex", "type": "send-to-flex", "properties": {"workflow": account.workflow}}],
        account.closing_flow: [
            {"name": "close_it", "type": "make-http-request", "properties": {"url": close, "body": "Status=closed"}}
        ],
        account.idle_flow: [{"name": "say", "type": "say-play", "properties": {"say": "Hello"}}],
    }
    flows = [
        {
            "sid": flow,
            "account_sid": account.sid,
            "author_sid": None,
            "friendly_name": name,
            "status": "published",
            "revision": 7,
            "definition": None,
            "commit_message": None,
            "valid": None,
            "errors": None,
            "warnings": None,
            "webhook_url": f"https://webhooks.twilio.com/v1/Accounts/{account.sid}/Flows/{flow}",
            "date_created": born,
            "date_updated": born,
            "url": f"https://studio.twilio.com/v2/Flows/{flow}",
            "links": {"executions": f"https://studio.twilio.com/v2/Flows/{flow}/Executions"},
        }
        for flow, name in zip(definitions, ("Inbound", "Close on timeout", "Out of hours"), strict=True)
    ]
    account.lists["studio.twilio.com/v2/Flows"] = ("flows", flows)
    for flow, shown in zip(definitions, flows, strict=True):
        whole = {"description": "A flow", "initial_state": "Trigger", "states": definitions[flow]}
        account.items[f"studio.twilio.com/v2/Flows/{flow}"] = {**shown, "definition": whole, "valid": True}
