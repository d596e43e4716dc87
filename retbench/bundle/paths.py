"""Texts without the paths of the machine that they come from."""

from __future__ import annotations

import re
from pathlib import Path

from retbench.canon import Json

CUT = "…/"
"""What stands for the folders that were cut."""
_ABSOLUTE = re.compile(r"(?<![\w:/.…~-])/(?:[^\s/'\",:;()\[\]]+/)+(?=[^\s/])")


def cut_paths(value: Json, *roots: Path) -> Json:
    """Returns JSON in whose texts every absolute path is cut to its last name, as in `…/targets.txt`.

    What looks like a path of two names or more counts as one; a path with a space in it is known by `roots` alone,
    folders whose names are cut wherever they stand. Numbers such as 8/255 and addresses (`https://…`) stay.
    """
    known = sorted({str(root.absolute()) for root in roots} | {str(Path.home())}, key=len, reverse=True)

    def cut(inner: Json) -> Json:
        if isinstance(inner, str):
            for root in known:
                inner = inner.replace(f"{root}/", CUT) if len(root) > 1 else inner
                inner = inner.replace(root, "…") if len(root) > 1 else inner
            return _ABSOLUTE.sub(CUT, inner)
        if isinstance(inner, dict):
            return {str(cut(key)): cut(kept) for key, kept in inner.items()}
        return [cut(kept) for kept in inner] if isinstance(inner, list | tuple) else inner

    return cut(value)
