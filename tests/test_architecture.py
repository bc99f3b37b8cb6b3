"""The walls between the rooms: evidence flows one way, and only some modules touch the world."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "flexkit"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = ("collect", "tables", "analyse", "present", "report")

# What each room may import of the others; what is not listed is a step back.
MAY_IMPORT = {
    "tables": set(),
    "collect": {"tables"},
    "analyse": {"tables"},
    "present": {"tables", "analyse"},
    "report": {"tables", "analyse", "present", "locate"},
}
# Modules at the top that every room may use; the others wire rooms together.
COMMON = {"environment", "errors", "terms", "window", "settings", "stopping"}

ONLY_IN = {
    "twilio": {"collect/network/transport.py", "collect/signature.py"},
    "aiohttp": {"collect/network/transport.py"},
    "deltalake": {"tables/store"},
    "papermill": {"report"},
    "nbconvert": {"report"},
}


def imports(path: Path) -> set[str]:
    """Every module that *path* imports, at its top or inside a function; not those for types only."""
    found: set[str] = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node: ast.If) -> None:
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                self.generic_visit(node)

        def visit_Import(self, node: ast.Import) -> None:
            found.update(alias.name for alias in node.names)

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)

    Visitor().visit(ast.parse(path.read_text()))
    return found


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


IN_ROOMS = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in ROOMS]


@pytest.mark.parametrize("path", IN_ROOMS, ids=place)
def test_rooms_import_only_what_stands_before_them(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    targets = {name.split(".")[1] for name in imports(path) if name.startswith("flexkit.")} - {"__version__"}

    assert targets <= MAY_IMPORT[room] | COMMON | {room}


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_only_the_doors_import_the_world(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}
    wrong = {
        library
        for library, places in ONLY_IN.items()
        if library in used and not any(place(path).startswith(allowed) for allowed in places)
    }

    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_each_module_opens_with_a_sentence(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text()))

    assert text
    assert text.splitlines()[0].rstrip().endswith((".", ":", "?"))


def loaded_by(statement: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in out.stdout.split()}


HEAVY = {"polars", "altair", "nbconvert", "papermill", "scipy", "statsmodels", "pyspark", "twilio", "pandas"}


def test_importing_flexkit_imports_nothing_heavy() -> None:
    assert not loaded_by("import flexkit") & HEAVY


def test_the_help_imports_nothing_heavy() -> None:
    statement = "from flexkit.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"

    assert not loaded_by(statement) & HEAVY


def test_the_analysis_imports_neither_pictures_nor_network() -> None:
    names = [f"flexkit.analyse.{path.stem}" for path in (PACKAGE / "analyse").glob("[a-z]*.py")]
    loaded = loaded_by("import " + ", ".join(names))

    assert not loaded & {"altair", "twilio", "aiohttp", "deltalake", "papermill", "nbconvert", "statsmodels"}


def on_loading(path: Path) -> set[str]:
    """The places in flexkit that loading *path* loads, its own packages aside."""
    own = {parent.relative_to(PACKAGE).as_posix() for parent in path.parents if parent.is_relative_to(PACKAGE)}
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "flexkit":
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in (node.module or "", *named):
                parts = name.split(".")[1:]
                packages = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
                found.update(f"{package}/__init__.py" for package in packages if package not in own)
                found.add("/".join(parts) + ".py")
    return {name for name in found if (PACKAGE / name).is_file()} - {place(path)}


def test_no_module_waits_for_itself_whichever_is_loaded_first() -> None:
    TopologicalSorter({place(path): on_loading(path) for path in MODULES}).prepare()
