"""Benchmark harness for defenses of hash-based image retrieval.

`open` and `evaluate` return a `Study`, the object that notebooks and scripts work with. Plugins import from this module
and from `retbench.metrics`. Every name loads on first use, so `import retbench` is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retbench.catalog import load_catalog as load_catalog
    from retbench.contracts import *  # noqa: F403  type checkers read the contracts' own list of names
    from retbench.errors import ContractBreach as ContractBreach
    from retbench.errors import OptionError as OptionError
    from retbench.errors import PluginError as PluginError
    from retbench.errors import RetbenchError as RetbenchError
    from retbench.errors import UserError as UserError
    from retbench.file_digests import digest_files as digest_files
    from retbench.hookspecs import hookimpl as hookimpl
    from retbench.study.evaluation import evaluate as evaluate
    from retbench.study.opening import open as open
    from retbench.study.study import Study as Study

__version__ = "0.1.0"
__all__ = [
    "SPLITS",
    "Access",
    "Attack",
    "AttackPart",
    "Ball",
    "Batch",
    "BlackBoxAttack",
    "Component",
    "Context",
    "ContractBreach",
    "Course",
    "Dataset",
    "Defense",
    "Event",
    "Facts",
    "Goal",
    "Hardening",
    "HashNetwork",
    "Hasher",
    "ImageFile",
    "Knowledge",
    "Modality",
    "Need",
    "Noise",
    "OptionError",
    "Part",
    "PluginError",
    "Protocol",
    "Purifier",
    "QueriedNetwork",
    "RetbenchError",
    "Split",
    "State",
    "Study",
    "TargetRule",
    "Threat",
    "TrainingData",
    "UserError",
    "Weights",
    "data_root",
    "digest_files",
    "evaluate",
    "hookimpl",
    "load_catalog",
    "load_weights",
    "match_weights",
    "part_state",
    "read_weights",
    "relax",
    "sign",
    "unit_images",
    "weights_root",
]
# `open` is not listed, because `from retbench import *` must not hide Python's own
_OTHER_MODULES = {
    "ContractBreach": "retbench.errors",
    "OptionError": "retbench.errors",
    "PluginError": "retbench.errors",
    "RetbenchError": "retbench.errors",
    "Study": "retbench.study.study",
    "UserError": "retbench.errors",
    "digest_files": "retbench.file_digests",
    "evaluate": "retbench.study.evaluation",
    "hookimpl": "retbench.hookspecs",
    "load_catalog": "retbench.catalog",
    "open": "retbench.study.opening",
}


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _OTHER_MODULES:
        raise AttributeError(f"module 'retbench' has no attribute {name!r}")
    return getattr(importlib.import_module(_OTHER_MODULES.get(name, "retbench.contracts")), name)


def __dir__() -> list[str]:
    return [*__all__, "open", "__version__"]
