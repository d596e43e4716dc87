"""Values as texts: equal for equal values, in every process.

Pickles are not: sets of strings, tensors and whatever holds them are written in another way each time. An object is
therefore taken apart as pickle does it, and each piece is described by itself.
"""

from __future__ import annotations

import copyreg
import hashlib
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, GenericAlias, ModuleType, UnionType
from typing import Any, get_args, get_origin

import numpy as np
import torch
from pydantic import BaseModel

Visit = Callable[[str, Any], str]
"""Adds a function, a class or a module to what is digested, and returns a text for it."""

PLAIN = (type(None), bool, int, float, complex, str, bytes, Path)
_OF_TORCH = set(vars(torch.nn.Module())) - {"training"}
"""Attributes that torch gives every module; its parameters, buffers and submodules are described apart."""


class Undigestible(Exception):
    """A value that holds something without a stable text, such as a lock; its type is the message."""


def describe_value(value: Any, visit: Visit) -> str:
    """Return a text that is equal for equal values; raises Undigestible."""
    try:
        return _describe(value, visit)
    except RecursionError:  # an object that holds itself
        raise Undigestible(type(value).__name__) from None


def _describe(value: Any, visit: Visit) -> str:
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, type | FunctionType | ModuleType):
        return visit(value.__name__, value)
    if isinstance(getattr(value, "__wrapped__", None), FunctionType):
        return visit(value.__wrapped__.__name__, value)
    if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType | None):
        return f"{value.__module__}.{value.__qualname__}"
    return _describe_whole(value, visit)


def _describe_whole(value: Any, visit: Visit) -> str:
    """Return the text of a value that consists of others."""

    def describe(piece: Any) -> str:
        return _describe(piece, visit)

    if isinstance(value, Enum):
        return f"{describe(type(value))}.{value.name}"
    if isinstance(value, GenericAlias | UnionType) or type(value).__module__ == "typing":  # annotations
        origin, pieces = get_origin(value), get_args(value)
        return f"{describe(origin) if isinstance(origin, type) else repr(origin or value)}[{describe(pieces)}]"
    if isinstance(value, partial):
        return f"partial {describe([value.func, value.args, value.keywords])}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{describe(key)}: {describe(value[key])}' for key in value))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(describe, value))}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(describe, value)))}}}"
    if isinstance(value, torch.Tensor):
        return _describe_tensor(value)
    if isinstance(value, np.ndarray):
        content = describe(value.tolist()) if value.dtype.hasobject else _hash(np.ascontiguousarray(value).tobytes())
        return f"array {value.dtype} {value.shape} {content}"
    if isinstance(value, torch.nn.Module):
        return f"module {describe([_layer(name, each) for name, each in value.named_modules()])}"
    if isinstance(value, BaseModel):
        return f"{describe(type(value))} {describe(dict(value))}"
    return f"{describe(type(value))} {describe(_take_apart(value))}"


def _describe_tensor(tensor: torch.Tensor) -> str:
    try:
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    except (RuntimeError, TypeError):  # a sparse or a quantized one, one without data
        raise Undigestible(f"{tensor.layout} {type(tensor).__name__} on {tensor.device}") from None
    return f"tensor {tensor.dtype} {tuple(tensor.shape)} {_hash(content)}"


def _layer(name: str, module: torch.nn.Module) -> list[Any]:
    """Return what a module consists of beside its submodules; buffers that no state holds count too."""
    own = {key: value for key, value in vars(module).items() if key not in _OF_TORCH}
    return [name, type(module), own, module._parameters, module._buffers]


def _take_apart(value: Any) -> Any:
    """Return how an object would be built again, as pickle asks for it."""
    if isinstance(value, torch.UntypedStorage | torch.TypedStorage):  # its pickle holds an address
        raise Undigestible(type(value).__name__)
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        parts = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception:  # whatever an object does when it is pickled
        raise Undigestible(type(value).__name__) from None
    if isinstance(parts, str):  # the name of a global value
        return parts
    state, items, pairs = (*parts[2:5], None, None, None)[:3]
    return [parts[0], parts[1], state, list(items or ()), dict(pairs or ())]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
