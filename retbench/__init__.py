"""Benchmark harness for defenses of hash-based image retrieval.

What a plugin imports is here and in `retbench.metrics`; everything loads on first use, so that `import retbench` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retbench.contracts import *  # noqa: F403  type checkers read the contracts' own list of names
    from retbench.errors import ContractBreach, OptionError, PluginError, RetbenchError, UserError
    from retbench.hookspecs import hookimpl

_HOMES = {
    "retbench.contracts": (
        "Attack Ball Batch Component Context Dataset Defense Event Facts Hardening HashNetwork Hasher Knowledge Noise Part "
        "Protocol Purifier State TargetRule Threat TrainingData data_root part_state relax sign unit_images"
    ),
    "retbench.errors": "ContractBreach OptionError PluginError RetbenchError UserError",
    "retbench.hookspecs": "hookimpl",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__version__ = "0.1.0"
__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'retbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
