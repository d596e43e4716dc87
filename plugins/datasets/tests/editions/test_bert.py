"""Texts as BERT features, by a tiny network with random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from retbench_datasets.editions.bert import bert_missing, encode_texts
from safetensors.torch import load_file, save_file

from retbench import UserError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s", "run", "on", "the", "beach", ".", "un"]
TEXTS = ["A dog", "the dogs run on the beach.", "", "unknown WORDS run", "a a a a a a a a a a a a", "  \n"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    network = transformers.BertModel(
        transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=40, **sizes)
    )
    folder = tmp_path_factory.mktemp("bert")
    network.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    network.folder = folder
    return network.eval()


@pytest.fixture
def folder(network: Any, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    for path in network.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def encode(folder: Path, texts: list[str], batch: int = 32) -> Any:
    return np.concatenate(list(encode_texts(texts, folder, batch)))


def test_a_feature_is_the_mean_of_the_last_layer_over_the_tokens_alone(network: Any) -> None:
    tokens = ["[CLS]", "the", "dog", "##s", "run", "on", "the", "beach", ".", "[SEP]"]
    with torch.inference_mode():
        states = network(torch.tensor([[WORDS.index(token) for token in tokens]]), output_hidden_states=True)
    expected = states.hidden_states[-1][0].numpy().astype(np.float64).mean(axis=0)
    found = encode(network.folder, TEXTS)
    assert (found.shape, found.dtype) == ((6, 32), np.float32)
    np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_an_empty_text_is_all_zero_and_nothing_else_is(network: Any) -> None:
    found = encode(network.folder, TEXTS)
    assert found.any(axis=1).tolist() == [True, True, False, True, True, False]
    assert not encode(network.folder, ["", ""]).any()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_feature_does_not_hang_on_its_batch(network: Any, batch: int) -> None:
    found = list(encode_texts(TEXTS, network.folder, batch))
    assert [len(part) for part in found] == [min(batch, 6 - start) for start in range(0, 6, batch)]
    np.testing.assert_allclose(np.concatenate(found), encode(network.folder, TEXTS), atol=1e-5)


def test_a_second_call_gives_the_same_bits(network: Any) -> None:
    torch.manual_seed(1)
    np.testing.assert_array_equal(encode(network.folder, TEXTS), encode(network.folder, TEXTS))


def test_case_and_accents_are_lost_as_in_the_uncased_model(network: Any) -> None:
    upper, lower, accented = encode(network.folder, ["THE DOG", "the dog", "thé dog"])
    np.testing.assert_allclose(upper, lower, atol=1e-6)
    np.testing.assert_allclose(accented, lower, atol=1e-6)


def test_a_long_text_is_cut_where_the_network_ends(network: Any) -> None:
    long, cut = encode(network.folder, ["run " * 1000, "run " * 38])
    np.testing.assert_allclose(long, cut, atol=1e-5)


def test_weights_of_half_precision_are_computed_with_in_float32(folder: Path) -> None:
    before, path = encode(folder, TEXTS), folder / "model.safetensors"
    rounded = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file({name: tensor.float() for name, tensor in rounded.items()}, path, {"format": "pt"})
    expected = encode(folder, TEXTS)
    save_file(rounded, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    np.testing.assert_array_equal(encode(folder, TEXTS), expected)
    assert not np.array_equal(expected, before)


def test_no_text_gives_nothing(network: Any) -> None:
    assert list(encode_texts([], network.folder)) == []


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_missing_file_is_named_with_the_steps_to_get_it(folder: Path, file: str) -> None:
    assert bert_missing(folder) is None
    (folder / file).unlink()
    told = bert_missing(folder)
    assert told is not None
    assert file in told.partition("To get it")[0]
    assert "hf download google-bert/bert-large-uncased" in told
    assert told.index("pip install") < told.index("hf download")
    assert str(folder) in told
    with pytest.raises(UserError, match="To get it"):
        encode(folder, TEXTS)


def test_words_may_lie_in_either_of_two_files(folder: Path) -> None:
    (folder / "vocab.txt").rename(folder / "tokenizer.json")
    assert bert_missing(folder) is None


def test_weights_that_lack_a_tensor_are_refused_but_for_the_pooler(folder: Path) -> None:
    path = folder / "model.safetensors"
    before = encode(folder, TEXTS)
    tensors = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("pooler.")}
    save_file(tensors, path, {"format": "pt"})
    np.testing.assert_array_equal(encode(folder, TEXTS), before)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError, match=r"not all of BERT: 1 tensors lack, first encoder.layer.1.output.dense.weight"):
        encode(folder, TEXTS)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_broken_file_is_refused_in_one_line(folder: Path, file: str) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:50])
    with pytest.raises(UserError, match=r"^[^\n]*: BERT cannot be read: [^\n]+$"):
        encode(folder, TEXTS)


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(UserError, match=r"BERT cannot be read|it is not all of BERT"):
        encode(folder, TEXTS)


def test_without_the_package_the_way_to_get_it_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match=r"it needs transformers, .*: pip install 'retbench-datasets\[crossmodal\]'"):
        encode(folder, TEXTS)
