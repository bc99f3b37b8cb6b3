"""Altair without the grammar that nobody asks for."""

from __future__ import annotations

import subprocess
import sys


def python(statement: str) -> str:
    return subprocess.run([sys.executable, "-c", statement], capture_output=True, text=True, check=True).stdout


def test_importing_charts_does_not_compile_the_grammar() -> None:
    loaded = python(
        "import flexkit.present.charts, sys; print('rfc3987_syntax' in sys.modules, 'altair' in sys.modules)"
    )

    assert loaded.split() == ["False", "True"]


def test_whoever_needs_the_grammar_can_still_import_it() -> None:
    assert python("import flexkit.present.charts, rfc3987_syntax; print('fine')").strip() == "fine"


def test_a_grammar_that_is_loaded_already_is_left_alone() -> None:
    statement = (
        "import rfc3987_syntax, sys\nfrom flexkit.present.lean import without_grammar\n"
        "with without_grammar(): pass\nprint(sys.modules['rfc3987_syntax'] is rfc3987_syntax)"
    )

    assert python(statement).strip() == "True"
