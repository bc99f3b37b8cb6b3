"""Completed interactions and duplicates: what counts, what does not, and who was first."""

from __future__ import annotations

import polars as pl
import pytest

from flexkit.analyse import episodes
from flexkit.errors import SchemaError
from tests.analyse.worlds import World, at, sid


def duplicates(world: World, *, contract_only: bool = False, alerts: bool = True) -> pl.DataFrame:
    signals = world.signals(contract_only=contract_only)
    return episodes.duplicates(signals, world.alerts() if alerts else None).collect()


def completions(world: World) -> pl.DataFrame:
    return episodes.completions(world.signals()).collect()


def test_a_frame_without_kinds_is_refused_with_the_columns_it_has() -> None:
    signals = World().signals().select("interaction_sid", "occurred_at", "source")

    with pytest.raises(SchemaError, match="kind"):
        episodes.duplicates(signals)


def test_nothing_is_collected_before_the_result_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("collected")

    world = World()
    world.interaction().served(closed=0).warned(10)
    monkeypatch.setattr(pl.LazyFrame, "collect", refuse)
    monkeypatch.setattr(pl, "collect_all", refuse)

    assert isinstance(episodes.completions(world.signals()), pl.LazyFrame)
    assert isinstance(episodes.duplicates(world.signals(), world.alerts()), pl.LazyFrame)


def test_empty_evidence_gives_empty_tables_of_the_promised_shape() -> None:
    world = World()

    assert completions(world).schema == pl.Schema(episodes.COMPLETIONS)
    assert duplicates(world).schema == pl.Schema(episodes.DUPLICATES)
    assert duplicates(world).is_empty()


def test_one_close_with_its_cascade_is_one_completion() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "plugin").served(closed=0)

    row = completions(world).row(0, named=True)

    assert row["completion_count"] == 1
    assert (row["first_closed_at"], row["first_source"], row["first_handler"]) == (at(0), "app_log", "plugin")
    assert duplicates(world).is_empty()


def test_an_open_interaction_is_not_complete() -> None:
    world = World()
    world.interaction().task("created", 0).signal("channel_active", 1, "interactions_webhook")

    assert completions(world).is_empty()


def test_a_parked_interaction_is_open_although_its_agents_task_has_ended() -> None:
    world = World()
    park = world.interaction().task("created", -300).log("close_participant", 0, "park")
    park.task("completed", 0.5)

    assert completions(world).is_empty()

    park.task("created", 3600, task=2).closed(4000).task("completed", 4010, task=2)

    assert completions(world)["first_closed_at"].to_list() == [at(4000)]
    assert duplicates(world).is_empty()


def test_a_transfer_completes_once_when_its_last_agent_does() -> None:
    world = World()
    transfer = world.interaction().task("created", -500).task("created", -100, task=2)
    transfer.task("completed", -90, actor="worker").task("completed", 60, task=2, actor="worker")

    assert completions(world)["first_closed_at"].to_list() == [at(60)]
    assert duplicates(world).is_empty()


def test_a_warning_makes_a_duplicate_of_the_attempt_beside_it() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "plugin").served(closed=0).log(
        "complete_task", 4.6, "desktop", outcome="rejected"
    ).warned(4.6)

    row = duplicates(world).row(0, named=True)

    assert (row["first_handler"], row["second_handler"]) == ("plugin", "desktop")
    assert (row["second_at"], row["second_source"]) == (at(4.6), "app_log")
    assert row["gap_seconds"] == pytest.approx(4.6)
    assert row["alert_sids"] == [sid("NO", 1)]
    assert row["evidence_kind"] == "both"
    assert completions(world)["completion_count"].to_list() == [2]


def test_a_warning_beside_an_agents_completion_belongs_to_it() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "plugin").served(closed=0, completed=30).warned(30)

    row = duplicates(world).row(0, named=True)

    assert (row["second_source"], row["second_at"]) == ("taskrouter", at(30))


def test_retries_of_one_trigger_are_one_duplicate_with_all_their_alerts() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn", "t1").closed(0.4).log("close_channel", 15, "fn", "t1").log(
        "close_channel", 31, "fn", "t1"
    ).warned(15, 31)

    rows = duplicates(world)

    assert rows.height == 1
    assert rows["alert_sids"].to_list() == [[sid("NO", 1), sid("NO", 2)]]


def test_another_trigger_later_is_another_duplicate() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "owner", "t1").closed(0.4).log("close_channel", 2, "flow", "t2").log(
        "close_channel", 240, "sweeper", "t3"
    ).warned(2, 240)

    assert duplicates(world)["second_handler"].to_list() == ["flow", "sweeper"]


def test_the_same_alert_from_webhook_stream_and_page_is_one() -> None:
    world = World()
    world.interaction().served(closed=0).warned(5)
    world.rows += [dict(row) for row in world.rows if row["kind"] == "warning"]
    world.alert_rows *= 2

    rows = duplicates(world)

    assert rows["alert_sids"].to_list() == [[sid("NO", 1)]]


