"""Handlers by the user's names: who sends, who only receives, who has no name yet."""

from __future__ import annotations

from typing import Any

import polars as pl

from flexkit.analyse import causes, handlers
from flexkit.tables.declared import HANDLERS
from tests.analyse.worlds import World, sid


def entries(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{"order": number, **row} for number, row in enumerate(rows)], schema=HANDLERS)


def names(world: World, *rows: dict[str, Any]) -> list[str | None]:
    return handlers.named(world.signals(), entries(*rows)).collect()["handler"].to_list()


def test_without_entries_every_handler_keeps_its_derived_name() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn-1")

    assert names(world) == ["fn-1"]


def test_the_first_entry_that_matches_counts() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "close-fn-v1").log("close_channel", 1, "other")

    assert names(world, {"handler": "closer", "logged": "^close-.*$"}, {"handler": "anything", "logged": "^.*$"}) == [
        "closer",
        "anything",
    ]


def test_all_that_an_entry_gives_must_match() -> None:
    world = World()
    world.interaction().step(0).step(1, widget="end_chat", handler="hours/end_chat")

    flow = {"handler": "after hours", "flow": f"^{sid('FW', 1)}$", "widget": "^close_.*$"}

    assert names(world, flow) == ["after hours", "hours/end_chat"]


def test_an_address_matches_by_its_pseudonym() -> None:
    world = World()
    world.interaction().task("completed", 0, actor="api", source_ip_hash="ab12", handler="api@ab12")

    assert names(world, {"handler": "backend", "ip_hashes": ["ab12", "cd34"]}) == ["backend"]


def test_what_receives_a_webhook_did_not_send_what_it_tells() -> None:
    world = World()
    world.interaction().closed(0, subscription="hooks.example.com/flex")
    row = handlers.named(world.signals(), entries({"handler": "hook", "url_path": "^hooks.*$"})).collect()

    assert row.select("handler", "receiver").row(0) == (None, "hook")


def test_an_entry_for_a_column_that_is_not_there_matches_nothing() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn")
    bare = handlers.named(world.signals(contract_only=True), entries({"handler": "x", "widget": "^.*$"})).collect()

    assert bare["handler"].to_list() == ["fn"]


def test_an_intent_of_the_map_counts_where_the_log_tells_none() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "fn-17", "t1").served(closed=0).log(
        "close_channel", 4800, "idle", "j1"
    ).warned(4800)
    park = entries({"handler": "park", "logged": "^fn-17$", "intent": "remove_agent"})

    row = causes.classify(world.signals(), world.alerts(), None, park.lazy()).collect().row(0, named=True)

    assert (row["cause"], row["status"], row["first_handler"]) == (
        "closed_instead_of_participant", "confirmed", "park",
    )  # fmt: skip


def test_two_logged_names_of_one_automation_are_one_handler() -> None:
    world = World()
    world.interaction().log("close_channel", 0, "pod-a", "tok").closed(0.4).log(
        "close_channel", 15, "pod-b", "tok"
    ).warned(15)
    pods = entries({"handler": "closer", "logged": "^pod-.*$"})

    named = causes.classify(world.signals(), world.alerts(), None, pods.lazy()).collect()

    assert named.select("cause", "status").row(0) == ("duplicate_processing", "confirmed")


def test_what_was_seen_is_listed_with_whether_it_has_a_name() -> None:
    world = World()
    story = (
        world.interaction()
        .log("close_channel", 0, "fn")
        .log("close_channel", 5, "fn")
        .closed(1, subscription="hooks/flex")
    )
    story.step(2, widget="send_to_flex").step(3, widget="close_it", handler="hours/close_it")
    listed = handlers.seen(world.signals(), entries({"handler": "hook", "url_path": "^hooks.*$"})).collect()

    assert listed.select("handler", "operation", "signals", "is_named").rows() == [
        ("fn", "close_channel", 2, False),
        ("hours/close_it", "studio_step", 1, False),
        ("hook", "receives", 1, True),
    ]
