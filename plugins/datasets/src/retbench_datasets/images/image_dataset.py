"""The base class of all datasets that are read from image files: sizes, ids, labels, decoding, fingerprint."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from retbench import SPLITS, Dataset, Facts, ImageFile, Split, UserError, data_root
from retbench_datasets.images.decoder_pool import decode_images
from retbench_datasets.images.decoding import CROP_MEANINGS, Crop, Preprocessing
from retbench_datasets.images.image_index import ImageIndex


class ImageDataset(Dataset):
    """Image files below one folder, decoded when they are requested and not kept in memory.

    Class attributes:
        upright: whether an image is rotated as its EXIF tag records.
    """

    upright: ClassVar[bool] = True

    size: int = Field(224, ge=8, le=2048, description="height and width of the images, in pixels")
    resize: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="length of the shorter side before the crop, in pixels; by default size * 8/7: 256 for 224",
    )
    crop: Crop = Field("center", description=CROP_MEANINGS)
    identity: Literal["content", "size"] = Field(
        "content",
        description="what identifies an image in stored results. content: the bytes of its file; size: only name and "
        "size, without reading the files, so that changed pixels are not noticed",
    )

    @model_validator(mode="after")
    def _check_resize(self) -> Self:
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize must be at least size: got {self.resize}, expected {self.size} or more")
        return self

    @property
    def root(self) -> Path:
        """The folder of its files."""
        return data_root() / self.name

    @abstractmethod
    def index(self) -> ImageIndex:
        """Return the index of the three splits, cached while their list files stay the same; raises UserError."""

    def facts(self) -> Facts:
        index = self.index()
        sizes: dict[Split, int] = {split: len(index.splits[split].names) for split in SPLITS}
        return Facts(self.name, (self.size, self.size), index.classes, sizes)

    def fingerprint(self) -> str:
        """Return a digest of the options, ids, labels, classes and image files; raises UserError."""
        return hashlib.sha256(f"{super().fingerprint()} {self.index().digest(self.identity)}".encode()).hexdigest()

    def image_files(self, split: Split) -> Sequence[ImageFile]:
        return self.index().files(split, self.identity)

    def caveats(self, facts: Facts) -> tuple[str, ...]:
        """Return that changed pixels are not noticed, if the images are identified by their sizes."""
        return ("identity: size: the pixels of the images were not compared between runs",) * (self.identity == "size")

    def ids(self, split: Split) -> Sequence[str]:
        return self.index().splits[split].names

    def labels(self, split: Split) -> Tensor:
        return torch.from_numpy(self.index().splits[split].labels.copy())

    def images(self, split: Split, rows: Sequence[int]) -> Tensor:
        """Return uint8 (B, 3, size, size); raises UserError with the list line of an image that cannot be read."""
        listed = self.index().splits[split]
        preprocessing = Preprocessing(self.size, self.resize or round(self.size * 8 / 7), self.crop, self.upright)
        images = torch.empty(len(rows), 3, self.size, self.size, dtype=torch.uint8)
        decoded = decode_images([self.root / listed.names[row] for row in rows], preprocessing)
        for position, (row, image) in enumerate(zip(rows, decoded, strict=True)):
            if isinstance(image, str):
                raise UserError(f"{listed.locate(row)}: the image {listed.names[row]} cannot be read: {image}")
            images[position] = torch.from_numpy(image)
        return images
