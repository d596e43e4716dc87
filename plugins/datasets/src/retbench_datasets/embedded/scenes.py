"""Generated scenes: shapes on textured backgrounds, each with several labels and a text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from retbench import Dataset, Facts, Split
from retbench_datasets.embedded.scene_backgrounds import IMAGE_SIZE
from retbench_datasets.embedded.scene_contents import CLASSES, draw_contents, label_contents
from retbench_datasets.embedded.scene_drawing import draw_scenes
from retbench_datasets.embedded.scene_random import SceneRandom
from retbench_datasets.embedded.scene_text import VOCABULARY, write_texts

_INDICES: dict[Split, range] = {
    "train": range(4000),
    "query": range(5000, 5200),
    "database": range(5000),
}


class Scenes(Dataset):
    """Generated images of six backgrounds and six shapes: small, multi-label, with texts; no download.

    A scene has one background and one kind of shape, or two kinds in 35 % of the scenes: 2.35 labels on average, and
    41 % of all pairs of scenes share a label. Training items are the first rows of the database. An image, its labels
    and its text depend on the seed and the image index alone, in integer arithmetic and float64, so that they are the
    same in every version of numpy.
    """

    name: ClassVar[str] = "scenes"
    source: ClassVar[str] = "generated"

    noise: float = Field(0.02, ge=0, le=0.5, description="standard deviation of the pixel noise, pixels in [0, 1]")
    seed: int = Field(0, ge=0, description="seed of every image, label and text")

    def facts(self) -> Facts:
        return Facts(
            dataset=self.name,
            image_size=(IMAGE_SIZE, IMAGE_SIZE),
            classes=CLASSES,
            sizes={split: len(indices) for split, indices in _INDICES.items()},
            text_width=len(VOCABULARY),
        )

    def ids(self, split: Split) -> Sequence[str]:
        return [f"scene-{index:04d}" for index in _INDICES[split]]

    def labels(self, split: Split) -> Tensor:
        return torch.from_numpy(label_contents(draw_contents(_make_random(self.seed, _INDICES[split]))))

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        drawn: Split = "query" if split == "query" else "database"  # training rows are the first of the database
        return _draw_images(self.seed, self.noise, _INDICES[drawn])[: len(_INDICES[split])][_row_index(rows)]

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        return _draw_texts(self.seed, _INDICES[split])[_row_index(rows)]


def _row_index(rows: Sequence[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64)


def _make_random(seed: int, indices: range) -> SceneRandom:
    return SceneRandom(seed, np.array(indices, dtype=np.int64))


@lru_cache(maxsize=4)
def _draw_images(seed: int, noise: float, indices: range) -> Tensor:
    return torch.from_numpy(draw_scenes(seed, noise, indices))


@lru_cache(maxsize=4)
def _draw_texts(seed: int, indices: range) -> Tensor:
    draws = _make_random(seed, indices)
    return torch.from_numpy(write_texts(draws, label_contents(draw_contents(draws))))
