"""The centre's handler map: what each automation is called, how its traces look, and what it means to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flexkit.collect.simulate.centre import Role
from flexkit.collect.simulate.observe_handlers import CLOSE_WIDGET
from flexkit.terms import Intent

if TYPE_CHECKING:
    from flexkit.collect.simulate.observe import Scene

# Kind and title of each automation, and the events that set it off.
_ABOUT: dict[Role, tuple[str, str, tuple[str, ...]]] = {
    Role.AGENT: ("agent", "Agents, in the Flex UI", ()),
    Role.END_BUTTON: ("function", "End chat button", ()),
    Role.CUSTOMER_LEFT: ("webhook", "Closes when the customer has left", ("onParticipantLeft",)),
    Role.OWNER: ("webhook", "Owner of terminal task events", ("task.canceled", "task.completed")),
    Role.STUDIO: ("flow", "Studio flow after the task", ("task.canceled", "task.completed")),
    Role.SWEEPER: ("queue", "Sweeper on the event stream", ("workflow.timeout", "task.wrapup")),
    Role.PARK: ("function", "Park button", ()),
    Role.INACTIVITY: ("job", "Job for silent conversations", ()),
    Role.CRM: ("job", "Customer database", ()),
}


def handlers_toml(seen: Scene) -> str:
    """The text of ``handlers.toml``: a name for each automation, by what it logs and, for Studio, by its widget."""

    def quoted(text: str) -> str:
        return f'"{text}"'

    names = seen.world.centre.names
    blocks = ["# Who is who: the centre's automations by name.\n"]
    for role, (kind, title, events) in _ABOUT.items():
        name = names[role]
        about = [f'name = "{name}"', f'title = "{title}"', f'kind = "{kind}"']
        if list(names.values()).count(name) == 1:
            about.append(f'intent = "{Intent.REMOVE_AGENT if role == Role.PARK else Intent.END}"')
        if events:
            about.append(f"events = [{', '.join(quoted(event) for event in events)}]")
        traces = [f"logged = {quoted(name)}"]
        if role == Role.STUDIO:
            flow = seen.identity.account.after_task_flow
            traces.append(f"flow = {quoted(flow)}, widget = {quoted(CLOSE_WIDGET)}")
        blocks += ["\n".join(["[[handler]]", *about, f"match = {{ {trace} }}"]) + "\n" for trace in traces]
    return "\n".join(blocks)
