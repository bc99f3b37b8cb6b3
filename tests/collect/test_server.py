"""The test server is what it claims to be: its payloads fit Twilio's OpenAPI documents and the SDK's models."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from tests.collect.fetching import small
from tests.server.api import PASSWORD, TwilioServer

if TYPE_CHECKING:
    from tests.server.account import Account

FOLDER = os.environ.get("FLEXKIT_OPENAPI", "")
needs_documents = pytest.mark.skipif(
    not FOLDER or not Path(FOLDER).is_dir(),
    reason="FLEXKIT_OPENAPI does not name a folder with Twilio's OpenAPI documents (repository twilio/twilio-oai)",
)
DOCUMENTS = {
    "monitor.twilio.com": "twilio_monitor_v1.json",
    "taskrouter.twilio.com": "twilio_taskrouter_v1.json",
    "studio.twilio.com": "twilio_studio_v2.json",
    "conversations.twilio.com": "twilio_conversations_v1.json",
    "flex-api.twilio.com": "twilio_flex_v1.json",
}
RESOURCES = {
    "alerts": ("monitor.twilio.com", "/v1/Alerts"),
    "alert": ("monitor.twilio.com", "/v1/Alerts/{Sid}"),
    "audit events": ("monitor.twilio.com", "/v1/Events"),
    "workspaces": ("taskrouter.twilio.com", "/v1/Workspaces"),
    "task events": ("taskrouter.twilio.com", "/v1/Workspaces/{WorkspaceSid}/Events"),
    "flows": ("studio.twilio.com", "/v2/Flows"),
    "flow": ("studio.twilio.com", "/v2/Flows/{Sid}"),
    "executions": ("studio.twilio.com", "/v2/Flows/{FlowSid}/Executions"),
    "context": ("studio.twilio.com", "/v2/Flows/{FlowSid}/Executions/{ExecutionSid}/Context"),
    "steps": ("studio.twilio.com", "/v2/Flows/{FlowSid}/Executions/{ExecutionSid}/Steps"),
    "conversation": ("conversations.twilio.com", "/v1/Conversations/{Sid}"),
    "configuration": ("flex-api.twilio.com", "/v1/Configuration"),
    "interaction": ("flex-api.twilio.com", "/v1/Interactions/{Sid}"),
    "channels": ("flex-api.twilio.com", "/v1/Interactions/{InteractionSid}/Channels"),
    "participants": ("flex-api.twilio.com", "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Participants"),
    "invites": ("flex-api.twilio.com", "/v1/Interactions/{InteractionSid}/Channels/{ChannelSid}/Invites"),
}


class Local(TwilioHttpClient):  # type: ignore[misc]
    """The SDK's own HTTP client, sent to the test server."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        return super().request(method, url.replace("https://", f"{self._url}/"), *args, **kwargs)


def paths(account: Account) -> dict[str, str]:
    """An address of each resource of *account*."""
    space = account.workspace_sids[0]
    listed = {key: path for path, (key, _) in account.lists.items()}
    steps = next(path for path, (key, _) in account.lists.items() if key == "steps")
    day = f"StartDate={(account.now - dt.timedelta(days=2)).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    interaction = next(path for path in account.items if "/Interactions/" in path)
    conversation = next(path for path in account.items if "/Conversations/" in path)
    return {
        "alerts": f"monitor.twilio.com/v1/Alerts?{day}",
        "alert": f"monitor.twilio.com/v1/Alerts/{account.alerts[0]['sid']}",
        "audit events": f"monitor.twilio.com/v1/Events?{day}",
        "workspaces": "taskrouter.twilio.com/v1/Workspaces",
        "task events": f"taskrouter.twilio.com/v1/Workspaces/{space}/Events?{day}",
        "flows": "studio.twilio.com/v2/Flows",
        "flow": f"studio.twilio.com/v2/Flows/{account.closing_flow}",
        "executions": f"studio.twilio.com/v2/Flows/{account.flow}/Executions",
        "context": steps.replace("/Steps", "/Context"),
        "steps": steps,
        "conversation": conversation,
        "configuration": "flex-api.twilio.com/v1/Configuration",
        "interaction": interaction,
        "channels": listed["channels"],
        "participants": listed["participants"],
        "invites": listed["invites"],
    }


