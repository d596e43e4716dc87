"""The user's own images, in the published format of lists."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from retbench import data_root
from retbench_datasets.formats.image_label_lists import missing_lists
from retbench_datasets.images.image_dataset import ImageDataset
from retbench_datasets.images.image_index import ImageIndex, read_index

FOLDER_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"


class ImageList(ImageDataset):
    """Your own images, listed in six text files: `{train,test,database}_{img,label}.txt` in `data/<folder>`.

    Line i of `*_img.txt` is a path below the folder, line i of `*_label.txt` holds its labels: one 0 or 1 per class,
    separated by spaces. `classes.txt`, one name per line, names the columns; without it they are numbered.
    """

    name: ClassVar[str] = "image-list"
    source: ClassVar[str] = "the user's files; format: Wang et al. 2021, the code of ProS-GAN"

    folder: str = Field(
        "image-list", pattern=FOLDER_PATTERN, description="name of the folder below the root of the datasets"
    )

    @property
    def root(self) -> Path:
        return data_root() / self.folder

    def index(self) -> ImageIndex:
        return read_index(self.root)

    def missing(self) -> str | None:
        if missing := missing_lists(self.root):
            return (
                f"{self.root}: missing: {', '.join(missing)}. To get it: list your images in "
                "{train,test,database}_img.txt, one path per line, and their labels in the *_label.txt files, "
                "one 0 or 1 per class"
            )
        return self.index().missing_image()
