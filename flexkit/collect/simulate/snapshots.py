"""The account as REST shows it when it is read: who listens to what, and the channels that were warned about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flexkit.collect.simulate.centre import DAY
from flexkit.collect.simulate.formats import HOST
from flexkit.collect.simulate.observe_handlers import CLOSE_WIDGET, SURVEY_WIDGET
from flexkit.collect.simulate.sids import sid

if TYPE_CHECKING:
    from flexkit.collect.simulate.evidence import Evidence

_FLEX = "https://flex-api.twilio.com/v1"
_ULID = "01jke8z8vte4ette30t5w9h08"
_SHOWN_DAYS = 30


def configuration(evidence: Evidence) -> list[dict[str, Any]]:
    """Resources that say who listens to which events and what can close a channel."""
    seen = evidence.seen
    world, one = seen.world, seen.identity.account
    seed, sink = world.seed, sid(world.seed, "DG", "sink")
    halfway = (world.start + world.end) // 2
    types = ["task.created", "task.wrapup", "task.completed", "task.canceled", "workflow.timeout"]
    workspace = {
        "sid": one.workspace,
        "account_sid": one.account,
        "friendly_name": "Flex Task Assignment",
        "event_callback_url": f"{HOST}/taskrouter/events#rc=2&rp=all",
        "events_filter": "task.canceled,task.completed",
        "multi_task_enabled": True,
        "url": f"https://taskrouter.twilio.com/v1/Workspaces/{one.workspace}",
    }
    webhooks = [
        {
            "ttid": f"flex_interactionwebhook_{_ULID}{number}",
            "account_sid": one.account,
            "instance_sid": one.instance,
            "type": kind,
            "webhook_url": f"{HOST}/flex/{path}",
            "webhook_method": "POST",
            "webhook_events": ["onChannelStatusUpdated", "onParticipantJoined", "onParticipantLeft"],
            "url": f"{_FLEX}/Instances/{one.instance}/InteractionWebhooks/flex_interactionwebhook_{_ULID}{number}",
        }
        for number, (kind, path) in enumerate((("global", "interactions"), ("interaction", "interaction-scoped")))
    ]
    subscription = {
        "sid": sid(seed, "DF", "subscription"),
        "account_sid": one.account,
        "sink_sid": sink,
        "description": "TaskRouter and error logs",
        "types": [f"com.twilio.taskrouter.{name}" for name in types] + ["com.twilio.error-logs.error.logged"],
    }
    receiver = {
        "sid": sink,
        "sink_type": "webhook",
        "status": "active",
        "sink_configuration": {"destination": f"{HOST}/event-streams", "method": "POST", "batch_events": True},
    }
    setting = {
        "account_sid": one.account,
        "flex_instance_sid": one.instance,
        "flex_service_instance_sid": one.chat_service,
        "taskrouter_workspace_sid": one.workspace,
        "runtime_domain": "https://flex.example.com",
        "agent_conv_end_methods": {"agent_conv_end_methods": ["complete"]},
    }
    change = {
        "sid": sid(seed, "AE", "flow"),
        "account_sid": one.account,
        "actor_type": "user",
        "event_type": "flow.updated",
        "event_date": _iso(halfway),
        "resource_sid": one.after_task_flow,
        "resource_type": "flow",
        "source": "web",
        "source_ip_address": "203.0.113.20",
    }
    return [workspace, *webhooks, subscription, receiver, setting, _flow(evidence), change]


def _flow(evidence: Evidence) -> dict[str, Any]:
    one = evidence.seen.identity.account
    close = {
        "name": CLOSE_WIDGET,
        "type": "make-http-request",
        "transitions": [{"event": "success", "next": SURVEY_WIDGET}, {"event": "failed"}],
        "properties": {
            "method": "POST",
            "url": f"{_FLEX}/Interactions/{{{{flow.data.interactionSid}}}}/Channels/{{{{flow.data.channelSid}}}}",
            "body": "Status=closed",
        },
    }
    ask = {"name": SURVEY_WIDGET, "type": "send-message", "transitions": [], "properties": {"body": "How was it?"}}
    split = {"name": "split_outcome", "type": "split-based-on", "transitions": [], "properties": {}}
    return {
        "sid": one.after_task_flow,
        "account_sid": one.account,
        "friendly_name": "After the task",
        "status": "published",
        "revision": 42,
        "definition": {"initial_state": "Trigger", "states": [split, close, ask]},
        "date_updated": _iso((evidence.seen.world.start + evidence.seen.world.end) // 2),
    }


def resources(evidence: Evidence) -> list[dict[str, Any]]:
    """Interactions and channels of the last weeks' warnings, as a fetch by their SIDs finds them."""
    seen = evidence.seen
    world, ids, attempts = seen.world, seen.identity, seen.world.attempts
    recent = world.resolution.warned & (attempts.served >= world.end - _SHOWN_DAYS * DAY)
    found: list[dict[str, Any]] = []
    for i in np.unique(attempts.interaction[recent]).tolist():
        interaction, channel, kind = ids.interaction[i], ids.channel[i], ids.channel_type[i]
        place = f"{_FLEX}/Interactions/{interaction}"
        found += [
            {
                "sid": interaction,
                "channel": {"type": kind, "sid": channel},
                "routing": {"properties": {"workflow_sid": ids.account.workflow, "task_channel_unique_name": kind}},
                "interaction_context_sid": None,
                "webhook_ttid": None,
                "url": place,
                "links": {"channels": f"{place}/Channels"},
            },
            {
                "sid": channel,
                "interaction_sid": interaction,
                "type": kind,
                "status": "closed",
                "error_code": None,
                "error_message": None,
                "url": f"{place}/Channels/{channel}",
            },
        ]
    return found


def _iso(at_us: int) -> str:
    return f"{np.datetime64(at_us, 'us').astype('datetime64[s]')}Z"
