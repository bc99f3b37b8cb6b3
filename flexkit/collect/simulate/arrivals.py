"""Who writes in, when, on which channel, and how each interaction is going to end: before any closing happens."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from flexkit.collect.simulate.centre import CHANNEL_TYPES, HOUR, MINUTE, SECOND, Centre

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WEEKDAY = (1.0, 1.05, 1.05, 1.0, 0.95, 0.45, 0.35)
# Two peaks, late morning and early evening; the night is quiet but never silent.
_DIURNAL = (
    *(0.06, 0.04, 0.03, 0.03, 0.04, 0.08, 0.2, 0.5, 0.9, 1.25, 1.4, 1.3),
    *(1.05, 1.0, 1.05, 1.15, 1.25, 1.3, 1.2, 0.95, 0.7, 0.45, 0.25, 0.12),
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Mode(IntEnum):
    """How an interaction ends when nothing goes wrong."""

    UI = 0
    BUTTON = 1
    CUSTOMER = 2
    TERMINAL = 3
    JOB = 4
    TIMER = 5
    PARK = 6


_MODES: dict[str, tuple[float, ...]] = {
    "web": (0.36, 0.22, 0.16, 0.14, 0.05, 0.02, 0.05),
    "sms": (0.34, 0.26, 0.0, 0.14, 0.12, 0.06, 0.08),
    "whatsapp": (0.34, 0.26, 0.0, 0.14, 0.12, 0.06, 0.08),
    "email": (0.62, 0.20, 0.0, 0.12, 0.03, 0.0, 0.03),
    "voice": (0.86, 0.0, 0.0, 0.14, 0.0, 0.0, 0.0),
}
_TALK_MINUTES = {"web": 7.0, "sms": 25.0, "whatsapp": 20.0, "email": 12.0, "voice": 5.0}


@dataclass(frozen=True, slots=True)
class Calendar:
    """The centre's hours: start and end in microseconds, and for each UTC hour its local day and weight."""

    start: int
    end: int
    hour_start: NDArray[np.int64]
    local_day: NDArray[np.int64]
    weight: NDArray[np.float64]
    factor: NDArray[np.float64]
    incident: NDArray[np.float64]
    days: tuple[dt.date, ...]
    closed_on: dt.date | None


@dataclass(frozen=True, slots=True)
class Interactions:
    """Arrays with one entry for each interaction; times in microseconds since 1970 UTC."""

    arrived: NDArray[np.int64]
    answered: NDArray[np.int64]
    ended: NDArray[np.int64]
    is_answered: NDArray[np.bool_]
    channel_type: NDArray[np.int8]
    flow: NDArray[np.int16]
    queue: NDArray[np.int16]
    worker: NDArray[np.int16]
    second_worker: NDArray[np.int16]
    transferred: NDArray[np.bool_]
    mode: NDArray[np.int8]
    customer: NDArray[np.int32]
    returns_to: NDArray[np.int32]
    factor: NDArray[np.float64]
    incident: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.arrived)


def microseconds(instant: dt.datetime) -> int:
    """An aware instant as microseconds since 1970 UTC."""
    return (instant - _EPOCH) // dt.timedelta(microseconds=1)


def draw_calendar(centre: Centre, rng: np.random.Generator, *, days: int, last_day: dt.date) -> Calendar:
    """The window of *days* local days that ends with *last_day*: weights, latent day factor, incidents."""
    zone = ZoneInfo(centre.zone)
    dates = tuple(last_day - dt.timedelta(days=days - 1 - back) for back in range(days))
    start = microseconds(dt.datetime.combine(dates[0], dt.time(), zone).astimezone(dt.UTC))
    end = microseconds(dt.datetime.combine(last_day + dt.timedelta(days=1), dt.time(), zone).astimezone(dt.UTC))
    hour_start = np.arange(start, end, HOUR, dtype=np.int64)
    local = [(_EPOCH + dt.timedelta(microseconds=int(at))).astimezone(zone) for at in hour_start]
    local_day = np.array([(instant.date() - dates[0]).days for instant in local], dtype=np.int64)
    hour_of_day = np.array([instant.hour for instant in local])

    volume = np.array([_WEEKDAY[date.weekday()] for date in dates]) * rng.lognormal(0, 0.08, days)
    volume *= np.linspace(0.95, 1.05, days)
    workdays = [index for index, date in enumerate(dates) if date.weekday() < 5 and 0 < index < days - 1]
    closed = int(rng.choice(workdays)) if days >= 14 else None
    if closed is not None:
        volume[closed] = 0.0

    shock = rng.normal(0, 1, days)
    latent = np.empty(days)
    latent[0] = shock[0]
    for day in range(1, days):
        latent[day] = centre.day_rho * latent[day - 1] + np.sqrt(1 - centre.day_rho**2) * shock[day]
    factor = np.exp(centre.day_sigma * latent - centre.day_sigma**2 / 2)

    incident = np.ones(len(hour_start))
    for _ in range(rng.poisson(centre.incidents_per_month * days / 30)):
        begin = int(rng.integers(0, len(hour_start)))
        incident[begin : begin + int(rng.integers(2, 31))] = rng.uniform(*centre.incident_factor)
    weight = volume[local_day] * np.asarray(_DIURNAL)[hour_of_day]
    return Calendar(
        start, end, hour_start, local_day, weight, factor[local_day], incident, dates,
        dates[closed] if closed is not None else None,
    )  # fmt: skip


