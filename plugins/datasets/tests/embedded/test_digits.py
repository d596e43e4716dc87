import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
import sklearn.datasets
import torch
from retbench_datasets.embedded import digits
from retbench_datasets.embedded.digits import Digits

from retbench import Dataset, OptionError, UserError

PINNED = "7f185abdbdd71093e31f8838835cdf57b10161b58227b7b329ede01c32455f4a"


@pytest.fixture
def fresh_scans() -> Iterator[None]:
    """Clear the caches of the scans before and after a test."""
    cached = [digits._read_scans, digits._digest_scans, digits._load_images]
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def enlarge(scan: np.ndarray) -> np.ndarray:
    """Return a scan (8, 8) enlarged to 32 x 32 by numpy's linear interpolation, one axis after the other."""
    points = (np.arange(32) + 0.5) / 4 - 0.5
    wide = np.stack([np.interp(points, np.arange(8), row) for row in scan])
    return np.stack([np.interp(points, np.arange(8), column) for column in wide.T], axis=1)


def test_an_image_is_its_scan_enlarged_and_repeated_in_three_channels() -> None:
    bunch = sklearn.datasets.load_digits()
    for row, name in enumerate(Digits().ids("query")[:20]):
        scan = int(name.removeprefix("digit-"))
        expected = torch.from_numpy(enlarge(bunch.images[scan]) * 255 / 16).round().to(torch.uint8)
        assert torch.equal(Digits().images("query", [row])[0], expected.expand(3, -1, -1))
        assert Digits().labels("query")[row].nonzero().item() == bunch.target[scan]


def test_the_whole_range_of_gray_is_used() -> None:
    images = Digits().images("database", range(1597))
    assert images.min() == 0
    assert images.max() == 255


def test_an_image_has_one_label() -> None:
    assert (Digits().labels("database").sum(dim=1) == 1).all()


def test_the_digits_are_balanced_in_every_split() -> None:
    for split, least, most in (("query", 10, 30), ("train", 85, 115), ("database", 145, 175)):
        counts = Digits().labels(split).sum(dim=0)
        assert least <= counts.min() <= counts.max() <= most


def test_there_are_no_texts() -> None:
    assert Digits().facts().text_width == 0
    with pytest.raises(LookupError, match="digits"):
        Digits().texts("query", [0])


def test_there_are_no_options() -> None:
    with pytest.raises(OptionError, match="seed"):
        Digits.create({"seed": 1})


@pytest.mark.usefixtures("fresh_scans")
@pytest.mark.parametrize("column", [0, 64], ids=["a pixel", "a digit"])
def test_other_scans_change_the_fingerprint(monkeypatch: pytest.MonkeyPatch, column: int) -> None:
    before = Digits().fingerprint()
    bunch = sklearn.datasets.load_digits()
    table = np.column_stack([bunch.data, bunch.target]).astype(np.uint8)
    table[3, column] += 1
    monkeypatch.setattr(np, "loadtxt", lambda path, delimiter, dtype: table)
    assert Digits().fingerprint() == before
    digits._read_scans.cache_clear()
    digits._digest_scans.cache_clear()
    assert Digits().fingerprint() != before


def test_the_scans_equal_those_of_scikit_learn() -> None:
    bunch, scans = sklearn.datasets.load_digits(), digits._read_scans()
    assert np.array_equal(scans.gray.numpy(), bunch.images)
    assert np.array_equal(scans.digits.numpy(), bunch.target)


@pytest.mark.usefixtures("fresh_scans")
def test_a_missing_file_of_scans_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "DIGITS_FILE", "datasets/data/absent.csv.gz")
    with pytest.raises(UserError, match=r"dataset digits: no such file: got .*absent\.csv\.gz"):
        Digits().labels("query")


def test_the_fingerprint_depends_on_name_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Digits().fingerprint()
    monkeypatch.setattr(Digits, "revision", Digits.revision + 1)
    assert Digits().fingerprint() != before
    assert Digits().fingerprint() != Dataset.fingerprint(Digits())


def test_images_and_labels_are_pinned() -> None:
    """If a change is intended, raise `Digits.revision` and pin the new digest."""
    images, labels = Digits().images("database", range(64)), Digits().labels("database")[:64]
    assert hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest() == PINNED
