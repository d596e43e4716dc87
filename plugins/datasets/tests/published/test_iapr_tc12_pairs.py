"""IAPR TC-12 with texts, from the original download and from the published file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from retbench_datasets.editions.bert import encode_texts
from retbench_datasets.editions.pairs import Pairs
from retbench_datasets.published.iapr_tc12_pairs import IaprTc12Container, IaprTc12Pairs

from retbench import UserError

ROOT_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "snow", "man"]


@pytest.fixture
def bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny network with random weights where the real one is looked for."""
    import transformers

    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(IaprTc12Pairs, "text_width", 16)
    folder = tmp_path / "weights" / "bert-large-uncased"
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(ROOT_WORDS), **sizes)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(ROOT_WORDS) + "\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures with two labels; the second has no annotation."""
    root = tmp_path / "iapr-tc12"
    (root / "saiapr_tc-12" / "00").mkdir(parents=True)
    (root / "saiapr_tc-12" / "00" / "labels.txt").write_text("25 1 120\n25 2 9\n112 1 9\n113 1 120\n")
    (root / "saiapr_tc-12" / "wlist.txt").write_text("9\tbush\n120\tman\n")
    texts = root / "iaprtc12" / "annotations_complete_eng" / "00"
    texts.mkdir(parents=True)
    (texts / "25.eng").write_text("<DESCRIPTION>a man in the snow;</DESCRIPTION>")
    (texts / "113.eng").write_text("<DESCRIPTION>man</DESCRIPTION>")
    (root / "crossmodal" / "draft").mkdir(parents=True)
    return root


def finish(generator: Generator[str, None, Pairs]) -> tuple[list[str], Pairs]:
    lines = []
    while True:
        try:
            lines.append(next(generator))
        except StopIteration as end:
            return lines, end.value


def test_the_original_download_becomes_pairs(root: Path, bert: Path) -> None:
    lines, pairs = finish(IaprTc12Pairs().read(root, root / "crossmodal" / "draft"))
    assert pairs.names == ("iaprtc12/images/00/25.jpg", "iaprtc12/images/00/112.jpg", "iaprtc12/images/00/113.jpg")
    assert pairs.labels.tolist() == [[1, 1], [1, 0], [0, 1]]
    expected = np.concatenate(list(encode_texts(["a man in the snow;", "", "man"], bert)))
    np.testing.assert_allclose(pairs.texts, expected, atol=1e-6)
    assert not pairs.texts[1].any()
    assert pairs.remarks == ("1 pictures have no annotation and an empty text, first 00/112.eng",)
    assert lines == [f"{root}: {remark}" for remark in pairs.remarks]
    assert (root / "crossmodal" / "classes.txt").read_text() == "bush\nman\n"


def test_the_sizes_are_those_of_20_000_pictures() -> None:
    sizes = IaprTc12Pairs.sizes
    assert sizes["query"] + sizes["database"] == 20_000
    assert (len(IaprTc12Pairs.classes), IaprTc12Pairs.text_width) == (255, 1024)


def test_without_bert_the_steps_are_told(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path / "nothing"))
    assert "hf download google-bert/bert-large-uncased" in (IaprTc12Pairs().encoder_missing() or "")
    assert "BERT" not in IaprTc12Pairs().steps(root)  # asked for once, by `encoder_missing`


def test_the_files_that_must_be_there_are_labels_and_names(root: Path, tmp_path: Path) -> None:
    assert [path.name for path in IaprTc12Pairs().files(root)] == ["wlist.txt", "labels.txt"]
    assert [path.is_file() for path in IaprTc12Pairs().files(root)] == [True, True]
    assert [path.is_file() for path in IaprTc12Pairs().files(tmp_path / "nothing")] == [False, False]


def write_container(root: Path, rows: int) -> None:
    source = np.random.default_rng(0)
    with h5py.File(root / "IAPR-TC12.mat", "w", userblock_size=512) as file:
        file["IAll"] = source.integers(0, 256, (224, 224, 3, rows), dtype=np.uint8)
        file["LAll"] = source.integers(0, 2, (255, rows)).astype(np.float64)
        file["TAll"] = source.normal(size=(1024, rows)).astype(np.float32)


def test_the_published_file_needs_no_bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IaprTc12Pairs, "sizes", {"train": 2, "query": 2, "database": 4})
    source, draft = IaprTc12Container(), tmp_path / "crossmodal" / "draft"
    draft.mkdir(parents=True)
    (draft.parent / "classes.txt").write_text("bush\n")
    assert not source.present(tmp_path)
    assert [path.name for path in source.files(tmp_path)] == ["IAPR-TC12.mat"]
    write_container(tmp_path, rows=6)
    assert source.present(tmp_path)
    assert source.encoder_missing() is None
    _, pairs = finish(source.read(tmp_path, draft))
    assert (len(pairs.names), pairs.labels.shape, pairs.texts.shape) == (6, (6, 255), (6, 1024))
    assert not (draft.parent / "classes.txt").exists()


def test_a_published_file_with_rows_missing_is_refused(tmp_path: Path) -> None:
    write_container(tmp_path, rows=3)
    with pytest.raises(UserError, match=r"LAll: wrong shape: got \(3, 255\), expected \(20000, 255\)"):
        finish(IaprTc12Container().read(tmp_path, tmp_path / "crossmodal" / "draft"))
