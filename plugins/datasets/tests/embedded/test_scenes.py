import hashlib

import pytest
import torch
from retbench_datasets.embedded.scenes import Scenes
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from retbench import OptionError

EASY, HARD = Scenes(difficulty="easy"), Scenes(difficulty="hard")
PINNED = {
    EASY: "4aa158c94618233d409d1b4ea6789cf6912b64062af8bdd1ecf96c567e37b4b7",
    HARD: "866cf3fcf9e66dcb8f0152344e91aa511a2ba8989ebe8c8ed58d0469f1e1f8f0",
}
"""Digests of the first images and texts of the database."""


@pytest.fixture(params=[EASY, HARD], ids=lambda scenes: scenes.difficulty)
def scenes(request: pytest.FixtureRequest) -> Scenes:
    return request.param


def test_easy_is_the_default() -> None:
    assert Scenes() == EASY


def test_easy_scenes_have_2_35_labels_on_average() -> None:
    labels = EASY.labels("database").float()
    assert labels.sum(dim=1).mean().item() == pytest.approx(2.35, abs=0.05)
    assert (labels[:, 6:].sum(dim=1) == 2).float().mean().item() == pytest.approx(0.35, abs=0.02)
    assert (labels[:, :6].sum(dim=1) == 1).all()


def test_hard_scenes_have_one_background_and_one_to_three_shapes() -> None:
    labels = HARD.labels("database").float()
    assert labels.sum(dim=1).mean().item() == pytest.approx(2.80, abs=0.05)
    assert (labels[:, :10].sum(dim=1) == 1).all()
    assert set(labels[:, 10:].sum(dim=1).tolist()) == {1.0, 2.0, 3.0}


def test_hard_scenes_have_many_label_vectors_and_classes_of_unequal_frequency() -> None:
    labels = HARD.labels("database")
    assert len(labels.unique(dim=0)) > 1000
    shares = labels.float().mean(dim=0)
    assert 0.05 < shares.min() < shares.max() / 1.5


@pytest.mark.parametrize(("scenes", "share"), [(EASY, 0.40), (HARD, 0.275)], ids=["easy", "hard"], indirect=["scenes"])
def test_as_many_pairs_share_a_label_as_documented(scenes: Scenes, share: float) -> None:
    queries, database = scenes.labels("query").float(), scenes.labels("database").float()
    assert ((queries @ database.T) > 0).float().mean().item() == pytest.approx(share, abs=0.04)


def test_every_query_has_database_items_without_a_shared_label(scenes: Scenes) -> None:
    queries, database = scenes.labels("query").float(), scenes.labels("database").float()
    assert ((queries @ database.T) == 0).any(dim=1).all()


def test_training_texts_equal_those_of_the_database(scenes: Scenes) -> None:
    assert scenes.texts("query", [0, 2]).shape == (2, scenes.facts().text_width)
    assert torch.equal(scenes.texts("train", [7, 3]), scenes.texts("database", [7, 3]))
    assert scenes.texts("query", []).shape == (0, scenes.facts().text_width)


def test_a_text_does_not_depend_on_the_other_rows_read(scenes: Scenes) -> None:
    singles = torch.cat([scenes.texts("query", [row]) for row in (5, 3)])
    assert torch.equal(scenes.texts("query", [5, 3]), singles)


def predict_labels(scenes: Scenes) -> Tensor:
    """Return bool (200, C), the labels of the queries by linear regression on their texts."""
    weights = torch.linalg.lstsq(scenes.texts("train", range(4000)), scenes.labels("train").float()).solution
    return scenes.texts("query", range(200)) @ weights > 0.5


def test_labels_of_easy_scenes_are_a_linear_function_of_the_texts() -> None:
    assert (predict_labels(EASY) == EASY.labels("query").bool()).float().mean() > 0.95


def test_texts_of_hard_scenes_show_most_labels_but_not_all() -> None:
    found = predict_labels(HARD)[HARD.labels("query").bool()].float().mean().item()
    assert 0.5 < found < 0.9


def test_the_noise_changes_only_pixels(scenes: Scenes) -> None:
    plain, noisy = (Scenes(difficulty=scenes.difficulty, noise=noise) for noise in (0.0, 0.1))
    assert not torch.equal(plain.images("query", [0]), noisy.images("query", [0]))
    assert torch.equal(plain.labels("query"), noisy.labels("query"))
    assert torch.equal(plain.texts("query", range(9)), noisy.texts("query", range(9)))


def test_another_seed_or_noise_changes_the_fingerprint() -> None:
    assert not torch.equal(Scenes(seed=1).labels("query"), Scenes().labels("query"))
    assert Scenes(seed=1).fingerprint() != Scenes().fingerprint()
    assert Scenes(noise=0.0).fingerprint() != Scenes().fingerprint()
    assert Scenes().fingerprint() == Scenes(seed=0, noise=0.02).fingerprint()


def test_the_difficulty_changes_the_fingerprint_images_and_classes() -> None:
    assert EASY.fingerprint() != HARD.fingerprint()
    assert not torch.equal(EASY.images("query", range(4)), HARD.images("query", range(4)))
    assert (len(EASY.facts().classes), len(HARD.facts().classes)) == (12, 26)
    assert (EASY.facts().text_width, HARD.facts().text_width) == (60, 96)


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "8c4d2c34933d1c85edd4d13e9b7d81214b20e971cc8214a194a7934eb93e301d"),
        ({"seed": 1}, "e404720b0280a72ac5138693be1937da69f81fe2e3f649bd6567a7c71381c936"),
        ({"seed": 7, "noise": 0.1}, "5205ba48746bc8df83ad9ff7bec3e76b76a4002f7d6f279409c08d77b1335ab0"),
    ],
)
def test_easy_scenes_keep_the_fingerprint_of_stored_results(options: dict[str, float], digest: str) -> None:
    assert Scenes(difficulty="easy", **options).fingerprint() == digest


def test_every_other_option_is_in_the_fingerprint_of_both_difficulties(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("easy", "hard")
    before = [Scenes(difficulty=name).fingerprint() for name in names]
    monkeypatch.setattr(Scenes, "revision", Scenes.revision + 1)
    assert not set(before) & {Scenes(difficulty=name).fingerprint() for name in names}


@pytest.mark.parametrize(
    "options", [{"noise": -0.1}, {"noise": 0.6}, {"seed": -1}, {"noise": "loud"}, {"difficulty": "harder"}]
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=f"dataset scenes: {next(iter(options))}"):
        Scenes.create(options)


def test_images_and_texts_are_pinned(scenes: Scenes) -> None:
    """If a change is intended, raise `Scenes.revision` and pin the new digest."""
    images, texts = scenes.images("database", range(64)), scenes.texts("database", range(64))
    assert hashlib.sha256(images.numpy().tobytes() + texts.numpy().tobytes()).hexdigest() == PINNED[scenes]


@pytest.mark.slow
def test_a_small_network_learns_every_easy_label_in_eight_epochs() -> None:
    scenes = EASY
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
