"""Find what a command or a notebook works on: the data folder, the embedded sample, the notebooks."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexkit.environment import may_hold
from flexkit.errors import StoreError
from flexkit.tables.store_format import FORMAT, META, check_format

if TYPE_CHECKING:
    from flexkit.tables.store import Store

_PACKAGE = Path(__file__).parent


def notebooks_folder() -> Path:
    """The folder of the notebooks: beside the package in a checkout, inside it in a wheel."""
    return _beside_or_bundled("notebooks", "notebooks")


def sample_folder() -> Path:
    """The folder of the embedded sample's evidence files."""
    return _beside_or_bundled("data/sample", "sample")


def _beside_or_bundled(checkout: str, bundled: str) -> Path:
    for folder in (_PACKAGE.parent / checkout, _PACKAGE / "bundle" / bundled):
        if folder.is_dir() and any(folder.iterdir()):
            return folder
    msg = f"This installation of flexkit lacks its {bundled}. Install it again."
    raise StoreError(msg)


def data_folder(chosen: str | os.PathLike[str] | None = None) -> Path | None:
    """The data folder: *chosen*, else ``$FLEXKIT_DATA``, else ``./data/store``; None means the sample.

    A notebook runs inside ``notebooks/``, so ``../data/store`` counts as ``./data/store`` too.
    """
    if chosen:
        return Path(chosen).expanduser()
    if (named := _named_by_settings()) is not None:
        return named.expanduser()
    here = Path.cwd()
    return next((base / "data" / "store" for base in (here, here.parent) if is_store(base / "data" / "store")), None)


def _named_by_settings() -> Path | None:
    if not may_hold("FLEXKIT_DATA"):
        return None
    if given := os.environ.get("FLEXKIT_DATA"):
        return Path(given)
    from flexkit.settings import data_folder as from_settings

    return from_settings()


def is_store(folder: Path) -> bool:
    """Whether *folder* holds a flexkit store."""
    return (folder / META).is_file()


def open_store(data: str | os.PathLike[str] | None = None, *, spark: Any = None) -> Store:
    """The store at *data*, or the one that the commands would choose, or the embedded sample.

    With *spark*, a `SparkSession` (PySpark, Databricks Connect, Spark Connect), the table ``daily``, the pass
    over all signals, is computed by Spark from the store's own files, which its workers must reach::

        fk.open("/mnt/shared/store", spark=spark).table("daily").collect()

    Raises `StoreError` where a folder is named that holds no store.
    """
    from flexkit.analyse.results import RESULTS
    from flexkit.tables.store import Store

    return Store(store_folder(data), results=RESULTS, spark=spark)


def store_folder(data: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the store that `open_store` opens, seen to be one; its tables are not looked at."""
    folder = data_folder(data)
    if folder is None:
        return sample_store()
    if not is_store(folder):
        msg = (
            f"There is no flexkit data in {folder}. Put some there with 'flexkit fetch --data {folder}' or "
            f"'flexkit import FILE --data {folder}', or name another folder with --data or FLEXKIT_DATA."
        )
        raise StoreError(msg)
    check_format(folder)
    return folder


def is_sample(folder: Path) -> bool:
    """Whether the store in *folder* is the embedded sample."""
    return folder.parent == _cache_folder()


def sample_store() -> Path:
    """The sample's store, imported once per version of the sample into the user's cache folder."""
    evidence = sample_folder()
    cache = _cache_folder()
    store = cache / f"sample-{_digest(evidence)}"
    if is_store(store):
        return store
    from filelock import FileLock

    from flexkit.collect.files import import_files
    from flexkit.tables.store import Store

    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "sample.lock"):
            if is_store(store):
                return store
            aside = cache / f"{store.name}.{os.getpid()}"
            shutil.rmtree(aside, ignore_errors=True)
            import_files(Store(aside), evidence_files(evidence), pseudonym_key="embedded sample")
            for name in ("fixes.toml", "handlers.toml"):
                shutil.copyfile(evidence / name, aside / name)
            aside.rename(store)
    except OSError as error:
        msg = f"Cannot unpack the sample into {cache}: {error.strerror}. Set XDG_CACHE_HOME to a folder with room."
        raise StoreError(msg) from error
    return store


def evidence_files(folder: Path) -> list[Path]:
    """The evidence files of a simulated or sample folder: what an import would be given."""
    names = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz")
    return sorted(path for path in (folder / "evidence").rglob("*") if path.name.endswith(names))


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("flexkit", appauthor=False)


def _digest(folder: Path) -> str:
    from flexkit import __version__

    # Another version may normalize the same evidence in another way.
    seen = hashlib.sha256(f"{FORMAT} {__version__}".encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        seen.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return seen.hexdigest()[:16]
