"""Defaults of every dataset."""

from pathlib import Path

import pytest

from retbench.contracts import Dataset, data_root
from retbench.testing.toys import ToyDataset


def test_the_data_folder_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RETBENCH_DATA", str(tmp_path))
    assert data_root() == tmp_path


@pytest.mark.parametrize("value", [None, ""])
def test_the_data_folder_is_in_the_current_folder_by_default(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("RETBENCH_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("RETBENCH_DATA", value)
    assert data_root() == Path("data")


def test_the_fingerprint_depends_on_name_revision_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ToyDataset(queries=5).fingerprint()
    assert first == ToyDataset(queries=5).fingerprint()
    assert first != ToyDataset(queries=6).fingerprint()
    monkeypatch.setattr(ToyDataset, "revision", 2)
    revised = ToyDataset(queries=5).fingerprint()
    monkeypatch.setattr(ToyDataset, "name", "renamed")
    assert len({first, revised, ToyDataset(queries=5).fingerprint()}) == 3


def test_texts_of_a_dataset_without_texts_raise() -> None:
    with pytest.raises(LookupError, match="dataset toy: it has no texts"):
        Dataset.texts(ToyDataset(), "query", [0])


def test_a_generated_dataset_is_never_missing() -> None:
    assert ToyDataset().missing() is None


def test_a_generated_dataset_has_no_folder_and_nothing_to_prepare() -> None:
    assert ToyDataset().root is None
    assert list(ToyDataset().prepare()) == []
