"""The splits of the embedded datasets."""

import pytest
import torch
from retbench_datasets.embedded.digits import Digits
from retbench_datasets.embedded.scenes import Scenes

from retbench import SPLITS, Dataset

DATASETS = {"digits": Digits(), "easy scenes": Scenes(difficulty="easy"), "hard scenes": Scenes(difficulty="hard")}


@pytest.fixture(params=DATASETS)
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return DATASETS[request.param]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("digits", {"train": 1000, "query": 200, "database": 1597}),
        ("easy scenes", {"train": 4000, "query": 200, "database": 5000}),
        ("hard scenes", {"train": 4000, "query": 200, "database": 5000}),
    ],
)
def test_the_splits_have_their_sizes(name: str, sizes: dict[str, int]) -> None:
    dataset = DATASETS[name]
    assert dataset.facts().sizes == sizes
    assert {split: len(dataset.ids(split)) for split in SPLITS} == sizes
    assert {split: len(dataset.labels(split)) for split in SPLITS} == sizes


@pytest.mark.parametrize("split", SPLITS)
def test_images_and_labels_have_the_shape_and_type_of_the_contract(dataset: Dataset, split: str) -> None:
    facts = dataset.facts()
    images, labels = dataset.images(split, [3, 1, 3]), dataset.labels(split)
    assert images.shape == (3, 3, *facts.image_size)
    assert images.dtype == labels.dtype == torch.uint8
    assert labels.shape == (facts.sizes[split], len(facts.classes))
    assert labels.max() == 1
    assert labels.any(dim=1).all()


@pytest.mark.parametrize("split", SPLITS)
def test_the_last_row_can_be_read_but_not_the_next(dataset: Dataset, split: str) -> None:
    size = dataset.facts().sizes[split]
    assert len(dataset.images(split, [size - 1])) == 1
    with pytest.raises(IndexError):
        dataset.images(split, [size])


def test_no_rows_give_no_images(dataset: Dataset) -> None:
    assert dataset.images("query", []).shape == (0, 3, 32, 32)
    assert dataset.images("query", range(0)).dtype == torch.uint8


def test_ids_are_unique_and_no_query_is_in_the_database(dataset: Dataset) -> None:
    queries, database = dataset.ids("query"), dataset.ids("database")
    assert len({*queries, *database}) == len(queries) + len(database)


def test_an_id_has_the_same_image_and_label_in_training_and_database(dataset: Dataset) -> None:
    row_of = {name: row for row, name in enumerate(dataset.ids("database"))}
    rows = [row_of[name] for name in dataset.ids("train")]
    assert torch.equal(dataset.images("train", range(len(rows))), dataset.images("database", rows))
    assert torch.equal(dataset.labels("train"), dataset.labels("database")[rows])


def test_an_image_does_not_depend_on_the_other_rows_read(dataset: Dataset) -> None:
    singles = torch.cat([dataset.images("database", [row]) for row in (5, 3, 999)])
    assert torch.equal(dataset.images("database", [5, 3, 999]), singles)


def test_no_image_appears_twice(dataset: Dataset) -> None:
    sizes = dataset.facts().sizes
    images = torch.cat([dataset.images(split, range(sizes[split])) for split in ("query", "database")])
    assert len({image.numpy().tobytes() for image in images}) == len(images)


def test_writing_into_returned_tensors_does_not_change_the_dataset(dataset: Dataset) -> None:
    images, labels = dataset.images("query", range(4)), dataset.labels("query")
    before = images.clone(), labels.clone()
    images.zero_()
    labels.zero_()
    assert torch.equal(dataset.images("query", range(4)), before[0])
    assert torch.equal(dataset.labels("query"), before[1])


def test_every_class_is_in_every_split(dataset: Dataset) -> None:
    for split in SPLITS:
        assert dataset.labels(split).sum(dim=0).min() > 0