def payload(server: TwilioServer, path: str) -> Any:
    """What the server answers for *path*."""
    client = Client(server.account.sid, PASSWORD, http_client=Local(server.url))
    answer = client.request("GET", f"https://{path}")
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)


@needs_documents
@pytest.mark.parametrize("name", RESOURCES)
def test_payloads_fit_the_openapi_document(name: str) -> None:
    import jsonschema

    host, template = RESOURCES[name]
    document = json.loads((Path(FOLDER) / DOCUMENTS[host]).read_text(encoding="utf-8"))
    schema = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    account = small()
    with TwilioServer(account) as server:
        told = payload(server, paths(account)[name])

    jsonschema.validate(told, schema_of(schema, document))
    listed = next((rows for key, rows in told.items() if isinstance(rows, list) and key != "errors"), None)
    assert listed is None or listed, f"nothing to check in {name}"


def schema_of(schema: Any, document: Any) -> Any:
    """*schema* as JSON Schema: references resolved, ``nullable`` in the type, no field that the document lacks."""
    if isinstance(schema, list):
        return [schema_of(each, document) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return schema_of(found, document)
    made = {key: schema_of(value, document) for key, value in schema.items() if key != "nullable"}
    if made.get("type") == "object" and "properties" in made:
        made["additionalProperties"] = False
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made


def test_the_sdk_reads_every_resource_of_the_server() -> None:
    account = small()
    start = account.now - dt.timedelta(days=2)
    with TwilioServer(account) as server:
        client = Client(account.sid, PASSWORD, http_client=Local(server.url))
        truth = account.truth()
        interaction = sorted(truth["interactions"] - set(account.deleted))[0]
        channel = client.flex_api.v1.interaction(interaction).channels.list()[0]
        space = client.taskrouter.v1.workspaces(account.workspace_sids[0])
        alert = client.monitor.v1.alerts(account.alerts[0]["sid"]).fetch()
        events = space.events.list(start_date=start, end_date=account.now, page_size=1000)
        executions = client.studio.v2.flows(account.flow).executions.list()

        assert alert.date_generated.tzinfo is not None
        assert {row.sid for row in client.monitor.v1.alerts.list(page_size=3)} == truth["alerts"]
        assert {event.sid for event in events} == truth["task_events"]
        assert all(isinstance(event.event_data, dict) for event in events)
        assert client.flex_api.v1.interaction(interaction).fetch().sid == interaction
        assert len(client.flex_api.v1.interaction(interaction).channels(channel.sid).participants.list()) == 2
        assert len(client.flex_api.v1.interaction(interaction).channels(channel.sid).invites.list()) == 1
        assert client.conversations.v1.conversations(account.conversation_sids[0]).fetch().date_created is not None
        assert client.studio.v2.flows(account.flow).executions(executions[0].sid).steps.list()
        assert client.studio.v2.flows(account.closing_flow).fetch().definition["states"]
        assert client.flex_api.v1.configuration().fetch().flex_instance_sid == account.instance
        assert space.fetch().event_callback_url.startswith("https://")
        assert [sink.sink_type for sink in client.events.v1.sinks.list()] == ["webhook"]
        assert client.monitor.v1.events.list()[0].event_type == "flow.updated"


def test_events_default_to_fifteen_minutes_and_do_not_page() -> None:
    account = small(days=0.2)
    with TwilioServer(account, page_limit=5) as server:
        client = Client(account.sid, PASSWORD, http_client=Local(server.url))
        events = client.taskrouter.v1.workspaces(account.workspace_sids[0]).events

        assert len(events.list()) < 5
        assert len(events.list(start_date=account.now - dt.timedelta(days=1), page_size=1000)) == 5
