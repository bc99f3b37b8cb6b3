"""An answer: a verdict that notebooks show and reports read."""

from __future__ import annotations

import json
import math

from flexkit.present.answer import RUN_MIME, Answer, Provenance, Tile
from flexkit.terms import Verdict


def test_numbers_that_are_not_finite_become_null() -> None:
    answer = Answer(Verdict.UNDECIDED, "Cannot tell.", metrics={"rate": math.nan, "rr": math.inf, "n": 3})

    assert answer.to_dict()["metrics"] == {"rate": None, "rr": None, "n": 3}
    json.dumps(answer.to_dict(), allow_nan=False)


def test_a_notebook_shows_one_bold_sentence_with_its_verdict() -> None:
    answer = Answer(Verdict.BREACH, "2 % were completed twice.", "Look today.", (Tile("Share", "2 %", "2 of 100"),))

    html = answer._repr_mimebundle_()["text/html"]

    assert "<strong>Threshold breached: 2\N{NO-BREAK SPACE}% were completed twice.</strong>" in html
    assert "2 of 100" in html


def test_text_of_evidence_is_inert_in_an_answer() -> None:
    html = Answer(Verdict.OK, "<script>alert(1)</script>", "<b onclick=x>")._repr_mimebundle_()["text/html"]

    assert "<script" not in html
    assert "<b onclick" not in html


def test_a_report_reads_what_an_answer_rests_on() -> None:
    said = Provenance(("2026-10-01T00:00:00Z", "2026-10-29T00:00:00Z"), "1:3", ({"source": "studio"},), "All held.")

    fields = said._repr_mimebundle_()[RUN_MIME]

    assert fields["window"] == {"start": "2026-10-01T00:00:00Z", "end": "2026-10-29T00:00:00Z"}
    assert fields["data_version"] == "1:3"
