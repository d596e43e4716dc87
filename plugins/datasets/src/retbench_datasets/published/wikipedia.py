"""Wikipedia: sections of featured articles, with an image and a text each."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from retbench import Split, UserError
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_source import Arrangement, CrossmodalSource, ImageTextPairs
from retbench_datasets.formats.wikipedia import PARTS, features_path, list_path, read_parts
from retbench_datasets.published.published_dataset import CrossmodalDataset


class WikipediaSource(CrossmodalSource):
    """2866 sections, each of one class out of ten; a text is its shares of ten topics (latent Dirichlet allocation).

    The official test rows are the queries, the official training rows both training split and database.

    Source: Rasiwasia et al. 2010, A New Approach to Cross-Modal Multimedia Retrieval; sizes: RetPur, Table 6.
    """

    name: ClassVar[str] = "wikipedia"
    classes: ClassVar[tuple[str, ...]] = (
        *("art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport", "warfare"),
    )
    sizes: ClassVar[Mapping[Split, int]] = {"train": 2173, "query": 693, "database": 2173}
    text_width: ClassVar[int] = 10
    license: ClassVar[str] = "License: the authors', as Wikipedia lists them; retbench may not ship the pictures."

    def steps(self, root: Path) -> str:
        return (
            "(1) download wikipedia_dataset.zip from http://www.svcl.ucsd.edu/projects/crossmodal/; (2) unpack it so "
            f"that there are {root}/raw_features.mat, {root}/trainset_txt_img_cat.list, "
            f"{root}/testset_txt_img_cat.list and {root}/images/art/*.jpg ... {root}/images/warfare/*.jpg"
        )

    def arrangement(self, root: Path) -> Arrangement:
        return "official"

    def files(self, root: Path) -> tuple[Path, ...]:
        return (features_path(root), *(list_path(root, part) for part, _ in PARTS))

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Returns the official queries, then the official training rows; `draft` is not needed."""
        test, train = read_parts(root, self.classes, self.text_width)
        if len(test.names) != self.sizes["query"]:
            raise UserError(
                f"{list_path(root, 'test')}: these are not the official queries: got {len(test.names)}, "
                f"expected {self.sizes['query']}"
            )
        yield f"{root}: {len(test.names)} official queries, {len(train.names)} training rows"
        return ImageTextPairs(
            test.names + train.names,
            np.concatenate([test.labels, train.labels]),
            np.concatenate([test.texts, train.texts]),
        )


class WikipediaContainerSource(ContainerSource, WikipediaSource):
    """The same from `WIKIPEDIA.mat`."""


class Wikipedia(CrossmodalDataset):
    """2866 sections of Wikipedia's featured articles with a picture each, ten classes, one a section."""

    name: ClassVar[str] = "wikipedia"
    source: ClassVar[str] = "Rasiwasia et al. 2010, A New Approach to Cross-Modal Multimedia Retrieval"
    crossmodal: ClassVar[CrossmodalSource] = WikipediaSource()
    container: ClassVar[type[ContainerSource]] = WikipediaContainerSource
