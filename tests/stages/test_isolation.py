"""Components that change what they are given, in place or through torch's settings, are found in every stage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from torch import Tensor, nn

from retbench.contracts import Batch, Component, Context, Facts, Hasher, Knowledge, Noise, Part, State, TrainingData
from retbench.errors import ContractBreach
from retbench.execute import FailureKind, LocalExecutor
from retbench.plan import Plan
from retbench.stages.isolation import isolate, weighted_sum
from retbench.testing import check_component
from retbench.testing.toys import (
    ToyAttack,
    ToyCached,
    ToyHardening,
    ToyHasher,
    ToyNetwork,
    ToyPart,
    ToyPurifier,
)

Planner = Callable[..., Plan]
Edit = Callable[[Tensor], object]


def add(tensor: Tensor) -> None:
    with torch.no_grad():
        tensor.add_(1)


def add_to_data(tensor: Tensor) -> None:
    tensor.data.add_(1)


def add_through_numpy(tensor: Tensor) -> None:
    array = tensor.detach().numpy()
    array += 1


def flip(tensor: Tensor) -> None:
    with torch.no_grad():
        tensor.copy_(tensor.flip(0).clone())


def find_breach(run: Callable[[], object], inputs: dict[str, Any]) -> str | None:
    """Return the breach of a component that runs this with these inputs, or None."""
    try:
        with isolate(ToyAttack(), inputs):
            run()
    except ContractBreach as error:
        return str(error)
    return None


EDITS: list[Edit] = [add, add_to_data, add_through_numpy, flip]


CHANNELS_LAST = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(
    "tensor",
    [torch.arange(6.0).reshape(2, 3), torch.arange(6).to(torch.uint8), CHANNELS_LAST],
    ids=["float", "uint8", "channels last"],
)
def test_a_changed_tensor_is_named(tensor: Tensor, edit: Edit) -> None:
    inputs = {"batch.images": torch.ones(2), "batch.labels": tensor.clone()}
    problem = r"attack toy \(package retbench\): it changed batch.labels in place"
    with pytest.raises(ContractBreach, match=problem), isolate(ToyAttack(), inputs):
        edit(inputs["batch.labels"])


def change_parameter(module: nn.Module) -> None:
    next(module.parameters()).data.zero_()


def change_buffer(module: nn.Module) -> None:
    module.get_buffer("running_mean").add_(1)


def replace_parameter(module: nn.Module) -> None:
    module.register_parameter("weight", nn.Parameter(torch.full((3,), 2.0), requires_grad=False))


def train(module: nn.Module) -> None:
    module.train()


def thaw(module: nn.Module) -> None:
    module.requires_grad_(True)


@pytest.mark.parametrize("edit", [change_parameter, change_buffer, replace_parameter, train, thaw])
def test_a_changed_network_is_named(edit: Callable[[nn.Module], None]) -> None:
    network = nn.BatchNorm2d(3).eval().requires_grad_(False)
    problem = "it changed its own networks in place"
    with pytest.raises(ContractBreach, match=problem), isolate(ToyPurifier(), {"its own networks": network}):
        edit(network)


@given(st.lists(st.floats(width=32), max_size=20), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_unchanged_inputs_pass_whatever_their_bits_are(values: list[float], dtype: torch.dtype) -> None:
    tensor = torch.tensor(values, dtype=dtype)
    inputs = {"tensor": tensor, "state": {"a": tensor}, "nothing": None}
    assert find_breach(tensor.sum, inputs) is None
    if len(values):
        assert find_breach(lambda: tensor.fill_(0.5 if tensor[0] != 0.5 else 0.25), inputs) is not None


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8), st.data())
def test_any_single_changed_element_is_found(values: list[int], data: st.DataObject) -> None:
    tensor = torch.tensor(values)
    index, change = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(1, 9))
    with pytest.raises(ContractBreach, match="it changed codes in place"), isolate(ToyAttack(), {"codes": tensor}):
        tensor[index] += change


def set_cudnn(name: str, value: bool) -> None:
    setattr(torch.backends.cudnn, name, value)


def flip_tf32() -> None:
    set_cudnn("allow_tf32", not torch.backends.cudnn.allow_tf32)


def read_denormal() -> bool:
    return float(torch.full((), 2.0**-127) * 1.0) > 0


SETTINGS: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
    ("default dtype", torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    ("gradient mode", torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    ("number of threads", torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    (
        "deterministic mode",
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled()),
    ),
    ("default device", torch.get_default_device, lambda: torch.set_default_device("meta")),
    (
        "deterministic mode",
        torch.is_deterministic_algorithms_warn_only_enabled,
        lambda: torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled(), warn_only=True),
    ),
    ("matmul precision", torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
    ("autocast", lambda: torch.is_autocast_enabled("cpu"), lambda: torch.autocast("cpu").__enter__()),
    ("autocast", lambda: torch.get_autocast_dtype("cpu"), lambda: torch.set_autocast_dtype("cpu", torch.float16)),
    ("anomaly detection", torch.is_anomaly_enabled, lambda: torch.autograd.set_detect_anomaly(True)),
    ("settings of cuDNN", lambda: torch.backends.cudnn.benchmark, lambda: set_cudnn("benchmark", True)),
    ("settings of cuDNN", lambda: torch.backends.cudnn.allow_tf32, flip_tf32),
    ("treatment of denormal numbers", read_denormal, lambda: torch.set_flush_denormal(True)),
]


@pytest.mark.parametrize(("name", "read", "change"), SETTINGS, ids=[name for name, *_ in SETTINGS])
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_a_changed_setting_is_restored_and_named(
    name: str, read: Callable[[], object], change: Callable[[], object]
) -> None:
    before = read()
    with pytest.raises(ContractBreach, match=f"it changed torch's {name}"), isolate(ToyAttack(), {}):
        change()
    assert read() == before


def test_a_changed_working_folder_is_restored_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "repository").mkdir()
    problem = "it changed the working folder and did not restore it"
    with pytest.raises(ContractBreach, match=problem), isolate(ToyAttack(), {}):
        os.chdir("repository")
    assert Path.cwd() == tmp_path


def test_an_open_autocast_block_leaves_no_weights_of_its_own_behind() -> None:
    """Such a block keeps copies of weights in low precision, so that the next network would not see its training."""
    layer, images = nn.Linear(4, 4, bias=False), torch.ones(1, 4)
    with pytest.raises(ContractBreach, match="it changed torch's autocast"), isolate(ToyAttack(), {}):
        torch.autocast("cpu", dtype=torch.bfloat16).__enter__()
    for factor in (1.0, 2.0):
        with torch.no_grad():
            layer.weight.fill_(factor)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(images).tolist() == [[4 * factor] * 4]


def test_settings_that_the_component_restores_are_no_breach() -> None:
    def change_and_restore() -> None:
        with torch.no_grad(), torch.autocast("cpu"), torch.autograd.set_detect_anomaly(False):
            torch.set_default_dtype(torch.float64)
            torch.set_default_dtype(torch.float32)

    assert find_breach(change_and_restore, {}) is None


def test_settings_are_restored_after_an_exception() -> None:
    def fail() -> None:
        torch.set_default_dtype(torch.float64)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"), isolate(ToyAttack(), {}):
        fail()
    assert torch.get_default_dtype() == torch.float32


class EditingAttack(ToyAttack):
    """Edits one of its inputs, then returns the edited images: without a check, inside its ball."""

    name: ClassVar[str] = "editing"
    learns: ClassVar[bool] = True
    field: str = Field("images", description="what it edits")

    def fit(self, knowledge: Knowledge, ctx: Context) -> State:
        if self.field == "network in fit":
            add_to_data(next(knowledge.network.parameters()))
        return {}

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        if self.field == "codes":
            add(knowledge.grants["database_codes"])
        elif self.field == "network":
            add(next(knowledge.network.parameters()))
        elif self.field != "network in fit":
            tensor = getattr(batch, self.field)
            add_through_numpy(tensor) if self.field == "labels" else tensor.data.copy_(0 * tensor)
        return batch.images.clone()


class EditingPurifier(ToyPurifier):
    """Edits the images that it purifies, or its own networks."""

    name: ClassVar[str] = "editing"
    field: str = Field("images", description="what it edits")

    def module(self, state: State, device: torch.device) -> nn.Module:
        return nn.BatchNorm2d(3).eval().requires_grad_(False)

    def purify(self, images: Tensor, module: nn.Module, noise: Noise) -> Tensor:
        if self.field == "images":
            images.data.mul_(0.5)
        else:
            module.get_buffer("running_mean").add_(1)
        return images.clone()


class EditingNetwork(ToyNetwork):
    """Edits the images that it encodes."""

    def image(self, images: Tensor) -> Tensor:
        if not images.requires_grad:
            images.mul_(0.5)
        return super().image(images)


class CountingNetwork(ToyNetwork):
    """Counts its calls in a buffer."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.register_buffer("calls", torch.zeros(()))

    def image(self, images: Tensor) -> Tensor:
        self.get_buffer("calls").add_(1)
        return super().image(images)


