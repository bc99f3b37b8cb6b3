"""What every test shares: no network but loopback, no account, a cache folder of its own."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

# One thread a worker: there are more workers than cores. It counts for the kernels of notebooks too.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
# Tests start some hundred processes: each would compile flexkit anew where this is set.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A busy machine must not fail a test that is right.
settings.register_profile("flexkit", deadline=None)
settings.load_profile("flexkit")

_ACCOUNT = ("TWILIO_", "FLEXKIT_")
_FOR_TESTS = ("FLEXKIT_REFERENCE", "FLEXKIT_OPENAPI", "FLEXKIT_NESTED")


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: browsers, servers and kernels are waited for about a third of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that take long come first: the last ones should end together on all workers."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # A Unix socket.
    host = str(address[0])
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            msg = f"A test tried to reach {address}; only the loopback address is allowed."
            raise AssertionError(msg)
        connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def _no_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No credentials and no data folder from outside; one cache folder for the run, for all its workers."""
    patch = pytest.MonkeyPatch()
    for name in os.environ:
        if name.startswith(_ACCOUNT) and name not in _FOR_TESTS:
            patch.delenv(name)
    base = tmp_path_factory.getbasetemp()
    patch.setenv("XDG_CACHE_HOME", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"))
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    from flexkit.settings import settings

    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The top of the checkout."""
    return Path(__file__).parents[1]
