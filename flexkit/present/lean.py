"""Import altair and Jupyter's tools without the two seconds that they spend on checks which nobody asks for."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# jsonschema compiles rfc3987_syntax's grammar at import (1.9 s, measured) to check the format "iri", and loads the
# others (0.1 s) for formats that neither Altair's nor Jupyter's schemas use; it takes the absence of each as "not
# installed". Nobody else loads them.
_CHECKS = (
    "rfc3987_syntax", "rfc3986_validator", "rfc3339_validator", "fqdn", "isoduration", "uri_template", "webcolors",
)  # fmt: skip


@contextmanager
def without_checks() -> Iterator[None]:
    """Hide the slow checks from everything that is imported inside; afterwards they can be imported again."""
    hidden = [name for name in _CHECKS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name, ...) is None:
                del sys.modules[name]
