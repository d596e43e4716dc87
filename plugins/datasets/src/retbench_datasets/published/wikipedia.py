"""The Wikipedia data set, as a data set with texts."""

from __future__ import annotations

from typing import ClassVar

from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.crossmodal_source import PairedSource
from retbench_datasets.published.published_pairs import PublishedPairs
from retbench_datasets.published.wikipedia_pairs import WikipediaContainer, WikipediaPairs


class Wikipedia(PublishedPairs):
    """2866 sections of Wikipedia's featured articles with a picture each, ten classes, one a section."""

    name: ClassVar[str] = "wikipedia"
    source: ClassVar[str] = "Rasiwasia et al. 2010, A New Approach to Cross-Modal Multimedia Retrieval"
    crossmodal: ClassVar[PairedSource] = WikipediaPairs()
    container: ClassVar[type[FromContainer]] = WikipediaContainer
