"""BERT features of texts, from a folder of published weights; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retbench import UserError
from retbench_datasets.editions.edition import format_steps
from retbench_datasets.extras import load_extra

MODEL = "bert-large-uncased"
"""The model with 1024 numbers per text."""
MAX_TOKENS = 512
"""Number of tokens of a text that are read, the two special ones included."""
UNUSED = "pooler."
"""Beginning of the names of a layer that the features do not use, and that some files leave out."""
HEADS = ("cls.predictions.", "cls.seq_relationship.")
"""Beginnings of the names of the layers for pre-training, which published files contain."""
POSITIONS = "embeddings.position_ids"
"""End of the name of a constant in files of old versions."""
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt")
"""Either file holds the vocabulary."""


def bert_steps(folder: Path) -> tuple[str, ...]:
    """Return the instructions to get BERT into the folder."""
    return (
        "install the packages with `pip install 'retbench-datasets[crossmodal]'`",
        f"download BERT-large (license: Apache 2.0) with `hf download google-bert/{MODEL} config.json "
        f"tokenizer_config.json tokenizer.json vocab.txt model.safetensors --local-dir {folder}`",
    )


def bert_missing(folder: Path) -> str | None:
    """Return the BERT files that the folder lacks and the exact steps to get them, or None."""
    missing = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):
        missing.append(" or ".join(VOCABULARY_FILES))
    if not missing:
        return None
    return f"{folder}: missing: {', '.join(missing)}. To get it: {format_steps(bert_steps(folder))}"


def encode_texts(texts: Sequence[str], folder: Path, batch_size: int = 32) -> Iterator[NDArray[np.float32]]:
    """Yield float32 (B, width), the features of one batch of texts after the other; width is 1024 for BERT-large.

    A feature is the mean of the last hidden layer over the tokens of the text, without padding, with the special tokens
    [CLS] and [SEP]. It is not normalized. Texts longer than 512 tokens are cut. An empty text, or one of spaces, gives
    an all-zero row. No texts give no batch. Runs on a GPU if there is one, always in float32: a row is the same to
    about 1e-5 in a batch of another size or on another device.

    Source: Devlin et al. 2019 for the model. The code of TA-DCH names "a pre-trained BERT" of 1024 numbers, but neither
    its pooling nor its case; both are choices of this package.

    Args:
        texts: one per row.
        folder: weights and vocabulary as `transformers` saves them; never downloaded, never unpickled.
        batch_size: texts per batch.

    Raises:
        UserError: the folder lacks a file or holds an incomplete BERT, or `transformers` is not installed.
    """
    if (problem := bert_missing(folder)) is not None:
        raise UserError(problem)
    tokenizer, model = _load_bert(folder)
    for start in range(0, len(texts), batch_size):
        yield _encode_batch(texts[start : start + batch_size], tokenizer, model)


def _load_bert(folder: Path) -> tuple[Any, Any]:
    transformers = load_extra("transformers", str(folder))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, loading = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # config, vocabulary and weights raise exceptions of several packages
        raise UserError(f"{folder}: BERT cannot be read: {' '.join(str(error).split())}") from error
    _check_weights(model, loading, folder / "model.safetensors")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return tokenizer, model.float().to(device).eval()


def _check_weights(model: Any, loading: dict[str, Any], path: Path) -> None:
    """Raise UserError unless the file held exactly the weights of the model, all of them finite.

    transformers fills missing tensors with random numbers, and leaves others out with a note at most.
    """
    problems = (
        ("is incomplete: missing", [name for name in loading["missing_keys"] if not name.startswith(UNUSED)]),
        ("has another shape:", [str(name) for name, *_ in loading.get("mismatched_keys", ())]),
        ("is another network: unexpected", [name for name in loading["unexpected_keys"] if not _is_known(name)]),
        ("is damaged: NaN or infinity in", [name for name, value in model.state_dict().items() if not _finite(value)]),
    )
    for problem, names in problems:
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{path}: BERT {problem} {min(names)}{more}")


def _is_known(name: str) -> bool:
    return name.startswith((UNUSED, *HEADS)) or name.endswith(POSITIONS)


def _finite(values: Tensor) -> bool:
    return not values.is_floating_point() or bool(values.isfinite().all())


@torch.inference_mode()
def _encode_batch(texts: Sequence[str], tokenizer: Any, model: Any) -> NDArray[np.float32]:
    features = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    rows = [row for row, text in enumerate(texts) if text.strip()]
    if rows:
        max_length = min(MAX_TOKENS, model.config.max_position_embeddings)
        written = [texts[row] for row in rows]
        tokens = tokenizer(written, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        tokens = tokens.to(model.device)
        features[rows] = _average_tokens(model(**tokens).last_hidden_state, tokens["attention_mask"]).cpu().numpy()
    return features


def _average_tokens(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return (B, width), the mean of (B, tokens, width) over the tokens where the mask (B, tokens) is 1."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
