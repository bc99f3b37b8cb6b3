"""Altair without the checks that nobody asks for."""

from __future__ import annotations

import subprocess
import sys


def python(statement: str) -> str:
    return subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True).stdout


def test_importing_charts_loads_no_check_that_nobody_asks_for() -> None:
    names = "('rfc3987_syntax', 'rfc3986_validator', 'isoduration', 'altair')"

    loaded = python(f"import flexkit.present.charts, sys; print(*(name in sys.modules for name in {names}))")

    assert loaded.split() == ["False", "False", "False", "True"]


def test_whoever_needs_a_check_can_still_import_it() -> None:
    statement = "import flexkit.present.charts, rfc3987_syntax, isoduration; print('fine')"

    assert python(statement).strip() == "fine"


def test_a_check_that_is_loaded_already_is_left_alone() -> None:
    statement = (
        "import isoduration, sys\nfrom flexkit.present.lean import without_checks\n"
        "with without_checks(): pass\nprint(sys.modules['isoduration'] is isoduration)"
    )

    assert python(statement).strip() == "True"
