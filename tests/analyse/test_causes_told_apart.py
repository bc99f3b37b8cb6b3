"""What tells two completions apart: forms of trigger ids, names that stand for much, effects taken for causes."""

from __future__ import annotations

import polars as pl
import pytest

from flexkit.analyse import causes
from flexkit.analyse.attempts import DELIVERED, form
from tests.analyse.test_causes import C1, C2, C3, C4, classified, only, undetermined, verdict
from tests.analyse.worlds import World, sid

DELIVERY = "0000000{}-1111-2222-3333-444444444444"


def closed_by(world: World, handler: str, trigger: str | None, *, number: int = 1, **columns: object):  # type: ignore[no-untyped-def]
    """A story in which *handler* closes the channel at noon, a task being open."""
    story = world.interaction(number).task("created", -60)
    return story.log("close_channel", 0, handler, trigger, **columns).closed(0.4)


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (sid("EV", 1), DELIVERED),
        (DELIVERY.format(1), DELIVERED),
        ("task.completed", DELIVERED),
        (sid("WR", 1), "WR"),
        ("req-17", "req"),
        ("Sweep:2026-10-05T12:00", "sweep"),
        ("deadbeef", None),
        ("fade-17", None),
        ("17", None),
    ],
)
def test_a_trigger_id_has_a_form(trigger: str, expected: str | None) -> None:
    assert pl.select(form(pl.lit(trigger))).item() == expected


class TestOneHandlerTwice:
    def test_two_clicks_with_two_ids_of_one_kind_are_supported(self) -> None:
        world = World()
        closed_by(world, "button", "req-1", intent="end").log("close_channel", 1.2, "button", "req-2").warned(1.2)

        assert verdict(world) == (C1, "supported")

    def test_two_ids_tell_nothing_where_taskrouter_is_not_held(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "button", "req-1").closed(0.4).log(
            "close_channel", 12, "button", "req-2"
        ).warned(12)

        assert undetermined(world)

    def test_ids_of_two_kinds_are_no_retry(self) -> None:
        world = World()
        closed_by(world, "backend", "case-1").log("close_channel", 3, "backend", sid("WR", 1)).warned(3)

        assert undetermined(world)

    def test_two_events_are_no_retry(self) -> None:
        world = World()
        closed_by(world, "hook", DELIVERY.format(1)).log("close_channel", 9, "hook", DELIVERY.format(2)).warned(9)

        assert undetermined(world)

    def test_one_customers_leaving_delivered_twice_is_supported(self) -> None:
        world = World()
        story = world.interaction().task("created", -60)
        left = {"time_kind": "receipt", "actor_type": "customer"}
        story.signal("participant_left", -0.3, "interactions_webhook", trigger_id=DELIVERY.format(1), **left)
        story.log("close_channel", 0, "hook", DELIVERY.format(1)).closed(0.4)
        story.signal("participant_left", 8.8, "interactions_webhook", trigger_id=DELIVERY.format(2), **left)
        story.log("close_channel", 9, "hook", DELIVERY.format(2)).warned(9)

        assert verdict(world) == (C1, "supported")


class TestOneNameForEverything:
    def world(self) -> World:
        """A log in which one name stands on what four routines did."""
        world = World()
        for number, word in enumerate(("job", "case", "sweep"), start=50):
            closed_by(world, "backend", f"{word}-{number}", number=number).log(
                "close_channel", 5, "backend", f"{word}-{number}"
            ).warned(5)
        return world

    def one(self, world: World) -> tuple[str, str]:
        rows = classified(world).filter(interaction_sid=sid("KD", 1)).to_dicts()
        assert len(rows) == 1
        return rows[0]["cause"], rows[0]["status"]

    def test_one_event_may_have_set_off_two_routines(self) -> None:
        world = self.world()
        story = world.interaction().task("created", -60).task("completed", -1, actor="worker")
        event = story.event()
        story.log("close_channel", 0, "backend", event).closed(0.4).log("close_channel", 2, "backend", event).warned(2)

        assert self.one(world) == ("undetermined", "not_assessable")

    def test_one_job_twice_is_still_confirmed(self) -> None:
        world = self.world()
        closed_by(world, "backend", "job-7").log("close_channel", 90, "backend", "job-7").warned(90)

        assert self.one(world) == (C1, "confirmed")

    def test_ids_of_two_kinds_tell_two_routines_apart(self) -> None:
        world = self.world()
        closed_by(world, "backend", "tf-7", intent="remove_agent").log(
            "close_channel", 290, "backend", "req-7", intent="end"
        ).warned(290)

        assert self.one(world) == (C3, "confirmed")

    def test_a_direct_close_and_another_kind_of_trigger_are_supported(self) -> None:
        world = self.world()
        closed_by(world, "backend", "case-7", intent="end").log("close_channel", 3, "backend", sid("WR", 1)).warned(3)

        assert self.one(world) == (C2, "supported")


