"""The encoding of texts as vectors on disk: it can take hours, and an interrupted run continues where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retbench import UserError, weights_root
from retbench_datasets.editions.bert import MODEL, bert_missing, encode_texts
from retbench_datasets.formats.file_state import read_file_state

PROGRESS_STEP = 1000
"""Texts between two progress lines."""
ENCODING_REMARK = (
    "texts are the mean of bert-large-uncased's last layer over the tokens: the BERT model and the pooling of the "
    "published texts are not known"
)


def encoder_folder() -> Path:
    """Return the folder of the network that encodes texts."""
    return weights_root() / MODEL


def encode_into(draft: Path, texts: Sequence[str], width: int) -> Generator[str, None, NDArray[np.float32]]:
    """Yield progress lines and return float32 (N, width), mapped from a file in the folder `draft`.

    Texts that an interrupted run encoded are kept if the texts and the files of the network are the same.

    Raises:
        UserError: the network is missing, or its vectors have another length.
    """
    if (problem := bert_missing(encoder_folder())) is not None:
        raise UserError(problem)
    path = draft / f"texts-{_digest(texts)}.f32"
    done = path.stat().st_size // (4 * width) if path.is_file() else 0
    if done:
        yield f"{path}: {done} of {len(texts)} texts were encoded before"
    with path.open("ab") as stream:
        stream.truncate(4 * width * done)
        for batch in encode_texts(texts[done:], encoder_folder()) if done < len(texts) else ():
            if batch.shape[1] != width:
                raise UserError(
                    f"{encoder_folder()}: wrong network: got vectors of length {batch.shape[1]}, expected {width}"
                )
            stream.write(np.ascontiguousarray(batch, dtype=np.float32).tobytes())
            stream.flush()
            done += len(batch)
            if done % PROGRESS_STEP < len(batch):
                yield f"{path}: {done} of {len(texts)} texts encoded"
    if not texts:
        return np.empty((0, width), dtype=np.float32)  # an empty file cannot be mapped
    return np.memmap(path, dtype=np.float32, mode="r", shape=(len(texts), width))


def _digest(texts: Sequence[str]) -> str:
    total = hashlib.sha256("\0".join(texts).encode())
    for path in sorted(encoder_folder().iterdir()):
        total.update(repr(read_file_state(path)).encode())
    return total.hexdigest()[:16]
