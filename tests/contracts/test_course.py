"""Resuming, checkpoints, failures and curves of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from retbench.contracts import Context, Course, Noise
from retbench.contracts import course as course_file
from retbench.contracts.checkpoint import read_checkpoint, write_checkpoint
from retbench.contracts.course import explain_divergence
from retbench.errors import TrainingDiverged

CONTEXT = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoint_every=0.0)
ROWS, BATCH, EPOCHS = 20, 6, 5
BATCHES = 4


class Killed(BaseException):
    """Stands for a killed process; no code catches it."""


class Result(NamedTuple):
    """Weights, modified tensor, curves and progress of a training."""

    weights: dict[str, Tensor]
    memory: Tensor
    curves: dict[str, Any]
    progress: list[tuple[int, int]]

    def equals(self, other: Result) -> bool:
        equal = (torch.equal(weight, other.weights[name]) for name, weight in self.weights.items())
        return all(equal) and torch.equal(self.memory, other.memory) and self.curves == other.curves


class Training:
    """A small training with dropout, batch normalization, a schedule, and a memory of the latest outputs.

    Args:
        folder: the checkpoint folder; None for no checkpoints.
        kill_at: the step at which the training is killed; None for the whole training.
        every: seconds between two checkpoints.
        key: the key of the step.
        width: the units of the hidden layer.
    """

    def __init__(
        self,
        folder: Path | None = None,
        kill_at: int | None = None,
        every: float = 0.0,
        key: str = "",
        width: int = 8,
    ) -> None:
        torch.manual_seed(7)
        self.kill_at = kill_at
        self.network = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.5), nn.Linear(width, 1))
        self.inputs, self.memory = torch.rand(ROWS, 3), torch.zeros(ROWS, 1)
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.schedule = OneCycleLR(self.optimizer, max_lr=0.1, total_steps=EPOCHS * BATCHES)
        self.curves: dict[str, Any] = {}
        self.progress: list[tuple[int, int]] = []
        self.warnings: list[str] = []
        ctx = replace(CONTEXT, checkpoints=folder, checkpoint_every=every, record=self.curves.__setitem__)
        ctx = replace(ctx, key=key, warn=self.warnings.append)
        self.course = Course(
            replace(ctx, progress=lambda done, total: self.progress.append((done, total))),
            {"network": self.network, "optimizer": self.optimizer, "schedule": self.schedule},
            {"memory": self.memory},
        )

    def step(self, rows: Tensor) -> Tensor:
        if self.course.step == self.kill_at:
            raise Killed
        outputs = self.network(self.inputs[rows])
        self.memory[rows] = outputs.detach()
        loss = (outputs - self.memory.mean() - torch.rand(()) - self.course.step).square().mean()
        value = self.course.descend(self.optimizer, loss)
        self.schedule.step()
        self.course.advance(EPOCHS * BATCHES)
        return value

    def run_epochs(self) -> Result:
        for epoch in range(self.course.epoch, EPOCHS):
            losses = [self.step(rows) for rows in self.course.shuffle(ROWS).tensor_split(BATCHES)]
            self.course.log("epoch", float(epoch))
            self.course.close_epoch({"loss": float(torch.stack(losses).mean())})
        return self.result()

    def run_steps(self) -> Result:
        for _ in range(self.course.step, EPOCHS * BATCHES):
            self.course.log("loss", float(self.step(self.course.shuffle(ROWS)[:BATCH])))
            self.course.save_if_due()
        return self.result()

    def result(self) -> Result:
        self.course.record()
        return Result(self.network.state_dict(), self.memory, self.curves, self.progress)


def test_a_training_in_epochs_killed_twice_resumes_bit_for_bit(tmp_path: Path) -> None:
    complete = Training().run_epochs()
    for kill_at in (2 * BATCHES + 1, 4 * BATCHES + 3):
        with pytest.raises(Killed):
            Training(tmp_path, kill_at).run_epochs()
        torch.rand(5)
    resumed = Training(tmp_path).run_epochs()
    assert resumed.equals(complete)
    assert resumed.progress == complete.progress[4 * BATCHES :]
    assert complete.progress == [(step + 1, EPOCHS * BATCHES) for step in range(EPOCHS * BATCHES)]


def test_a_killed_training_in_steps_resumes_bit_for_bit_after_its_last_step(tmp_path: Path) -> None:
    complete = Training().run_steps()
    with pytest.raises(Killed):
        Training(tmp_path, kill_at=13).run_steps()
    resumed = Training(tmp_path).run_steps()
    assert resumed.equals(complete)
    assert resumed.progress == complete.progress[13:]


def test_a_finished_training_resumes_without_another_step(tmp_path: Path) -> None:
    complete = Training(tmp_path).run_epochs()
    again = Training(tmp_path).run_epochs()
    assert again.equals(complete)
    assert again.progress == []


def test_resuming_restores_position_tensors_curves_and_generators(tmp_path: Path) -> None:
    first = Training(tmp_path)
    first.course.shuffle(10)
    first.memory[1] = 5.0
    torch.rand(7)
    first.course.advance(8)
    first.course.close_epoch({"loss": 1.5, "penalty": 0.5})
    expected = first.course.shuffle(10), torch.rand(3)

    second = Training(tmp_path)
    assert (second.course.step, second.course.epoch) == (1, 1)
    assert second.course.curves == {"loss": [1.5], "penalty": [0.5]}
    assert second.memory[1] == 5.0
    assert torch.equal(second.course.shuffle(10), expected[0])
    assert torch.equal(torch.rand(3), expected[1])


def test_a_new_training_starts_at_step_0() -> None:
    course = Training().course
    assert (course.step, course.epoch, course.curves) == (0, 0, {})


def test_a_checkpoint_loads_with_weights_only_and_leaves_no_partial_file(tmp_path: Path) -> None:
    Training(tmp_path).run_epochs()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["training.previous.pt", "training.pt"]
    saved = read_checkpoint(tmp_path / "training.pt", "")
    assert saved["moving"].keys() == {"network", "optimizer", "schedule"}
    assert len(saved["curves"]["loss"]) == EPOCHS


@pytest.mark.parametrize(
    ("times", "saved_epochs"),
    [([30.0, 59.0, 61.0, 61.0, 100.0, 120.9], [0, 0, 3, 3, 3]), ([60.0, 60.0, 119.0, 120.0, 120.0], [1, 1, 3])],
    ids=["short epochs", "epochs as long as the interval"],
)
def test_a_checkpoint_is_saved_when_the_last_one_is_old_enough(
    times: list[float], saved_epochs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, *times])
    monkeypatch.setattr(course_file.time, "monotonic", lambda: next(clock))
    course = Training(tmp_path, every=60.0).course
    saved = []
    for _ in saved_epochs:
        course.close_epoch({"loss": 1.0})
        saved.append(read_checkpoint(tmp_path / "training.pt", "")["epoch"] if any(tmp_path.iterdir()) else 0)
    assert saved == saved_epochs


def test_no_checkpoint_is_saved_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[object] = []
    monkeypatch.setattr(Context, "save_checkpoint", lambda *arguments: saved.append(arguments))
    Training().course.close_epoch({"loss": 1.0})
    assert saved == []


def test_shuffles_are_permutations_that_differ_and_are_reproducible() -> None:
    first, second = (Training().course for _ in range(2))
    orders = [first.shuffle(50) for _ in range(2)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not torch.equal(*orders)
    assert torch.equal(orders[0], second.shuffle(50))
    assert first.shuffle(0).shape == (0,)


def descent_course(weight: float = 1.0) -> tuple[Course, nn.Parameter, torch.optim.SGD]:
    parameter = nn.Parameter(torch.tensor([weight]))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    return Course(CONTEXT, {"optimizer": optimizer}), parameter, optimizer


def test_a_step_clears_old_gradients_and_returns_the_detached_loss() -> None:
    course, parameter, optimizer = descent_course()
    parameter.grad = torch.tensor([100.0])
    value = course.descend(optimizer, 3 * parameter.sum())
    assert value == 3
    assert not value.requires_grad
    assert parameter.item() == 1 - 3


@pytest.mark.parametrize(("clip", "step"), [(None, 50.0), (5.0, 5.0), (100.0, 50.0)])
def test_clipping_limits_the_norm_of_all_gradients_together(clip: float | None, step: float) -> None:
    first, second = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second]}], lr=1.0)
    Course(CONTEXT, {}).descend(optimizer, 30 * first.sum() + 40 * second.sum(), clip=clip)
    torch.testing.assert_close(torch.cat([first, second]).detach(), -step * torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_loss_that_is_not_finite_stops_the_training_with_its_step_and_changes_no_weight(value: str) -> None:
    course, parameter, optimizer = descent_course()
    course.descend(optimizer, parameter.sum(), "critic loss")
    course.advance(9)
    before = parameter.item()
    message = f"training: critic loss of step 2 is not finite: got {value}; lower the learning rate"
    with pytest.raises(ValueError, match=message):
        course.descend(optimizer, float(value) * (1 + parameter.sum()), "critic loss")
    assert parameter.item() == before


def test_an_epoch_loss_that_is_not_finite_stops_the_training_without_a_checkpoint(tmp_path: Path) -> None:
    course = Training(tmp_path).course
    with pytest.raises(ValueError, match="training: penalty of epoch 1 is not finite: got nan; lower the learning"):
        course.close_epoch({"loss": 1.0, "penalty": float("nan")})
    assert (course.epoch, course.curves, list(tmp_path.iterdir())) == (0, {}, [])


def test_the_curves_are_recorded_under_their_names() -> None:
    training = Training()
    for loss in (2.0, 1.0):
        training.course.log("rate", loss / 10)
        training.course.close_epoch({"loss": loss, "validation": 1 - loss})
    assert training.curves == {}
    assert training.result().curves == {"rate": [0.2, 0.1], "loss": [2.0, 1.0], "validation": [-1.0, 0.0]}


LATEST, PREVIOUS = "training.pt", "training.previous.pt"


def kill(folder: Path, at: int = 4 * BATCHES + 1, **options: Any) -> None:
    """Kill a training in its fifth epoch, after four checkpoints."""
    with pytest.raises(Killed):
        Training(folder, at, **options).run_epochs()


def flip_bit(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 16
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def save_plainly(path: Path) -> None:
    torch.save({"step": 4, "moving": {}}, path)


def change_state(**changes: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        state = read_checkpoint(path, "")
        path.unlink()
        write_checkpoint(path, {**state, **changes}, "")

    return change


def spoil_weights(path: Path) -> None:
    state = read_checkpoint(path, "")
    state["moving"]["network"]["0.weight"][0, 0] = float("nan")
    path.unlink()
    write_checkpoint(path, state, "")


def transpose_moments(path: Path) -> None:
    state = read_checkpoint(path, "")
    moments = state["moving"]["optimizer"]["state"][0]
    moments["exp_avg"] = moments["exp_avg"].T.contiguous()
    path.unlink()
    write_checkpoint(path, state, "")


DAMAGES = [
    (flip_bit, "it is damaged: its bytes do not match its digest"),
    (cut, "it is damaged: its bytes do not match its digest"),
    (empty, "it is damaged, or not a checkpoint of this version"),
    (save_plainly, "it is damaged, or not a checkpoint of this version"),
    (spoil_weights, "moving.network.0.weight is not finite"),
    (change_state(tensors={}), "it does not fit this training: missing tensors.memory"),
    (change_state(moving={}), "it does not fit this training: missing moving.network"),
    (change_state(tensors={"memory": torch.ones(1, 1)}), "it does not fit this training: tensors.memory: got ((1, 1),"),
    (change_state(curves=None), "it does not fit this training: missing curves"),
    (change_state(step="4"), "it does not fit this training: step: got str, expected a number"),
    (transpose_moments, "it does not fit this training: moving.optimizer.state.0.exp_avg: got ((3, 8),"),
    (change_state(**{"global": []}), "it does not fit this training: global: got 0 entries, expected 1"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_a_checkpoint_that_does_not_verify_is_dropped_and_the_one_before_continues_bit_for_bit(
    damage: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    complete = Training().run_epochs()
    kill(tmp_path)
    before = (tmp_path / PREVIOUS).read_bytes()
    damage(tmp_path / LATEST)
    (tmp_path / PREVIOUS).write_bytes(before)
    resumed = Training(tmp_path)
    assert resumed.course.epoch == 3
    assert resumed.warnings[0].startswith(f"training: a checkpoint is dropped: {LATEST}: {reason}")
    assert resumed.warnings[0].endswith("; it resumes from the one before")
    assert len(resumed.warnings) == 1
    assert resumed.run_epochs().equals(complete)


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_without_a_usable_checkpoint_the_training_starts_from_the_beginning_with_untouched_modules(
    damage: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    complete = Training().run_epochs()
    kill(tmp_path)
    (tmp_path / PREVIOUS).unlink()
    damage(tmp_path / LATEST)
    resumed = Training(tmp_path)
    assert (resumed.course.step, resumed.course.epoch, resumed.course.curves) == (0, 0, {})
    assert resumed.warnings[0].endswith("; it starts from the beginning")
    assert list(tmp_path.iterdir()) == []
    assert resumed.run_epochs().equals(complete)


@pytest.mark.parametrize("at", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_flipped_bit_anywhere_is_noticed(at: float, tmp_path: Path) -> None:
    kill(tmp_path)
    flip_bit(tmp_path / LATEST, at)
    assert "is dropped: training.pt: it is damaged" in Training(tmp_path).warnings[0]


def test_both_generations_damaged_are_named_in_one_warning(tmp_path: Path) -> None:
    kill(tmp_path)
    flip_bit(tmp_path / LATEST)
    cut(tmp_path / PREVIOUS)
    resumed = Training(tmp_path)
    assert resumed.course.epoch == 0
    (warning,) = resumed.warnings
    assert f"{LATEST}: it is damaged" in warning
    assert f"{PREVIOUS}: it is damaged" in warning
    assert warning.endswith("; it starts from the beginning")


def test_a_dropped_checkpoint_never_replaces_the_one_before(tmp_path: Path) -> None:
    kill(tmp_path)
    flip_bit(tmp_path / LATEST)
    kill(tmp_path)
    assert read_checkpoint(tmp_path / PREVIOUS, "")["epoch"] == 3
    assert read_checkpoint(tmp_path / LATEST, "")["epoch"] == 4


def test_a_checkpoint_of_another_step_is_dropped(tmp_path: Path) -> None:
    kill(tmp_path, key="a" * 64)
    resumed = Training(tmp_path, key="b" * 64)
    assert resumed.course.epoch == 0
    reason = "it belongs to another training: key got aaaaaaaaaaaa, expected bbbbbbbbbbbb"
    assert resumed.warnings[0].startswith(
        f"training: a checkpoint is dropped: {LATEST}: {reason}; {PREVIOUS}: {reason}"
    )


def test_a_checkpoint_of_other_modules_is_dropped_without_changing_a_module(tmp_path: Path) -> None:
    kill(tmp_path, width=8)
    wider = Training(tmp_path, width=9)
    fresh = Training(width=9)
    assert wider.warnings[0].count("it does not fit this training: moving.network.0.weight: got ((8, 3),") == 2
    assert all(torch.equal(wider.network.state_dict()[n], t) for n, t in fresh.network.state_dict().items())
    assert (wider.course.epoch, wider.optimizer.state_dict()["state"]) == (0, {})


def test_a_killed_rename_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    complete = Training().run_epochs()
    kill(tmp_path)
    (tmp_path / LATEST).unlink()
    (tmp_path / "training.partial").write_bytes(b"half")
    resumed = Training(tmp_path)
    assert (resumed.course.epoch, resumed.warnings) == (3, [])
    assert resumed.run_epochs().equals(complete)


@pytest.mark.parametrize("where", ["network", "optimizer", "memory"])
def test_a_state_that_is_not_finite_is_not_saved_and_stops_the_training(where: str, tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.step(torch.arange(BATCH))
    tensor = {
        "network": training.network[0].weight.detach(),  # type: ignore[union-attr]  # a layer
        "optimizer": training.optimizer.state_dict()["state"][0]["exp_avg"],
        "memory": training.memory,
    }[where]
    tensor.view(-1)[0] = float("nan")
    with pytest.raises(
        TrainingDiverged, match=rf"^training: {where}\S* is not finite after step 1; lower the learning"
    ):
        training.course.save_if_due()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrainingDiverged, match=f"training: {where}"):
        training.course.close_epoch({"loss": 1.0})
    with pytest.raises(TrainingDiverged, match=f"training: {where}"):
        training.course.record()


def test_a_gradient_that_is_not_finite_after_the_last_step_is_found() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    course = Course(replace(CONTEXT, component="net"), {"weights": optimizer, "net": nn.ParameterList([parameter])})
    course.descend(optimizer, parameter.sqrt().sum())  # the loss is 0 and its gradient infinite
    course.advance(1)
    with pytest.raises(TrainingDiverged, match=r"^net: net\.0 is not finite after step 1; lower the learning rate$"):
        course.record()


def test_a_clipped_gradient_that_is_not_finite_stops_the_training_with_its_step_and_changes_no_weight() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    with pytest.raises(TrainingDiverged, match=r"gradient of loss of step 1 is not finite: got inf"):
        Course(CONTEXT, {}).descend(optimizer, parameter.sqrt().sum(), clip=1.0)
    assert parameter.item() == 0


def test_a_message_names_the_component() -> None:
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    course = Course(replace(CONTEXT, component="prosgan"), {})
    with pytest.raises(TrainingDiverged, match=r"^prosgan: generator loss of step 1 is not finite: got nan"):
        course.descend(optimizer, parameter.sum() * float("nan"), "generator loss")


def judge(
    losses: list[float], falls: bool = True, ceiling: float | None = None, folder: Path | None = None
) -> list[str]:
    """Return the caveats of a training with these losses, resumed after half of its steps if there is a folder."""
    caveats: list[str] = []
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    ctx = replace(CONTEXT, distrust=caveats.append, checkpoints=folder)
    course = Course(ctx, {"optimizer": optimizer})
    for loss in losses:
        if folder is not None and course.step == len(losses) // 2:
            course = Course(ctx, {"optimizer": optimizer})
        course.descend(optimizer, parameter.sum() + loss, falls=falls)
        course.advance(len(losses))
        course.save_if_due()
    course.record({} if ceiling is None else {"loss": ceiling})
    return caveats


RISE = [1.0 + step / 100 for step in range(100)]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_training_that_ends_above_its_beginning_has_a_caveat(resumed: bool, tmp_path: Path) -> None:
    (caveat,) = judge(RISE, folder=tmp_path if resumed else None)
    assert caveat == (
        "its training diverged: loss rose from 1.045 to 1.945 (means of the first and of the last tenth of its steps); "
        "lower the learning rate"
    )


def test_a_training_that_ends_no_better_than_a_useless_network_has_a_caveat() -> None:
    fall = RISE[::-1]
    assert judge(fall) == judge(fall, ceiling=1.1) == []
    (caveat,) = judge(fall, ceiling=1.0)
    assert "loss ended at 1.045 (mean of the last tenth of its steps), a useless network has 1" in caveat


def test_opponents_and_short_trainings_are_not_judged() -> None:
    assert judge(RISE, falls=False) == []
    assert judge(RISE[:49]) == []
    assert len(judge(RISE[:50])) == 1


def test_negative_losses_are_judged_by_their_direction() -> None:
    assert explain_divergence([-loss for loss in RISE]) is None
    assert explain_divergence([-loss for loss in RISE[::-1]]) is not None


def test_a_watched_loss_is_judged_and_checked() -> None:
    caveats: list[str] = []
    course = Course(replace(CONTEXT, distrust=caveats.append), {})
    for loss in RISE:
        course.watch("distance", torch.tensor(loss))
    course.record()
    assert len(caveats) == 1
    assert "distance rose" in caveats[0]
    with pytest.raises(TrainingDiverged, match="distance of step 1 is not finite: got nan"):
        course.watch("distance", torch.tensor(float("nan")))


def test_flat_losses_with_noise_have_not_diverged() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (50, 500):
        losses = 0.5 + 0.05 * torch.randn(500, count, generator=generator, dtype=torch.float64)
        found = [explain_divergence(each) is not None for each in losses.tolist()]
        assert sum(found) <= 5
        risen = losses + torch.linspace(0, 0.5, count)
        assert all(explain_divergence(each) is not None for each in risen.tolist())
