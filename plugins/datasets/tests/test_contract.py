from collections.abc import Callable
from pathlib import Path

import pytest
from retbench_datasets.embedded.digits import Digits
from retbench_datasets.embedded.scenes import Scenes
from retbench_datasets.plugin import retbench_datasets
from retbench_datasets.published.flickr25k import Flickr25k
from retbench_datasets.published.image_folder import ImageFolder
from retbench_datasets.published.image_list import ImageList
from retbench_datasets.published.mscoco import Mscoco
from retbench_datasets.published.nuswide import Nuswide
from retbench_datasets.published.published_dataset import TwoEditionDataset

from retbench import Dataset
from retbench.testing import check_component

PublishedFolder = Callable[[type[TwoEditionDataset]], Path]


@pytest.mark.parametrize(
    "dataset", [Digits(), Scenes(difficulty="easy"), Scenes(difficulty="hard")], ids=["digits", "easy", "hard"]
)
def test_embedded_datasets_pass_the_contract_suite(dataset: Dataset) -> None:
    check_component(dataset)


@pytest.mark.parametrize("dataset", [Flickr25k, Mscoco, Nuswide], ids=lambda dataset: dataset.name)
@pytest.mark.parametrize("crop", ["center", "squash"])
def test_published_datasets_pass_the_contract_suite(
    published_folder: PublishedFolder, dataset: type[TwoEditionDataset], crop: str
) -> None:
    published_folder(dataset)
    check_component(dataset(size=32, crop=crop))


def test_image_list_passes_the_contract_suite(published_folder: PublishedFolder, data: Path) -> None:
    published_folder(Flickr25k).rename(data / "mine")
    check_component(ImageList(folder="mine", size=32))


def test_image_folder_passes_the_contract_suite(data: Path, make_image: Callable[..., None]) -> None:
    for seed in range(8):
        make_image(data / "mine" / "ab"[seed % 2] / f"{seed}.jpg", seed)
    check_component(ImageFolder(folder="mine", queries=3, size=32))


@pytest.mark.parametrize("dataset", retbench_datasets(), ids=lambda dataset: dataset.name)
def test_every_dataset_has_default_options_and_reports_missing_files(dataset: type[Dataset], data: Path) -> None:
    default = dataset()
    assert (default.missing() is None) == (default.root is None)
    assert default.root is None or str(default.root) in (default.missing() or "")
