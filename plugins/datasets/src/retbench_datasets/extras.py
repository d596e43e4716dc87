"""Imports of the optional packages that only some datasets need; the extra `crossmodal` installs them."""

from __future__ import annotations

import importlib
from typing import Any

from retbench import UserError


def load_extra(module: str, needed_by: str) -> Any:
    """Import and return a module of the extra `crossmodal`; call it inside the functions that need the module.

    Args:
        module: its name, as in `import`.
        needed_by: the file or folder that needs it, for the message.

    Raises:
        UserError: the package is not installed; the message gives the install command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # the package is installed but one of its own imports is not: the traceback is the better message
        raise UserError(
            f"{needed_by}: the package {module} is not installed: "
            "install it with: pip install 'retbench-datasets[crossmodal]'"
        ) from None
