"""The centre's handler map: what each automation is called, how its traces look, and what it means to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flexkit.collect.simulate.centre import Role
from flexkit.collect.simulate.observe_handlers import CLOSE_WIDGET
from flexkit.terms import Intent

if TYPE_CHECKING:
    from flexkit.collect.simulate.observe import Scene

_TITLES = {
    Role.AGENT: "Agents, in the Flex UI",
    Role.END_BUTTON: "End chat button",
    Role.CUSTOMER_LEFT: "Closes when the customer has left",
    Role.OWNER: "Owner of terminal task events",
    Role.STUDIO: "Studio flow after the task",
    Role.SWEEPER: "Sweeper on the event stream",
    Role.PARK: "Park button",
    Role.INACTIVITY: "Job for silent conversations",
    Role.TIMER: "Conversation timers",
    Role.CRM: "Customer database",
}
_EVENTS = {
    Role.CUSTOMER_LEFT: ("onParticipantLeft",),
    Role.OWNER: ("task.canceled", "task.completed"),
    Role.STUDIO: ("task.canceled", "task.completed"),
    Role.SWEEPER: ("workflow.timeout", "task.wrapup"),
}


def handlers_toml(seen: Scene) -> str:
    """The text of ``handlers.toml``: a name and title for each automation, and what to recognize it by."""
    flow = seen.identity.account.after_task_flow
    matches: dict[Role, list[str]] = {
        Role.STUDIO: [f'flow = ["{flow}"]', f'widget = ["{CLOSE_WIDGET}"]'],
    }
    blocks = ["# Who is who: one block for each automation. 'match' says what its traces look like.\n"]
    for role, name in seen.world.centre.names.items():
        lines = ["[[handler]]", f'name = "{name}"', f'title = "{_TITLES[role]}"']
        if role != Role.TIMER:
            lines.append(f'intent = "{Intent.REMOVE_AGENT if role == Role.PARK else Intent.END}"')
        if role in _EVENTS:
            lines.append(f"events = [{', '.join(chr(34) + event + chr(34) for event in _EVENTS[role])}]")
        logged = [f'handler = ["{name}"]', *matches.get(role, [])]
        lines.append(f"match = {{ {', '.join(logged)} }}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)
