"""Causes against labels: what was named rightly, what wrongly or not at all, and how far each status holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from flexkit.analyse.rates.intervals import interval
from flexkit.errors import SchemaError
from flexkit.terms import Cause, Status

NONE = "none"
"""Label, and prediction, of an interaction without a duplicate."""

_CAUSES = [cause.value for cause in Cause]
_OPEN = Cause.UNDETERMINED.value


@dataclass(frozen=True, slots=True)
class Share:
    """A count of a total, with its 95 % Wilson interval."""

    count: int
    total: int

    @property
    def rate(self) -> float | None:
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.count, self.total)

    def to_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {"count": self.count, "total": self.total, "rate": self.rate, "low": low, "high": high}

    def __str__(self) -> str:
        if self.rate is None:
            return "none"
        low, high = self.interval
        return f"{100 * self.rate:.1f} % ({self.count} of {self.total}; {100 * low:.1f} to {100 * high:.1f} %)"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How the causes of an analysis compare with labels; rows of `confusion` are labels, columns what was named."""

    confusion: pl.DataFrame
    precision: dict[str, Share]
    recall: dict[str, Share]
    status: dict[str, Share]
    """Share of each status' named causes that are right."""
    named: Share
    """Labelled duplicates (alerts about Proxy are none) that got a cause other than undetermined."""
    benign: Share
    """Interactions labelled benign for which no duplicate was found."""
    found: Share
    """Labelled duplicates for which a duplicate was found at all."""
    unlabelled: int
    """Rows of the analysis about interactions that the labels do not mention; they count nowhere else."""

    @property
    def left_open(self) -> Share:
        """Labelled duplicates that got no cause: the abstention."""
        return Share(self.named.total - self.named.count, self.named.total)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers."""
        return {
            "named": self.named.to_dict(),
            "left_open": self.left_open.to_dict(),
            "found": self.found.to_dict(),
            "benign_without_duplicate": self.benign.to_dict(),
            "status_right": {name: share.to_dict() for name, share in self.status.items()},
            "precision": {name: share.to_dict() for name, share in self.precision.items()},
            "recall": {name: share.to_dict() for name, share in self.recall.items()},
            "confusion": self.confusion.to_dicts(),
            "unlabelled_rows": self.unlabelled,
        }

    def lines(self) -> list[str]:
        """The evaluation as text: one fact a line, then the confusion matrix."""
        told = [
            f"Duplicates found:        {self.found}",
            f"Given a cause:           {self.named}",
            f"Left open:               {self.left_open}",
            f"Benign without any:      {self.benign}",
            *(f"{status.capitalize() + ' is right:':<25}{share}" for status, share in self.status.items()),
            "",
            f"{'cause':<32}{'precision':<44}recall",
            *(f"{cause:<32}{self.precision[cause]!s:<44}{self.recall[cause]}" for cause in self.precision),
            "",
            "Labels (rows) against what was named (columns):",
        ]
        with pl.Config(
            tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True,
            tbl_width_chars=200, fmt_str_lengths=40, tbl_formatting="ASCII_MARKDOWN",
        ):  # fmt: skip
            told.extend(str(self.confusion).splitlines())
        if self.unlabelled:
            told.append(f"{self.unlabelled} rows are about interactions that the labels do not mention; not counted.")
        return told


def evaluate(
    causes: pl.LazyFrame | pl.DataFrame, labels: pl.DataFrame, *, unlisted_is_benign: bool = False
) -> Evaluation:
    """Compare *causes* (`flexkit.analyse.causes.classify`) with *labels*.

    *labels* has ``interaction_sid`` and ``cause``; ``none``, an empty text or null is an interaction without
    a duplicate. Optional: ``also`` (other causes that are right too, a list or a text with ``|`` between
    them) and ``alert_sids`` (likewise), by which the rows of one interaction are told apart; without them
    a label is held against whatever was named for its interaction, in its favour. Rows about interactions
    that the labels do not mention count as wrong only with *unlisted_is_benign*.
    """
    truth = _truth(labels)
    named = _named(causes.lazy().collect())
    known = named.filter(pl.col("interaction_sid").is_in(labels["interaction_sid"].drop_nulls().implode()) | _stray())
    rest = named.height - known.height
    if unlisted_is_benign:
        known, rest = named, 0
    pairs = _matched(truth.filter(pl.col("cause") != NONE), known)
    duplicates = truth.filter(pl.col("cause") != NONE)
    best = _best(duplicates, pairs)
    judged = _judged(known, pairs)
    accused = known.select("interaction_sid").unique()
    calm = truth.filter(pl.col("cause") == NONE).select("interaction_sid").unique()
    calm = calm.join(duplicates.select("interaction_sid"), on="interaction_sid", how="anti")
    spared = calm.join(accused, on="interaction_sid", how="anti")
    said = judged.filter(pl.col("named") != _OPEN)
    flex = best.filter(pl.col("cause") != Cause.PROXY_ORIGIN)
    return Evaluation(
        confusion=_confusion(best, calm.height, calm.join(accused, on="interaction_sid"), known),
        precision={
            cause: Share(int(rows["is_right"].sum()), rows.height)
            for cause in _CAUSES
            if cause != _OPEN and (rows := said.filter(pl.col("named") == cause)) is not None
        },
        recall={
            cause: Share(int(rows["is_right"].sum()), rows.height)
            for cause in _CAUSES
            if cause != _OPEN and (rows := best.filter(pl.col("cause") == cause)) is not None
        },
        status={
            status.value: Share(int(rows["is_right"].sum()), rows.height)
            for status in (Status.CONFIRMED, Status.SUPPORTED)
            if (rows := said.filter(pl.col("status") == status, pl.col("named") != Cause.PROXY_ORIGIN)) is not None
        },
        named=Share(int((~flex["named"].is_in([_OPEN, NONE])).sum()), flex.height),
        benign=Share(spared.height, calm.height),
        found=Share(int((flex["named"] != NONE).sum()), flex.height),
        unlabelled=rest,
    )


def _stray() -> pl.Expr:
    return pl.col("interaction_sid").is_null()


def _listed(frame: pl.DataFrame, column: str) -> pl.Expr:
    """*column* as a list, whether it is one, a text with ``|`` between its parts, or absent."""
    if column not in frame.columns:
        return pl.lit([], dtype=pl.List(pl.String)).alias(column)
    if isinstance(frame.schema[column], pl.List):
        return pl.col(column).cast(pl.List(pl.String)).fill_null([])
    split = pl.col(column).cast(pl.String).fill_null("").str.split("|")
    return split.list.eval(pl.element().filter(pl.element() != "")).alias(column)


def _truth(labels: pl.DataFrame) -> pl.DataFrame:
    if missing := [name for name in ("interaction_sid", "cause") if name not in labels.columns]:
        msg = f"The labels have no column {', '.join(missing)}. They have: {', '.join(labels.columns)}."
        raise SchemaError(msg)
    cause = pl.col("cause").cast(pl.String).fill_null("").str.strip_chars().str.to_lowercase()
    truth = labels.with_row_index("label").select(
        "label",
        pl.col("interaction_sid").cast(pl.String),
        pl.when(cause == "").then(pl.lit(NONE)).otherwise(cause).alias("cause"),
        _listed(labels, "also"),
        _listed(labels, "alert_sids"),
    )
    strange = truth.filter(~pl.col("cause").is_in([*_CAUSES, NONE]))["cause"].unique().sort().to_list()
    if strange:
        msg = f"The labels have the unknown cause {strange[0]!r}. Use {NONE}, {', '.join(_CAUSES)}."
        raise SchemaError(msg)
    return truth


def _named(causes: pl.DataFrame) -> pl.DataFrame:
    return causes.with_row_index("row").select(
        "row", "interaction_sid", "status", _listed(causes, "alert_sids"), named=pl.col("cause")
    )


def _matched(truth: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    """Pairs of a label and a row that speak of one duplicate: one alert in common, else one interaction."""
    by_alert = (
        truth.explode("alert_sids")
        .drop_nulls("alert_sids")
        .join(named.explode("alert_sids").drop_nulls("alert_sids"), on="alert_sids", suffix="_row")
        .select("label", "row")
        .unique()
    )
    rest = named.join(by_alert, on="row", how="anti")
    left = truth.join(by_alert, on="label", how="anti")
    by_interaction = left.join(rest, on="interaction_sid", suffix="_row").select("label", "row")
    # A row that no alert ties to a label of its own is held against any label of its interaction.
    loose = rest.join(left.select("interaction_sid"), on="interaction_sid", how="anti")
    loosely = truth.join(loose, on="interaction_sid", suffix="_row").select("label", "row")
    both = pl.concat([by_alert, by_interaction, loosely])
    return (
        both.join(truth.drop("alert_sids"), on="label")
        .join(named.select("row", "named", "status"), on="row")
        .with_columns(
            is_right=(pl.col("named") == pl.col("cause")) | pl.col("also").list.contains(pl.col("named")),
            is_exact=pl.col("named") == pl.col("cause"),
        )
    )


def _best(truth: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Each label with the row that speaks best for it."""
    order = pairs.with_columns(is_open=pl.col("named") == _OPEN).sort(
        "is_exact", "is_right", "is_open", descending=[True, True, False], maintain_order=True
    )
    return truth.join(
        order.unique("label", keep="first", maintain_order=True).select("label", "named", "is_right"),
        on="label",
        how="left",
    ).with_columns(pl.col("named").fill_null(NONE), pl.col("is_right").fill_null(value=False))


def _judged(named: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Each row with whether what it names is right."""
    right = pairs.group_by("row").agg(pl.col("is_right").any())
    return named.join(right, on="row", how="left").with_columns(pl.col("is_right").fill_null(value=False))


def _confusion(best: pl.DataFrame, calm: int, accused: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    worst = (
        named.join(accused, on="interaction_sid", how="semi")
        .sort(pl.col("named") == _OPEN)
        .unique("interaction_sid", keep="first", maintain_order=True)
    )
    cells = pl.concat(
        [
            best.select("cause", "named"),
            worst.select(pl.lit(NONE).alias("cause"), "named"),
            pl.DataFrame({"cause": [NONE] * (calm - worst.height), "named": [NONE] * (calm - worst.height)}),
        ],
        how="vertical_relaxed",
    )
    order = [*_CAUSES, NONE]
    counts = cells.group_by("cause", "named").len()
    table = {
        label: dict.fromkeys(order, 0)
        | dict(counts.filter(pl.col("cause") == label).select("named", "len").iter_rows())
        for label in order
    }
    told = [label for label in order if label != _OPEN or any(table[label].values())]
    rows = [{"label": label, **table[label]} for label in told]
    return pl.DataFrame(rows)
