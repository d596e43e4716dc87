"""NUS-WIDE's published lists of images, concepts and tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import UserError
from retbench_datasets.formats.label_matrix import LabeledImages, read_label_matrix
from retbench_datasets.formats.listed_images import image_id
from retbench_datasets.formats.text_file import read_lines


def concept_paths(root: Path, concepts: Sequence[str]) -> tuple[Path, ...]:
    """Return the list of all images, then the label file of each concept."""
    labels = (root / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt" for name in concepts)
    return (root / "ImageList" / "Imagelist.txt", *labels)


def read_concepts(root: Path, concepts: Sequence[str]) -> LabeledImages:
    """Return all images with one label column per concept, in the order of `Imagelist.txt`.

    Raises:
        UserError: a label is not 0 or 1, or a label file has not one line per image.
    """
    image_list, *files = concept_paths(root, concepts)
    columns = []
    paths = read_lines(image_list)
    for path in files:
        columns.append(read_label_matrix(path, 1)[:, 0])
        if len(columns[-1]) != len(paths):
            raise UserError(
                f"{path}: it does not fit {image_list.name}: got {len(columns[-1])} lines, expected {len(paths)}"
            )
    names = tuple(
        f"images/{image_id(path, f'{image_list}:{line}').rpartition('/')[2]}" for line, path in enumerate(paths, 1)
    )
    return LabeledImages(names, np.stack(columns, axis=1))


def tags_path(root: Path) -> Path:
    """Return the file of the tags of all images."""
    return root / "NUS_WID_Tags" / "AllTags1k.txt"


def stream_tags(path: Path, width: int) -> Iterator[NDArray[np.uint8]]:
    """Yield uint8 (width,), the tags of each image, 0 or 1; read line by line, because the file has half a gigabyte.

    Raises:
        UserError: the file cannot be read, a line has another number of values, or a value is not 0 or 1; names the
            line.
    """
    try:
        with path.open("rb") as stream:
            for line, text in enumerate(stream, start=1):
                yield _parse_tags(text.split(), f"{path}:{line}", width)
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None


def _parse_tags(values: list[bytes], location: str, width: int) -> NDArray[np.uint8]:
    if len(values) != width:
        raise UserError(f"{location}: wrong number of tags: got {len(values)}, expected {width}")
    joined = b"".join(values)
    tags = np.frombuffer(joined, dtype=np.uint8) - ord("0")
    if len(joined) != width or tags.max() > 1:
        wrong = next(value for value in values if value not in (b"0", b"1"))
        raise UserError(f"{location}: a tag must be 0 or 1: got {wrong.decode(errors='replace')!r}")
    return tags
