"""Rates: how often, with intervals; control charts; change points. Plain functions on small frames."""

from __future__ import annotations

from flexkit.analyse.rates.changepoints import change_points
from flexkit.analyse.rates.control import control_chart
from flexkit.analyse.rates.intervals import difference_interval, interval

__all__ = ["change_points", "control_chart", "difference_interval", "interval"]