class EditingHasher(ToyHasher):
    """Edits the weights of its part while it is fitted, or the images that it encodes."""

    name: ClassVar[str] = "editing"
    field: str = Field("part", description="what it edits")

    def fit(self, data: TrainingData, ctx: Context) -> State:
        state = super().fit(data, ctx)
        if self.field == "part":
            add(ctx.parts["mean"]["mean"])
        return state

    def network(self, state: State, device: torch.device) -> ToyNetwork:
        networks = {"part": ToyNetwork, "images": EditingNetwork, "buffer": CountingNetwork}
        return networks[self.field](state).to(device)


class EditingHardening(ToyHardening):
    """Edits the weights of the hasher and returns them."""

    name: ClassVar[str] = "editing"

    def fit(self, hasher: Hasher, state: State, data: TrainingData, ctx: Context) -> State:
        add(state["weight"])
        return state


class EditingCached(ToyCached):
    """Edits the stored features that it is trained on."""

    name: ClassVar[str] = "editing"

    def fit(self, data: TrainingData, ctx: Context) -> State:
        state = super().fit(data, ctx)
        add(data.shards[0])
        return state


CASES: list[tuple[dict[str, Any], type[Component], dict[str, Any], str]] = [
    ({"attack": "editing"}, EditingAttack, {"field": "images"}, "batch.images"),
    ({"attack": "editing"}, EditingAttack, {"field": "labels"}, "batch.labels"),
    ({"attack": "editing"}, EditingAttack, {"field": "target_rows"}, "batch.target_rows"),
    ({"attack": "editing"}, EditingAttack, {"field": "codes"}, "knowledge.database_codes"),
    ({"attack": "editing"}, EditingAttack, {"field": "network"}, "the weights of the attacked network"),
    ({"attack": "editing"}, EditingAttack, {"field": "network in fit"}, "the weights of the attacked network"),
    ({"defense": "editing"}, EditingPurifier, {"field": "images"}, "the images"),
    ({"defense": "editing"}, EditingPurifier, {"field": "networks"}, "its own networks"),
    ({"hasher": "editing"}, EditingHasher, {"field": "part"}, "the weights of its part mean"),
    ({"hasher": "editing"}, EditingHasher, {"field": "images"}, "the images"),
    ({"hasher": "editing"}, EditingHasher, {"field": "buffer"}, "its own networks"),
    ({"defense": "editing"}, EditingHardening, {}, "the weights of the hasher"),
    ({"hasher": "editing"}, EditingCached, {}, "the features"),
]
IDS = [f"{component.__name__} {options.get('field', '')}".strip() for _, component, options, _ in CASES]


