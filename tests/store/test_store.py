"""Artifacts are read as they were stored, or not at all."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from retbench.canon import digest
from retbench.errors import ArtifactCorrupt, ArtifactMissing
from retbench.store import Artifact, Store
from retbench.store.store import MAP_THRESHOLD

KEY = digest("some step")
OTHER = digest("another step")
FILES = ("tensors.safetensors", "summary.json", "meta.json")
DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int8,
    torch.uint8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.bool,
)
READS: dict[str, Callable[[Store, str], Any]] = {
    "get": Store.get,
    "check": Store.check,
    "summary": Store.summary,
    "meta": Store.meta,
}


def make_artifact(key: str = KEY, value: float = 1.0) -> Artifact:
    tensors = {"codes": torch.tensor([[1, -1]], dtype=torch.int8), "images": torch.full((2, 3), value)}
    return Artifact(key, tensors, {"map": 0.25, "queries": 10}, {"seconds": 0.5, "recipe": {"stage": "fit"}})


def folder(store: Store, key: str = KEY) -> Path:
    return store.root / "objects" / key[:2] / key


def assert_same(got: Artifact, expected: Artifact) -> None:
    assert got.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert got.tensors[name].dtype == tensor.dtype
        assert torch.equal(got.tensors[name], tensor)
    assert got.summary == expected.summary
    assert {name: got.meta[name] for name in expected.meta} == expected.meta


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4), (0, 3), (5, 0), (), (1,)])
def test_tensors_of_every_dtype_and_shape_are_read_back(
    store: Store, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    tensor = (torch.arange(60).reshape(-1)[: torch.Size(shape).numel()].reshape(shape) - 3).to(dtype)
    artifact = Artifact(KEY, {"deep/name.weight": tensor})
    store.put(artifact)
    assert_same(store.get(KEY), artifact)


def test_special_float_values_are_read_back(store: Store) -> None:
    tensor = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])
    store.put(Artifact(KEY, {"radii": tensor}))
    assert torch.equal(store.get(KEY).tensors["radii"].view(torch.int32), tensor.view(torch.int32))


@pytest.mark.parametrize(
    "state",
    [
        {"view": torch.arange(12.0).reshape(3, 4)[:, ::2]},
        {"image": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)},
        {"expanded": torch.ones(1, 3).expand(4, 3)},
        {"parameter": torch.nn.Parameter(torch.ones(2))},
        dict.fromkeys(("tied", "weights"), torch.arange(6.0)),
        dict(zip("ab", torch.arange(8.0).unfold(0, 6, 2), strict=True)),
    ],
    ids=lambda state: "-".join(state),
)
def test_views_and_shared_memory_are_read_back(store: Store, state: dict[str, Tensor]) -> None:
    store.put(Artifact(KEY, state))
    assert_same(store.get(KEY), Artifact(KEY, state))


def test_modifying_a_read_tensor_does_not_change_the_store(store: Store) -> None:
    store.put(make_artifact())
    store.get(KEY).tensors["images"].zero_()
    assert_same(store.get(KEY), make_artifact())


def test_an_empty_artifact_is_stored(store: Store) -> None:
    store.put(Artifact(KEY))
    assert store.has(KEY)
    assert_same(store.get(KEY), Artifact(KEY))


def test_summary_and_meta_are_read_back_as_json(store: Store) -> None:
    summary = {"map": 0.1 + 0.2, "list": [1, None, True], "ünï": {"b": 1, "a": "x"}, "tiny": 5e-324}
    store.put(Artifact(KEY, {}, summary, {"recipe": summary, "seconds": 1e-7}))
    assert store.summary(KEY) == summary
    assert store.meta(KEY)["recipe"] == summary
    assert store.get(KEY).summary == summary


@pytest.mark.parametrize("part", ["summary", "meta"])
@pytest.mark.parametrize("value", [{"map": float("nan")}, {"map": torch.ones(1)}, {1: "one"}])
def test_a_summary_or_meta_that_is_not_json_raises_before_anything_is_written(
    store: Store, part: str, value: Any
) -> None:
    invalid: dict[str, Any] = {part: value}
    with pytest.raises((TypeError, ValueError), match="JSON"):
        store.put(Artifact(KEY, **invalid))
    assert not store.has(KEY)


def test_reading_a_missing_artifact_raises(store: Store) -> None:
    assert not store.has(KEY)
    assert store.keys() == set()
    assert store.size(KEY) == 0
    for read in READS.values():
        with pytest.raises(ArtifactMissing, match=rf"store .*: no artifact {KEY[:12]}"):
            read(store, KEY)
    store.discard(KEY)


def test_keys_and_sizes_match_the_stored_artifacts(store: Store) -> None:
    sizes = {key: store.put(make_artifact(key)) for key in (KEY, OTHER)}
    assert store.keys() == {KEY, OTHER}
    for key, size in sizes.items():
        assert store.size(key) == size + (folder(store, key) / "meta.json").stat().st_size
    store.discard(KEY)
    assert store.keys() == {OTHER}
    assert not store.has(KEY)
    assert os.listdir(store.root / "tmp") == []


def test_the_first_of_two_artifacts_with_the_same_key_is_kept(store: Store) -> None:
    store.put(make_artifact(value=1.0))
    store.put(make_artifact(value=2.0))
    assert_same(store.get(KEY), make_artifact(value=1.0))
    assert os.listdir(store.root / "tmp") == []


@given(file=st.sampled_from(FILES), position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_is_detected(store: Store, file: str, position: float, bit: int) -> None:
    store.put(make_artifact())
    path = folder(store) / file
    content = path.read_bytes()
    broken = bytearray(content)
    broken[int(position * len(content))] ^= 1 << bit
    path.write_bytes(broken)
    read_by = {"tensors.safetensors": ("get", "check"), "summary.json": ("get", "check", "summary"), "meta.json": READS}
    for name in read_by[file]:
        with pytest.raises(ArtifactCorrupt, match=rf"store .*: {KEY[:12]}: [a-z]+\.(json|safetensors)"):
            READS[name](store, KEY)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"null", b"{}", b'{"self": 1}', b"{", b"\xff", b'{"a": NaN, "self": 1}']
)
def test_an_invalid_meta_is_corrupt(store: Store, content: bytes) -> None:
    store.put(make_artifact())
    (folder(store) / "meta.json").write_bytes(content)
    for read in READS.values():
        with pytest.raises(ArtifactCorrupt, match=r"meta\.json"):
            read(store, KEY)


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_detected(store: Store, file: str) -> None:
    store.put(make_artifact())
    path = folder(store) / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactCorrupt, match=file):
        store.check(KEY)


@pytest.mark.parametrize("file", FILES[:2])
def test_an_artifact_with_a_missing_file_is_corrupt_and_can_be_stored_again(store: Store, file: str) -> None:
    store.put(make_artifact())
    (folder(store) / file).unlink()
    with pytest.raises(ArtifactCorrupt, match=rf"{KEY[:12]}: {file} is missing"):
        store.check(KEY)
    with pytest.raises(ArtifactCorrupt, match=f"{file} is missing"):
        store.get(KEY)
    store.discard(KEY)
    store.put(make_artifact())
    assert_same(store.get(KEY), make_artifact())


def test_an_artifact_without_a_meta_can_be_stored_again(store: Store) -> None:
    store.put(make_artifact())
    (folder(store) / "meta.json").unlink()
    assert not store.has(KEY)
    store.put(make_artifact())
    assert_same(store.get(KEY), make_artifact())


def test_the_bytes_of_another_artifact_are_detected(store: Store) -> None:
    store.put(make_artifact(KEY, 1.0))
    store.put(make_artifact(OTHER, 2.0))
    (folder(store, KEY) / FILES[0]).write_bytes((folder(store, OTHER) / FILES[0]).read_bytes())
    with pytest.raises(ArtifactCorrupt, match="does not match its digest"):
        store.get(KEY)


def test_folders_of_others_among_the_artifacts_are_not_those_of_the_store(store: Store) -> None:
    store.put(make_artifact())
    (store.root / "objects" / "notes" / "mine").mkdir(parents=True)
    assert store.keys() == {KEY}


def test_checkpoints_of_unfinished_fits_are_listed_with_their_size_and_removed_by_key(store: Store) -> None:
    assert store.unfinished_fits() == {}
    for key in (KEY, OTHER):
        (store.root / "work" / key / "states").mkdir(parents=True)
        (store.root / "work" / key / "states" / "epoch-1").write_bytes(b"weights")
    assert store.unfinished_fits() == {KEY: 7, OTHER: 7}
    store.remove_checkpoints([OTHER])
    assert store.unfinished_fits() == {KEY: 7}


def test_timings_are_read_back_in_order(store: Store) -> None:
    assert store.timings() == []
    timings = [{"stage": "fit", "seconds": float(number)} for number in range(3)]
    for timing in timings:
        store.append_timing(timing)
    assert store.timings() == timings


@pytest.mark.parametrize("cut", [1, 2, 15, 27])
def test_a_truncated_timing_does_not_affect_others(store: Store, cut: int) -> None:
    store.append_timing({"seconds": 1.0})
    store.append_timing({"a": {"b": 1}, "seconds": 2.0})
    ledger = store.root / "timings.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-cut])
    store.append_timing({"seconds": 3.0})
    second = [] if cut > 1 else [{"a": {"b": 1}, "seconds": 2.0}]
    assert store.timings() == [{"seconds": 1.0}, *second, {"seconds": 3.0}]


def test_an_invalid_line_of_the_timings_is_ignored(store: Store) -> None:
    store.append_timing({"seconds": 1.0})
    with open(store.root / "timings.jsonl", "ab") as ledger:
        ledger.write(b'{"seconds"}\n12\n\n\xff\n')
    store.append_timing({"seconds": 2.0})
    assert store.timings() == [{"seconds": 1.0}, {"seconds": 2.0}]


def test_stored_bytes_do_not_depend_on_the_order_of_names(store: Store, tmp_path: Path) -> None:
    other, artifact = Store(tmp_path / "other"), make_artifact()
    store.put(artifact)
    time.sleep(0.01)
    backwards = dict(reversed(list(artifact.tensors.items())))
    other.put(Artifact(KEY, backwards, dict(reversed(list(artifact.summary.items()))), artifact.meta))
    for file in FILES:
        assert (folder(store) / file).read_bytes() == (folder(other) / file).read_bytes()
    assert json.loads((folder(store) / "meta.json").read_bytes())["payload"].keys() == set(FILES[:2])


def test_large_tensors_are_mapped_and_modifying_them_does_not_change_the_store(store: Store) -> None:
    store.put(Artifact("ab" * 32, {"a": torch.zeros(MAP_THRESHOLD // 4)}, {}, {}))
    mapped = store.get("ab" * 32).tensors["a"]
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert "tensors.safetensors" in maps.read_text()
    mapped.fill_(1.0)
    assert not store.get("ab" * 32).tensors["a"].any()


def test_small_tensors_are_read_into_memory(store: Store) -> None:
    store.put(Artifact("cd" * 32, {"a": torch.zeros(MAP_THRESHOLD // 4 - 1000)}, {}, {}))
    read = store.get("cd" * 32).tensors["a"]
    (folder(store, "cd" * 32) / FILES[0]).write_bytes(b"")
    assert not read.any()
