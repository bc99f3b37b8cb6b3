"""Named worlds and named damage: what a test or the command asks for in a word."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flexkit.collect.simulate.centre import Centre, Role
from flexkit.collect.simulate.damage import Degradation
from flexkit.collect.simulate.fixes import Deployment
from flexkit.errors import UsageError
from flexkit.terms import FixKind, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WHOLE: Mapping[str, Any] = {
    "key_logged": 1.0,
    "intent_logged": 1.0,
    "logged": frozenset(set(Role) - {Role.TIMER}),
    "alert_resources": (0.8, 0.2, 0.0, 0.0, 0.0),
    "task_feed": "rest",
    "reservation_events": True,
    "job_names_channel_only": False,
    "participant_events": True,
}
_CODE = (Role.END_BUTTON, Role.CUSTOMER_LEFT, Role.OWNER, Role.INACTIVITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A kind of world: traits that override the drawn centre, the fixes deployed, the damage to the evidence."""

    traits: Mapping[str, Any] = field(default_factory=dict)
    deployments: tuple[Deployment, ...] = ()
    degradation: Degradation = field(default_factory=Degradation)
    is_empty: bool = False

    def shape(self, centre: Centre) -> Centre:
        """The centre with this scenario's traits."""
        return centre.but(**self.traits)


_TWO_FIXES = (
    Deployment(fix_id="guard-status", kind=FixKind.CHECK_STATUS_FIRST, at=31.39 / 84, adoption=0.92, roles=_CODE),
    Deployment(fix_id="one-owner", kind=FixKind.SINGLE_TERMINAL_OWNER, at=56.375 / 84, ramp_hours=4, adoption=0.97),
)  # fmt: skip

_SAMPLE = Scenario(
    traits={
        "names": {
            Role.AGENT: "flex-ui",
            Role.END_BUTTON: "end-chat-fn",
            Role.CUSTOMER_LEFT: "customer-left-hook",
            Role.OWNER: "task-events-hook",
            Role.STUDIO: "studio-after-task",
            Role.SWEEPER: "sweeper",
            Role.PARK: "park-fn",
            Role.INACTIVITY: "inactivity-job",
            Role.TIMER: "conversation-timer",
            Role.CRM: "crm-sync",
        },
        "zone": "Europe/Berlin",
        "rate": 0.038,
        "cause_mix": (0.44, 0.18, 0.12, 0.26),
        "channel_mix": (0.45, 0.27, 0.18, 0.08, 0.02),
        "day_sigma": 0.15,
        "day_rho": 0.3,
        "incidents_per_month": 0.0,
        "benign": 1.0,
        "key_logged": 0.85,
        "intent_logged": 0.9,
        "logged": frozenset(set(Role) - {Role.TIMER, Role.AGENT}),
        "alert_resources": (0.78, 0.14, 0.05, 0.02, 0.01),
        "alert_style": "form",
        "task_feed": "switch",
        "reservation_events": False,
        "closed_reply": "accepted",
        "proxy_alerts_per_day": 0.8,
        "other_alerts_per_day": 3.0,
        "scoped_webhooks": 0.04,
        "job_names_channel_only": False,
        "logs_after_reply": False,
        "participant_events": True,
        "workers": 24,
        "queues": 4,
        "flows": 4,
    },
    deployments=_TWO_FIXES,
    degradation=Degradation(
        outages={Source.INTERACTIONS_WEBHOOK: ((43.3 / 84, 44.9 / 84),)},
        duplicates=0.01,
        late=0.02,
        loss={Source.APP_LOG: 0.01},
    ),
)

_SCENARIOS: Mapping[str, Callable[[], Scenario]] = {
    "sample": lambda: _SAMPLE,
    "random": Scenario,
    "calm": lambda: Scenario(traits={"rate": 0.004, "incidents_per_month": 0.0, "day_sigma": 0.0}),
    "breach": lambda: Scenario(traits={"rate": 0.09, "incidents_per_month": 0.5}),
    "fixed": lambda: Scenario(
        traits={"rate": 0.06, "day_sigma": 0.15, "day_rho": 0.3, "incidents_per_month": 0.0},
        deployments=(
            Deployment(fix_id="guard-status", kind=FixKind.CHECK_STATUS_FIRST, at=0.5, adoption=1.0),
        ),
    ),
    "empty": lambda: Scenario(is_empty=True),
    "clean": lambda: Scenario(traits=_WHOLE),
    "noisy": lambda: Scenario(
        traits={"key_logged": 0.5},
        degradation=Degradation(
            loss=dict.fromkeys(Source, 0.1), duplicates=0.02, late=0.15, skew=2.0, missing_key=0.3, missing_actor=0.3,
            truncated=frozenset({Source.CONVERSATIONS}), naive={Source.APP_LOG: 0.02},
        ),
    ),
    "alerts_only": lambda: Scenario(degradation=Degradation(missing=frozenset(set(Source) - {Source.DEBUGGER}))),
}  # fmt: skip


def scenario_names() -> list[str]:
    """Every scenario that `scenario` knows."""
    return [*_SCENARIOS, *(f"no_{source}" for source in Source if source != Source.TWILIO_API)]


def scenario(name: str) -> Scenario:
    """The scenario of that *name*; ``no_<source>`` is the clean one without that source."""
    if name in _SCENARIOS:
        return _SCENARIOS[name]()
    if name in scenario_names():
        without = frozenset({Source(name.removeprefix("no_"))})
        return Scenario(traits=_WHOLE, degradation=Degradation(missing=without))
    msg = f"There is no scenario {name!r}. Choose one of {', '.join(scenario_names())}."
    raise UsageError(msg)
