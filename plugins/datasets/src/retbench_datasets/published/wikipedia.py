"""Wikipedia: sections of featured articles, with an image and a text each."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from retbench import Split, UserError
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs, RowOrder
from retbench_datasets.formats.wikipedia import TEXT_MATRICES, features_path, list_path, read_official_splits
from retbench_datasets.published.published_dataset import CrossmodalDataset


class WikipediaSource(CrossmodalSource):
    """2866 sections, each of one of ten classes; a text is the section's share of ten topics (latent Dirichlet).

    The official test rows are the queries, the official training rows both training split and database.

    Source: Rasiwasia et al. 2010, A New Approach to Cross-Modal Multimedia Retrieval; sizes: RetPur, Table 6.
    """

    name: ClassVar[str] = "wikipedia"
    classes: ClassVar[tuple[str, ...]] = (
        *("art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport", "warfare"),
    )
    sizes: ClassVar[Mapping[Split, int]] = {"train": 2173, "query": 693, "database": 2173}
    text_width: ClassVar[int] = 10
    license: ClassVar[str] = "License: that of each image's author, as listed by Wikipedia; retbench may not ship them."

    def download_steps(self, root: Path) -> tuple[str, ...]:
        return (
            "download wikipedia_dataset.zip from http://www.svcl.ucsd.edu/projects/crossmodal/",
            f"unpack it so that these files exist: {root}/raw_features.mat, {root}/trainset_txt_img_cat.list, "
            f"{root}/testset_txt_img_cat.list and {root}/images/art/*.jpg ... {root}/images/warfare/*.jpg",
        )

    def row_order(self, root: Path) -> RowOrder:
        return "official"

    def required_files(self, root: Path) -> tuple[Path, ...]:
        return (features_path(root), *(list_path(root, split) for split in TEXT_MATRICES))

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yield progress lines and return the official queries, then the training rows; `draft` is not used."""
        splits = read_official_splits(root, self.classes, self.text_width)
        test, train = splits["test"], splits["train"]
        if len(test.names) != self.sizes["query"]:
            raise UserError(
                f"{list_path(root, 'test')}: wrong number of official queries: got {len(test.names)}, "
                f"expected {self.sizes['query']}"
            )
        yield f"{root}: {len(test.names)} official queries, {len(train.names)} training rows"
        return ImageTextPairs(
            test.names + train.names,
            np.concatenate([test.labels, train.labels]),
            np.concatenate([test.texts, train.texts]),
        )


class WikipediaContainerSource(ContainerSource, WikipediaSource):
    """The same data from `WIKIPEDIA.mat`."""


class Wikipedia(CrossmodalDataset):
    """2866 sections of Wikipedia's featured articles with an image each, ten classes, one per section."""

    name: ClassVar[str] = "wikipedia"
    source: ClassVar[str] = "Rasiwasia et al. 2010, A New Approach to Cross-Modal Multimedia Retrieval"
    crossmodal_download: ClassVar[CrossmodalSource] = WikipediaSource()
    crossmodal_container: ClassVar[type[ContainerSource]] = WikipediaContainerSource
