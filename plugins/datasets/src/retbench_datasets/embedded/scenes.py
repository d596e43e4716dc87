"""Generated scenes: shapes on textured backgrounds, with several labels and a text each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from retbench import Dataset, Facts, Split
from retbench_datasets.embedded.scene_backgrounds import SIDE
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
    """Pictures of six backgrounds and six shapes, drawn on the spot: small, multi-label, with texts.

    A scene is one background and one kind of shape, or two kinds in 35 % of them: 2.35 labels on average, and 41 % of
    all pairs of scenes share one. Training items are the first rows of the database. A picture, its labels and its
    text depend on the seed and the picture's index alone, in integer arithmetic and float64, so that they stay the
    same in any version of numpy.
    """

    name: ClassVar[str] = "scenes"
    source: ClassVar[str] = "generated"

    noise: float = Field(0.02, ge=0, le=0.5, description="standard deviation of the pixel noise, pixels in [0, 1]")
    seed: int = Field(0, ge=0, description="seed of every picture, label and text")

    def facts(self) -> Facts:
        return Facts(
            dataset=self.name,
            image_size=(SIDE, SIDE),
            classes=CLASSES,
            sizes={split: len(indices) for split, indices in _INDICES.items()},
            text_width=len(VOCABULARY),
        )

    def ids(self, split: Split) -> Sequence[str]:
        return [f"scene-{index:04d}" for index in _INDICES[split]]

    def labels(self, split: Split) -> Tensor:
        return torch.from_numpy(label_contents(draw_contents(_draws(self.seed, _INDICES[split]))))

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        drawn: Split = "query" if split == "query" else "database"
        return _images(self.seed, self.noise, _INDICES[drawn])[: len(_INDICES[split])][_at(rows)]

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        return _texts(self.seed, _INDICES[split])[_at(rows)]


def _at(rows: Sequence[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64)


def _draws(seed: int, indices: range) -> SceneRandom:
    return SceneRandom(seed, np.array(indices, dtype=np.int64))


@lru_cache(maxsize=4)
def _images(seed: int, noise: float, indices: range) -> Tensor:
    return torch.from_numpy(draw_scenes(seed, noise, indices))


@lru_cache(maxsize=4)
def _texts(seed: int, indices: range) -> Tensor:
    draws = _draws(seed, indices)
    return torch.from_numpy(write_texts(draws, label_contents(draw_contents(draws))))
