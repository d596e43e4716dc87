"""The optional packages that only some datasets need, installed by the extra `crossmodal`."""

from __future__ import annotations

import importlib
from typing import Any

from retbench import UserError


def load_extra(package: str, wanted: str) -> Any:
    """Returns a module of the extra `crossmodal`; call it inside functions, so that only those who need it pay for it.

    Args:
        package: its name, as in `import`.
        wanted: what needs it, for the message: a file, or a folder.

    Raises:
        UserError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise  # it is there, and something that it needs is not: the traceback says more than a sentence
        raise UserError(
            f"{wanted}: it needs {package}, which is not installed: pip install 'retbench-datasets[crossmodal]'"
        ) from None