@pytest.mark.parametrize(("matrix", "component", "options", "changed"), CASES, ids=IDS)
def test_a_component_that_changes_its_inputs_is_invalid(
    toy_plan: Planner,
    executor: LocalExecutor,
    matrix: dict[str, Any],
    component: type[Component],
    options: dict[str, Any],
    changed: str,
) -> None:
    kind = next(iter(matrix))
    plan = toy_plan(matrix, component, components={kind: {"editing": options}})
    failures = list(executor.run(plan).failures.values())
    assert failures
    assert {failure.kind for failure in failures} == {FailureKind.INVALID}
    assert all(
        f"{kind} editing (package tests): it changed {changed} in place" in failure.reason for failure in failures
    )


@pytest.mark.parametrize(("matrix", "component", "options", "changed"), CASES, ids=IDS)
def test_the_contract_suite_finds_it_too(
    matrix: dict[str, Any], component: type[Component], options: dict[str, Any], changed: str
) -> None:
    with pytest.raises(ContractBreach, match=f"it changed {changed} in place"):
        check_component(component.create(options))


class FeaturesNetwork(ToyNetwork):
    """Edits the features that it encodes."""

    def from_features(self, features: Tensor) -> Tensor:
        return (features.div_(2) - self.mean) @ self.weight.T


