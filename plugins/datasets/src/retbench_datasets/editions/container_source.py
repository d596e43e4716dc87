"""A cross-modal edition from the file that somebody published in place of the original download."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import ClassVar

from retbench_datasets.editions.crossmodal_source import Arrangement, PairedSource
from retbench_datasets.editions.pairs import Pairs
from retbench_datasets.formats.container import (
    FILES,
    Contents,
    container_files,
    feature_files,
    find_container,
    unpack_container,
)


class FromContainer(PairedSource):
    """Reads a published container where another source reads the original download; to be named before that source.

    `class WikipediaContainer(FromContainer, WikipediaPairs)` has the classes, sizes and licence of the second.

    Args:
        transposed: whether the file holds pictures width first, see `picture_axes`.
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
        return f"(1) put {FILES[self.name][0]}, which the code of TA-DCH links to, into {root}"

    def files(self, root: Path) -> tuple[Path, ...]:
        return container_files(root, self.contents()) or feature_files(root) or (root / FILES[self.name][0],)

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

    def read(self, root: Path, draft: Path) -> Generator[str, None, Pairs]:
        """Yields lines about the progress and returns the pairs in the file's order; `draft` is not needed."""
        return (yield from unpack_container(root, self.contents(), self._transposed))
