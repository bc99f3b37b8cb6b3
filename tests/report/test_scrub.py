"""Places of this machine and secrets of this account stay out of what a run leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from flexkit.report.scrub import Scrubber


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("File /home/alice/store/meta.json is gone", "File …/meta.json is gone"),
        ("/srv/alice/x", "…/x"),
        ("in C:\\Users\\alice\\store now", "in …/store now"),
        ("see https://hooks.example.com/home/close", "see https://hooks.example.com/home/close"),
        ("handler /webhooks/close", "handler /webhooks/close"),
        ("24/7 and 3/4", "24/7 and 3/4"),
        ("'/var/lib/x/a.py', line 3", "'…/a.py', line 3"),
    ],
)
def test_only_the_last_part_of_a_path_is_kept(text: str, shown: str) -> None:
    assert Scrubber().text(text) == shown


def test_known_folders_are_cut_wherever_they_lie(tmp_path: Path) -> None:
    odd = tmp_path / "Kundendaten" / "store"

    assert Scrubber(odd).text(f"no data in {odd}/signals") == "no data in …/signals"
    assert str(Path.cwd()) not in Scrubber().text(f"cwd {Path.cwd()}/x")


def test_secrets_of_the_account_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    from flexkit.settings import settings

    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "sunflower-lemon-42")
    settings.cache_clear()

    assert Scrubber().text("token=sunflower-lemon-42!") == "token=[secret]!"


def test_a_sentence_is_one_line_without_personal_data() -> None:
    said = Scrubber().sentence("ValueError: alice@example.com called +15551234567 from /home/a/b.py\nTraceback …")

    assert said == "ValueError: [email] called [phone] from …/b.py"


def test_a_whole_tree_is_scrubbed_names_of_fields_too() -> None:
    held = {"/home/a/k": ["/home/a/v", 3, None, {"x": "/home/a/w"}]}

    assert Scrubber().tree(held) == {"…/k": ["…/v", 3, None, {"x": "…/w"}]}
