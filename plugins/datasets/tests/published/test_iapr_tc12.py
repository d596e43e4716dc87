"""IAPR TC-12 as a dataset, from the original download and from the published file."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from retbench_datasets.editions.bert import encode_texts
from retbench_datasets.editions.crossmodal_source import ImageTextPairs
from retbench_datasets.published.iapr_tc12 import IaprTc12, IaprTc12ContainerSource, IaprTc12Source

from retbench import UserError
from retbench.testing import check_component

SIZES = {"train": 20, "query": 10, "database": 40}


@pytest.fixture
def folder(data: Path, make_lists: Callable[..., None], make_image: Callable[..., None]) -> Path:
    """Return a folder of lists and texts with three classes, texts of four numbers, training rows of the database."""
    root, source = data / "iapr-tc12", np.random.default_rng(0)
    names = [f"iaprtc12/images/00/{number}.jpg" for number in range(20)]
    labels, texts = source.integers(0, 2, (20, 3)), source.normal(size=(20, 4)).astype(np.float32)
    for number, name in enumerate(names):
        make_image(root / name, number)
    for stem, rows in {"test": range(10), "database": range(10, 20), "train": range(10, 15)}.items():
        make_lists(root / "crossmodal", stem, [names[row] for row in rows], labels[[*rows]])
        np.save(root / "crossmodal" / f"{stem}_text.npy", texts[[*rows]])
    return root


def test_lists_written_by_the_user_pass_the_contract_suite(folder: Path) -> None:
    check_component(IaprTc12(size=32))


def test_classes_come_from_the_classes_file_if_it_exists(folder: Path) -> None:
    assert IaprTc12().facts().classes == ("class-0", "class-1", "class-2")
    (folder / "crossmodal" / "classes.txt").write_text("bush\nman\nzebra\n")
    facts = IaprTc12().facts()
    assert (facts.classes, facts.text_width) == (("bush", "man", "zebra"), 4)


def test_the_steps_include_download_and_published_file(data: Path) -> None:
    message = IaprTc12().missing() or ""
    for part in ("saiapr_tc-12/wlist.txt", "iaprtc12.tgz", "IAPR-TC12.mat", "retbench datasets prepare", "License:"):
        assert part in message


def test_the_published_file_is_unpacked_and_split(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IaprTc12Source, "sizes", SIZES)
    root, source = data / "iapr-tc12", np.random.default_rng(0)
    root.mkdir()
    pixels = source.integers(0, 256, (50, 3, 224, 224), dtype=np.uint8)
    labels, texts = source.integers(0, 2, (50, 255)), source.normal(size=(50, 1024)).astype(np.float32)
    with h5py.File(root / "IAPR-TC12.mat", "w", userblock_size=512) as file:
        file["IAll"], file["LAll"], file["TAll"] = pixels.transpose(), labels.transpose(), texts.transpose()
    dataset = IaprTc12()
    assert "run `retbench datasets prepare iapr-tc12`" in (dataset.missing() or "")
    list(dataset.prepare())
    assert dataset.missing() is None
    assert dict(dataset.facts().sizes) == SIZES
    rows = [int(Path(name).stem) for name in dataset.ids("query")]
    assert rows == [*range(10)]
    assert torch.equal(dataset.images("query", range(3)), torch.from_numpy(pixels[rows[:3]]))
    np.testing.assert_array_equal(dataset.labels("query").numpy(), labels[rows])
    np.testing.assert_array_equal(dataset.texts("query", range(10)).numpy(), texts[rows])
    assert any("published .mat" in caveat for caveat in dataset.caveats(dataset.facts()))


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "snow", "man"]


@pytest.fixture
def bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tiny network with random weights in the folder of the real one."""
    import transformers

    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(IaprTc12Source, "text_width", 16)
    folder = tmp_path / "weights" / "bert-large-uncased"
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(VOCABULARY), **sizes)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a download of three images with two labels; the second image has no annotation."""
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


def run_to_end(generator: Generator[str, None, ImageTextPairs]) -> tuple[list[str], ImageTextPairs]:
    lines = []
    while True:
        try:
            lines.append(next(generator))
        except StopIteration as end:
            return lines, end.value


def test_the_original_download_is_read_into_pairs(root: Path, bert: Path) -> None:
    lines, pairs = run_to_end(IaprTc12Source().read(root, root / "crossmodal" / "draft"))
    assert pairs.names == ("iaprtc12/images/00/25.jpg", "iaprtc12/images/00/112.jpg", "iaprtc12/images/00/113.jpg")
    assert pairs.labels.tolist() == [[1, 1], [1, 0], [0, 1]]
    expected = np.concatenate(list(encode_texts(["a man in the snow;", "", "man"], bert)))
    np.testing.assert_allclose(pairs.texts, expected, atol=1e-6)
    assert not pairs.texts[1].any()
    assert pairs.remarks == ("1 images have no annotation and an empty text, first 00/112.eng",)
    assert lines == [f"{root}: {remark}" for remark in pairs.remarks]
    assert (root / "crossmodal" / "classes.txt").read_text() == "bush\nman\n"


def test_the_sizes_add_up_to_20_000_images() -> None:
    sizes = IaprTc12Source.sizes
    assert sizes["query"] + sizes["database"] == 20_000
    assert (len(IaprTc12Source.classes), IaprTc12Source.text_width) == (255, 1024)


def test_a_missing_bert_is_reported_with_its_steps(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path / "nothing"))
    assert IaprTc12Source().needs_bert
    assert "hf download google-bert/bert-large-uncased" in (IaprTc12().missing() or "")
    assert "BERT" not in " ".join(IaprTc12Source().download_steps(root))  # the edition adds these steps, once


def test_the_required_files_are_labels_and_names(root: Path, tmp_path: Path) -> None:
    assert [path.name for path in IaprTc12Source().required_files(root)] == ["wlist.txt", "labels.txt"]
    assert [path.is_file() for path in IaprTc12Source().required_files(root)] == [True, True]
    assert [path.is_file() for path in IaprTc12Source().required_files(tmp_path / "nothing")] == [False, False]


def write_container(root: Path, rows: int) -> None:
    source = np.random.default_rng(0)
    with h5py.File(root / "IAPR-TC12.mat", "w", userblock_size=512) as file:
        file["IAll"] = source.integers(0, 256, (224, 224, 3, rows), dtype=np.uint8)
        file["LAll"] = source.integers(0, 2, (255, rows)).astype(np.float64)
        file["TAll"] = source.normal(size=(1024, rows)).astype(np.float32)


def test_the_published_file_needs_no_bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IaprTc12Source, "sizes", {"train": 2, "query": 2, "database": 4})
    source, draft = IaprTc12ContainerSource(), tmp_path / "crossmodal" / "draft"
    draft.mkdir(parents=True)
    (draft.parent / "classes.txt").write_text("bush\n")
    assert not source.is_present(tmp_path)
    assert [path.name for path in source.required_files(tmp_path)] == ["IAPR-TC12.mat"]
    write_container(tmp_path, rows=6)
    assert source.is_present(tmp_path)
    assert not source.needs_bert
    _, pairs = run_to_end(source.read(tmp_path, draft))
    assert (len(pairs.names), pairs.labels.shape, pairs.texts.shape) == (6, (6, 255), (6, 1024))
    assert not (draft.parent / "classes.txt").exists()


def test_a_published_file_with_missing_rows_is_refused(tmp_path: Path) -> None:
    write_container(tmp_path, rows=3)
    with pytest.raises(UserError, match=r"LAll: wrong shape: got \(3, 255\), expected \(20000, 255\)"):
        run_to_end(IaprTc12ContainerSource().read(tmp_path, tmp_path / "crossmodal" / "draft"))
