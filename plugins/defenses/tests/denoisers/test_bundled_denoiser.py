from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from retbench_defenses.denoisers.bundled_denoiser import BundledDenoiser
from retbench_defenses.denoisers.schedule import alphas_cumprod
from retbench_defenses.diffusion.ddpm import Ddpm

from retbench import Context, Dataset, Facts, Noise, TrainingData, unit_images


@pytest.fixture(params=["digits.Digits", "scenes.Scenes"])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    pytest.importorskip("retbench_datasets")
    module, name = request.param.split(".")
    dataset: Dataset = getattr(import_module(f"retbench_datasets.embedded.{module}"), name)()
    return dataset


def test_the_shipped_weights_denoise_images_outside_the_training_split(dataset: Dataset) -> None:
    cpu = torch.device("cpu")
    data = TrainingData(dataset, dataset.facts(), cpu)
    denoiser = BundledDenoiser()
    predictor = denoiser.module(denoiser.fit(data, Context(cpu, "float32", Noise(0, ("fit",)))), cpu)
    clean = 2 * unit_images(dataset.images("query", range(16)), cpu) - 1
    eps = Noise(0, tuple(dataset.ids("query")[:16])).normal("eps", (3, 32, 32))
    alpha_bar = alphas_cumprod()[44]
    noised = alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * eps
    with torch.no_grad():
        restored = (noised - (1 - alpha_bar) ** 0.5 * predictor(noised, 44).eps) / alpha_bar**0.5
    error_before = (noised / alpha_bar**0.5 - clean).square().mean()
    assert (restored - clean).square().mean() < 0.25 * error_before


def test_the_shipped_weights_support_the_levels_below_400(dataset: Dataset) -> None:
    assert Ddpm(t_p=400).supports(dataset.facts()) is None
    assert Ddpm(t_p=401).supports(dataset.facts()) is not None


def test_the_recipe_contains_the_digest_of_the_weights(dataset: Dataset) -> None:
    options = BundledDenoiser().spec(dataset.facts())["options"]
    assert str(options["weights"]).startswith("sha256:")


def test_the_reason_for_a_dataset_without_weights_says_what_to_do(sized_facts: Callable[[int, int], Facts]) -> None:
    reason = Ddpm().supports(replace(sized_facts(32, 32), dataset="flickr25k"))
    assert reason is not None
    assert reason.startswith("no denoiser is shipped for this dataset: got flickr25k, expected one of ")
    assert "denoiser: train" in reason
