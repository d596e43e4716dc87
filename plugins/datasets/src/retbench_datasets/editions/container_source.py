"""The source of a cross-modal edition that is a published container, in place of the original download."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import ClassVar

from retbench import UserError
from retbench_datasets.editions.crossmodal_source import Arrangement, CrossmodalSource, ImageTextPairs
from retbench_datasets.formats.array_axes import image_axes
from retbench_datasets.formats.container import (
    CONTAINER_FILES,
    Contents,
    container_files,
    feature_files,
    find_container,
    read_labels,
    read_texts,
)
from retbench_datasets.formats.matlab_file import open_mat
from retbench_datasets.images.unpacking import unpack_images, unpacked_ids


class ContainerSource(CrossmodalSource):
    """Reads a published container where another source reads the original download; to be named before that source.

    `class WikipediaContainerSource(ContainerSource, WikipediaSource)` has the classes, sizes and license of the second.

    Args:
        transposed: whether the file holds pictures width first, see `image_axes`.
    """

    remarks: ClassVar[tuple[str, ...]] = (
        "pictures, labels and texts are those of a published .mat file; how they were made is not known",
    )

    def __init__(self, transposed: bool = False) -> None:
        self._transposed = transposed

    def contents(self) -> Contents:
        """Returns what the container must hold: every row of the published splits."""
        rows = self.sizes["query"] + self.sizes["database"]
        return Contents(self.name, len(self.classes), self.text_width, rows)

    def present(self, root: Path) -> bool:
        """Returns whether the folder holds a file with the name of a container, whatever is in it."""
        return bool(container_files(root, self.contents()))

    def refused(self, root: Path) -> bool:
        """Returns whether the folder holds published files that `arrangement` and `read` refuse."""
        return bool(feature_files(root))

    def alternative(self, root: Path) -> str | None:
        """Returns None: this is the alternative."""
        return None

    def steps(self, root: Path) -> str:
        return f"(1) put {CONTAINER_FILES[self.name][0]}, which the code of TA-DCH links to, into {root}"

    def files(self, root: Path) -> tuple[Path, ...]:
        return container_files(root, self.contents()) or feature_files(root) or (root / CONTAINER_FILES[self.name][0],)

    def arrangement(self, root: Path) -> Arrangement:
        """Returns `published` for a file of TA-DCH, whose code cuts its rows as they come; others' rows are drawn.

        Raises:
            UserError: as `find_container`.
        """
        found = find_container(root, self.contents())
        return "published" if found is not None and found.texts.array == "TAll" else "drawn"

    def encoder_missing(self) -> str | None:
        """Returns None: the texts are vectors already."""
        return None

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yields lines about the progress and returns the pairs in the file's order; `draft` is not needed."""
        return (yield from unpack_container(root, self.contents(), self._transposed))


def unpack_container(root: Path, contents: Contents, transposed: bool = False) -> Generator[str, None, ImageTextPairs]:
    """Yields lines about progress and returns the pairs in the file's order, for `yield from`.

    Pictures are written below `root`, see `unpack_images`; labels become uint8; texts uint8 where all are whole and 0
    to 255, else float32. Labels and texts are read first, so that a wrong file is refused before a picture is written.

    Args:
        root: the dataset's folder.
        contents: what is expected.
        transposed: whether the file holds pictures width first, see `image_axes`; square ones do not tell.

    Raises:
        UserError: there is no container, or an array has a wrong shape or value; names file, array and row.
    """
    container = find_container(root, contents)
    if container is None:
        raise UserError(
            f"{root}: no published container is there: expected {' or '.join(CONTAINER_FILES[contents.name])}"
        )
    yield f"{container.pictures}: pictures; {container.labels}: labels; {container.texts}: texts"
    labels = read_labels(container, contents)
    rows = len(labels)
    texts = read_texts(container, contents, rows)
    pictures = container.pictures
    with open_mat(pictures.path) as arrays:
        axes = image_axes(arrays.shapes[pictures.array], rows, contents.size, transposed, str(pictures))
        yield from unpack_images(root, arrays, pictures.array, axes)
    return ImageTextPairs(unpacked_ids(rows), labels, texts)
