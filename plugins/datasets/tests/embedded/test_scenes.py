import hashlib

import pytest
import torch
from retbench_datasets.embedded.scenes import Scenes
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from retbench import OptionError

PINNED = "4aa158c94618233d409d1b4ea6789cf6912b64062af8bdd1ecf96c567e37b4b7"


def test_a_scene_has_2_35_labels_on_average() -> None:
    labels = Scenes().labels("database").float()
    assert labels.sum(dim=1).mean().item() == pytest.approx(2.35, abs=0.05)
    assert (labels[:, 6:].sum(dim=1) == 2).float().mean().item() == pytest.approx(0.35, abs=0.02)
    assert (labels[:, :6].sum(dim=1) == 1).all()


def test_40_percent_of_pairs_share_a_label() -> None:
    queries, database = Scenes().labels("query").float(), Scenes().labels("database").float()
    assert ((queries @ database.T) > 0).float().mean().item() == pytest.approx(0.40, abs=0.04)


def test_every_query_has_database_items_without_a_shared_label() -> None:
    queries, database = Scenes().labels("query").float(), Scenes().labels("database").float()
    assert ((queries @ database.T) == 0).any(dim=1).all()


def test_training_texts_equal_those_of_the_database() -> None:
    scenes = Scenes()
    assert scenes.texts("query", [0, 2]).shape == (2, scenes.facts().text_width)
    assert torch.equal(scenes.texts("train", [7, 3]), scenes.texts("database", [7, 3]))
    assert scenes.texts("query", []).shape == (0, scenes.facts().text_width)


def test_a_text_does_not_depend_on_the_other_rows_read() -> None:
    singles = torch.cat([Scenes().texts("query", [row]) for row in (5, 3)])
    assert torch.equal(Scenes().texts("query", [5, 3]), singles)


def test_labels_are_a_linear_function_of_the_texts() -> None:
    scenes = Scenes()
    weights = torch.linalg.lstsq(scenes.texts("train", range(4000)), scenes.labels("train").float()).solution
    predicted = scenes.texts("query", range(200)) @ weights > 0.5
    assert (predicted == scenes.labels("query").bool()).float().mean() > 0.95


def test_the_noise_changes_only_pixels() -> None:
    plain, noisy = Scenes(noise=0.0), Scenes(noise=0.1)
    assert not torch.equal(plain.images("query", [0]), noisy.images("query", [0]))
    assert torch.equal(plain.labels("query"), noisy.labels("query"))
    assert torch.equal(plain.texts("query", range(9)), noisy.texts("query", range(9)))


def test_another_seed_or_noise_changes_the_fingerprint() -> None:
    assert not torch.equal(Scenes(seed=1).labels("query"), Scenes().labels("query"))
    assert Scenes(seed=1).fingerprint() != Scenes().fingerprint()
    assert Scenes(noise=0.0).fingerprint() != Scenes().fingerprint()
    assert Scenes().fingerprint() == Scenes(seed=0, noise=0.02).fingerprint()


@pytest.mark.parametrize("options", [{"noise": -0.1}, {"noise": 0.6}, {"seed": -1}, {"noise": "loud"}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"dataset scenes: {next(iter(options))}"):
        Scenes.create(options)


def test_images_and_texts_are_pinned() -> None:
    """If a change is intended, raise `Scenes.revision` and pin the new digest."""
    images, texts = Scenes().images("database", range(64)), Scenes().texts("database", range(64))
    assert hashlib.sha256(images.numpy().tobytes() + texts.numpy().tobytes()).hexdigest() == PINNED


@pytest.mark.slow
def test_a_small_network_learns_every_label_in_eight_epochs() -> None:
    scenes = Scenes()
    images, labels = scenes.images("train", range(4000)) / 255, scenes.labels("train").float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network().to(memory_format=torch.channels_last)
        train(network, images, labels, epochs=8)
    with torch.no_grad():
        predicted = network.eval()(scenes.images("query", range(200)) / 255) > 0
    assert (predicted == scenes.labels("query").bool()).float().mean(dim=0).min() > 0.95


def build_network() -> nn.Sequential:
    widths = [(3, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 128, 2)]
    layers = [
        nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
        for inputs, outputs, stride in widths
    ]
    return nn.Sequential(
        *layers, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 12)
    )


def train(network: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    steps = epochs * -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(network(images[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
