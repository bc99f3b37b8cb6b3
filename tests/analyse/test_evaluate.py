"""Causes against labels: every right and wrong is counted once, and what cannot be judged is said."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from flexkit.analyse.causes import CAUSES
from flexkit.analyse.evaluate import Share, evaluate
from flexkit.errors import SchemaError
from tests.analyse.worlds import sid

C1, C2, OPEN = "duplicate_processing", "channel_closed_directly", "undetermined"


def named(*rows: tuple[int | None, str, str, list[str]]) -> pl.DataFrame:
    told: list[dict[str, Any]] = [
        {"interaction_sid": None if number is None else sid("KD", number), "cause": cause, "status": status,
         "alert_sids": alerts}
        for number, cause, status, alerts in rows
    ]  # fmt: skip
    return pl.DataFrame(told, schema=CAUSES)


def labels(*rows: tuple[int, str | None], **more: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {"interaction_sid": [sid("KD", number) for number, _ in rows], "cause": [cause for _, cause in rows], **more},
        schema_overrides={"cause": pl.String},
    )


def test_labels_without_a_cause_are_refused() -> None:
    with pytest.raises(SchemaError, match="no column cause"):
        evaluate(named(), pl.DataFrame({"interaction_sid": []}))


def test_an_unknown_cause_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SchemaError, match=r"gremlins.*duplicate_processing"):
        evaluate(named(), labels((1, "gremlins")))


def test_right_wrong_open_and_missed_are_told_apart() -> None:
    found = named(
        (1, C1, "confirmed", []), (2, C1, "supported", []), (3, OPEN, "not_assessable", []), (9, C2, "supported", [])
    )

    told = evaluate(found, labels((1, C1), (2, C2), (3, C1), (4, C2), (9, "none"), (10, ""), (11, None)))

    assert told.named == Share(2, 4)
    assert told.found == Share(3, 4)
    assert told.benign == Share(2, 3)
    assert told.precision[C1] == Share(1, 2)
    assert told.precision[C2] == Share(0, 1)
    assert told.recall[C1] == Share(1, 2)
    assert told.recall[C2] == Share(0, 2)
    assert told.status == {"confirmed": Share(1, 1), "supported": Share(0, 2)}
    cells = {(row["label"], name): row[name] for row in told.confusion.to_dicts() for name in row if name != "label"}
    assert cells["duplicate_processing", "undetermined"] == 1
    assert cells["channel_closed_directly", "none"] == 1
    assert cells["none", "channel_closed_directly"] == 1
    assert cells["none", "none"] == 2


def test_two_duplicates_of_one_interaction_are_told_apart_by_their_alerts() -> None:
    found = named((1, C1, "confirmed", ["NO1"]), (1, C2, "supported", ["NO2"]))

    told = evaluate(found, labels((1, C2), (1, C1), alert_sids=["NO1", "NO2|NO3"]))

    assert told.recall[C1] == Share(0, 1)
    assert told.status == {"confirmed": Share(0, 1), "supported": Share(0, 1)}


def test_without_alerts_an_interaction_is_judged_in_its_favour() -> None:
    found = named((1, OPEN, "not_assessable", []), (1, C2, "supported", []))

    told = evaluate(found, labels((1, C2)))

    assert (told.named, told.recall[C2]) == (Share(1, 1), Share(1, 1))


def test_another_cause_that_is_right_too_counts() -> None:
    told = evaluate(named((1, C1, "supported", [])), labels((1, C2), also=["duplicate_processing|proxy_origin"]))

    assert told.status["supported"] == Share(1, 1)


def test_interactions_without_a_label_count_only_when_asked() -> None:
    found = named((7, C1, "confirmed", []))

    assert evaluate(found, labels((1, C1))).unlabelled == 1
    assert evaluate(found, labels((1, C1))).status["confirmed"] == Share(0, 0)
    assert evaluate(found, labels((1, C1)), unlisted_is_benign=True).status["confirmed"] == Share(0, 1)


def test_alerts_about_proxy_are_no_duplicates() -> None:
    found = named((None, "proxy_origin", "confirmed", ["NO1"]))
    truth = pl.DataFrame({"interaction_sid": [None], "cause": ["proxy_origin"], "alert_sids": ["NO1"]},
                         schema_overrides={"interaction_sid": pl.String})  # fmt: skip

    told = evaluate(found, truth)

    assert told.recall["proxy_origin"] == Share(1, 1)
    assert told.named == Share(0, 0)


def test_it_can_be_read_and_it_can_be_parsed() -> None:
    told = evaluate(named((1, C1, "confirmed", [])), labels((1, C1), (2, "none")))

    assert any("100.0 % (1 of 1" in line for line in told.lines())
    assert told.to_dict()["status_right"]["confirmed"]["rate"] == 1.0
    assert told.to_dict()["precision"]["proxy_origin"]["rate"] is None
