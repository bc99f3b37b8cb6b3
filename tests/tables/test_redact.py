"""Personal data and secrets do not pass; what analysis needs does."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexkit.tables.redact import Redactor, endpoints, masked, scrub, scrub_text
from tests.tables.evidence import sid


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("call +1 (555) 123-4567 now", "123"),
        ("call +15551234567", "555"),
        ("call 555-123-4567", "123"),
        ("call (555) 123-4567", "123"),
        ("From=%2B15551234567&x", "1555"),
        ("number 15551234567", "1555"),
        ("whatsapp:+15551234567", "555"),
        ("jane.doe@example.com said", "jane"),
        ("identity jane_40example_2Ecom", "jane"),
        ("identity jane.doe%40example.com", "doe"),
        ("see https://u:hunter2@x.example.com/a?token=abc#frag", "hunter2"),
        ("see https://x.example.com/a?email=jane", "jane"),
        ("Authorization: Bearer abcdef123456", "abcdef"),
        ("Basic QWxhZGRpbjpvcGVuc2VzYW1l", "QWxh"),
        ("auth_token=0a1b2c&x=1", "0a1b"),
        ('{"password": "hunter2"}', "hunter2"),
        ("api-key: sk_live_abcdef", "abcdef"),
        ("0123456789abcdef0123456789abcdef", "0123456789abcdef"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJ"),
        ("from 203.0.113.9", "203"),
        ("from 2001:db8:0:0:0:0:0:1", "2001"),
        ("\x1b[31mred\x1b[0m", "\x1b"),
        ("\x1b]0;title\x07text", "title"),
        ("nul\x00byte", "\x00"),
        ("right\u202eto left", "\u202e"),
    ],
)
def test_what_must_not_be_kept_is_not(text: str, secret: str) -> None:
    assert secret not in scrub_text(text)


def test_what_was_seen_before_is_scrubbed_and_cut_as_at_first() -> None:
    texts = pl.Series(["call +15551234567", "a" * 30, "closed", None])

    def scrubbed(limit: int) -> list[str | None]:
        return texts.to_frame("text").select(scrub(pl.col("text"), limit=limit)).to_series().to_list()

    assert scrubbed(40) == scrubbed(40) == ["call [phone]", "a" * 30, "closed", None]
    assert scrubbed(20) == ["call [phone]", "a" * 19 + "…", "closed", None]


@pytest.mark.parametrize(
    "text",
    [
        f"channel {sid('UO', 2**127)} closed at 2026-10-01T10:00:00Z",
        f"studio:{sid('FW', 2**120 + 7)}/close_channel",
        "close-fn",
        "task canceled on reservation timeout",
        "hooks.example.com:8443/flex/close",
        "error 80906, status 409, attempt 2",
        "Ünïcode – fine ✓",
    ],
)
def test_what_analysis_needs_is_kept(text: str) -> None:
    assert scrub_text(text) == text


def test_text_is_shortened_and_empty_text_is_null() -> None:
    frame = pl.DataFrame({"text": ["x" * 2_000, "", "\x00", None, "  kept  "]})

    assert frame.select(scrub(pl.col("text"), limit=10))["text"].to_list() == ["x" * 9 + "…", None, None, None, "kept"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub_text(text)

    assert scrub_text(once) == once
    assert not any(ord(character) < 32 or character == "\x1b" for character in once)


def test_a_pseudonym_depends_on_the_key_and_hides_it() -> None:
    one, other = Redactor(b"one"), Redactor(b"other")

    assert one.pseudonym("203.0.113.9") == Redactor(b"one").pseudonym("203.0.113.9")
    assert one.pseudonym("203.0.113.9") != other.pseudonym("203.0.113.9")
    assert "one" not in repr(one)
    with pytest.raises(ValueError, match="FLEXKIT_PSEUDONYM_KEY"):
        Redactor(b"")


def test_pseudonyms_of_a_column_keep_nulls_and_equality() -> None:
    hidden = Redactor(b"k").pseudonyms(pl.Series("ip", ["a", None, "b", "a"]))

    assert hidden[0] == hidden[3] != hidden[2]
    assert hidden[1] is None
    assert hidden.name == "ip"


def test_names_stay_readable_and_distinct() -> None:
    texts = pl.Series("handler", ["close-fn", "job of jane@example.com", "job of john@example.com", None, "", "\x00"])

    names = Redactor(b"k").names(texts).to_list()

    assert names[0] == "close-fn"
    assert names[1].startswith("job of [email] p:")
    assert names[1] != names[2]
    assert names[3:5] == [None, None]


def test_endpoints_are_host_and_path_without_secrets() -> None:
    urls = pl.Series(
        [
            f"https://u:p@Hooks.example.com:8443/close/{sid('FW')}?k=1#rc=5",
            "https://hooks.example.com/services/T00/xoxb1234567890abcdefghij",
            "https://[broken",
            None,
            "/just/a/path",
        ]
    )

    assert endpoints(urls).to_list() == [
        f"hooks.example.com:8443/close/{sid('FW')}",
        "hooks.example.com/services/T00/[secret]",
        None,
        None,
        "/just/a/path",
    ]


@pytest.mark.parametrize(
    ("record", "kept", "hidden"),
    [
        (
            '{"sid": "KD12", "customerName": "Jane Doe", "phone": 15551234567}',
            ["KD12", "customerName"],
            ["Jane", "1555"],
        ),
        ('{"body": "From=%2B15551234567&EventType=onChannelCreated"}', ["onChannelCreated"], ["555"]),
        ('{"attributes": "{\\"name\\": \\"Jane\\", \\"flexInteractionSid\\": \\"KD1\\"}"}', ["KD1"], ["Jane"]),
        ('{"sid": "KD00000000000000000000000000000001", "customerName": "Jane', ["KD000", "customerName"], ["Jane"]),
        ("Jane Doe called from +15551234567", [], ["Jane", "555"]),
        ('{"event_type": "Jane Doe <jane@example.com>"}', [], ["Jane"]),
        ('{"at": "2026-10-01T10:00:00", "x\\u001b[31m": 1}', ["2026-10-01T10:00:00"], ["\x1b"]),
        ("[" * 5_000, [], []),
        ('{"url": "https://u:p@x/?token=1"}', [], ["u:p", "token"]),
    ],
)
def test_a_masked_record_shows_structure_but_no_values(record: str, kept: list[str], hidden: list[str]) -> None:
    shown = masked(record)

    assert all(text in shown for text in kept), shown
    assert not any(text in shown for text in hidden), shown
    assert len(shown) <= 600
