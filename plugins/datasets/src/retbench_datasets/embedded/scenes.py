"""Generated scenes: shapes on textured backgrounds, each with several labels and a text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from retbench import Dataset, Facts, Split
from retbench_datasets.embedded.easy_scenes import EASY_SCENES
from retbench_datasets.embedded.hard_scenes import HARD_SCENES
from retbench_datasets.embedded.scene_backgrounds import IMAGE_SIZE
from retbench_datasets.embedded.scene_design import SceneDesign

Difficulty = Literal["easy", "hard"]

_DESIGNS: dict[Difficulty, SceneDesign] = {"easy": EASY_SCENES, "hard": HARD_SCENES}
_INDICES: dict[Split, range] = {
    "train": range(4000),
    "query": range(5000, 5200),
    "database": range(5000),
}


class Scenes(Dataset):
    """Generated images of shapes on textured backgrounds: small, multi-label, with texts; no download.

    Easy scenes have one of six backgrounds and one kind of six shapes, or two kinds in 35 % of the scenes: 2.35 labels
    on average, and 41 % of all pairs of scenes share a label. Hard scenes have one of ten backgrounds and one to three
    of sixteen smaller shapes, which overlap and prefer some backgrounds, and a stroke without a class: 2.80 labels on
    average, and 28 % of all pairs share a label.

    Training items are the first rows of the database. An image, its labels and its text depend on the options and the
    image index alone, in integer arithmetic and float64, so that they are the same in every version of numpy.
    """

    name: ClassVar[str] = "scenes"
    source: ClassVar[str] = "generated"

    difficulty: Difficulty = Field("easy", description="number and likeness of the classes, size and overlap of shapes")
    noise: float = Field(0.02, ge=0, le=0.5, description="standard deviation of the pixel noise, pixels in [0, 1]")
    seed: int = Field(0, ge=0, description="seed of every image, label and text")

    def facts(self) -> Facts:
        design = _DESIGNS[self.difficulty]
        return Facts(
            dataset=self.name,
            image_size=(IMAGE_SIZE, IMAGE_SIZE),
            classes=design.classes.names,
            sizes={split: len(indices) for split, indices in _INDICES.items()},
            text_width=len(design.wording.vocabulary),
        )

    def fingerprint(self) -> str:
        """Return a digest of the options; that of easy scenes does not contain the difficulty.

        Easy scenes are older than this option. They keep their fingerprint, so that results stored for them stay valid.
        """
        if self.difficulty != "easy":
            return super().fingerprint()
        options = {name: value for name, value in self.options_json().items() if name != "difficulty"}
        identity = {"name": self.name, "revision": self.revision, "options": options}
        return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def ids(self, split: Split) -> Sequence[str]:
        return [f"scene-{index:04d}" for index in _INDICES[split]]

    def labels(self, split: Split) -> Tensor:
        return torch.from_numpy(_DESIGNS[self.difficulty].draw_labels(self.seed, _INDICES[split]))

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        drawn: Split = "query" if split == "query" else "database"  # training rows are the first of the database
        images = _draw_images(self.difficulty, self.seed, self.noise, _INDICES[drawn])
        return images[: len(_INDICES[split])][_row_index(rows)]

    def texts(self, split: Split, rows: Sequence[int]) -> Tensor:
        return _draw_texts(self.difficulty, self.seed, _INDICES[split])[_row_index(rows)]


def _row_index(rows: Sequence[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64)


@lru_cache(maxsize=4)
def _draw_images(difficulty: Difficulty, seed: int, noise: float, indices: range) -> Tensor:
    return torch.from_numpy(_DESIGNS[difficulty].draw_images(seed, noise, indices))


@lru_cache(maxsize=4)
def _draw_texts(difficulty: Difficulty, seed: int, indices: range) -> Tensor:
    return torch.from_numpy(_DESIGNS[difficulty].draw_texts(seed, indices))
