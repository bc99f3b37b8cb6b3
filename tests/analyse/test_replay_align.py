"""Alignment: whatever the evidence lacks, a replay without any fix gives exactly the recorded warnings."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.analyse.replay import outcomes, recorded, replay
from flexkit.analyse.replay.align import AGENT, TIMER
from flexkit.analyse.replay.match import one_to_one
from flexkit.analyse.replay.study import Study, Terms, study
from flexkit.window import Window
from tests.analyse.replay_world import START, World, sid, typical

HAPPENINGS = [
    *("close", "complete", "conversation", "step", "warn", "closed", "active", "wrapup", "timer", "canceled"),
    *("skip", "reject", "fail"),
]


def studied(world: World) -> Study:
    """The study of a world under the default terms."""
    return study(recorded(world.signals()), Terms())


def rows_of(world: World, interaction: int) -> list[dict[str, object]]:
    """The aligned attempts of one interaction."""
    found = studied(world)
    sids = found.recorded.story.warnings.filter(pl.col("interaction_sid") == sid("KD", interaction))
    return found.readings.rows.filter(pl.col("interaction") == sids["interaction"][0]).to_dicts()


def gap_of(world: World, interaction: int) -> float:
    """Seconds between the close and the first warned attempt of one interaction."""
    found = studied(world)
    sids = found.recorded.story.warnings.filter(pl.col("interaction_sid") == sid("KD", interaction))
    gaps = found.assessed.warnings.filter(pl.col("interaction") == sids["interaction"][0])["gap_seconds"]
    return float(gaps[0])


def test_a_warning_without_an_attempt_gets_a_synthetic_one() -> None:
    world = typical()
    world.close(200, 0, "close-fn", trigger_id="x")
    world.warn(200, 60)

    closer, warned = rows_of(world, 200)

    assert (closer["born"], closer["handler"]) == ("seen", "close-fn")
    assert (warned["born"], warned["handler"], warned["is_warned"]) == ("synthetic", None, True)


def test_a_warned_attempt_without_a_closer_gets_a_phantom_when_the_channel_was_closed() -> None:
    world = typical()
    world.add(200, 10, "channel_closed", source="interactions_webhook", outcome=None)
    world.closed_again(200, 70.2, "close-fn", trigger_id="x")

    phantom, warned = rows_of(world, 200)

    assert (phantom["born"], phantom["is_timed"]) == ("phantom", True)
    assert warned["handler"] == "close-fn"
    assert gap_of(world, 200) == pytest.approx(60.2, abs=1)


def test_a_phantom_without_any_sign_has_no_time() -> None:
    world = typical()
    world.closed_again(200, 70.2, "close-fn", trigger_id="x")

    phantom, _ = rows_of(world, 200)

    assert (phantom["born"], phantom["is_timed"]) == ("phantom", False)


def test_an_agent_who_wraps_up_as_the_channel_closes_was_the_closer() -> None:
    world = typical()
    world.add(200, 10.0, "channel_closed", source="interactions_webhook", outcome=None)
    world.event(200, 10.2, "task_wrapup", sid("EV", 77), actor_type="worker", handler="worker")
    world.closed_again(200, 70.2, "close-fn", trigger_id="x")

    closer, _ = rows_of(world, 200)

    assert (closer["born"], closer["handler"]) == ("sign", AGENT)


def test_a_timer_that_closed_the_conversation_was_the_closer() -> None:
    world = typical()
    world.add(200, 10.0, "conversation_closed", source="conversations", outcome=None, reason="TIMER")
    world.closed_again(200, 70.2, "close-fn", trigger_id="x")

    closer, _ = rows_of(world, 200)

    assert (closer["born"], closer["handler"]) == ("sign", TIMER)


def test_an_agent_who_completes_her_task_at_the_warning_was_the_warned_one() -> None:
    world = typical()
    world.close(200, 0.2, "close-fn", trigger_id="x")
    world.event(200, 5.3, "task_completed", sid("EV", 77), actor_type="worker", handler="worker")
    world.warn(200, 5.2)

    _, warned = rows_of(world, 200)

    assert (warned["born"], warned["handler"], warned["kind"]) == ("sign", "worker", "complete_requested")


def test_a_wrap_up_after_the_close_cannot_complete_what_a_fix_leaves_open() -> None:
    world = typical()
    world.close(200, 0.2, "park-fn", intent="remove_agent", trigger_id="x")
    world.add(200, 30, "complete_requested", handler="agent-ui")
    world.closed_again(200, 4800.2, "idle-job", trigger_id="y", intent="end")

    assert [row["handler"] for row in rows_of(world, 200)] == ["park-fn", "idle-job"]


def test_a_failed_request_closed_nothing_and_its_retry_did() -> None:
    world = typical()
    world.close(200, 0.2, "close-fn", trigger_id="x", outcome="rejected", http_status=503)
    world.close(200, 8.2, "close-fn", trigger_id="x")
    world.closed_again(200, 20.2, "idle-job", trigger_id="y")

    assert gap_of(world, 200) == pytest.approx(12)
    assert len(rows_of(world, 200)) == 2


def test_a_clock_that_is_off_is_set_right_by_the_warnings() -> None:
    world = World()
    for number in range(20):
        world.close(number, 100.2, "close-fn", trigger_id=f"a{number}")
        world.close(number, 104.2, "idle-job", trigger_id=f"b{number}")
        world.warn(number, 101.2)

    rows = studied(world).readings.rows

    assert rows["born"].unique().to_list() == ["seen"]
    assert rows.filter("is_warned")["handler"].unique().to_list() == ["idle-job"]


def test_a_step_and_the_log_line_of_the_same_run_are_one_attempt() -> None:
    world = typical()
    world.close(200, 0.2, "close-fn", trigger_id="x")
    world.closed_again(200, 9.2, "after-flow", trigger_id=sid("FN", 1))
    world.add(
        200, 9, "studio_step", source="studio", handler="flow/close_channel", trigger_id=sid("FN", 1), outcome=None
    )

    assert [row["handler"] for row in rows_of(world, 200)] == ["close-fn", "after-flow"]


def test_copies_of_one_line_are_one_attempt() -> None:
    world = typical()
    for _ in range(3):
        world.close(200, 0.2, "close-fn", trigger_id="x")
    world.closed_again(200, 9.2, "idle-job", trigger_id="y")

    assert len(rows_of(world, 200)) == 2


def test_a_signal_that_names_only_its_channel_is_linked() -> None:
    world = typical()
    world.add(200, -60, "channel_active", source="interactions_webhook", channel_sid=sid("UO", 200), outcome=None)
    world.close(200, 0.2, "close-fn", trigger_id="x")
    world.close(200, 9.2, "idle-job", trigger_id="y", interaction_sid=None, channel_sid=sid("UO", 200))
    world.warn(200, 9.2)

    assert [row["handler"] for row in rows_of(world, 200)] == ["close-fn", "idle-job"]


def test_a_reopened_interaction_is_closed_twice_by_right() -> None:
    world = typical()
    for at, kind in ((1, "channel_closed"), (600, "channel_active"), (1201, "channel_closed")):
        world.add(200, at, kind, source="interactions_webhook", outcome=None)
    world.close(200, 0.2, "close-fn", trigger_id="x")
    world.close(200, 1200.2, "close-fn", trigger_id="x")
    world.closed_again(200, 1300.2, "idle-job", trigger_id="y")
    found = studied(world)

    assert [row["part"] for row in rows_of(world, 200)] == [0, 1, 1]
    assert gap_of(world, 200) == pytest.approx(100)
    told = replay(recorded(world.signals())).row(1, named=True)
    assert told["fix_id"] == "idempotent_handling"
    assert told["legit_suppressed"] == 0.0, "another closer is there"
    assert found.assessed.most[:, 0].all()


def test_a_close_after_reopening_that_only_the_same_key_would_make_is_suppressed_and_counted() -> None:
    world = typical()
    for at, kind in ((1, "channel_closed"), (600, "channel_active"), (1201, "channel_closed")):
        world.add(200, at, kind, source="interactions_webhook", outcome=None)
    world.close(200, 0.2, "close-fn", trigger_id="x")
    world.close(200, 1200.2, "close-fn", trigger_id="x")

    told = replay(world.signals()).row(1, named=True)

    assert (told["legit_suppressed"], told["orphans"]) == (1.0, 1.0)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from([0, 0.2, 0.9, 1.5, 4, 5, 9, 30, 31, 600, 4000]),
            st.sampled_from(HAPPENINGS),
            st.sampled_from(["a", "b", None]),
            st.sampled_from(["k1", "k2", sid("EV", 1), sid("FN", 1), None]),
            st.sampled_from(["end", "remove_agent", None]),
        ),
        max_size=25,
    )
)
@settings(max_examples=60, deadline=None)
def test_no_evidence_however_odd_changes_what_was_recorded(
    lines: list[tuple[int, float, str, str | None, str | None, str | None]],
) -> None:
    world = World()
    world.close(99, 0, "a", intent="end", trigger_id="z", reason=None, http_status=None)
    for interaction, at, what, handler, trigger, intent in lines:
        request = {"handler": handler, "trigger_id": trigger, "intent": intent}
        if what == "warn":
            world.warn(interaction, at)
        elif what in ("closed", "active"):
            world.add(interaction, at, f"channel_{what}", source="interactions_webhook", outcome=None)
        elif what == "wrapup":
            world.event(interaction, at, "task_wrapup", sid("EV", 5), actor_type="worker", handler="worker")
        elif what == "canceled":
            world.event(interaction, at, "task_canceled", sid("EV", 1))
        elif what == "timer":
            world.add(interaction, at, "conversation_closed", source="conversations", reason="TIMER")
        elif what == "step":
            world.add(interaction, at, "studio_step", source="studio", **request)
        else:
            kind = {"complete": "complete_requested", "conversation": "close_conversation_requested"}.get(
                what, "close_channel_requested"
            )
            outcome = {"skip": "skipped", "reject": "rejected", "fail": "rejected"}.get(what, "accepted")
            status = 503 if what == "fail" else None
            world.add(interaction, at, kind, **{**request, "outcome": outcome, "http_status": status})
    warned = sum(what == "warn" for _, _, what, *_ in lines)

    found = studied(world)

    assert len(found.assessed.warnings) == warned
    assert found.assessed.most[:, 0].all()
    assert found.assessed.least[:, 0].all()
    assert (found.assessed.most >= found.assessed.least).all()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 50)), max_size=30))
def test_pairs_are_those_that_going_down_the_list_would_take(candidates: list[tuple[int, int, int]]) -> None:
    frame = pl.DataFrame(candidates, schema={"left": pl.Int64, "right": pl.Int64, "cost": pl.Int64}, orient="row")
    frame = frame.unique(["left", "right"]).sort("cost", "left", "right")
    expected: list[tuple[int, int]] = []
    for left, right in frame.select("left", "right").iter_rows():
        if left not in {pair[0] for pair in expected} and right not in {pair[1] for pair in expected}:
            expected.append((left, right))

    assert sorted(one_to_one(frame, "left", "right").select("left", "right").iter_rows()) == sorted(expected)


def test_a_retry_after_an_attempt_that_nobody_recorded_may_have_repeated_it() -> None:
    world = typical()
    world.event(200, 0.0, "task_canceled", sid("EV", 200))
    world.close(200, 0.5, "janitor", trigger_id=sid("EV", 200))
    world.warn(200, 200.2)  # the sweeper's first, whose line is lost
    world.closed_again(200, 260.2, "sweeper", trigger_id="sweep 200")

    found = outcomes(world.signals())

    last = found.filter(pl.col("interaction_sid") == sid("KD", 200)).sort("occurred_at").row(-1, named=True)
    assert last["prevents_idempotent_handling"] is None
    assert last["prevents_check_status_first"] is True


def test_what_a_lost_retry_borrows_does_not_come_from_agents_who_act_a_little_sooner() -> None:
    world = typical()
    for number in range(300, 320):
        # Time-outs of ten seconds: with alerts cut to the second, retries come at nine to eleven.
        world.close(number, 0.2, "slow-fn", trigger_id=f"t{number}", intent="end")
        world.closed_again(number, 10.3, "slow-fn", trigger_id=f"t{number}", intent="end")
        world.close(number + 50, 0.2, "slow-fn", trigger_id=f"t{number + 50}", intent="end")
        world.add(number + 50, 4.7, "complete_requested", handler="agent-ui")
        world.warn(number + 50, 4.7)
    for number in range(400, 403):
        world.close(number, 0.2, "slow-fn", trigger_id=f"t{number}", intent="end")
        world.warn(number, 9.9)

    lost = replay(world.signals(), window=Window(START + dt.timedelta(hours=1200), START + dt.timedelta(hours=1220)))

    row = lost.row(by_predicate=pl.col("fix_id") == "idempotent_handling", named=True)
    assert row["warnings_window"] == 3
    assert row["imputed"] > 2.5
