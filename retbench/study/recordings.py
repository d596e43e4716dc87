"""Find the curves and images recorded while components were trained, and write them as PNG files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from torch import Tensor

from retbench.canon import Json
from retbench.errors import ArtifactCorrupt
from retbench.report.filename import slug, unique_stem
from retbench.report.write import write_output
from retbench.stages import Stage
from retbench.stages.check import RECORD_PREFIX

if TYPE_CHECKING:
    from retbench.study.study import Study

Warn = Callable[[str], object]
MAX_SHOWN = 60
"""Characters of a value in a message."""


class Recording(NamedTuple):
    """A curve (a list of numbers) or an image that a step recorded."""

    step: Stage
    name: str
    value: Json | Tensor


def write_recordings(study: Study, folder: Path, warn: Warn) -> list[Path]:
    """Write the recordings of each stored fit as PNG files, and return their paths.

    Args:
        study: the study whose plan and store are read.
        folder: the folder of the files.
        warn: called with one line for each recording that cannot be drawn and each damaged artifact.

    Raises:
        UserError: the folder cannot be written.
    """
    taken: set[str] = set()
    written = []
    for recording in find_recordings(study, warn):
        step = recording.step
        try:
            png = _draw(recording)
        except ValueError as error:
            warn(f"{step.name} {step.label}: {recording.name}: {error}")
            continue
        parts = (slug(step.name), slug(step.label), step.key[:8], slug(recording.name))
        path = folder / f"{unique_stem('-'.join(parts), taken)}.png"
        write_output(path, png)
        written.append(path)
    return written


def find_recordings(study: Study, warn: Warn) -> Iterator[Recording]:
    """Yield the recordings of the stored fits of a plan, step by step: curves by name, then images by name.

    Only fits can record. No other artifact is read, because images of queries take gigabytes.
    """
    fits = [(key, step) for key, step in study.planned.steps.items() if step.name.startswith("fit")]
    for key, step in fits:
        if not study.store.has(key):
            continue
        try:
            artifact = study.store.get(key)
        except ArtifactCorrupt as error:
            warn(f"{step.name} {step.label}: {error}; run the suite again")
            continue
        curves = cast("dict[str, Json]", artifact.summary.get("record", {}))
        yield from (Recording(step, name, value) for name, value in sorted(curves.items()))
        images = {
            name.removeprefix(RECORD_PREFIX): tensor
            for name, tensor in artifact.tensors.items()
            if name.startswith(RECORD_PREFIX)
        }
        yield from (Recording(step, name, image) for name, image in sorted(images.items()))


def _draw(recording: Recording) -> bytes:
    """Return a recording as PNG; raises ValueError for a value that is neither a list of numbers nor an image."""
    # matplotlib is slow to import
    from retbench.report.figures.recording import draw_training_curve, encode_png, is_number_series

    if isinstance(recording.value, Tensor):
        return encode_png(recording.value)
    if is_number_series(recording.value):
        return draw_training_curve(recording.value, f"{recording.step.label}: {recording.name}", recording.name)
    text = json.dumps(recording.value)
    shown = text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
    raise ValueError(f"curve: got {shown}, expected a list of finite numbers")
