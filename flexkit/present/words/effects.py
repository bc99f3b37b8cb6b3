"""Sentences about fixes: did it work, by how much, how sure, and what to wait for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from flexkit.present.answer import Answer, Tile
from flexkit.present.numbers import count, listed, number, percent, rough, sentence, span
from flexkit.present.verdicts import reason_label, verdict_label
from flexkit.present.words.said import Said, long_day
from flexkit.terms import Verdict

if TYPE_CHECKING:
    from flexkit.analyse.effects import Analysis

Row = dict[str, Any]
_DECIDED = {"helped", "no_material_change"}
_TWICE = "Interactions with a duplicate"


def fixes(effects: pl.DataFrame) -> Answer:
    """The answer to "did the fixes work?", from the `effects` table."""
    rows = effects.sort("deployed_at").to_dicts()
    verdicts = [row["verdict"] for row in rows]
    helped, harmed = verdicts.count("helped"), verdicts.count("harmed")
    metrics: dict[str, float | int | None] = {
        "fixes_helped": helped,
        "fixes": len(rows),
        "fixes_harmed": harmed,
        "fixes_undecided": sum(verdict not in {*_DECIDED, "harmed"} for verdict in verdicts),
        **{f"rr_{row['fix_id']}": row["rr"] for row in rows},
    }
    if not rows:
        said = "Cannot tell: no fix is declared."
        action = "Write what was deployed and when into fixes.toml in the data folder."
        return Answer(Verdict.UNDECIDED, said, action, metrics=metrics)
    leading = [row for row in rows if row["verdict"] == "harmed"] or [row for row in rows if row["verdict"] in _DECIDED]
    chosen = (leading or rows)[-1]
    shown = [chosen, *(row for row in reversed(rows) if row is not chosen)][:3]
    tiles = tuple(Tile(row["title"], _change(row), f"{verdict_label(row['verdict'])}{_ratio(row)}") for row in shown)
    headline = fix(chosen)
    others = [f"“{row['title']}”: {verdict_label(row['verdict'])}" for row in rows if row is not chosen]
    action = " ".join(text for text in (_why_not(chosen), _rests_on(chosen), sentence("; ".join(others))) if text) + " "
    verdict = Verdict.UNDECIDED
    if harmed:
        verdict, action = Verdict.BREACH, "Look at it today: a fix made things worse. " + action
    elif leading:
        verdict = Verdict.OK
    else:
        action += _wait(chosen)
    return Answer(verdict, headline, action.strip(), tiles, metrics)


def fix(row: Row) -> str:
    """One fix in a sentence: whether it worked, from what to what, and how sure that is."""
    name, verdict = f"“{row['title']}”", row["verdict"]
    why = listed([reason_label(reason) for reason in row["reasons"]])
    if not _known(row["rr"]) or row["events_pre"] is None:
        return sentence(f"Cannot tell whether {name} worked" + (f": {why}" if why else ""))
    base = f"{_counts(row)} (ratio {number(row['rr'])}, 95 % {span(row['rr_lo'], row['rr_hi'], share=False)})"
    if verdict == "helped" and row["events_post"] == 0:
        bound = f", at most {percent(min(row['rr_hi'], 1.0))} of what was expected" if _known(row["rr_hi"]) else ""
        where = "" if row["estimand"] != "dup_share" else f" in {row['exposure_post']:,.0f} completed interactions"
        return f"{name} helped: no duplicate{where} since{bound}."
    if verdict == "helped":
        return f"{name} helped, by at least {percent(1 - row['rr_hi'])}: {base}."
    if verdict == "harmed":
        return f"{name} made it worse, as {why}: {base}."
    if verdict == "no_material_change":
        return f"{name} changed nothing that matters: {base}."
    return f"Cannot tell yet whether {name} worked: so far {base}."


def _why_not(row: Row) -> str:
    """Why there is no verdict on a fix, in a sentence."""
    if row["verdict"] in {*_DECIDED, "harmed"} or not row["reasons"]:
        return ""
    return sentence(f"{verdict_label(row['verdict'])}: {listed([reason_label(reason) for reason in row['reasons']])}")


def _counts(row: Row) -> str:
    if row["estimand"] != "dup_share":
        return f"{row['events_pre']:,.0f} before and {row['events_post']:,.0f} after (counts, not a rate)"
    expected = percent(row["rate_post_expected"]) if _known(row["rate_post_expected"]) else percent(row["rate_pre"])
    if row["events_post"] == 0:
        return f"none of {row['exposure_post']:,.0f} where {expected} were expected"
    return (
        f"{percent(row['rate_post'])} ({row['events_post']:,.0f} of {row['exposure_post']:,.0f}) "
        f"where {expected} were expected"
    )


def _rests_on(row: Row) -> str:
    if not _known(row["rr"]):
        return ""
    days = f"{count(row['n_pre'], 'day')} before and {row['n_post']} after"
    seen = f"; a fall of {percent(1 - row['mde_now'])} would have shown" if _known(row["mde_now"]) else ""
    doubt = " Another model would answer differently." if row["model_dependent"] else ""
    return f"It rests on {days}{seen}.{doubt}"


def _wait(row: Row) -> str:
    for key, words in (("next_look_on", "The next dated look is on"), ("ready_on", "The data can tell from")):
        if row[key] is not None:
            return f"{words} {long_day(row[key])}."
    return ""


def _change(row: Row) -> str:
    if not _known(row["rr"]):
        return "not known"
    if row["events_post"] == 0 and _known(row["rr_hi"]):
        return f"≥ −{percent(1 - min(row['rr_hi'], 1.0))}"
    change = row["rr"] - 1
    return f"{'+' if change > 0 else '−'}{percent(abs(change))}"


def _ratio(row: Row) -> str:
    if not _known(row["rr_lo"]):
        return ""
    return f"; ratio {number(row['rr'])} [{span(row['rr_lo'], row['rr_hi'], share=False)}]"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def counterfactual(one: Analysis | None, effects: pl.DataFrame, days: pl.DataFrame) -> Said:
    """What came against what was to be expected without the fix; *days* as `frames.counterfactual` gives them."""
    subtitle = f"{_TWICE} per day, observed and expected without the fix"
    row = _row(one, effects)
    if row is None or days.is_empty():
        return Said("No fix to look at", subtitle, "An empty chart.", "Declare fixes in fixes.toml in the data folder.")
    title = f"{row['title']}: {verdict_label(row['verdict'])}"
    if _known(row["avoided"]) and row["rr"] < 1:
        least_most = span(row["avoided_lo"], row["avoided_hi"], share=False)
        title += f", about {rough(max(row['avoided'], 0.0))} avoided [{least_most}]"
    first, last = days["date"].sort()[0], days["date"].sort()[-1]
    caption = (
        "Dashed: what the model expects from the weeks before, with the band in which 95 % of days without the fix "
        "would lie. Grey: days of the change itself, which do not count. Conclude from the whole stretch after the "
        f"fix, not from a day. {_rests_on(row)}"
    )
    alt = f"Daily duplicates around {row['title']}: {_counts(row) if _known(row['rr']) else 'no estimate'}."
    return Said(title, f"{subtitle}, {long_day(first)} to {long_day(last)}", alt, caption.strip())


def forest(effects: pl.DataFrame) -> Said:
    """All fixes side by side."""
    subtitle = "Ratio of the share with a duplicate after each fix to the share expected without it, 95 % intervals"
    known = effects.filter(pl.col("rr").is_finite()) if effects.height else effects
    if known.is_empty():
        return Said("No fix has an estimate", subtitle, "An empty chart.", "Nothing to compare yet.")
    verdicts = known["verdict"].to_list()
    parts = [
        f"{count(verdicts.count(name), 'fix', 'fixes')} {words}"
        for name, words in (
            ("helped", "helped"),
            ("harmed", "made it worse"),
            ("no_material_change", "changed nothing"),
        )
        if name in verdicts
    ]
    undecided = sum(verdict not in {*_DECIDED, "harmed"} for verdict in verdicts)
    if undecided:
        parts.append(f"{undecided} {'is' if undecided == 1 else 'are'} open")
    rows = [f"{row['title']} {number(row['rr'])}" for row in known.iter_rows(named=True)]
    caption = (
        "Left of the solid line is fewer duplicates; the dashed line is the target. An interval that crosses the solid "
        "line is not a proof that the fix did nothing. Verdicts come at dated looks only, so that looking every day "
        "does not make chance look like an effect."
    )
    title = sentence(listed(parts)).rstrip(".") if len(parts) > 1 or not undecided else "No fix has a verdict yet"
    return Said(title, subtitle, f"Points with intervals: {listed(rows)}.", caption)


def placebo(one: Analysis | None, effects: pl.DataFrame) -> Said:
    """How the step at the fix ranks among dates on which nothing was changed."""
    subtitle = "The same estimate at dates before the fix, one or two weeks apart"
    row = _row(one, effects)
    if one is None or row is None or not one.placebo.count:
        words = "No placebo date: too few days before the fix"
        return Said(words, subtitle, "An empty chart.", "Six to nine weeks before the fix are needed for one.")
    rank, total = one.placebo.rank, one.placebo.count
    if math.isnan(rank):
        words = "The fix has no step to hold against other dates"
        return Said(words, subtitle, f"Ticks for {count(total, 'placebo date')}.", "Too few days around it are held.")
    larger = round(rank * (total + 1)) - 1
    title = f"{count(larger, 'placebo date')} of {total} show a step as large as the fix"
    if larger == 0:
        title = f"No placebo date of {total} shows a step as large as the fix"
    few = " With fewer than nine the test cannot reject much." if total < 9 else ""
    caption = (
        "If dates without any change show steps as large, so may the fix by chance. "
        f"Share at least as large, the fix included: {percent(rank)}.{few}"
    )
    return Said(
        title,
        f"{subtitle}: {row['title']}",
        f"Ticks for {count(total, 'placebo date')}, a diamond for the fix.",
        caption,
    )


def residuals(one: Analysis | None, effects: pl.DataFrame) -> Said:
    """Whether the model leaves a pattern that its interval does not know of."""
    subtitle = "Observed less fitted, per day, in standard errors"
    row = _row(one, effects)
    if one is None or one.fitted is None or row is None:
        return Said("No model was fitted", subtitle, "An empty chart.", "There were too few days or duplicates for it.")
    rho, phi = row["rho"], row["phi"]
    smooth = (
        "days are about as alike as chance makes them"
        if not _known(rho) or rho < 0.3
        else "neighbouring days are alike"
    )
    title = sentence(f"{smooth}: autocorrelation {number(rho or 0.0)}, dispersion {number(phi)}").rstrip(".")
    caption = (
        "Points should scatter around zero without waves. Both figures widen the interval."
        + (" Beyond 0.6 the interval may still be a few points too narrow." if _known(rho) and rho > 0.6 else "")
        + (" The figure depends on the model." if row["model_dependent"] else "")
    )
    return Said(title, f"{subtitle}: {row['title']}", "Stems of the daily residuals around zero.", caption)


def compared(checked: pl.DataFrame) -> Said:
    """Whether fixes did what the replay had predicted."""
    subtitle = "Ratio that the replay predicted from the weeks before, and the ratio that came"
    known = checked.drop_nulls("rr") if checked.height else checked
    if known.is_empty():
        words = "No fix has both a prediction and an outcome"
        return Said(
            words, subtitle, "An empty chart.", "A prediction needs warnings and a completion log before the fix."
        )
    agreeing = int((known["verdict"] == "as predicted").sum())
    judged = int((known["verdict"] != "undecided").sum())
    title = f"{agreeing} of {count(judged, 'fix', 'fixes')} did what the replay predicted"
    if not judged:
        title = "No fix can be held against its prediction yet"
    rows = [f"{row['label']}: {row['verdict']}" for row in known.iter_rows(named=True)]
    caption = (
        "On the dashed line both agree; above it the fix did less than predicted, below it more. Where evidence was "
        f"incomplete the prediction is a span. {sentence('; '.join(rows))}"
    )
    return Said(title, subtitle, f"Points around a diagonal: {listed(rows)}.", caption)


def _row(one: Analysis | None, effects: pl.DataFrame) -> Row | None:
    if one is None:
        return None
    return next(iter(effects.filter(pl.col("fix_id") == one.fix.fix_id).to_dicts()), None)
