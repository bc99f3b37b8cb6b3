"""Causes: each of the four, what must not be taken for them, and what is said when nothing can be known."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from flexkit.analyse import causes
from flexkit.analyse.facts import facts
from flexkit.analyse.missing import COLLECT, ORDER, what_to_collect
from flexkit.analyse.rules import FACTS, RULES
from flexkit.tables.schema import CONFIGURATION, COVERAGE
from flexkit.terms import Cause, Missing, Status
from tests.analyse.worlds import World, at, sid

C1, C2 = "duplicate_processing", "channel_closed_directly"
C3, C4 = "closed_instead_of_participant", "uncoordinated_terminal"


def classified(world: World, **options: Any) -> pl.DataFrame:
    alerts = options.pop("alerts", world.alerts())
    contract_only = options.pop("contract_only", False)
    return causes.classify(world.signals(contract_only=contract_only), alerts, **options).collect()


def only(world: World, **options: Any) -> dict[str, Any]:
    rows = classified(world, **options)
    assert rows.height == 1, rows
    return rows.row(0, named=True)


def verdict(world: World, **options: Any) -> tuple[str, str]:
    row = only(world, **options)
    return row["cause"], row["status"]


def undetermined(world: World, **options: Any) -> bool:
    return set(classified(world, **options)["cause"]) == {"undetermined"}


class TestTheTableOfRules:
    def test_every_fact_that_a_rule_names_is_explained(self) -> None:
        used = {fact for rule in RULES for fact in (*rule.needs, *rule.contradicted_by)}

        assert used <= set(FACTS)

    def test_every_fact_is_computed(self) -> None:
        from flexkit.analyse.affected import Overview, pieces

        world = World()
        world.interaction().served(closed=0).warned(5)
        seen = Overview.of(world.signals(), None)
        known = facts(next(pieces(seen)), seen.habits, coverage=None, configuration=None)

        assert set(FACTS) <= set(known.columns)
        assert {known.schema[fact] for fact in FACTS} == {pl.Boolean()}

    def test_every_cause_has_a_rule_and_only_strong_evidence_confirms(self) -> None:
        assert {rule.cause for rule in RULES} == {Cause(C1), Cause(C2), Cause(C3), Cause(C4)}
        assert {rule.status for rule in RULES} == {Status.CONFIRMED, Status.SUPPORTED}

    def test_everything_that_can_be_missing_has_a_sentence(self) -> None:
        assert set(COLLECT) == set(Missing)
        assert set(ORDER) == set(Missing)
        assert what_to_collect("no_handler_map").endswith(".")


class TestNothingCanBeKnown:
    def test_with_alerts_only_no_cause_is_named(self) -> None:
        world = World()
        world.interaction(1).warned(0, 15)
        world.interaction(2).warned(0)

        rows = classified(world)

        assert set(rows["cause"]) == {"undetermined"}
        assert set(rows["status"]) == {"not_assessable"}
        assert rows["missing"].to_list() == [["alerts_only"]] * rows.height
        assert rows["also"].list.len().sum() == 0

    def test_an_alert_about_proxy_is_said_to_be_so(self) -> None:
        world = World()
        world.interaction().served(closed=0)
        world.alert_rows.append(
            {"alert_sid": sid("NO", 7), "error_code": "80906", "generated_at": at(5), "resource_sid": sid("KI", 1)}
        )

        row = only(world)

        assert (row["cause"], row["status"]) == ("proxy_origin", "confirmed")
        assert row["interaction_sid"] is None
        assert row["evidence_sids"] == [sid("NO", 7)]

    def test_an_alert_that_leads_nowhere_is_kept(self) -> None:
        world = World()
        world.interaction().served(closed=0)
        world.alert_rows += [
            {"alert_sid": sid("NO", 7), "error_code": "80906", "generated_at": at(5), "resource_sid": sid("WT", 999)},
            {"alert_sid": sid("NO", 8), "error_code": "80906", "generated_at": at(6)},
        ]

        rows = classified(world)

        assert rows["missing"].to_list() == [["unlinkable_resource"], ["unlinkable_resource", "origin_undetermined"]]
        assert rows["alert_sids"].to_list() == [[sid("NO", 7)], [sid("NO", 8)]]

    def test_a_task_whose_events_name_no_interaction_has_lost_its_attributes(self) -> None:
        world = World()
        world.interaction().served(closed=0)
        bare = {"interaction_sid": None, "channel_sid": None, "conversation_sid": None}
        world.interaction(99, **bare).task("created", -60).task("completed", 4)
        world.alert_rows.append(
            {"alert_sid": sid("NO", 7), "error_code": "80906", "generated_at": at(5), "resource_sid": sid("WT", 991)}
        )

        assert only(world)["missing"] == ["attributes_redacted", "unlinkable_resource"]

    def test_without_any_normal_interaction_an_order_of_events_tells_nothing(self) -> None:
        world = World()
        world.interaction(1).served(closed=0).warned(45)

        alone = only(world)["missing"]
        world.interaction(2).served(closed=900)

        assert "no_controls" in alone
        assert "no_controls" not in only(world)["missing"]

    def test_a_warning_after_an_agents_end_without_any_log_is_undetermined(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("wrapup", 0, actor="worker").closed(0.4)
        story.task("completed", 60, actor="worker").warned(60)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "source_not_collected" in row["missing"]

    def test_the_usual_order_of_close_and_completion_accuses_nobody(self) -> None:
        world = World()
        world.interaction().served(closed=0, completed=5).warned(5)

        assert undetermined(world)

    def test_a_warning_that_no_attempt_explains_is_undetermined(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "plugin", "t1", intent="end").served(closed=0).warned(18)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "source_not_collected" in row["missing"]


class TestDuplicateProcessing:
    def test_the_same_token_twice_is_confirmed(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn", "tok").closed(0.4, delivery="x").log(
            "close_channel", 15.3, "fn", "tok", outcome="rejected"
        ).warned(15.3)

        row = only(world)

        assert (row["cause"], row["status"], row["rules"][0]) == (C1, "confirmed", "same-trigger-again")
        assert (row["first_handler"], row["second_handler"]) == ("fn", "fn")
        assert sid("NO", 1) in row["evidence_sids"]

    def test_contract_columns_are_enough(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn", "tok").closed(0.4).log("close_channel", 15.3, "fn", "tok")
        world.interaction().warned(15.3)

        assert verdict(world, contract_only=True, alerts=None) == (C1, "confirmed")

    def test_one_event_by_callback_and_by_stream_is_one_trigger(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("completed", -1, actor="worker", trigger_id="callback-1")
        story.log("close_channel", 0, "janitor", "callback-1").closed(0.3)
        story.log("close_channel", 2, "janitor", story.event()).warned(2)

        assert verdict(world) == (C1, "confirmed")

    def test_a_double_click_within_one_second_of_the_alert_is_confirmed(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0.1, "button", "click-7").closed(0.6).log(
            "close_channel", 0.7, "button", "click-7"
        ).warned(0.7)

        assert verdict(world) == (C1, "confirmed")

    def test_a_retry_without_ids_is_supported_where_no_task_event_set_it_off(self) -> None:
        world = World()
        world.interaction().task("created", -60).log("close_channel", 0, "fn").closed(0.4).log(
            "close_channel", 45, "fn"
        ).warned(45)

        assert verdict(world) == (C1, "supported")

    def test_a_retry_without_ids_long_after_is_undetermined(self) -> None:
        world = World()
        world.interaction().task("created", -60).log("close_channel", 0, "fn").closed(0.4).log(
            "close_channel", 2000, "fn"
        ).warned(2000)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "no_trigger_identity" in row["missing"]

    def test_a_routine_that_runs_on_wrapup_and_on_completion_is_not_a_retry(self) -> None:
        world = World()
        story = world.interaction().task("created", -60).task("wrapup", 0, actor="worker")
        story.log("close_channel", 0.4, "janitor").closed(0.8).task("completed", 30, actor="worker")
        story.log("close_channel", 30.5, "janitor").warned(30.5)

        assert undetermined(world)

    def test_two_executions_of_one_widget_are_supported(self) -> None:
        world = World()
        world.interaction().step(0, execution=1).closed(0.5).step(9, execution=2).warned(9)

        assert verdict(world) == (C1, "supported")

    def test_one_widget_twice_in_one_execution_is_confirmed(self) -> None:
        world = World()
        world.interaction().step(0, execution=1).closed(0.5).step(9, execution=1).warned(9)

        assert verdict(world) == (C1, "confirmed")

    def test_a_token_twice_of_which_one_was_skipped_is_no_cause(self) -> None:
        world = World()
        world.interaction().task("created", -60).log("close_channel", 0, "fn", "tok", intent="end").closed(0.4).log(
            "close_channel", 15, "fn", "tok", outcome="skipped"
        ).log("complete_task", 40, "crm", "job", outcome="rejected").warned(40)

        assert only(world)["cause"] == C2

    def test_one_trigger_for_two_handlers_is_not_the_same_logic(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "owner", "x-1").closed(0.4).log(
            "close_channel", 3, "other", "x-1"
        ).warned(3)

        assert undetermined(world)

    def test_retries_after_somebody_elses_close_are_not_the_reason_for_the_first_warning(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("wrapup", -0.2, actor="worker").closed(0)
        story.log("close_channel", 30, "sweeper", "job-1", outcome="rejected")
        story.log("close_channel", 45, "sweeper", "job-1", outcome="rejected").warned(30, 45)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert len(row["alert_sids"]) == 2


class TestChannelClosedDirectly:
    def test_a_plugins_close_and_then_a_completion_is_confirmed_where_the_intent_is_known(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "plugin", "click-1", intent="end").served(
            closed=0, completed=4.7
        ).log("complete_task", 4.6, "desktop", "click-2", outcome="rejected").warned(4.6)

        row = only(world)

        assert (row["cause"], row["status"]) == (C2, "confirmed")
        assert (row["first_handler"], row["second_handler"]) == ("plugin", "desktop")

    def test_it_is_supported_where_the_intent_is_not_known(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "plugin", "click-1").served(closed=0, completed=4.7).log(
            "complete_task", 4.6, "desktop", "click-2"
        ).warned(4.6)

        row = only(world)

        assert (row["cause"], row["status"]) == (C2, "supported")
        assert "no_handler_map" in row["missing"]

    def test_what_a_handler_always_says_counts_where_it_says_nothing(self) -> None:
        world = World()
        for number in (2, 3, 4):
            world.interaction(number).log("close_channel", 0, "plugin", f"c{number}", intent="end").served(closed=0)
        world.interaction().log("close_channel", 0, "plugin", "click-1").served(closed=0, completed=4.7).log(
            "complete_task", 4.6, "desktop", "click-2"
        ).warned(4.6)

        assert verdict(world) == (C2, "confirmed")

    def test_an_agents_completion_that_only_taskrouter_shows_is_supported(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "plugin", "click-1", intent="end").served(
            closed=0, completed=6.2
        ).warned(6)

        assert verdict(world) == (C2, "supported")

    def test_a_completion_that_the_close_itself_set_off_is_this_cause(self) -> None:
        world = World()
        story = world.interaction().task("created", -60).log("close_channel", 0, "plugin", "click", intent="end")
        story.closed(0.3).task("wrapup", 0.5, actor="workspace")
        wrapup = story.event()
        story.log("complete_task", 1.4, "auto-complete", wrapup).warned(1.4)

        assert verdict(world) == (C2, "confirmed")

    def test_long_silence_and_unknown_intent_leave_it_open(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "button", "c1").served(closed=0).log(
            "close_channel", 5000, "inactivity-job", "j1"
        ).warned(5000)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "no_handler_map" in row["missing"]

    def test_two_closes_in_one_moment_have_no_certain_order(self) -> None:
        world = World()
        world.interaction().task("created", -60).log("close_channel", 0.3, "plugin", "c1", intent="end").log(
            "complete_task", 0.5, "desktop", "c2"
        ).closed(0.9).warned(0.5)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "order_ambiguous" in row["missing"]


class TestClosedInsteadOfParticipant:
    def test_a_logged_intent_confirms_it(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn-17", "t1", intent="remove_agent").served(closed=0).log(
            "close_channel", 4800, "inactivity-job", "j1", intent="end", outcome="rejected"
        ).warned(4800)

        assert verdict(world) == (C3, "confirmed")

    def test_the_handlers_habit_supports_it(self) -> None:
        world = World()
        world.interaction(2).log("close_channel", 0, "fn-17", "t0", intent="remove_agent").served(closed=0)
        world.interaction().log("close_channel", 0, "fn-17", "t1").served(closed=0).log(
            "close_channel", 4800, "inactivity-job", "j1"
        ).warned(4800)

        assert verdict(world) == (C3, "supported")

    def test_a_name_that_says_so_supports_it(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "park-interaction", "t1").served(closed=0).log(
            "close_channel", 4800, "inactivity-job", "j1"
        ).warned(4800)

        assert verdict(world) == (C3, "supported")

    def test_a_later_invite_supports_it(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn-17", "t1").served(closed=0).task("created", 3000, task=2).log(
            "close_channel", 4800, "inactivity-job", "j1"
        ).warned(4800)

        assert verdict(world) == (C3, "supported")

    def test_a_proper_park_before_is_not_the_first_close(self) -> None:
        world = World()
        story = world.interaction().task("created", -7000)
        story.log("close_participant", -6000, "park", "p1", intent="remove_agent").task("completed", -5999)
        story.task("created", -600, task=2).log("close_channel", 0, "button", "tok", intent="end").closed(0.4)
        story.log("close_channel", 15, "button", "tok").warned(15)

        assert verdict(world) == (C1, "confirmed")

    def test_a_retry_by_the_same_trigger_goes_before(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "park", "t1", intent="remove_agent").closed(0.4).log(
            "close_channel", 15, "park", "t1", intent="remove_agent"
        ).warned(15)

        assert verdict(world) == (C1, "confirmed")


class TestUncoordinatedTerminal:
    def test_two_handlers_on_two_terminal_events_are_confirmed(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("workflow_timeout", 0).task("canceled", 0.1)
        story.log("close_channel", 0.8, "timeout-fn", story.event(1)).closed(1.2)
        story.log("close_channel", 1.9, "cancel-fn", story.event(), outcome="rejected").warned(1.9)

        row = only(world)

        assert (row["cause"], row["status"]) == (C4, "confirmed")
        assert {sid("EV", 1002), sid("EV", 1003)} <= set(row["evidence_sids"])

    def test_one_routine_on_two_terminal_events_is_confirmed(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("wrapup", 0, actor="worker")
        story.log("close_channel", 0.5, "janitor", story.event()).closed(0.9).task("completed", 40, actor="worker")
        story.log("close_channel", 40.6, "janitor", story.event()).warned(40.6)

        assert verdict(world) == (C4, "confirmed")

    def test_two_handlers_on_one_terminal_event_are_supported(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("canceled", 0)
        story.log("close_channel", 0.8, "owner", story.event()).closed(1.2)
        story.log("close_channel", 3, "sweeper", story.event()).warned(3)

        assert verdict(world) == (C4, "supported")

    def test_a_terminal_trigger_and_a_studio_flow_are_supported(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("canceled", 0)
        story.log("close_channel", 0.8, "owner", story.event()).closed(1.2).step(2.9).warned(2.9)

        assert verdict(world) == (C4, "supported")

    def test_without_taskrouter_two_event_sids_are_supported(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0.8, "owner", sid("EV", 1)).closed(1.2).log(
            "close_channel", 3, "sweeper", sid("EV", 2)
        ).warned(3)

        assert verdict(world) == (C4, "supported")

    def test_opaque_triggers_after_an_unserved_task_are_supported(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("workflow_timeout", 0).task("canceled", 0.1)
        story.log("close_channel", 0.8, "owner", "a1").closed(1.2).log("close_channel", 240, "sweeper", "b1").warned(
            240
        )

        assert verdict(world) == (C4, "supported")

    def test_opaque_triggers_without_taskrouter_are_undetermined(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0.8, "owner", "a1").closed(1.2).log(
            "close_channel", 9, "sweeper", "b1"
        ).warned(9)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "source_not_collected" in row["missing"]

    def test_each_later_handler_is_a_row_of_its_own(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("canceled", 0)
        story.log("close_channel", 0.8, "owner", story.event()).closed(1.2).step(2.9)
        story.log("close_channel", 200, "sweeper", "job").warned(2.9, 200)

        rows = classified(world)

        assert rows["cause"].to_list() == [C4, C4]
        assert rows["second_handler"].to_list() == ["hours/close_channel", "sweeper"]

    def test_a_studio_flow_alone_needs_the_configuration(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("workflow_timeout", 0).task("canceled", 0.1)
        story.closed(1.2).step(14, execution=5).warned(14)
        listener = {
            "config_id": "WS1", "kind": "subscription", "handler": "example.com/owner",
            "event_types": ["task.canceled", "workflow.timeout"],
        }  # fmt: skip
        configuration = pl.DataFrame([listener], schema=CONFIGURATION.dtypes).lazy()

        assert undetermined(world)
        assert verdict(world, configuration=configuration) == (C4, "supported")


class TestCoverage:
    def window(self, source: str, start: float, end: float, state: str = "complete") -> dict[str, Any]:
        return {"coverage_id": f"{source}{start}", "source": source, "start": at(start), "end": at(end), "state": state}

    def test_no_task_event_counts_only_where_taskrouter_is_held(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn").closed(0.4).log("close_channel", 45, "fn").warned(45)
        held = pl.DataFrame(
            [self.window("taskrouter", -900, 20), self.window("taskrouter", 20, 900)], schema=COVERAGE.dtypes
        )
        gap = held.head(1)

        assert undetermined(world)
        assert undetermined(world, coverage=gap.lazy())
        assert verdict(world, coverage=held.lazy()) == (C1, "supported")

    def test_a_saturated_window_is_named(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn").closed(0.4).log("close_channel", 45, "fn").warned(45)
        held = pl.DataFrame([self.window("taskrouter", -900, 900, "saturated")], schema=COVERAGE.dtypes)

        assert "saturated_page" in only(world, coverage=held.lazy())["missing"]


def test_what_no_alert_shows_is_never_confirmed() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn", "tok").closed(0.4).log("close_channel", 15, "fn", "tok")

    row = only(world)

    assert (row["cause"], row["status"], row["evidence_kind"]) == (C1, "supported", "inferred")


def test_benign_interactions_give_no_rows() -> None:
    world = World()
    world.interaction(1).served(closed=0)
    world.interaction(2).log("close_channel", 0, "fn", "t").closed(0.3, delivery="a").closed(0.4, delivery="b")
    world.interaction(3).task("created", -60).task("completed", 0, actor="worker").task("created", 1, task=2).task(
        "completed", 500, task=2, actor="worker"
    )

    assert classified(world).is_empty()


class TestWhatFlowsAndLogsLeaveUnsaid:
    def execution(self, story: Any, number: int, seconds: float) -> None:
        story.signal(
            "studio_execution", seconds, "studio", handler="studio:FW1", trigger_id=sid("FN", number),
            evidence_sid=sid("FN", number), flow_sid=sid("FW", 1),
        )  # fmt: skip

    def test_two_executions_without_steps_around_close_and_warning_are_supported(self) -> None:
        world = World()
        story = world.interaction().closed(0.5)
        self.execution(story, 1, -600)
        self.execution(story, 2, -0.4)
        self.execution(story, 3, 8.6)
        story.warned(9)

        row = only(world)

        assert (row["cause"], row["status"]) == (C1, "supported")
        assert row["gap_seconds"] == pytest.approx(9.0)

    def test_a_flow_that_only_greets_closes_nothing(self) -> None:
        world = World()
        story = world.interaction().task("created", -590)
        story.step(-600, widget="send_to_flex", handler="in/send_to_flex")
        story.step(-601, widget="http_lookup", handler="in/http_lookup")
        story.log("close_channel", 0, "fn", "tok").closed(0.4).log("close_channel", 15, "fn", "tok").warned(15)

        row = only(world)

        assert (row["cause"], row["first_handler"]) == (C1, "fn")

    def test_a_flows_definition_tells_better_than_a_widgets_name(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("workflow_timeout", -0.3).task("canceled", -0.2)
        story.log("close_channel", 0, "owner", story.event()).closed(0.4).step(4, widget="say_goodbye").warned(4)
        closer = {
            "config_id": "c", "kind": "closer", "subject_sid": sid("FW", 1), "detail": "channel",
            "handler": f"studio:{sid('FW', 1)}/say_goodbye",
        }  # fmt: skip
        configuration = pl.DataFrame([closer], schema=CONFIGURATION.dtypes).lazy()

        assert undetermined(world)
        assert verdict(world, configuration=configuration) == (C4, "supported")

    def test_a_server_error_does_not_say_that_nothing_was_closed(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn", "tok", outcome="rejected", http_status=504).closed(0.4).log(
            "close_channel", 15, "fn", "tok", outcome="rejected", http_status=409
        ).warned(15)

        assert verdict(world) == (C1, "confirmed")

    @pytest.mark.parametrize("prefix", ["KD", "UO", "WT", "CH"])
    def test_the_sid_of_what_is_closed_is_no_trigger(self, prefix: str) -> None:
        world = World()
        world.interaction().task("created", -60).log("close_channel", 0, "fn", sid(prefix, 5)).closed(0.4).log(
            "close_channel", 1500, "fn", sid(prefix, 5)
        ).warned(1500)

        row = only(world)

        assert row["cause"] == "undetermined"
        assert "no_trigger_identity" in row["missing"]

    def test_the_name_of_an_event_tells_its_kind(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "a", "workflow.timeout").closed(0.4).log(
            "close_channel", 3, "b", "task.canceled"
        ).warned(3)

        assert verdict(world) == (C4, "confirmed")

    def test_a_token_of_a_callback_leads_to_its_event(self) -> None:
        world = World()
        story = world.interaction().task("created", -60)
        story.task("workflow_timeout", -0.5, deliveries=["tok-1|1|hooks/a"])
        story.task("canceled", -0.4, deliveries=["tok-2|1|hooks/a", "cloud-2||event-streams"])
        story.log("close_channel", 0, "a", "tok-1").closed(0.4).log("close_channel", 3, "b", "cloud-2").warned(3)

        row = only(world)

        assert (row["cause"], row["status"]) == (C4, "confirmed")
        assert {story.event(), story.event(1)} <= set(row["evidence_sids"])

    def test_what_set_off_the_first_close_and_came_again_explains_an_unlogged_second(self) -> None:
        world = World()
        story = world.interaction().task("created", -60)
        first, again = (round(at(moment).timestamp() * 1e6) for moment in (-0.3, 19.8))
        story.task("wrapup", -0.4, deliveries=[f"tok|{first}|hooks/a", f"tok|{again}|hooks/a"])
        story.log("close_channel", 0, "fn", "tok").closed(0.4).warned(20)

        assert verdict(world) == (C1, "supported")

    def test_two_subscriptions_that_set_off_one_handler_are_supported(self) -> None:
        world = World()
        story = world.interaction().closed(0)
        for seconds, token in ((-0.5, "global"), (-0.3, "scoped")):
            story.signal("participant_left", seconds, "interactions_webhook", time_kind="receipt", trigger_id=token,
                         task_sid=sid("WT", 11), subscription=f"hooks/{token}")  # fmt: skip
        story.log("close_channel", -0.2, "on-left", "global").log("close_channel", 3, "on-left", "scoped").warned(3)

        assert verdict(world) == (C1, "supported")

    def test_steps_that_name_only_their_execution_are_found_by_it(self) -> None:
        world = World()
        story = world.interaction().task("created", -600).task("workflow_timeout", -0.3).task("canceled", -0.2)
        story.log("close_channel", 0, "owner", story.event()).closed(0.4)
        self.execution(story, 5, 2)
        story.step(3, execution=5, interaction_sid=None, channel_sid=None, conversation_sid=None).warned(3)

        row = only(world)

        assert (row["cause"], row["second_handler"]) == (C4, "hours/close_channel")
