"""Every fault that a fetch must survive: all rows afterwards, or what is missing said and fetched the next time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from flexkit.collect.network.control import Controller, Sent
from flexkit.collect.network.pace import Pace
from flexkit.errors import ExitCode
from tests.collect.fetching import fetched, held, small, truth
from tests.server.api import TwilioServer
from tests.server.cases import CASES, Case

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_row_is_lost_or_doubled(tmp_path: Path, case: Case) -> None:
    options = dict(case.account)
    late = options.pop("late_by", 0)
    account = small(now=dt.datetime.now(dt.UTC) - dt.timedelta(days=late), **options)
    case.change(account)
    with TwilioServer(account, faults=case.faults(account), **case.serve) as server:
        if case.hook is not None:
            hook = case.hook
            server.on_request = lambda request: hook(server, request)
        summary, store = fetched(tmp_path, server, sources=case.sources)
        first = held(store)
        met = [fault.hits > 0 for fault in server.faults]

        if case.is_whole:
            assert first == truth(server, case.sources)
            assert summary.exit_code == ExitCode.OK
        else:
            assert summary.exit_code == case.code
            assert {gap.source for gap in summary.gaps.values()} == ({case.source} if case.source else set())
            assert case.said in "\n".join(summary.lines())
            assert all(rows <= truth(server, case.sources)[table] for table, rows in first.items())
            server.faults.clear()
            summary, store = fetched(tmp_path, server, sources=case.sources)
            assert held(store) == truth(server, case.sources)
            assert summary.exit_code == ExitCode.OK
        assert any(met) or not met
        assert {request.method for request in server.log} == {"GET"}


def test_nothing_is_sent_before_a_retry_after_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in CASES if case.name == "429 storm with Retry-After 1")
    account = small()
    sent, refused = seen_by_the_controller(monkeypatch)
    with TwilioServer(account, faults=case.faults(account)) as server:
        fetched(tmp_path, server)

        assert len(sent) == len(server.log)
    assert len(refused) == 6
    assert not [at for at in sent for stop in refused if stop < at < stop + 1.0]


def seen_by_the_controller(monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], list[float]]:
    """When requests are sent and refusals come in, by the clock of the client: a busy machine moves both alike."""
    sent: list[float] = []
    refused: list[float] = []
    send, strike = Controller.sent, Pace._strike

    def sending(self: Controller, now: float, in_flight: int) -> Sent:
        sent.append(now)
        return send(self, now, in_flight)

    def striking(self: Pace, host: Any, turn: Any, now: float) -> None:
        refused.append(now)
        strike(self, host, turn, now)

    monkeypatch.setattr(Controller, "sent", sending)
    monkeypatch.setattr(Pace, "_strike", striking)
    return sent, refused
