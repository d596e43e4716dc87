"""IAPR TC-12, as a data set with texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from retbench_datasets.editions.container_source import FromContainer
from retbench_datasets.editions.crossmodal_edition import PairedEdition
from retbench_datasets.editions.crossmodal_source import PairedSource
from retbench_datasets.formats.image_label_lists import read_index
from retbench_datasets.images.image_index import Index
from retbench_datasets.published.iapr_tc12_pairs import IaprTc12Container, IaprTc12Pairs
from retbench_datasets.published.published_pairs import PublishedPairs


class IaprTc12(PublishedPairs):
    """20 000 photographs of travels with a description each, 255 labels of their regions.

    Read from the original download, or from the published `IAPR-TC12.mat` where that lies in the folder.
    """

    name: ClassVar[str] = "iapr-tc12"
    source: ClassVar[str] = "Grubinger et al. 2006, The IAPR TC-12 Benchmark; labels: Escalante et al. 2010"
    crossmodal: ClassVar[PairedSource] = IaprTc12Pairs()
    container: ClassVar[type[FromContainer]] = IaprTc12Container

    def chosen(self) -> PairedEdition:
        return _NamedEdition(self.root, self.paired_source(), self.name)


@dataclass(frozen=True)
class _NamedEdition(PairedEdition):
    """Its classes are those of `crossmodal/classes.txt`, and numbered where that is not there."""

    def index(self) -> Index:
        return read_index(self.root, None, self.folder)
