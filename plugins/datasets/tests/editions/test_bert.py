"""BERT features of texts, with a tiny network of random weights."""

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
    """Return a copy of the network that a test may change."""
    for path in network.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def encode(folder: Path, texts: list[str], batch_size: int = 32) -> Any:
    return np.concatenate(list(encode_texts(texts, folder, batch_size)))


def test_a_feature_is_the_mean_of_the_last_layer_over_the_tokens(network: Any) -> None:
    tokens = ["[CLS]", "the", "dog", "##s", "run", "on", "the", "beach", ".", "[SEP]"]
    with torch.inference_mode():
        states = network(torch.tensor([[WORDS.index(token) for token in tokens]]), output_hidden_states=True)
    expected = states.hidden_states[-1][0].numpy().astype(np.float64).mean(axis=0)
    found = encode(network.folder, TEXTS)
    assert (found.shape, found.dtype) == ((6, 32), np.float32)
    np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_only_empty_texts_are_all_zero(network: Any) -> None:
    found = encode(network.folder, TEXTS)
    assert found.any(axis=1).tolist() == [True, True, False, True, True, False]
    assert not encode(network.folder, ["", ""]).any()


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_feature_does_not_depend_on_its_batch(network: Any, batch_size: int) -> None:
    found = list(encode_texts(TEXTS, network.folder, batch_size))
    assert [len(part) for part in found] == [min(batch_size, 6 - start) for start in range(0, 6, batch_size)]
    np.testing.assert_allclose(np.concatenate(found), encode(network.folder, TEXTS), atol=1e-5)


def test_a_second_call_gives_the_same_bits(network: Any) -> None:
    torch.manual_seed(1)
    np.testing.assert_array_equal(encode(network.folder, TEXTS), encode(network.folder, TEXTS))


def test_case_and_accents_are_ignored(network: Any) -> None:
    upper, lower, accented = encode(network.folder, ["THE DOG", "the dog", "thé dog"])
    np.testing.assert_allclose(upper, lower, atol=1e-6)
    np.testing.assert_allclose(accented, lower, atol=1e-6)


def test_a_long_text_is_cut_at_the_length_of_the_network(network: Any) -> None:
    long, cut = encode(network.folder, ["run " * 1000, "run " * 38])
    np.testing.assert_allclose(long, cut, atol=1e-5)


def test_half_precision_weights_are_converted_to_float32(folder: Path) -> None:
    before, path = encode(folder, TEXTS), folder / "model.safetensors"
    rounded = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file({name: tensor.float() for name, tensor in rounded.items()}, path, {"format": "pt"})
    expected = encode(folder, TEXTS)
    save_file(rounded, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    np.testing.assert_array_equal(encode(folder, TEXTS), expected)
    assert not np.array_equal(expected, before)


def test_no_texts_give_no_batch(network: Any) -> None:
    assert list(encode_texts([], network.folder)) == []


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_missing_file_is_reported_with_the_steps_to_get_it(folder: Path, file: str) -> None:
    assert bert_missing(folder) is None
    (folder / file).unlink()
    message = bert_missing(folder)
    assert message is not None
    assert file in message.partition("To get it")[0]
    assert "hf download google-bert/bert-large-uncased" in message
    assert message.index("pip install") < message.index("hf download")
    assert str(folder) in message
    with pytest.raises(UserError, match="To get it"):
        encode(folder, TEXTS)


def test_either_vocabulary_file_is_enough(folder: Path) -> None:
    (folder / "vocab.txt").rename(folder / "tokenizer.json")
    assert bert_missing(folder) is None


def test_missing_tensors_are_refused_except_the_pooler(folder: Path) -> None:
    path = folder / "model.safetensors"
    before = encode(folder, TEXTS)
    tensors = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("pooler.")}
    save_file(tensors, path, {"format": "pt"})
    np.testing.assert_array_equal(encode(folder, TEXTS), before)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError, match=r"BERT is incomplete: missing encoder\.layer\.1\.output\.dense\.weight$"):
        encode(folder, TEXTS)


def test_the_heads_for_pretraining_may_stand_in_the_file_but_no_other_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    before, tensors = encode(folder, TEXTS), load_file(path)
    tensors |= {"cls.predictions.bias": torch.ones(3), "cls.seq_relationship.bias": torch.ones(2)}
    save_file(tensors, path, {"format": "pt"})
    np.testing.assert_array_equal(encode(folder, TEXTS), before)
    tensors |= {f"encoder.layer.{layer}.output.dense.bias": torch.ones(32) for layer in (2, 3)}
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(
        UserError, match=r"another network: unexpected \S*encoder\.layer\.2\.output\.dense\.bias and 1 more$"
    ):
        encode(folder, TEXTS)


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["encoder.layer.0.output.dense.bias"][3] = float("nan")
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError, match=r"damaged: NaN or infinity in encoder\.layer\.0\.output\.dense\.bias$"):
        encode(folder, TEXTS)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_broken_file_is_refused_in_one_line(folder: Path, file: str) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:50])
    with pytest.raises(UserError, match=r"^[^\n]*: BERT cannot be read: [^\n]+$"):
        encode(folder, TEXTS)


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(UserError, match=r"BERT cannot be read|BERT is incomplete"):
        encode(folder, TEXTS)


def test_a_missing_package_is_reported_with_the_install_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        UserError, match=r"package transformers is not installed: .*pip install 'retbench-datasets\[crossmodal\]'"
    ):
        encode(folder, TEXTS)
