"""Killed, cut off, out of disk, two at once: the store stays readable, and the next fetch completes it."""

from __future__ import annotations

import math
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from flexkit.collect.twilio_api import run_fetch
from flexkit.errors import ExitCode, FetchError, StoreError
from flexkit.locate import is_store
from flexkit.settings import Settings
from flexkit.tables.store import Store
from tests.collect.fetching import fetched, held, settings_for, small, truth
from tests.collect.processes import SOURCES, killed_at_random, prepared, started
from tests.server.api import PASSWORD, TwilioServer
from tests.server.faults import Fault, error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.server.http import Request

KILLS = 50


@pytest.fixture(scope="module")
def processes() -> Any:
    return prepared()


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_torn_doubled_or_lost(tmp_path: Path, processes: Any) -> None:
    with TwilioServer(small(interactions=5), latency=0.004) as server:
        assert killed_at_random(tmp_path, server, processes, kills=KILLS, seed=50) >= 2


def test_two_fetches_at_once_into_one_folder_leave_no_row_twice(tmp_path: Path, processes: Any) -> None:
    with TwilioServer(small(), latency=0.01) as server:
        pair = [started(processes, tmp_path, server) for _ in range(2)]
        for process in pair:
            process.join(60)
        codes = sorted(process.exitcode for process in pair)

        assert codes in ([0, 1], [0, 0])
        assert held(Store(tmp_path)) == truth(server, SOURCES)


def test_two_machines_that_do_not_share_a_lock_leave_no_row_twice(tmp_path: Path, processes: Any) -> None:
    with TwilioServer(small(), latency=0.01) as server:
        pair = [started(processes, tmp_path, server, lock=f".{name}.lock", records_at_once=30) for name in "ab"]
        for process in pair:
            process.join(60)

        assert [process.exitcode for process in pair] == [0, 0]
        assert held(Store(tmp_path)) == truth(server, SOURCES)


def test_a_full_disk_ends_it_with_what_was_stored_readable(tmp_path: Path, processes: Any) -> None:
    with TwilioServer(small()) as server:
        fetched(tmp_path, server, sources=["alerts"])
        before = held(Store(tmp_path))
        process = started(processes, tmp_path, server, largest_file=5000)
        process.join(60)

        assert process.exitcode == ExitCode.FAILED
        found = held(Store(tmp_path))
        assert found["alerts"] == before["alerts"]
        assert all(rows <= truth(server)[table] for table, rows in found.items())
        _, store = fetched(tmp_path, server)
        assert held(store) == truth(server)


def test_a_folder_that_is_a_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with TwilioServer(small()) as server:
        with pytest.raises(StoreError, match="folder"):
            fetched(tmp_path / "store", server)

        assert not server.log


def test_a_network_that_goes_away_leaves_the_rest_for_the_next_fetch(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:

        def cut(_: Request) -> None:
            if len(server.log) == 60:
                server.stop_listening()

        server.on_request = cut
        summary, store = fetched(tmp_path, server)
        asked = len(server.log)

        assert summary.exit_code == ExitCode.INCOMPLETE
        assert asked < 200
        assert all(rows <= truth(server)[table] for table, rows in held(store).items())
    with TwilioServer(account) as server:
        summary, store = fetched(tmp_path, server)
        assert summary.exit_code == ExitCode.OK
        assert held(store) == truth(server)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("https://twilio.invalid", r"https://twilio.invalid/.*host name not found"),
        ("http://127.0.0.1:9", r"http://127.0.0.1:9/.*no connection \(connection refused\).*FLEXKIT_TWILIO_BASE_URL"),
    ],
)
def test_an_unreachable_twilio_is_said_to_be_so(tmp_path: Path, base: str, said: str) -> None:
    settings = Settings(
        _env_file=None, twilio_account_sid="AC" + "0" * 32, twilio_auth_token=PASSWORD, flexkit_twilio_base_url=base
    )
    with TwilioServer(small()) as server, pytest.raises(FetchError, match=f"cannot be reached.*{said}") as caught:
        fetched(tmp_path / "store", server, settings=settings)

    assert caught.value.exit_code == ExitCode.FAILED
    assert not is_store(tmp_path / "store")
    assert PASSWORD not in str(caught.value)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT as at a terminal: a script that starts the tests with ``&`` has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("is_ignored", [False, True], ids=["at a terminal", "with Ctrl-C ignored"])
@pytest.mark.usefixtures("ctrl_c")
def test_a_scheduler_that_ends_it_gets_what_was_read_stored_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_ignored: bool
) -> None:
    if is_ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    account = small()
    with TwilioServer(account) as server:
        monkeypatch.setattr("flexkit.settings.settings", lambda: settings_for(server))
        server.on_request = lambda _: os.kill(os.getpid(), signal.SIGTERM) if len(server.log) == 14 else None
        with pytest.raises(KeyboardInterrupt):
            run_fetch(tmp_path, since="1d", sources=["alerts", "task_events"], log=lambda _: None)

    assert sum(map(len, held(Store(tmp_path)).values())) > 0
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupted_fetch_stores_what_it_read(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:

        def interrupt(_: Request) -> None:
            if len(server.log) == 70:
                os.kill(os.getpid(), signal.SIGINT)

        server.on_request = interrupt
        with pytest.raises(KeyboardInterrupt):
            fetched(tmp_path, server)
        assert sum(map(len, held(Store(tmp_path)).values())) > 0
        server.on_request = None
        _, store = fetched(tmp_path, server)
        assert held(store) == truth(server)


def test_an_ended_execution_whose_steps_failed_is_read_again_by_the_next_fetch(tmp_path: Path) -> None:
    account = small()
    with TwilioServer(account) as server:
        server.faults.append(Fault(r"/Steps$", error(500), times=math.inf))
        summary, store = fetched(tmp_path, server)

        assert summary.exit_code == ExitCode.INCOMPLETE
        assert held(store)["executions"] == truth(server)["executions"]
        assert not held(store)["steps"]
    with TwilioServer(account) as server:
        summary, store = fetched(tmp_path, server)

        assert summary.exit_code == ExitCode.OK
        assert held(store) == truth(server)
