"""A published container as the source of a cross-modal edition, instead of the original download."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import ClassVar

from retbench import UserError
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs, RowOrder, container_step
from retbench_datasets.formats.array_axes import find_image_axes
from retbench_datasets.formats.container import (
    CONTAINER_FILES,
    ContainerSpec,
    container_files,
    feature_files,
    find_container,
    read_labels,
    read_texts,
)
from retbench_datasets.formats.matlab_file import open_mat
from retbench_datasets.images.unpacking import unpack_images, unpacked_ids


class ContainerSource(CrossmodalSource):
    """Base class that reads a published container; list it before the source of the original download.

    `class WikipediaContainerSource(ContainerSource, WikipediaSource)` has the classes, sizes and license of the second.

    Args:
        transposed: whether the file stores images width first, see `find_image_axes`.
    """

    remarks: ClassVar[tuple[str, ...]] = (
        "images, labels and texts are those of a published .mat file; how they were made is not known",
    )
    needs_bert: ClassVar[bool] = False

    def __init__(self, transposed: bool = False) -> None:
        self._transposed = transposed

    def spec(self) -> ContainerSpec:
        """Return the expected content of the container: every row of the published splits."""
        rows = self.sizes["query"] + self.sizes["database"]
        return ContainerSpec(self.name, len(self.classes), self.text_width, rows)

    def is_present(self, root: Path) -> bool:
        """Return whether the folder has a file with the name of a container, whatever it holds."""
        return bool(container_files(root, self.name))

    def has_unusable_files(self, root: Path) -> bool:
        """Return whether the folder has published files that `row_order` and `read` refuse."""
        return bool(feature_files(root))

    def alternative_step(self, root: Path) -> str | None:
        return None

    def download_steps(self, root: Path) -> tuple[str, ...]:
        return (container_step(self.name, root),)

    def required_files(self, root: Path) -> tuple[Path, ...]:
        files = container_files(root, self.name) or feature_files(root)
        return files or (root / CONTAINER_FILES[self.name][0],)

    def row_order(self, root: Path) -> RowOrder:
        """Return `published` for a file of TA-DCH, whose code splits its rows in file order; else `drawn`.

        Raises:
            UserError: as `find_container`.
        """
        found = find_container(root, self.spec())
        return "published" if found is not None and found.texts.array == "TAll" else "drawn"

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yield progress lines and return the pairs in file order; `draft` is not used."""
        return (yield from unpack_container(root, self.spec(), self._transposed))


def unpack_container(root: Path, spec: ContainerSpec, transposed: bool = False) -> Generator[str, None, ImageTextPairs]:
    """Yield progress lines and return the pairs in file order, for `yield from`.

    Images are written below `root`, see `unpack_images`; labels become uint8; texts uint8 if all numbers are integers
    from 0 to 255, else float32. Labels and texts are read first, so that a wrong file is refused before an image is
    written.

    Args:
        root: the dataset's folder.
        spec: the expected content.
        transposed: whether the file stores images width first, see `find_image_axes`.

    Raises:
        UserError: there is no container, or an array has a wrong shape or value; names file, array and row.
    """
    container = find_container(root, spec)
    if container is None:
        raise UserError(f"{root}: there is no published container: expected {' or '.join(CONTAINER_FILES[spec.name])}")
    yield f"{container.images}: images; {container.labels}: labels; {container.texts}: texts"
    labels = read_labels(container, spec)
    rows = len(labels)
    texts = read_texts(container, spec, rows)
    images = container.images
    with open_mat(images.path) as arrays:
        axes = find_image_axes(arrays.shapes[images.array], rows, spec.size, transposed, str(images))
        yield from unpack_images(root, arrays, images.array, axes)
    return ImageTextPairs(unpacked_ids(rows), labels, texts)
