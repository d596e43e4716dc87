"""Texts as BERT features, from a folder of published weights; nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retbench import UserError
from retbench_datasets.extras import load_extra

MODEL = "bert-large-uncased"
"""The model of 1024 numbers a text."""
MOST_TOKENS = 512
"""Tokens of a text that are read, the two special ones included."""
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt")
"""Either holds the words."""


def bert_missing(folder: Path) -> str | None:
    """Returns which files of BERT are not in the folder and the exact steps to get them, or None."""
    lost = [name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):
        lost.append(" or ".join(VOCABULARY_FILES))
    if not lost:
        return None
    return (
        f"{folder}: not there: {', '.join(lost)}. To get it: (1) pip install 'retbench-datasets[crossmodal]', which "
        f"brings `hf`; (2) download google-bert/{MODEL} from Hugging Face: `hf download google-bert/{MODEL} "
        f"config.json tokenizer_config.json tokenizer.json vocab.txt model.safetensors --local-dir {folder}`. License: "
        "Apache 2.0."
    )


def encode_texts(texts: Sequence[str], folder: Path, batch: int = 32) -> Iterator[NDArray[np.float32]]:
    """Yields float32 (B, width) for `batch` texts after the other, in order; width is 1024 for BERT-large.

    A feature is the mean of the last hidden layer over the text's tokens, padding left out; the special tokens [CLS]
    and [SEP] are tokens and count. It is not scaled. Texts longer than 512 tokens are cut. An empty text, or one of
    spaces, is an all-zero row. No text gives nothing. On a GPU where there is one, always in float32: a row is the same
    to about 1e-5 in a batch of another size or on another device.

    Source: Devlin et al. 2019 for the model. The code of TA-DCH names "a pre-trained BERT" of 1024 numbers and neither
    pooling nor case; these are this package's choice.

    Args:
        texts: one a row.
        folder: weights and words as `transformers` saves them; never fetched, never pickled.
        batch: texts at once.

    Raises:
        UserError: the folder lacks a file or holds no whole BERT, or `transformers` is not installed.
    """
    if (problem := bert_missing(folder)) is not None:
        raise UserError(problem)
    tokenizer, model = _load(folder)
    for start in range(0, len(texts), batch):
        yield _encode(texts[start : start + batch], tokenizer, model)


def _load(folder: Path) -> tuple[Any, Any]:
    transformers = load_extra("transformers", str(folder))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, loading = transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # config, words and weights each have exceptions of their own, some of other packages
        raise UserError(f"{folder}: BERT cannot be read: {' '.join(str(error).split())}") from error
    # What a file lacks would silently be random; the pooler is not used here, and some files leave it out.
    if lost := sorted(name for name in loading["missing_keys"] if not name.startswith("pooler.")):
        raise UserError(
            f"{folder / 'model.safetensors'}: it is not all of BERT: {len(lost)} tensors lack, first {lost[0]}"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return tokenizer, model.float().to(device).eval()


@torch.inference_mode()
def _encode(texts: Sequence[str], tokenizer: Any, model: Any) -> NDArray[np.float32]:
    features = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    rows = [row for row, text in enumerate(texts) if text.strip()]
    if rows:
        longest = min(MOST_TOKENS, model.config.max_position_embeddings)
        written = [texts[row] for row in rows]
        tokens = tokenizer(written, padding=True, truncation=True, max_length=longest, return_tensors="pt")
        tokens = tokens.to(model.device)
        features[rows] = _mean(model(**tokens).last_hidden_state, tokens["attention_mask"]).cpu().numpy()
    return features


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Returns (B, width): the mean over the tokens that the mask marks, of (B, tokens, width) and (B, tokens)."""
    marked = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * marked).sum(dim=1) / marked.sum(dim=1)
