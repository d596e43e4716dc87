"""IAPR TC-12: the images whose regions SAIAPR TC-12 labels, with descriptions."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from retbench import Split
from retbench_datasets.editions.bert import bert_missing
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_edition import CrossmodalEdition
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs
from retbench_datasets.editions.text_encoding import ENCODING_REMARK, encode_into, encoder_folder
from retbench_datasets.formats.iapr import CLASSES, label_files, names_file, read_described_images
from retbench_datasets.formats.image_label_lists import numbered_classes
from retbench_datasets.formats.text_file import write_text
from retbench_datasets.images.image_index import ImageIndex, read_index
from retbench_datasets.published.published_dataset import CrossmodalDataset


class IaprTc12Source(CrossmodalSource):
    """20 000 photographs, the 255 labels that their regions have, descriptions as BERT's mean, 1024 numbers.

    A picture has the labels of all its regions; the columns go by ascending number of the label, and `classes.txt`
    beside the lists names them. A picture without an English annotation has an empty text.

    Source: Grubinger et al. 2006, The IAPR TC-12 Benchmark; labels: Escalante et al. 2010, The segmented and annotated
    IAPR TC-12 benchmark; sizes: RetPur, Table 6.
    """

    name: ClassVar[str] = "iapr-tc12"
    classes: ClassVar[tuple[str, ...]] = numbered_classes(CLASSES)
    sizes: ClassVar[Mapping[Split, int]] = {"train": 5000, "query": 2000, "database": 18_000}
    text_width: ClassVar[int] = 1024
    license: ClassVar[str] = (
        "License: ImageCLEF gives the pictures and texts out free of charge and without restrictions of copyright."
    )
    remarks: ClassVar[tuple[str, ...]] = (ENCODING_REMARK,)

    def steps(self, root: Path) -> str:
        return (
            "(1) download iaprtc12.tgz from https://www.imageclef.org/photodata and saiaprtc12ok.part1.rar to "
            "part3.rar from https://www.imageclef.org/SIAPRdata; (2) unpack them to "
            f"{root}/iaprtc12/images/00/*.jpg ..., {root}/iaprtc12/annotations_complete_eng/00/*.eng ..., "
            f"{root}/saiapr_tc-12/00/labels.txt ... and {root}/saiapr_tc-12/wlist.txt, or with `benchmark` before "
            "saiapr_tc-12, as in the archive"
        )

    def files(self, root: Path) -> tuple[Path, ...]:
        labels = label_files(root) or (root / "saiapr_tc-12" / "00" / "labels.txt",)
        return (names_file(root), *labels)

    def encoder_missing(self) -> str | None:
        return bert_missing(encoder_folder())

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yields lines about the progress and returns the pictures by ascending number."""
        described = read_described_images(root)
        yield from (f"{root}: {remark}" for remark in described.remarks)
        write_text(draft.parent / "classes.txt", "".join(f"{name}\n" for name in described.classes))
        texts = yield from encode_into(draft, described.texts, self.text_width)
        return ImageTextPairs(described.names, described.labels, texts, described.remarks)


class IaprTc12ContainerSource(ContainerSource, IaprTc12Source):
    """The same from `IAPR-TC12.mat`; the names of its label columns are not published."""

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        (draft.parent / "classes.txt").unlink(missing_ok=True)  # it would give the columns names in another order
        return (yield from super().read(root, draft))


class IaprTc12(CrossmodalDataset):
    """20 000 photographs of travels with a description each, 255 labels of their regions.

    Read from the original download, or from the published `IAPR-TC12.mat` where that lies in the folder.
    """

    name: ClassVar[str] = "iapr-tc12"
    source: ClassVar[str] = "Grubinger et al. 2006, The IAPR TC-12 Benchmark; labels: Escalante et al. 2010"
    crossmodal: ClassVar[CrossmodalSource] = IaprTc12Source()
    container: ClassVar[type[ContainerSource]] = IaprTc12ContainerSource

    def selected_edition(self) -> CrossmodalEdition:
        return _NamedEdition(self.root, self.crossmodal_source(), self.name)


@dataclass(frozen=True)
class _NamedEdition(CrossmodalEdition):
    """Its classes are those of `crossmodal/classes.txt`, and numbered where that is not there."""

    def index(self) -> ImageIndex:
        return read_index(self.root, None, self.folder)
