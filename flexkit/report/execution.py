"""Execute one notebook in a kernel that has been started, through papermill."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from flexkit.present.lean import without_checks

with without_checks():
    import nbformat
    import papermill
    from jupyter_core.utils import ensure_event_loop
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError

from flexkit.report.kernel import CellFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flexkit.report.kernel import Kernel
    from flexkit.report.notebook import Notebook, Value

ENGINE = "flexkit"
# nbclient tells its log what it raises as well; a run says it once, scrubbed, on its failure page.
_QUIET = logging.getLogger("flexkit.report.execution")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class _Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's engine, with a kernel that runs already and a look at each executed cell."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        kernel: Kernel,
        on_cell: Callable[[Any], None],
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **_: Any,
    ) -> None:
        client = PapermillNotebookClient(
            nb_man,
            km=kernel.manager,
            kernel_name=kernel_name,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            on_cell_executed=lambda cell, **_: on_cell(cell),
            log=_QUIET,
        )
        try:
            client.execute()
        except (CellTimeoutError, DeadKernelError) as error:
            raise _failed(nb_man.nb, error, execution_timeout) from None
        finally:
            kernel.client = client.kc
            _let_go()


def _let_go() -> None:
    """End what a cell that was given up still waits for; asyncio would complain about it in the middle of the log."""
    loop = ensure_event_loop()
    if waiting := asyncio.all_tasks(loop):
        for task in waiting:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))


papermill_engines.register(ENGINE, _Engine)


def execute(
    notebook: Notebook,
    parameters: Mapping[str, Value],
    *,
    kernel: Kernel,
    timeout: int,
    on_cell: Callable[[Any], None],
) -> Any:
    """The executed notebook, with *timeout* seconds per cell.

    Raises `CellFailed` where a cell fails, hangs, or takes the kernel with it.
    """
    try:
        return papermill.execute_notebook(
            nbformat.read(notebook.path, as_version=4),  # type: ignore[no-untyped-call]
            None,
            parameters=dict(parameters),
            engine_name=ENGINE,
            kernel_name="python3",
            progress_bar=False,
            request_save_on_cell_execute=False,
            kernel=kernel,
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


def _failed(executed: Any, error: Exception, timeout: int | None) -> CellFailed:
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
