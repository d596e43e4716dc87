"""Texts encoded as vectors on disk, and the continuation of an interrupted run."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.editions import text_encoding
from retbench_datasets.editions.bert import encode_texts
from retbench_datasets.editions.text_encoding import encode_into

from retbench import UserError

TEXTS = [f"a {'dog' if row % 3 else 'cat'} {'runs' if row % 2 else 'sleeps'} {'. ' * (row % 7)}" for row in range(70)]
TEXTS[11] = ""


def run_to_end(encoding: Generator[str, None, np.ndarray]) -> tuple[list[str], np.ndarray]:
    lines = []
    while True:
        try:
            lines.append(next(encoding))
        except StopIteration as end:
            return lines, end.value


def test_a_row_is_the_encoded_text(bert: Path, tmp_path: Path) -> None:
    lines, texts = run_to_end(encode_into(tmp_path, TEXTS, 32))
    assert lines == []
    assert isinstance(texts, np.memmap)
    assert texts.dtype == np.float32
    assert np.array_equal(texts, np.concatenate(list(encode_texts(TEXTS, bert))))
    assert not texts[11].any()


def test_an_interrupted_encoding_is_continued(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoding, "PROGRESS_STEP", 32)
    whole = np.array(run_to_end(encode_into(tmp_path, TEXTS, 32))[1])
    (path,) = tmp_path.glob("texts-*.f32")
    path.unlink()
    first = encode_into(tmp_path, TEXTS, 32)
    assert next(first) == f"{path}: 32 of 70 texts encoded"
    first.close()
    with path.open("ab") as stream:
        stream.write(b"half of a row")
    lines, texts = run_to_end(encode_into(tmp_path, TEXTS, 32))
    assert lines == [f"{path}: 32 of 70 texts were encoded before", f"{path}: 64 of 70 texts encoded"]
    np.testing.assert_allclose(texts, whole, atol=1e-5)
    assert run_to_end(encode_into(tmp_path, TEXTS, 32))[0] == [f"{path}: 70 of 70 texts were encoded before"]


def test_other_texts_or_another_network_start_again(bert: Path, tmp_path: Path) -> None:
    run_to_end(encode_into(tmp_path, TEXTS[:2], 32))
    assert run_to_end(encode_into(tmp_path, TEXTS[1:3], 32))[0] == []
    (bert / "config.json").write_bytes((bert / "config.json").read_bytes() + b"\n")
    assert run_to_end(encode_into(tmp_path, TEXTS[:2], 32))[0] == []
    assert len([*tmp_path.glob("texts-*.f32")]) == 3


def test_no_texts_give_no_rows(bert: Path, tmp_path: Path) -> None:
    assert run_to_end(encode_into(tmp_path, [], 32))[1].shape == (0, 32)


def test_vectors_of_another_length_are_refused(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"wrong network: got vectors of length 32, expected 1024"):
        run_to_end(encode_into(tmp_path, TEXTS, 1024))


def test_a_missing_network_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(UserError, match=r"bert-large-uncased: missing: config.json, model.safetensors"):
        run_to_end(encode_into(tmp_path, TEXTS, 32))
