import pytest
from retbench_datasets.plugin import retbench_datasets

from retbench import Dataset
from retbench.testing import check_component


@pytest.mark.parametrize("dataset", retbench_datasets(), ids=lambda dataset: dataset.name)
def test_a_dataset_keeps_its_contract(dataset: type[Dataset]) -> None:
    check_component(dataset())
