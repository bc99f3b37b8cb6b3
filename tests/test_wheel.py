"""The wheel is whole: notebooks and sample travel inside it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path


def test_the_wheel_holds_code_notebooks_and_sample_and_nothing_else(tmp_path: Path, checkout: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(checkout)]
    subprocess.run(command, check=True, capture_output=True)

    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())

    assert {f"flexkit/bundle/notebooks/{path.name}" for path in (checkout / "notebooks").glob("*.ipynb")} <= names
    sample = checkout / "data" / "sample"
    held = {path.relative_to(sample).as_posix() for path in sample.rglob("*") if path.is_file()}
    assert {f"flexkit/bundle/sample/{name}" for name in held} <= names
    assert {Path(name).parts[0].split("-")[0] for name in names} == {"flexkit"}
