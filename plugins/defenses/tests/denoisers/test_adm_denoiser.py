from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retbench_defenses.denoisers.adm_denoiser import PUBLISHED_NAME, PUBLISHED_WEIGHTS, AdmDenoiser
from retbench_defenses.denoisers.denoiser import read_metadata
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor

from retbench import Context, Facts, Noise, TrainingData, UserError

WIDTH, TIME_WIDTH = 32, 128
"""Channels of a network that is small enough for a test, and of its time embedding."""


def random_checkpoint(outputs: int = 6) -> dict[str, Tensor]:
    """Random weights of guided-diffusion's layout: two resolutions with one block each, attention at the lower one."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}

    def layer(name: str, *shape: int) -> None:
        weights[f"{name}.weight"] = (
            torch.randn(shape, generator=generator) * 0.3 / max(1, len(shape) * shape[-1]) ** 0.5
        )
        weights[f"{name}.bias"] = torch.zeros(shape[0])

    def residual(name: str, inputs: int, outputs: int) -> None:
        layer(f"{name}.in_layers.0", inputs)
        layer(f"{name}.in_layers.2", outputs, inputs, 3, 3)
        layer(f"{name}.emb_layers.1", 2 * outputs, TIME_WIDTH)
        layer(f"{name}.out_layers.0", outputs)
        layer(f"{name}.out_layers.3", outputs, outputs, 3, 3)
        if inputs != outputs:
            layer(f"{name}.skip_connection", outputs, inputs, 1, 1)

    def attention(name: str, width: int) -> None:
        layer(f"{name}.norm", width)
        layer(f"{name}.qkv", 3 * width, width, 1)
        layer(f"{name}.proj_out", width, width, 1)

    layer("time_embed.0", TIME_WIDTH, WIDTH)
    layer("time_embed.2", TIME_WIDTH, TIME_WIDTH)
    layer("input_blocks.0.0", WIDTH, 3, 3, 3)
    residual("input_blocks.1.0", WIDTH, WIDTH)
    residual("input_blocks.2.0", WIDTH, WIDTH)
    residual("input_blocks.3.0", WIDTH, 2 * WIDTH)
    attention("input_blocks.3.1", 2 * WIDTH)
    residual("middle_block.0", 2 * WIDTH, 2 * WIDTH)
    attention("middle_block.1", 2 * WIDTH)
    residual("middle_block.2", 2 * WIDTH, 2 * WIDTH)
    residual("output_blocks.0.0", 4 * WIDTH, 2 * WIDTH)
    attention("output_blocks.0.1", 2 * WIDTH)
    residual("output_blocks.1.0", 3 * WIDTH, 2 * WIDTH)
    attention("output_blocks.1.1", 2 * WIDTH)
    residual("output_blocks.1.2", 2 * WIDTH, 2 * WIDTH)
    residual("output_blocks.2.0", 3 * WIDTH, WIDTH)
    residual("output_blocks.3.0", 2 * WIDTH, WIDTH)
    layer("out.0", WIDTH)
    layer("out.2", outputs, WIDTH, 3, 3)
    return weights


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save(random_checkpoint(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    return tmp_path


def test_a_purifier_uses_the_network_of_a_checkpoint(
    checkpoint: Path, data: TrainingData, images: Tensor, noise: Noise
) -> None:
    purifier = Ddpm(denoiser=str(checkpoint), t_p=3, respace=250)
    assert purifier.supports(data.facts) is None
    denoiser = AdmDenoiser(path=str(checkpoint))
    state = denoiser.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))
    predictor = denoiser.module(state, torch.device("cpu"))
    purified = purifier.purify(images, predictor, noise)
    assert purified.shape == images.shape
    assert purified.isfinite().all()
    assert predictor(images, 5).variance_output is not None
    assert read_metadata(state).variance == "learned_range"


def test_a_network_with_three_output_channels_has_a_fixed_variance(tmp_path: Path, facts: Facts) -> None:
    torch.save(random_checkpoint(outputs=3), tmp_path / "net.pt")
    assert AdmDenoiser(path=str(tmp_path / "net.pt")).metadata(facts).variance == "fixed_small"
    reason = RetPur(denoiser=str(tmp_path / "net.pt"), variance="learned_range").supports(facts)
    assert reason is not None
    assert "expected 6" in reason


def test_a_recipe_contains_the_digest_and_not_the_path(checkpoint: Path, facts: Facts) -> None:
    for component in (Ddpm(denoiser=str(checkpoint)), AdmDenoiser(path=str(checkpoint))):
        spec = str(component.spec(facts))
        assert "sha256:" in spec
        assert str(checkpoint) not in spec


def test_a_missing_published_checkpoint_is_a_download(weights_folder: Path, facts: Facts) -> None:
    purifier = Ddpm(denoiser=PUBLISHED_NAME)
    (denoiser,) = purifier.parts(facts).values()
    assert denoiser.downloads(facts) == (PUBLISHED_WEIGHTS,)
    assert AdmDenoiser(path="net.pt").downloads(facts) == ()
    problem = PUBLISHED_WEIGHTS.problem()
    assert problem is not None
    assert "256x256_diffusion_uncond.pt, published at https://openaipublic" in problem
    assert purifier.supports(facts) == f"its weights are {problem}; get them with `retbench weights prepare SUITE`"


def test_another_file_in_place_of_the_published_checkpoint_is_not_supported(weights_folder: Path, facts: Facts) -> None:
    torch.save(random_checkpoint(), weights_folder / PUBLISHED_WEIGHTS.file)
    reason = Ddpm(denoiser=PUBLISHED_NAME).supports(facts)
    assert reason is not None
    assert "its weights are not the published file" in reason


def test_the_reason_names_a_missing_checkpoint(facts: Facts) -> None:
    reason = Ddpm(denoiser="nowhere/net.pt").supports(facts)
    assert reason == (
        "the checkpoint does not exist: got 'nowhere/net.pt', expected a file of guided-diffusion, or "
        "`adm-imagenet-256`"
    )


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda path: path.write_bytes(b"no zip"),
            "or damaged: got UnpicklingError",
        ),
        (lambda path: torch.save([torch.zeros(1)], path), "not a state dict: got list, expected names and tensors"),
        (lambda path: torch.save({"a": Path("x")}, path), "contains pickled code: got pathlib"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "adm checkpoint: "),
    ],
)
def test_a_file_of_another_kind_is_a_user_error(
    write: Callable[[Path], None], message: str, tmp_path: Path, facts: Facts
) -> None:
    write(tmp_path / "net.pt")
    with pytest.raises(UserError) as error:
        Ddpm(denoiser=str(tmp_path / "net.pt")).supports(facts)
    assert str(tmp_path / "net.pt") in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_published_file_given_by_its_path_is_another_denoiser(facts: Facts, weights_folder: Path) -> None:
    """The size that it was trained for is known only by its name, and `respace: auto` depends on that size."""
    torch.save(random_checkpoint(), weights_folder / PUBLISHED_WEIGHTS.file)
    by_name, by_path = (
        RetPur(denoiser=name) for name in (PUBLISHED_NAME, str(weights_folder / PUBLISHED_WEIGHTS.file))
    )
    assert by_name.details(facts)["start_level"] != by_path.details(facts)["start_level"]
    assert by_name.parts(facts)["denoiser"].spec(facts) != by_path.parts(facts)["denoiser"].spec(facts)


def test_the_published_network_scales_images_to_256_pixels(facts: Facts, weights_folder: Path) -> None:
    torch.save(random_checkpoint(), weights_folder / PUBLISHED_WEIGHTS.file)
    details = RetPur(denoiser=PUBLISHED_NAME).details(replace(facts, image_size=(224, 224)))
    assert details["start_level"] == 177
    assert details["resolution"] == "resize 256x256"
    assert details["variance"] == "learned_range"
