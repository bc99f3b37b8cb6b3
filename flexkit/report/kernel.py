"""Kernels: each report gets one of its own, started before anything else is loaded, without the account's secrets."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_SECRETS = ("TWILIO_", "FLEXKIT_PSEUDONYM_KEY")
# In a namespace of its own, so that a notebook finds its own empty.
_PRELOAD = "exec('import flexkit.report.preload', {})"


class CellFailed(Exception):  # noqa: N818 - says what happened
    """A notebook stopped: at which cell, and the first line of why; still to be scrubbed."""

    def __init__(self, cell: str, reason: str) -> None:
        super().__init__(cell, reason)
        self.cell = cell
        self.reason = reason


class Kernel:
    """A kernel that boots and imports while this process loads papermill; ended when the context ends.

    It runs in *folder* and finds the store at *data* through its environment.
    """

    def __init__(self, data: Path, folder: Path) -> None:
        self._private = tempfile.TemporaryDirectory(prefix="fk-", ignore_cleanup_errors=True)
        self._data, self._folder = data, folder
        self.manager: Any = None

    def __enter__(self) -> Kernel:
        try:
            self._start()
        except Exception as error:
            self._private.cleanup()
            raise CellFailed("the start of the kernel", f"{type(error).__name__}: {error}") from error
        return self

    def _start(self) -> None:
        from jupyter_client.manager import AsyncKernelManager
        from jupyter_core.utils import run_sync

        private = Path(self._private.name)
        self.manager = AsyncKernelManager(kernel_name="python3", **_connection(private))
        run_sync(self.manager.start_kernel)(
            env=environment(self._data, private),
            cwd=str(self._folder),
            extra_arguments=["--HistoryManager.hist_file=:memory:", f"--IPKernelApp.exec_lines={_PRELOAD}"],
            # What a dying kernel writes there is not scrubbed, and its failure page says that it died.
            stderr=subprocess.DEVNULL,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from jupyter_core.utils import run_sync

        if self.manager is not None and self.manager.has_kernel:
            run_sync(self.manager.shutdown_kernel)(now=True)
        self._private.cleanup()


def _connection(folder: Path) -> dict[str, str]:
    """How to talk to a kernel: through sockets in a folder of this user's own, where the system has them."""
    if sys.platform == "win32":
        return {}
    return {"transport": "ipc", "connection_file": str(folder / "kernel.json")}


def environment(data: Path, profile: Path) -> dict[str, str]:
    """What a kernel gets of this process's environment: the data folder, but no secret."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    # A profile of the user's own would make a run depend on who starts it.
    return {**kept, "FLEXKIT_DATA": str(data.resolve()), "IPYTHONDIR": str(profile)}
