"""Monitor alerts: the 80906 warnings, look-alikes from the Proxy product, and other codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flexkit.collect.simulate.centre import SECOND
from flexkit.collect.simulate.observe import Scene, finish
from flexkit.collect.simulate.observe_handlers import attempt_sids
from flexkit.collect.simulate.sids import generator, pick, sid, sids, tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

WARNING_CODE = "80906"
MESSAGE = "Received interaction completion event for an Interaction that is already complete"
_OTHER = (
    ("11200", "error", "HTTP retrieval failure"),
    ("45354", "error", "Cannot create channel for a closed conversation"),
    ("20429", "warning", "Too Many Requests"),
    ("30008", "warning", "Unknown error"),
    ("13225", "warning", "forbidden phone number"),
)


def alerts(seen: Scene) -> pl.DataFrame:
    """Every alert of the window: warnings about the second completions first, then the rest."""
    frame = pl.concat([_warnings(seen), _invites(seen), _proxy(seen), _others(seen)], how="diagonal")
    rng = generator(seen.world.seed, "alert-lag")
    # Written down a little after it happened; the damage makes some much later.
    lag = (rng.exponential(1.5, frame.height) * SECOND).astype(np.int64)
    frame = frame.with_columns(
        lag_us=pl.Series(lag) // SECOND * SECOND, token=tokens(seen.world.seed, "debugger", frame.height)
    )
    return finish(frame, seen.world, resolution=SECOND)


def _warnings(seen: Scene) -> pl.DataFrame:
    world, ids, tasks = seen.world, seen.identity, seen.tasks
    rng = generator(world.seed, "warnings")
    which = np.flatnonzero(world.resolution.warned)
    i = world.attempts.interaction[which]
    kind = rng.choice(5, size=len(which), p=world.centre.alert_resources)
    # A voice channel has no Conversation to name.
    is_voice = pick(ids.channel_type, i) == "voice"
    last_task = np.zeros(len(world.interactions), dtype=np.int64)
    last_task[tasks.interaction] = np.arange(len(tasks))
    kinds = pl.Series(kind)
    resource = (
        pl.when((kinds == 0) | ((kinds == 3) & is_voice))
        .then(pick(ids.interaction, i))
        .when(kinds == 1)
        .then(pick(ids.channel, i))
        .when(kinds == 2)
        .then(pick(ids.task, last_task[i]))
        .when(kinds == 3)
        .then(pick(ids.media, i))
    )
    at = world.attempts.served[which] + (rng.uniform(0.0, 0.3, len(which)) * SECOND).astype(np.int64)
    return pl.DataFrame({"a": which, "i": i, "at_us": at, "alert_sid": attempt_sids(seen, which)}).with_columns(
        code=pl.lit(WARNING_CODE),
        level=pl.lit("warning"),
        message=pl.lit(MESSAGE),
        resource_sid=resource,
        service_sid=pl.when(kinds == 4).then(None).otherwise(pl.lit(ids.account.instance)),
        product=pl.lit("Flex"),
        phone=pl.lit(None, pl.String),
    )


def _invites(seen: Scene) -> pl.DataFrame:
    """An agent tries to come back to a conversation that was cut off, and cannot."""
    world = seen.world
    rng = generator(world.seed, "invites")
    cut = np.flatnonzero(world.plan.parked_wrongly & (world.resolution.closer >= 0))
    cut = cut[rng.random(len(cut)) < 0.3]
    at = world.interactions.ended[cut] + (rng.lognormal(np.log(1800), 1.0, len(cut)) * SECOND).astype(np.int64)
    return _plain(seen, "invites", at, 1, rng).with_columns(
        i=pl.Series(cut), resource_sid=pick(seen.identity.channel, cut)
    )


def _proxy(seen: Scene) -> pl.DataFrame:
    """The same code from the Proxy product: about an interaction of another kind altogether."""
    world, ids = seen.world, seen.identity
    rng = generator(world.seed, "proxy")
    at = _moments(world.start, world.end, world.centre.proxy_alerts_per_day, rng)
    return pl.DataFrame(
        {
            "at_us": at,
            "alert_sid": sids(world.seed, "NO", "proxy", len(at)),
            "resource_sid": sids(world.seed, "KI", "proxy", len(at)),
        }
    ).with_columns(
        a=pl.lit(-1, pl.Int64), i=pl.lit(-1, pl.Int64), code=pl.lit(WARNING_CODE), level=pl.lit("warning"),
        message=pl.lit(MESSAGE),
        service_sid=pl.lit(ids.account.proxy_service), product=pl.lit("Proxy"), phone=pl.lit(None, pl.String),
    )  # fmt: skip


def _others(seen: Scene) -> pl.DataFrame:
    world = seen.world
    rng = generator(world.seed, "other-alerts")
    at = _moments(world.start, world.end, world.centre.other_alerts_per_day, rng)
    kinds = rng.choice(len(_OTHER), size=len(at), p=[0.5, 0.06, 0.14, 0.2, 0.1])
    return pl.concat([_plain(seen, f"other-{kind}", at[kinds == kind], kind, rng) for kind in range(len(_OTHER))])


def _plain(seen: Scene, label: str, at: NDArray[np.int64], kind: int, rng: np.random.Generator) -> pl.DataFrame:
    world, ids = seen.world, seen.identity
    code, level, message = _OTHER[kind]
    who = rng.integers(0, len(world.interactions), len(at))
    service = sid(world.seed, "ZS", "functions")
    resource = sids(world.seed, "ZH", label, len(at)) if code == "11200" else pick(ids.channel, who)
    told = who if code in ("13225", "30008") else np.full(len(at), -1)
    phone = pick(ids.customer_phone, told)
    return pl.DataFrame(
        {"at_us": at, "alert_sid": sids(world.seed, "NO", label, len(at)), "resource_sid": resource, "phone": phone}
    ).with_columns(
        a=pl.lit(-1, pl.Int64), i=pl.lit(-1, pl.Int64), code=pl.lit(code), level=pl.lit(level), message=pl.lit(message),
        service_sid=pl.lit(service if code == "11200" else None, pl.String),
        product=pl.lit("Functions" if code == "11200" else "Flex"),
    )  # fmt: skip


def _moments(start: int, end: int, per_day: float, rng: np.random.Generator) -> NDArray[np.int64]:
    count = rng.poisson(per_day * (end - start) / 86_400e6)
    return np.sort(rng.integers(start, end, count))