class EditingFeatures(ToyCached):
    """Edits the stored features that it encodes."""

    name: ClassVar[str] = "editing-features"

    def network(self, state: State, device: torch.device) -> ToyNetwork:
        return FeaturesNetwork(state).to(device)


def test_changed_features_are_named(toy_plan: Planner, executor: LocalExecutor) -> None:
    failures = executor.run(toy_plan({"hasher": "editing-features"}, EditingFeatures)).failures.values()
    problem = "hasher editing-features (package tests): it changed the features in place"
    assert any(problem in failure.reason for failure in failures)


class BuildingAttack(ToyAttack):
    """Changes a setting, or makes noise for queries, while it builds its networks."""

    name: ClassVar[str] = "building"
    seeded: bool = Field(False, description="whether it makes noise")

    def module(self, state: State, device: torch.device) -> nn.Module:
        if self.seeded:
            Noise(0, ("toy-query-0",))
        else:
            torch.set_default_dtype(torch.float64)
        return nn.Module()


class BuildingHasher(ToyHasher):
    """Changes a setting while it builds its network."""

    name: ClassVar[str] = "building"

    def network(self, state: State, device: torch.device) -> ToyNetwork:
        torch.set_flush_denormal(True)
        return super().network(state, device)


class BuildingPurifier(ToyPurifier):
    """Changes a setting while it builds its networks."""

    name: ClassVar[str] = "building"

    def module(self, state: State, device: torch.device) -> nn.Module:
        torch.set_grad_enabled(False)
        return super().module(state, device)


@pytest.mark.parametrize(
    ("kind", "component", "options", "problem"),
    [
        ("attack", BuildingAttack, {}, "it changed torch's default dtype"),
        ("attack", BuildingAttack, {"seeded": True}, "it made its own source of noise for toy-query-0"),
        ("hasher", BuildingHasher, {}, "it changed torch's treatment of denormal numbers"),
        ("defense", BuildingPurifier, {}, "it changed torch's gradient mode"),
    ],
)
def test_networks_are_built_in_isolation_too(
    toy_plan: Planner,
    executor: LocalExecutor,
    kind: str,
    component: type[Component],
    options: dict[str, Any],
    problem: str,
) -> None:
    plan = toy_plan({kind: "building"}, component, components={kind: {"building": options}})
    failures = list(executor.run(plan).failures.values())
    assert failures
    assert {failure.kind for failure in failures} == {FailureKind.INVALID}
    assert all(f"{kind} building (package tests): {problem}" in failure.reason for failure in failures)
    with pytest.raises(ContractBreach, match=problem):
        check_component(component.create(options))


class SeededPart(ToyPart):
    """Learns the random numbers of a purifier."""

    name: ClassVar[str] = "seeded-part"

    def fit(self, inputs: TrainingData, ctx: Context) -> State:
        return {"noise": Noise(0, tuple(inputs.dataset.ids("query"))).normal("jitter", (2,))}


