"""Texts of values: equal values have equal texts in every process.

Pickles do not have this property: sets of strings, tensors and objects that contain them are pickled differently each
time. So an object is reduced to its parts as pickle does, and each part is described separately.
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
"""Adds a function, a class or a module to the digested source code and returns a text that represents it."""

PLAIN = (type(None), bool, int, float, complex, str, bytes, Path)
_MODULE_INTERNALS = set(vars(torch.nn.Module())) - {"training"}
"""Attributes of every torch module; its parameters, buffers and submodules are described separately."""


class DigestError(Exception):
    """A value that contains an object without a stable text, such as a lock; the message is the object's type."""


def describe_value(value: Any, visit: Visit) -> str:
    """Return the text of a value; equal values have equal texts.

    Args:
        value: any Python value.
        visit: called for each function, class and module in the value.

    Raises:
        DigestError: the value contains an object without a stable text.
    """
    try:
        return _describe(value, visit)
    except RecursionError:  # an object that contains itself
        raise DigestError(type(value).__name__) from None


def _describe(value: Any, visit: Visit) -> str:
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, type | FunctionType | ModuleType):
        return visit(value.__name__, value)
    if isinstance(getattr(value, "__wrapped__", None), FunctionType):
        return visit(value.__wrapped__.__name__, value)
    if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType | None):
        return f"{value.__module__}.{value.__qualname__}"
    return _describe_compound(value, visit)


def _describe_compound(value: Any, visit: Visit) -> str:
    """Return the text of a value that consists of other values."""

    def describe(part: Any) -> str:
        return _describe(part, visit)

    if isinstance(value, Enum):
        return f"{describe(type(value))}.{value.name}"
    if isinstance(value, GenericAlias | UnionType) or type(value).__module__ == "typing":  # annotations
        origin, arguments = get_origin(value), get_args(value)
        return f"{describe(origin) if isinstance(origin, type) else repr(origin or value)}[{describe(arguments)}]"
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
        return f"module {describe([_layer_values(name, layer) for name, layer in value.named_modules()])}"
    if isinstance(value, BaseModel):
        return f"{describe(type(value))} {describe(dict(value))}"
    return f"{describe(type(value))} {describe(_reduce(value))}"


def _describe_tensor(tensor: torch.Tensor) -> str:
    try:
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    except (RuntimeError, TypeError):  # sparse, quantized or without data
        raise DigestError(f"{tensor.layout} {type(tensor).__name__} on {tensor.device}") from None
    return f"tensor {tensor.dtype} {tuple(tensor.shape)} {_hash(content)}"


def _layer_values(name: str, module: torch.nn.Module) -> list[Any]:
    """Return the values of a module without its submodules; buffers that are not in its state are included."""
    attributes = {key: value for key, value in vars(module).items() if key not in _MODULE_INTERNALS}
    return [name, type(module), attributes, module._parameters, module._buffers]


def _reduce(value: Any) -> Any:
    """Return the parts from which pickle would rebuild an object."""
    if isinstance(value, torch.UntypedStorage | torch.TypedStorage):  # its pickle contains an address
        raise DigestError(type(value).__name__)
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        parts = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception:  # an object may raise anything when it is pickled
        raise DigestError(type(value).__name__) from None
    if isinstance(parts, str):  # the name of a global value
        return parts
    state, items, pairs = (*parts[2:5], None, None, None)[:3]
    return [parts[0], parts[1], state, list(items or ()), dict(pairs or ())]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
