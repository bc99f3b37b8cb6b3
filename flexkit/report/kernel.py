"""Kernels: each report gets one of its own, started before anything else is loaded, without the account's secrets."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_SECRETS = ("TWILIO_", "FLEXKIT_PSEUDONYM_KEY")
# In a namespace of its own, so that a notebook finds its own empty.
_PRELOAD = "exec('from flexkit.report.preload import load; load()', {})"
_OPTIONS = ("--HistoryManager.hist_file=:memory:", f"--IPKernelApp.exec_lines={_PRELOAD}")
_CONNECTION = "kernel.json"


class CellFailed(Exception):  # noqa: N818 - says what happened
    """A notebook stopped: at which cell, and the first line of why; still to be scrubbed."""

    def __init__(self, cell: str, reason: str) -> None:
        super().__init__(cell, reason)
        self.cell = cell
        self.reason = reason


class Kernel:
    """A kernel that boots and imports while this process loads papermill; ended when the context ends.

    It runs in *folder*, finds the store at *data* through its environment, and uses *threads* of the
    machine (0: as many as there are).
    """

    def __init__(self, data: Path, folder: Path, *, threads: int = 0) -> None:
        self._private = tempfile.TemporaryDirectory(prefix="fk-", ignore_cleanup_errors=True)
        self._data, self._folder, self._threads = data, folder, threads
        self._process: subprocess.Popen[bytes] | None = None
        self.client: Any = None
        """What talks to it, once something does."""

    def __enter__(self) -> Kernel:
        try:
            private = Path(self._private.name)
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with arguments of our own
                [sys.executable, "-P", "-m", "ipykernel_launcher", "-f", str(_connection(private)), *_OPTIONS],
                env=environment(self._data, private, threads=self._threads),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # What a dying kernel writes there is not scrubbed, and its failure page says that it died.
                stderr=subprocess.DEVNULL,
                # A Ctrl-C at the terminal is for the run, which ends its kernels itself.
                start_new_session=True,
            )
        except Exception as error:
            self._private.cleanup()
            raise CellFailed("the start of the kernel", f"{type(error).__name__}: {error}") from error
        return self

    @cached_property
    def manager(self) -> Any:
        """The kernel as Jupyter's tools want it; loading those is left until the process boots."""
        from jupyter_client.manager import AsyncKernelManager
        from jupyter_client.provisioning.local_provisioner import LocalProvisioner

        manager = AsyncKernelManager(connection_file=str(Path(self._private.name) / _CONNECTION))
        manager.load_connection_file()
        provisioner = LocalProvisioner(parent=manager)
        provisioner.connection_info = manager.get_connection_info()
        provisioner.process = self._process
        manager.provisioner = provisioner
        return manager

    def end(self) -> None:
        """End the kernel at once, whatever it is doing; safe from any thread."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if self._process is not None:
            self._process.wait()
        self._private.cleanup()
        if self.client is not None:
            # Closing its sockets waits a tenth of a second for messages that nobody will read.
            threading.Thread(target=self.client.stop_channels, daemon=True).start()


def _connection(folder: Path) -> Path:
    """A file that tells how to talk to a kernel: through sockets in a folder of our own, where there are any."""
    file = folder / _CONNECTION
    key = secrets.token_hex(32)
    if sys.platform == "win32":
        from jupyter_client.connect import write_connection_file

        write_connection_file(str(file), key=key.encode())
        return file
    ports = {f"{name}_port": number for number, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)}
    told = {"transport": "ipc", "ip": str(folder / "kernel"), "key": key, "signature_scheme": "hmac-sha256", **ports}
    file.write_text(json.dumps(told), encoding="utf-8")
    return file


def environment(data: Path, profile: Path, *, threads: int = 0) -> dict[str, str]:
    """What a kernel gets of this process's environment: the data folder, but no secret."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    if threads:
        # Kernels that run side by side would otherwise each start threads for the whole machine.
        for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            kept.setdefault(name, str(threads))
    # A profile of the user's own would make a run depend on who starts it.
    own = {"FLEXKIT_DATA": str(data.resolve()), "IPYTHONDIR": str(profile), "JPY_PARENT_PID": str(os.getpid())}
    return kept | own