class PartAttack(ToyAttack):
    """Owns a part that learns the random numbers of a purifier."""

    name: ClassVar[str] = "part"

    def parts(self, facts: Facts) -> dict[str, Part]:
        return {"noise": SeededPart()}


def test_a_part_of_an_attack_cannot_learn_the_noise_of_a_purifier(toy_plan: Planner, executor: LocalExecutor) -> None:
    failures = executor.run(toy_plan({"attack": "part"}, PartAttack)).failures.values()
    problem = "part seeded-part (package tests): it made its own source of noise for toy-query-0"
    assert any(problem in failure.reason for failure in failures)
    with pytest.raises(ContractBreach, match="it made its own source of noise for toy-query-0"):
        check_component(PartAttack())


@given(st.lists(st.floats(width=32), min_size=1, max_size=8), st.data())
def test_the_checksum_of_accelerators_finds_every_changed_bit(values: list[float], data: st.DataObject) -> None:
    tensor = torch.tensor(values)
    index, bit = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, 31))
    changed = tensor.clone()
    changed.view(torch.int32)[index] ^= torch.tensor(1 << bit if bit < 31 else -(1 << 31)).int()
    assert int(weighted_sum(tensor)) == int(weighted_sum(tensor.clone()))
    assert int(weighted_sum(tensor)) != int(weighted_sum(changed))


def test_the_checksum_of_accelerators_depends_on_the_order() -> None:
    long = torch.arange((1 << 20) + 3)  # more than a block
    swapped = long.clone()
    swapped[[0, -1]] = long[[-1, 0]]
    sums = [long, swapped, long.flip(0), long[:-1], long.to(torch.uint8), torch.zeros(0), long.bfloat16()]
    assert len({int(weighted_sum(each)) for each in sums}) == len(sums)


class SelfSeededAttack(ToyAttack):
    """Draws the random numbers of the first purifier, by its seed and the ids of the queries."""

    name: ClassVar[str] = "self-seeded"
    drawn: ClassVar[list[Tensor]] = []

    def perturb(self, knowledge: Knowledge, batch: Batch, module: nn.Module, noise: Noise) -> Tensor:
        self.drawn.append(Noise(0, batch.ids).normal("toy", (3,)))
        return batch.images.clone()


def test_an_attack_cannot_draw_the_noise_of_a_purifier(toy_plan: Planner, executor: LocalExecutor) -> None:
    plan = toy_plan({"attack": "self-seeded", "defense": "toy"}, SelfSeededAttack)
    failures = executor.run(plan).failures.values()
    assert any("it made its own source of noise for toy-query-" in failure.reason for failure in failures)
    with pytest.raises(ContractBreach, match="it made its own source of noise"):
        check_component(SelfSeededAttack())
    assert SelfSeededAttack.drawn == []


@pytest.fixture(autouse=True)
def original_settings() -> Iterator[None]:
    """Fail a test that leaves a setting of torch changed."""
    before = [read() for _, read, _ in SETTINGS]
    yield
    assert [read() for _, read, _ in SETTINGS] == before


@pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC) tensor support is in beta:UserWarning")
@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "complex", "conj"])
def test_buffers_of_every_layout_are_compared(layout: str) -> None:
    dense = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    buffers: dict[str, Tensor] = {
        "coo": dense.to_sparse(),
        "csr": dense.to_sparse_csr(),
        "csc": dense.to_sparse_csc(),
        "complex": dense.to(torch.complex128),
        "conj": dense.to(torch.complex64).conj(),
    }
    module = nn.Module()
    module.register_buffer("graph", buffers[layout])
    assert find_breach(module.state_dict, {"the network": module}) is None
    graph = module.get_buffer("graph")
    values = graph._values() if layout == "coo" else graph.values() if layout in ("csr", "csc") else graph
    assert find_breach(lambda: values.mul_(2), {"the network": module}) is not None
