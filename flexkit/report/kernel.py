"""Execute one notebook in a kernel of its own, through papermill, without the account's secrets."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexkit.present.lean import without_grammar

with without_grammar():
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flexkit.report.notebook import Notebook, Value

ENGINE = "flexkit"
_SECRETS = ("TWILIO_", "FLEXKIT_PSEUDONYM_KEY")


# nbclient tells its log what it raises as well; a run says it once, scrubbed, on its failure page.
_QUIET = logging.getLogger("flexkit.report.kernel")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class CellFailed(Exception):  # noqa: N818 - says what happened
    """A notebook stopped: at which cell, and the first line of why; still to be scrubbed."""

    def __init__(self, cell: str, reason: str) -> None:
        super().__init__(cell, reason)
        self.cell = cell
        self.reason = reason


class _Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's engine, with an environment, a folder and a look at each executed cell."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        environment: Mapping[str, str],
        folder: str,
        on_cell: Callable[[Any], None],
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **_: Any,
    ) -> None:
        client = PapermillNotebookClient(
            nb_man,
            km=None,
            config=Config(KernelManager=_connection(Path(environment["IPYTHONDIR"]))),
            kernel_name=kernel_name,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            # A kernel that is told to end at once saves half a second per report; nothing of it is kept.
            shutdown_kernel="immediate",
            resources={"metadata": {"path": folder}},
            on_cell_executed=lambda cell, **_: on_cell(cell),
            log=_QUIET,
        )
        try:
            # What a dying kernel writes there is not scrubbed, and its failure page says that it died.
            client.execute(env=dict(environment), stderr=subprocess.DEVNULL)
        except (CellTimeoutError, DeadKernelError) as error:
            raise _failure(nb_man.nb, error, execution_timeout) from None


papermill_engines.register(ENGINE, _Engine)


def execute(
    notebook: Notebook,
    parameters: Mapping[str, Value],
    *,
    data: Path,
    folder: Path,
    timeout: int,
    on_cell: Callable[[Any], None],
) -> Any:
    """The executed notebook. Raises `CellFailed` where a cell fails, hangs, or takes the kernel with it.

    The kernel runs in *folder*, finds the store at *data* through its environment, and gets *timeout*
    seconds per cell.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="fk-", ignore_cleanup_errors=True) as private:
            return papermill.execute_notebook(
                nbformat.read(notebook.path, as_version=4),  # type: ignore[no-untyped-call]
                None,
                parameters=dict(parameters),
                engine_name=ENGINE,
                kernel_name="python3",
                progress_bar=False,
                request_save_on_cell_execute=False,
                environment=environment(data, Path(private)),
                folder=str(folder),
                on_cell=on_cell,
                execution_timeout=timeout,
            )
    except PapermillExecutionError as error:
        first = f"{error.ename}: {error.evalue}".strip().splitlines()[0] if error.ename else "The cell failed"
        raise CellFailed(_cell_id(notebook, error.source), first) from None
    except CellFailed:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a kernel's start raises becomes a failure page
        first = (str(error).strip().splitlines() or [""])[0]
        raise CellFailed("the start of the kernel", f"{type(error).__name__}: {first}") from None


def _connection(folder: Path) -> dict[str, str]:
    """How to talk to the kernel: through sockets in a folder of this user's own, where the system has them."""
    if sys.platform == "win32":
        return {}
    return {"transport": "ipc", "connection_file": str(folder / "kernel.json")}


def environment(data: Path, profile: Path) -> dict[str, str]:
    """What a kernel gets of this process's environment: the data folder, but no secret."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    # A profile of the user's own would make a run depend on who starts it.
    return {**kept, "FLEXKIT_DATA": str(data.resolve()), "IPYTHONDIR": str(profile)}


def _failure(executed: Any, error: Exception, timeout: int | None) -> CellFailed:
    running = next(
        (cell for cell in reversed(executed.cells) if cell.metadata.get("papermill", {}).get("start_time")), None
    )
    where = running.get("id", "unknown") if running else "the start of the kernel"
    if isinstance(error, CellTimeoutError):
        return CellFailed(where, f"The cell took longer than {timeout} seconds and was stopped (--timeout).")
    return CellFailed(where, "The kernel died: out of memory, or ended by the code or the system.")


def _cell_id(notebook: Notebook, failed: str) -> str:
    from flexkit.report.notebook import source

    return next((cell.get("id", "") for cell in notebook.cells if source(cell) == failed), "") or "parameters"