def draw_interactions(centre: Centre, calendar: Calendar, rng: np.random.Generator, *, count: int) -> Interactions:
    """*count* interactions: arrivals from the calendar's intensity, then channel, agent, length and way to end."""
    hour = rng.choice(len(calendar.weight), size=count, p=calendar.weight / calendar.weight.sum())
    arrived = calendar.hour_start[hour] + rng.integers(0, HOUR, count)
    channel_type = rng.choice(len(CHANNEL_TYPES), size=count, p=centre.channel_mix).astype(np.int8)

    mode = np.zeros(count, dtype=np.int8)
    median = np.empty(count)
    for index, name in enumerate(CHANNEL_TYPES):
        here = channel_type == index
        shares = np.asarray(_MODES[name])
        possible = np.flatnonzero(shares)
        drawn = rng.dirichlet(shares[possible] * 80)
        mode[here] = rng.choice(possible, size=int(here.sum()), p=drawn)
        median[here] = _TALK_MINUTES[name]

    is_answered = (mode != Mode.TERMINAL) | (rng.random(count) < 0.35)
    wait = rng.exponential(40, count) * SECOND + 2 * SECOND
    talk = rng.lognormal(np.log(median), 0.7) * MINUTE + 20 * SECOND
    timeout = rng.choice([5, 10, 15], size=count) * MINUTE
    answered = arrived + wait.astype(np.int64)

    # Customers who write again after the end get a new interaction: same customer, same channel.
    returns_to = np.full(count, -1, dtype=np.int32)
    again = np.flatnonzero(rng.random(count) < 0.04)
    earlier = rng.integers(0, count, len(again))
    fits = ~np.isin(earlier, again) & (mode[earlier] != Mode.TERMINAL) & (channel_type[earlier] != 4)
    fits &= channel_type[again] == channel_type[earlier]
    gap = (rng.lognormal(np.log(60), 1.0, len(again)) * MINUTE).astype(np.int64) + 2 * HOUR
    arrival = answered[earlier] + talk[earlier].astype(np.int64) + gap
    fits &= arrival < calendar.end
    again, earlier = again[fits], earlier[fits]
    returns_to[again] = earlier
    arrived[again] = arrival[fits]
    answered[again] = arrived[again] + wait[again].astype(np.int64)
    ended = np.where(is_answered, answered + talk.astype(np.int64), arrived + timeout)

    customer = np.arange(count, dtype=np.int32)
    customer[again] = customer[earlier]
    at_hour = np.clip((arrived - calendar.start) // HOUR, 0, len(calendar.weight) - 1)
    worker = rng.integers(0, centre.workers, count).astype(np.int16)
    return Interactions(
        arrived=arrived,
        answered=answered,
        ended=ended,
        is_answered=is_answered,
        channel_type=channel_type,
        flow=rng.integers(0, centre.flows, count).astype(np.int16),
        queue=rng.integers(0, centre.queues, count).astype(np.int16),
        worker=worker,
        second_worker=((worker + rng.integers(1, centre.workers, count)) % centre.workers).astype(np.int16),
        transferred=is_answered & (rng.random(count) < 0.06) & (mode != Mode.PARK) & (mode != Mode.TERMINAL),
        mode=mode,
        customer=customer,
        returns_to=returns_to,
        factor=calendar.factor[at_hour],
        incident=calendar.incident[at_hour],
    )
