"""The device, its memory and the precision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from retbench.contracts.context import Precision
from retbench.errors import UserError
from retbench.execute import pick_device, resolve_precision
from retbench.execute.device import environment, exact_float32, free_memory, peak_memory

CPU = torch.device("cpu")


def test_free_memory_of_a_cpu_is_at_most_the_memory_of_the_machine() -> None:
    import os

    free = free_memory(CPU)
    assert free is not None
    assert 0 < free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_free_memory_of_other_devices_is_unknown() -> None:
    assert free_memory(torch.device("meta")) is None


def test_free_memory_in_a_container_is_below_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"memory.max": "5000\n", "memory.current": "1200\n", "memory.stat": "anon 9\ninactive_file 300\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("retbench.execute.device.CONTROL_GROUP", tmp_path)
    assert free_memory(CPU) == 4100
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU) != 4100


def test_a_named_device_is_used() -> None:
    assert pick_device("cpu") == CPU


def test_auto_is_the_accelerator_if_there_is_one() -> None:
    expected = "cpu" if not torch.accelerator.is_available() else torch.accelerator.current_accelerator()
    assert pick_device() == torch.device(expected or "cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x"])
def test_the_error_of_an_unknown_device_lists_the_forms_of_a_device(name: str) -> None:
    with pytest.raises(UserError, match=f"^device: unknown device: got '{name}', expected auto, cpu, cuda or cuda:N$"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cuda:99", "meta", "vulkan"])
def test_an_unusable_device_is_a_user_error(name: str) -> None:
    with pytest.raises(UserError, match=f"^device: not usable on this machine: got '{name}': ") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_named_precision_is_used(precision: Precision) -> None:
    assert resolve_precision(precision, CPU) == precision


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bf16"), (False, "float32")])
def test_auto_precision_is_bf16_if_the_processor_supports_it(
    monkeypatch: pytest.MonkeyPatch, in_hardware: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: in_hardware)
    assert resolve_precision("auto", CPU) == expected


def test_the_environment_is_json_and_names_device_and_versions() -> None:
    recorded = environment(CPU)
    assert json.loads(json.dumps(recorded)) == recorded
    assert recorded["device"] == "cpu"
    assert recorded["torch"] == torch.__version__
    assert recorded["threads"] == torch.get_num_threads()
    assert recorded["cpu_capability"] == torch.backends.cpu.get_cpu_capability() != ""


def test_peak_memory_is_in_bytes() -> None:
    assert 10_000_000 < peak_memory(CPU) < 1 << 40


@pytest.mark.parametrize(("convolutions", "products"), [(True, "highest"), (False, "highest"), (True, "high")])
def test_float32_is_exact_inside_the_block_and_as_before_after_it(convolutions: bool, products: str) -> None:
    def settings() -> tuple[bool, str]:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    default = settings()
    try:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
        with exact_float32():
            assert settings() == (False, "highest")
        assert settings() == (convolutions, products)
    finally:
        torch.backends.cudnn.allow_tf32, precision = default
        torch.set_float32_matmul_precision(precision)
