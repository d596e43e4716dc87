"""What the trainings of a study recorded: losses as curves, images as they are."""

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
from retbench.stages.states import RECORD_PREFIX

if TYPE_CHECKING:
    from retbench.study.study import Study

Warn = Callable[[str], object]
LONGEST = 60
"""Characters of a value in a message."""


class Recorded(NamedTuple):
    """One thing that a step recorded: numbers along a line, or an image."""

    step: Stage
    name: str
    value: Json | Tensor


def write_recordings(study: Study, folder: Path, warn: Warn) -> list[Path]:
    """Write what each stored fit recorded as PNG, and return the paths.

    Args:
        study: whose plan and store are read.
        folder: where the files go.
        warn: called with a line for each thing that is damaged or cannot be drawn.

    Raises:
        UserError: the folder cannot be written.
    """
    taken: set[str] = set()
    written = []
    for recorded in find_recordings(study, warn):
        step = recorded.step
        try:
            png = _draw(recorded)
        except ValueError as error:
            warn(f"{step.name} {step.label}: {recorded.name}: {error}")
            continue
        pieces = (slug(step.name), slug(step.label), step.key[:8], slug(recorded.name))
        path = folder / f"{unique_stem('-'.join(pieces), taken)}.png"
        write_output(path, png)
        written.append(path)
    return written


def find_recordings(study: Study, warn: Warn) -> Iterator[Recorded]:
    """Yield what the stored fits of a plan recorded, step by step: curves by name, then images by name.

    Only fits have a context that records, so that nothing else is read: images of queries take gigabytes.
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
        yield from (Recorded(step, name, value) for name, value in sorted(curves.items()))
        images = {n.removeprefix(RECORD_PREFIX): t for n, t in artifact.tensors.items() if n.startswith(RECORD_PREFIX)}
        yield from (Recorded(step, name, image) for name, image in sorted(images.items()))


def _draw(recorded: Recorded) -> bytes:
    """Return a recorded thing as PNG; raises ValueError for one that is neither numbers nor an image."""
    from retbench.report.figures.recording import (
        draw_training_curve,
        encode_png,
        is_number_series,
    )  # matplotlib takes its time

    if isinstance(recorded.value, Tensor):
        return encode_png(recorded.value)
    if is_number_series(recorded.value):
        return draw_training_curve(recorded.value, f"{recorded.step.label}: {recorded.name}", recorded.name)
    text = json.dumps(recorded.value)
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    raise ValueError(f"curve: got {shown}, expected a list of finite numbers")
