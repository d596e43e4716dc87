"""IAPR TC-12: the images whose regions are labeled by SAIAPR TC-12, with descriptions."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from retbench import Split
from retbench_datasets.editions.container_source import ContainerSource
from retbench_datasets.editions.crossmodal_edition import CrossmodalEdition
from retbench_datasets.editions.crossmodal_source import CrossmodalSource, ImageTextPairs
from retbench_datasets.editions.text_encoding import ENCODING_REMARK, encode_into
from retbench_datasets.formats.iapr import CLASSES, label_files, names_file, read_described_images
from retbench_datasets.formats.image_label_lists import numbered_classes
from retbench_datasets.formats.text_file import write_text
from retbench_datasets.images.image_index import ImageIndex, read_index
from retbench_datasets.published.published_dataset import CrossmodalDataset


class IaprTc12Source(CrossmodalSource):
    """20 000 photographs, the 255 labels of their regions, and descriptions as mean BERT features of 1024 numbers.

    An image has the labels of all its regions; the columns are in ascending order of the label numbers, and
    `classes.txt` in the folder of the lists names them. An image without an English annotation has an empty text.

    Source: Grubinger et al. 2006, The IAPR TC-12 Benchmark; labels: Escalante et al. 2010, The segmented and annotated
    IAPR TC-12 benchmark; sizes: RetPur, Table 6.
    """

    name: ClassVar[str] = "iapr-tc12"
    classes: ClassVar[tuple[str, ...]] = numbered_classes(CLASSES)
    sizes: ClassVar[Mapping[Split, int]] = {"train": 5000, "query": 2000, "database": 18_000}
    text_width: ClassVar[int] = 1024
    license: ClassVar[str] = (
        "License: ImageCLEF distributes images and texts free of charge and without copyright restrictions."
    )
    remarks: ClassVar[tuple[str, ...]] = (ENCODING_REMARK,)
    needs_bert: ClassVar[bool] = True

    def download_steps(self, root: Path) -> tuple[str, ...]:
        return (
            "download iaprtc12.tgz from https://www.imageclef.org/photodata and saiaprtc12ok.part1.rar to part3.rar "
            "from https://www.imageclef.org/SIAPRdata",
            f"unpack them so that these files exist: {root}/iaprtc12/images/00/*.jpg ..., "
            f"{root}/iaprtc12/annotations_complete_eng/00/*.eng ..., {root}/saiapr_tc-12/00/labels.txt ... and "
            f"{root}/saiapr_tc-12/wlist.txt ({root}/benchmark/saiapr_tc-12, as in the archive, works too)",
        )

    def required_files(self, root: Path) -> tuple[Path, ...]:
        labels = label_files(root) or (root / "saiapr_tc-12" / "00" / "labels.txt",)
        return (names_file(root), *labels)

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        """Yield progress lines and return the pairs by ascending image number."""
        described = read_described_images(root)
        yield from (f"{root}: {remark}" for remark in described.remarks)
        write_text(draft.parent / "classes.txt", "".join(f"{name}\n" for name in described.classes))
        texts = yield from encode_into(draft, described.texts, self.text_width)
        return ImageTextPairs(described.names, described.labels, texts, described.remarks)


class IaprTc12ContainerSource(ContainerSource, IaprTc12Source):
    """The same data from `IAPR-TC12.mat`; the names of its label columns are not published."""

    def read(self, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        (draft.parent / "classes.txt").unlink(missing_ok=True)  # its names would be in another order than the columns
        return (yield from super().read(root, draft))


class IaprTc12(CrossmodalDataset):
    """20 000 travel photographs with a description each, 255 labels of their regions.

    Read from the original download, or from the published `IAPR-TC12.mat` if it is in the folder.
    """

    name: ClassVar[str] = "iapr-tc12"
    source: ClassVar[str] = "Grubinger et al. 2006, The IAPR TC-12 Benchmark; labels: Escalante et al. 2010"
    crossmodal_download: ClassVar[CrossmodalSource] = IaprTc12Source()
    crossmodal_container: ClassVar[type[ContainerSource]] = IaprTc12ContainerSource

    def selected_edition(self) -> CrossmodalEdition:
        return _NamedEdition(self.root, self.crossmodal_source(), self.name)


@dataclass(frozen=True)
class _NamedEdition(CrossmodalEdition):
    """An edition with the classes in `crossmodal/classes.txt`, or numbered ones if there is no such file."""

    def index(self) -> ImageIndex:
        return read_index(self.root, None, self.folder)
