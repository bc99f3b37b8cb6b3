"""The door to Twilio: what it lets out, how it waits and tries again, and what it never shows."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from flexkit.collect.network.answers import UnavailableError, retry_after
from flexkit.collect.network.control import Controller
from flexkit.collect.network.door import Door, certificates, shown
from flexkit.collect.network.json_text import NOTHING, parsed, written
from flexkit.collect.network.pace import Pace
from flexkit.collect.network.transport import HOST_IS_DOWN, open_client
from flexkit.errors import FetchError, UsageError
from tests.collect.fetching import QUICK, settings_for, small
from tests.server import faults as how
from tests.server.api import PASSWORD, TwilioServer
from tests.server.faults import Fault
from tests.server.limits import Limit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

ALERTS = "https://monitor.twilio.com/v1/Alerts"


def with_client(server: TwilioServer, work: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    """The result of *work* with the SDK's client over flexkit's transport."""
    settings = settings_for(server, **options.pop("settings", {}))

    async def run() -> Any:
        client = open_client(settings, **({"patience": QUICK} | options))
        try:
            return await work(client)
        finally:
            await client.http_client.close()

    return asyncio.run(run())


# What is let out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "post"])
def test_only_get_is_sent(method: str) -> None:
    with TwilioServer(small()) as server:
        with pytest.raises(FetchError, match=r"flexkit only reads; refused \w+ https://monitor.twilio.com/v1/Alerts"):
            with_client(server, lambda client: client.request_async(method, f"{ALERTS}?secret=1", data={"a": "b"}))

        assert not server.log


def test_the_sdk_cannot_close_a_channel_through_it() -> None:
    with TwilioServer(small()) as server:
        with pytest.raises(FetchError, match="flexkit only reads"):
            with_client(
                server,
                lambda client: client.flex_api.v1.interaction("KD1").channels("UO1").update_async(status="closed"),
            )

        assert not server.log


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/v1/Alerts",
        "https://monitor.twilio.com.evil.example.com/v1/Alerts",
        "https://evil.com/monitor.twilio.com/v1/Alerts",
        "https://monitor.twilio.com@evil.example.com/v1/Alerts",
        "https://user:pass@monitor.twilio.com/v1/Alerts",
        "https://monitor.twilio.com:8443/v1/Alerts",
        "http://monitor.twilio.com/v1/Alerts",
        "https://api.twilio.com/2010-04-01/Accounts",
        "https://monitor.twilio.com\\@evil.example.com/v1",
        "https://monitor.twilio.com/v1\r\nHost: evil.example.com",
        "https://MONITOR.twilio.com.evil/v1",
        "//monitor.twilio.com/v1/Alerts",
        "",
    ],
)
def test_credentials_go_to_twilio_products_only(url: str) -> None:
    with pytest.raises(FetchError, match="Refused to send credentials"):
        Door().address(url)


@pytest.mark.parametrize(
    ("chosen", "host"),
    [
        ({}, "monitor.twilio.com"),
        ({"twilio_region": "ie1", "twilio_edge": "dublin"}, "monitor.dublin.ie1.twilio.com"),
        ({"twilio_region": "au1"}, "monitor.au1.twilio.com"),
        ({"twilio_edge": "dublin"}, "monitor.dublin.us1.twilio.com"),
    ],
)
def test_region_and_edge_decide_the_host(chosen: dict[str, str], host: str) -> None:
    with TwilioServer(small()) as server:
        with_client(server, asked, settings=chosen)

        assert [request.host for request in server.log] == [host]


def test_a_base_url_gets_host_and_path() -> None:
    door = Door("https://proxy.example.com/twilio/")

    assert door.address(f"{ALERTS}?a=b", {"c": "d e", "n": None}) == (
        "monitor.twilio.com",
        "https://proxy.example.com/twilio/monitor.twilio.com/v1/Alerts?a=b&c=d+e",
    )


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("http://proxy.example.com", "unencrypted"),
        ("ftp://127.0.0.1", "not an address"),
        ("https://user:secret@proxy.example.com", "user name or password"),
        ("127.0.0.1:8080", "not an address"),
        ("https://proxy.example.com?x=1", "not an address"),
    ],
)
def test_a_base_url_that_would_leak_is_refused(base: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Door(base)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_loopback_may_be_plain(base: str) -> None:
    assert Door(base).address(ALERTS)[1] == f"{base}/monitor.twilio.com/v1/Alerts"


def test_the_next_page_is_the_same_list_or_nothing() -> None:
    door = Door("http://127.0.0.1:1")

    assert door.next_page(f"{ALERTS}?Page=1", ALERTS) == f"{ALERTS}?Page=1"
    assert door.next_page("/v1/Alerts?Page=1", ALERTS) == f"{ALERTS}?Page=1"
    assert door.next_page("http://127.0.0.1:1/monitor.twilio.com/v1/Alerts?Page=1", ALERTS) == f"{ALERTS}?Page=1"
    regional = ALERTS.replace("monitor", "monitor.dublin.ie1")
    assert door.next_page(f"{ALERTS}?Page=1", regional) == f"{regional}?Page=1"
    for foreign in ("https://taskrouter.twilio.com/v1/Alerts?Page=1", "https://evil.com/v1/Alerts", 7, None, {}):
        with pytest.raises(FetchError, match="another host"):
            door.next_page(foreign, ALERTS)
    with pytest.raises(FetchError, match="another list"):
        door.next_page("https://monitor.twilio.com/v1/Events?Page=1", ALERTS)


def test_what_is_shown_of_an_address_has_no_secret_in_it() -> None:
    assert shown("https://user:pass@host/path?token=1#x") == "https://host/path"
    assert "\x1b" not in shown("https://host/\x1b[31m")
    assert len(shown("https://host/" + "x" * 10_000)) <= 200


# Proxies and certificates -----------------------------------------------------------------------------


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with TwilioServer(small()) as server:
        monkeypatch.setenv("http_proxy", server.url)
        answer = with_client(
            server,
            lambda client: client.monitor.v1.request_async("GET", "/Alerts"),
            # Nobody listens there: only the proxy can answer.
            settings={"flexkit_twilio_base_url": "http://localhost:9"},
        )

        assert answer.status_code == 200
        assert len(server.log) == 1


def test_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "monitor.twilio.com")

    assert Door().proxy("monitor.twilio.com") is None
    assert Door().proxy("studio.twilio.com") == "http://proxy.example.com:3128"


def test_a_proxy_without_a_scheme_is_an_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example.com:3128")

    assert Door().proxy("studio.twilio.com") == "http://proxy.example.com:3128"


def test_a_proxy_of_another_kind_is_refused_with_the_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://user:secret@proxy.example.com:1080")

    with pytest.raises(UsageError, match="HTTPS_PROXY names a socks5 proxy") as caught:
        Door().proxy("studio.twilio.com")
    assert "secret" not in str(caught.value)


def test_certificates_of_the_environment_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert certificates().verify_mode == ssl.CERT_REQUIRED
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match=r"none\.pem.*Correct REQUESTS_CA_BUNDLE"):
        certificates()
    (tmp_path / "empty.pem").write_text("nothing")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty.pem"))
    with pytest.raises(UsageError, match="REQUESTS_CA_BUNDLE"):
        certificates()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_is_checked_against_the_bundle_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "roots.pem"]
    subprocess.run(["openssl", *made.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "roots.pem", tmp_path / "key.pem")
    with TwilioServer(small(), tls=context) as server:
        with pytest.raises(UnavailableError, match=r"certificate not trusted \(set REQUESTS_CA_BUNDLE"):
            with_client(server, asked)
        assert not server.log

        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "roots.pem"))
        assert with_client(server, asked).status_code == 200


# Tries ------------------------------------------------------------------------------------------------


def asked(client: Any) -> Any:
    return client.monitor.v1.request_async("GET", "/Alerts")


def test_a_4xx_is_not_tried_again() -> None:
    with TwilioServer(small(), faults=[Fault("Alerts", how.error(404), times=9)]) as server:
        answer = with_client(server, asked)

        assert answer.status_code == 404
        assert answer.error_code == 40420
        assert len(server.log) == 1


def test_a_fault_that_stays_ends_in_a_sentence_without_secrets() -> None:
    with TwilioServer(small(), faults=[Fault("Alerts", how.reset(), times=99)]) as server:
        with pytest.raises(
            UnavailableError, match=r"v1/Alerts failed 4 times, at last with: connection lost"
        ) as caught:
            with_client(server, asked)

        # The library itself asks once more on a kept connection that turns out to be dead.
        assert QUICK.tries <= len(server.log) <= 2 * QUICK.tries
    error: BaseException | None = caught.value
    while error is not None:
        assert PASSWORD not in f"{error!r}{error.__dict__}"
        assert "Authorization" not in f"{error!r}{error.__dict__}"
        error = error.__context__


def test_refusals_do_not_use_up_the_tries() -> None:
    with TwilioServer(small(), faults=[Fault("Alerts", how.error(429), times=5)]) as server:
        assert with_client(server, asked).status_code == 200


def test_a_retry_after_that_nobody_would_wait_out_ends_only_that_host() -> None:
    async def both(client: Any) -> Any:
        results = await asyncio.gather(
            *(client.studio.v2.request_async("GET", "/Flows") for _ in range(20)), return_exceptions=True
        )
        return results, await asked(client)

    with TwilioServer(small(), faults=[Fault("studio", how.error(429, retry_after="86400"), times=99)]) as server:
        results, answer = with_client(server, both)

        assert all(isinstance(result, UnavailableError) for result in results)
        assert answer.status_code == 200
        # Those that were under way already, and none after.
        assert len(server.asked("studio")) <= 5


def test_a_host_that_stays_silent_is_not_asked_for_ever() -> None:
    async def many(client: Any) -> list[Any]:
        first = [asked(client) for _ in range(HOST_IS_DOWN)]
        await asyncio.gather(*first, return_exceptions=True)
        return await asyncio.gather(*(asked(client) for _ in range(50)), return_exceptions=True)

    with TwilioServer(small(), faults=[Fault("Alerts", how.error(500), times=10**6)]) as server:
        results = with_client(server, many)

        assert all(isinstance(result, UnavailableError) for result in results)
        assert "not asked any more" in str(results[0])
        assert len(server.log) == HOST_IS_DOWN * QUICK.tries


def test_a_host_with_a_limit_of_its_own_does_not_hold_up_the_others() -> None:
    async def both(client: Any) -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        stuck = [asyncio.create_task(client.studio.v2.request_async("GET", "/Flows")) for _ in range(20)]
        for _ in range(60):
            await asked(client)
            await asyncio.sleep(0.02)
        spent = loop.time() - begun
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        return spent

    storm = Fault("studio", how.error(429, retry_after="1"), times=10**6)
    with TwilioServer(small(), faults=[storm]) as server:
        # Three Retry-Afters hold up everybody, before it is clear that they are the host's own.
        assert with_client(server, both) < 3 * 1.0 + 60 * 0.06 + 2.0


def test_forty_coroutines_each_get_their_own_answer() -> None:
    account = small(interactions=40, deleted_share=0.0)
    sids = sorted(account.truth()["interactions"])

    async def each(client: Any) -> list[str]:
        interactions = await asyncio.gather(*(client.flex_api.v1.interaction(sid).fetch_async() for sid in sids * 5))
        return [interaction.sid for interaction in interactions]

    with TwilioServer(account, latency=0.005) as server:
        assert with_client(server, each) == sids * 5
        assert server.connections <= Controller().ceiling


def test_the_sdk_models_read_through_it() -> None:
    account = small()
    with TwilioServer(account, page_limit=2) as server:
        alerts = with_client(server, lambda client: client.monitor.v1.alerts.list_async(page_size=2))

    assert [alert.sid for alert in alerts] == [alert["sid"] for alert in reversed(account.alerts)]
    assert all(alert.date_generated.tzinfo is not None for alert in alerts)


def test_nothing_is_logged_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with TwilioServer(small(), faults=[Fault("Alerts", how.error(500))]) as server:
        with_client(server, asked)

    assert "Alerts" not in caplog.text
    assert PASSWORD not in caplog.text


def test_a_body_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexkit.collect.network.transport.LARGEST_BODY", 1000)
    endless = Fault("Alerts", how.body(b" " * 100_000), times=99)
    with TwilioServer(small(), faults=[endless]) as server, pytest.raises(UnavailableError, match="damaged body"):
        with_client(server, asked)


# Pace -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:05 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 5.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_both_forms_by_the_servers_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_real_requests_find_the_limit_of_the_account() -> None:
    async def many(client: Any) -> None:
        await asyncio.gather(*(asked(client) for _ in range(200)))

    limit = Limit(at_once=6)
    pace = Pace()
    with TwilioServer(small(), limit=limit, latency=0.02) as server:
        with_client(server, many, pace=pace)

    assert limit.accepted == 200
    assert limit.refused <= 25
    assert pace.controller.known is not None
    assert pace.controller.known <= 8


def test_a_cancelled_reader_gives_its_turn_back() -> None:
    async def work() -> int:
        pace = Pace(Controller(level=1, ceiling=1))
        async with pace.turn("a"):
            waiting = asyncio.create_task(_take(pace))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with pace.turn("a"):
            pass
        return pace.in_flight

    assert asyncio.run(work()) == 0


async def _take(pace: Pace) -> None:
    async with pace.turn("a"):
        pass


def test_a_free_place_is_used_before_the_answer_that_freed_it_is_looked_into() -> None:
    told: list[str] = []

    async def ask(pace: Pace, name: str) -> None:
        async with pace.turn("a"):
            told.append(f"{name} sends")
            await asyncio.sleep(0.01)
        told.append(f"{name} reads")

    async def ask_both() -> None:
        pace = Pace(Controller(level=1, ceiling=1))
        await asyncio.gather(ask(pace, "first"), ask(pace, "second"))

    asyncio.run(ask_both())

    assert told == ["first sends", "second sends", "first reads", "second reads"]


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"a": NaN}', b'{"a": -Infinity}', b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_told_apart_from_null(body: bytes) -> None:
    assert parsed(body) is NOTHING
    assert parsed(b"null") is None


def test_an_emoji_that_was_cut_in_half_does_not_spoil_the_rest_of_a_record() -> None:
    body = rb'{"name":"Zo\u00eb","mood":"\ud83d","age":123456789012345678}'

    value = parsed(body)

    assert value["name"] == "Zoë"
    assert parsed(written(value).encode()) == value
