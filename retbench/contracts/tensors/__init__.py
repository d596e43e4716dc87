"""The tensors that components hand to the core: checked, and those of datasets copied."""

from retbench.contracts.tensors.reading import (
    read_ids,
    read_image_files,
    read_images,
    read_labels,
    read_texts,
    unit_images,
)
from retbench.contracts.tensors.returned import check_shape, check_tensor, contract_breach, describe_component

__all__ = [
    "check_shape",
    "check_tensor",
    "contract_breach",
    "describe_component",
    "read_ids",
    "read_image_files",
    "read_images",
    "read_labels",
    "read_texts",
    "unit_images",
]
