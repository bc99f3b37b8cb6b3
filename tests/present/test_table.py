"""Frames as tidy tables."""

from __future__ import annotations

import datetime as dt

import polars as pl

from flexkit.present.table import TABLE_MIME, Table, table

HOSTILE = '</td><script>alert(1)</script><img src=x onerror="alert(2)">'


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    shown = table(pl.DataFrame({"n": range(300)}), limit=100)

    assert len(shown.rows) == 100
    assert "and 200 more rows" in shown.to_html(caption="")


def test_text_of_evidence_is_inert_in_a_table() -> None:
    html = table(pl.DataFrame({HOSTILE: [HOSTILE]})).to_html(caption=HOSTILE)

    assert "<script" not in html
    assert "<img" not in html


def test_cells_are_formatted_by_name_and_type() -> None:
    frame = pl.DataFrame(
        {
            "day": [dt.date(2026, 10, 14)],
            "occurred_at": [dt.datetime(2026, 10, 14, 9, 5, tzinfo=dt.UTC)],
            "rate": [0.0123],
            "gap_seconds": [125.0],
            "events": [20_341],
            "cause": ["duplicate_processing"],
            "interaction_sid": ["KD_a"],
            "is_gap": [True],
            "rules": [["a", "b"]],
            "handler": [None],
        },
        schema_overrides={"handler": pl.String},
    )

    shown = table(frame)

    assert shown.rows[0] == (
        "2026-10-14", "2026-10-14 09:05", "1.23 %", "2 min 5 s", "20,341", "Same event processed twice", "KD_a", "yes",
        "a, b", "–",
    )  # fmt: skip
    assert shown.headings[1] == "Occurred at (UTC)"
    assert shown.headings[3] == "Gap"


def test_bounds_are_percent_only_beside_a_rate() -> None:
    bounds = {"lo": [12.1], "hi": [20.7], "expected": [3.93], "value": [0.135]}

    assert table(pl.DataFrame({"count": [17], "share": [0.68], **bounds})).rows[0] == (
        "17", "68.0 %", "12.1", "20.7", "3.93", "0.14",
    )  # fmt: skip
    assert table(pl.DataFrame({"rate": [0.01], "lo": [0.005], "hi": [0.02]})).rows[0] == ("1.00 %", "0.50 %", "2.00 %")


def test_numbers_are_aligned_and_words_are_not() -> None:
    shown = table(pl.DataFrame({"unit": ["web"], "rate": [0.1], "events": [3]}))

    assert 'class="n2 n3"' in shown.to_html(caption="")


def test_an_empty_frame_is_a_table_with_headings() -> None:
    shown = table(pl.DataFrame(schema={"unit": pl.String, "rate": pl.Float64}))

    assert shown.rows == ()
    assert "<th" in shown.to_html(caption="")


def test_a_lazy_frame_is_read_when_it_is_shown() -> None:
    assert table(pl.LazyFrame({"a": [1]})).rows == (("1",),)


def test_what_a_report_reads_is_the_same_table() -> None:
    shown = table(pl.DataFrame({"a": [1, None]}))

    assert Table.from_dict(shown._repr_mimebundle_()[TABLE_MIME]) == shown


def test_columns_of_numbers_sids_and_times_are_marked_so_that_pages_can_set_them() -> None:
    sids, times = ["KD" + "0" * 32, None], ["2026-10-14 09:05", None]
    frame = pl.DataFrame({"who": ["x", "KD"], "interaction_sid": sids, "at": times, "count": [1, 2]})

    assert '<table class="s2 t3 n4">' in table(frame).to_html(caption="")


def test_headings_are_words_and_weekdays_have_names() -> None:
    frame = pl.DataFrame({"label": ["x"], "bound_lo": [1.0], "predicted_hi": [2.0], "exposure": [3], "weekday": [7]})
    by_cause = pl.DataFrame({"uncoordinated_terminal": [4]})

    shown = table(frame)

    assert shown.headings == ("What", "Lowest possible", "Predicted, high", "Completed", "Weekday")
    assert shown.rows[0][-1] == "Sunday"
    assert shown.numeric == (False, True, True, True, False)
    assert table(by_cause).headings == ("Several automations on the end",)


def test_in_jupyterlab_words_stand_left_and_units_stay_with_their_numbers() -> None:
    shown = table(pl.DataFrame({"handler": ["close-fn"], "share": [0.667]}))

    html = shown._repr_mimebundle_()["text/html"]

    assert '<td style="text-align:left">close-fn' in html
    assert "<td>66.7\N{NO-BREAK SPACE}%" in html
    assert "style" not in shown.to_html(caption="")