@pytest.mark.parametrize(
    "named", ["channel_sid", "task_sid", "conversation_sid"], ids=["channel", "task", "conversation"]
)
def test_an_alert_that_names_only_a_part_leads_to_its_interaction(named: str) -> None:
    world = World()
    story = world.interaction(3).served(closed=0)
    story.warned(9, **{
        "interaction_sid": None, "channel_sid": None, "conversation_sid": None,
        named: {"channel_sid": sid("UO", 3), "task_sid": sid("WT", 31), "conversation_sid": sid("CH", 3)}[named],
    })  # fmt: skip
    world.alert_rows[0] |= {"interaction_sid": None, "resource_sid": None}

    assert duplicates(world)["interaction_sid"].to_list() == [story.kd]


def test_a_task_known_only_by_its_channel_is_found_in_two_steps() -> None:
    world = World()
    story = world.interaction(3).closed(0)
    story.signal("task_completed", 20, "taskrouter", interaction_sid=None, task_sid=sid("WT", 77))
    story.warned(20, interaction_sid=None, channel_sid=None, conversation_sid=None, task_sid=sid("WT", 77))
    world.alert_rows[0] |= {"interaction_sid": None, "resource_sid": sid("WT", 77)}

    assert duplicates(world)["interaction_sid"].to_list() == [story.kd]


def test_a_conversation_seen_with_two_interactions_leads_to_neither() -> None:
    world = World()
    world.interaction(1, conversation_sid=sid("CH", 9)).served(closed=0)
    story = world.interaction(2, conversation_sid=sid("CH", 9)).served(closed=100)
    story.warned(120, interaction_sid=None, channel_sid=None)
    world.alert_rows[0] |= {"interaction_sid": None, "resource_sid": sid("CH", 9)}

    assert duplicates(world).is_empty()


def test_an_alert_about_proxy_is_no_duplicate() -> None:
    world = World()
    world.interaction().served(closed=0)
    world.alert_rows.append(
        {"alert_sid": sid("NO", 1), "error_code": "80906", "generated_at": at(5), "resource_sid": sid("KI", 1)}
    )

    assert duplicates(world).is_empty()


def test_other_alert_codes_are_no_duplicates() -> None:
    world = World()
    world.interaction().served(closed=0)
    world.alert_rows.append(
        {"alert_sid": sid("NO", 1), "error_code": "11200", "generated_at": at(5), "resource_sid": sid("KD", 1)}
    )

    assert duplicates(world).is_empty()


def test_alerts_without_any_other_signal_still_make_duplicates_but_no_completions() -> None:
    world = World()
    world.interaction().warned(5)

    assert duplicates(world)["first_closed_at"].to_list() == [None]
    assert completions(world).is_empty()


def test_signals_with_the_contracts_columns_only_are_enough() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "plugin").served(closed=0).log("close_channel", 9, "sweeper").warned(9)

    assert duplicates(world, contract_only=True, alerts=False)["second_handler"].to_list() == ["sweeper"]


class TestInferred:
    """Without an alert: precision first."""

    def test_a_second_accepted_close_is_a_duplicate(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "owner", "t1").closed(0.4).log("close_channel", 90, "sweeper", "t2")

        row = duplicates(world).row(0, named=True)

        assert (row["evidence_kind"], row["second_handler"], row["alert_sids"]) == ("inferred", "sweeper", [])

    @pytest.mark.parametrize("outcome", ["skipped", "rejected"])
    def test_a_handled_retry_is_none(self, outcome: str) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn", "t1").closed(0.4).log(
            "close_channel", 15, "fn", "t1", outcome=outcome
        )

        assert duplicates(world).is_empty()

    def test_a_retry_after_a_lost_answer_is_none(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn", "t1", outcome="unknown").log("close_channel", 15, "fn", "t1")

        assert duplicates(world).is_empty()

    def test_two_webhook_subscriptions_are_none(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn").closed(0.3, subscription="a/global").closed(
            0.5, subscription="b/scoped"
        ).closed(0.9, subscription="b/scoped")

        assert duplicates(world).is_empty()

    def test_completing_the_wrapping_task_after_the_close_is_none(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "plugin").served(closed=0, completed=60).log(
            "complete_task", 59.8, "desktop", status_before="closed"
        )

        assert duplicates(world).is_empty()

    def test_closing_channel_and_conversation_in_one_go_is_none(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn", "t1").log("close_conversation", 3, "fn", "t1").closed(0.2)

        assert duplicates(world).is_empty()

    def test_a_race_in_which_both_succeed_is_none(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "button").log("close_channel", 0.15, "crm").closed(0.4)

        assert duplicates(world).is_empty()

    def test_closing_what_was_reopened_is_none(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "fn", "t1").closed(0.4).signal(
            "channel_active", 60, "interactions_webhook"
        ).log("close_channel", 120, "fn", "t2").closed(120.5)

        assert duplicates(world).is_empty()

    def test_leaving_is_not_an_end(self) -> None:
        world = World()
        world.interaction().signal("channel_inactive", 0, "interactions_webhook").log(
            "close_channel", 3600, "sweeper"
        ).closed(3600.4)

        assert duplicates(world).is_empty()

    def test_an_unknown_outcome_counts_only_where_no_alerts_were_read(self) -> None:
        world = World()
        world.interaction().log("close_channel", 0, "owner", "t1").closed(0.4).log(
            "close_channel", 90, "sweeper", "t2", outcome="unknown"
        )
        assert duplicates(world)["evidence_kind"].to_list() == ["inferred"]

        world.interaction(2).served(closed=0).warned(5)
        assert duplicates(world)["interaction_sid"].to_list() == [sid("KD", 2)]