class TestUnnamedHandlers:
    def test_one_event_reaches_every_subscriber(self) -> None:
        world = World()
        story = world.interaction().task("created", -60).task("completed", -1, actor="worker")
        event = story.event()
        for seconds in (0, 2):
            story.signal("close_channel_requested", seconds, "app_log", outcome="accepted", trigger_id=event)
        story.closed(0.4).warned(2)

        assert undetermined(world)

    def test_one_job_twice_is_supported(self) -> None:
        world = World()
        story = world.interaction().task("created", -60)
        for seconds in (0, 30):
            story.signal("close_channel_requested", seconds, "app_log", outcome="accepted", trigger_id="job-7")
        story.closed(0.4).warned(30)

        assert verdict(world) == (C1, "supported")

    def test_without_name_and_intent_a_direct_close_may_have_been_a_park(self) -> None:
        world = World()
        story = world.interaction().task("created", -60)
        for seconds, trigger in ((0, "pk-7"), (9, "ui-7")):
            story.signal("close_channel_requested", seconds, "app_log", outcome="accepted", trigger_id=trigger)
        story.closed(0.4).warned(9)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "no_handler_map" in row["missing"]


class TestSecondOnTheEndOfATask:
    def test_closing_on_an_end_what_another_had_closed_is_supported(self) -> None:
        world = World()
        story = closed_by(world, "on-left", DELIVERY.format(1), intent="end").task("completed", 0.6, actor="user")
        story.log("close_channel", 2.4, "task-events", story.event()).warned(2.4)

        assert verdict(world) == (C4, "supported")

    def test_it_needs_no_order_of_the_two(self) -> None:
        world = World()
        story = world.interaction().task("created", -60).task("wrapup", -0.8, actor="worker")
        wrapup = story.event()
        story.log("close_channel", 0, "on-left", DELIVERY.format(1)).log("close_channel", 0.3, "task-events", wrapup)
        story.closed(0.5).warned(0.6)

        assert only(world)["cause"] == C4

    def test_one_routine_on_a_leaving_and_on_an_end_is_supported(self) -> None:
        world = World()
        story = world.interaction().task("created", -60)
        story.signal(
            "participant_left", -0.3, "interactions_webhook", trigger_id=DELIVERY.format(1), time_kind="receipt",
            actor_type="customer",
        )  # fmt: skip
        story.log("close_channel", 0, "cleanup", DELIVERY.format(1)).closed(0.4).task("completed", 0.6, actor="user")
        story.log("close_channel", 2.4, "cleanup", story.event()).warned(2.4)

        assert verdict(world) == (C4, "supported")

    def test_an_agents_end_and_an_automation_on_the_wrapup_are_supported(self) -> None:
        world = World()
        story = world.interaction().task("created", -60).closed(0).task("wrapup", 0.4, actor="worker")
        story.log("close_channel", 1.2, "cleanup", story.event()).warned(1.2)

        row = only(world)

        assert (row["cause"], row["status"], row["first_handler"]) == (C4, "supported", "agent (Flex)")

    def test_a_removal_goes_before(self) -> None:
        world = World()
        story = closed_by(world, "leave-fn", "t1", intent="remove_agent").task("completed", 0.6, actor="user")
        story.log("close_channel", 2.4, "task-events", story.event()).warned(2.4)

        row = only(world)

        assert (row["cause"], row["status"]) == (C3, "confirmed")


class TestDirectCloses:
    def test_the_sid_of_the_reservation_does_not_hide_another_handler(self) -> None:
        world = World()
        closed_by(world, "crm", "case-1", intent="end").log("close_channel", 4, "agent-plugin", sid("WR", 1)).warned(4)

        assert verdict(world) == (C2, "supported")

    def test_a_log_that_is_written_late_turns_no_effect_into_a_cause(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).closed(-2.6).task("wrapup", -2.3, actor="user")
        story.log("close_channel", 0, "supervisor", "adm-1", intent="end", status_before="active")
        story.log("close_channel", 29, "agent-plugin", "ui-1", status_before="closed").warned(29)

        assert verdict(world) == (C2, "supported")

    def test_who_may_have_reacted_to_somebodys_leaving_is_not_judged(self) -> None:
        world = World()
        story = world.interaction().task("created", -60)
        story.signal("participant_left", -0.3, "interactions_webhook", time_kind="receipt", actor_type="customer")
        story.log("close_channel", 0, "on-left", None).closed(0.4).task("completed", 0.5, actor="user")
        story.log("close_channel", 2.4, "task-events", None).warned(2.4)

        assert undetermined(world)


class TestWhichCompletionWarned:
    def test_what_ended_with_the_close_itself_is_no_second_completion(self) -> None:
        world = World()
        story = closed_by(world, "crm", "case-1", intent="end").task("completed", 0.6, actor="user")
        story.warned(1).log("close_channel", 1.6, "agent-plugin", "ui-1")

        assert only(world)["second_handler"] == "agent-plugin"

    def test_a_completion_by_design_does_not_explain_a_warning_seconds_later(self) -> None:
        world = World()
        story = closed_by(world, "crm", "case-1", intent="end").task("wrapup", 0.5, actor="workspace")
        story.log("complete_task", 20, "desktop", "ui-1").warned(33)

        row = only(world)

        assert row["second_handler"] is None
        assert row["cause"] == "undetermined"
        assert row["evidence_kind"] == "warned"


def test_no_rule_is_shadowed_by_its_own_contradiction() -> None:
    for rule in causes.RULES:
        assert not set(rule.needs) & set(rule.contradicted_by), rule.id
