from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from retbench_defenses.denoisers.adm_denoiser import FILE, PUBLISHED, AdmDenoiser
from retbench_defenses.denoisers.denoiser import read_outline
from retbench_defenses.diffusion.ddpm import Ddpm
from retbench_defenses.diffusion.retpur import RetPur
from torch import Tensor

from retbench import Context, Facts, Noise, TrainingData, UserError

BASE, TIME = 32, 128
"""Width of a network small enough for a test, and of its time embedding."""


def checkpoint(outputs: int = 6) -> dict[str, Tensor]:
    """Random weights under guided-diffusion's names: two resolutions of one block each, attention on the lower one."""
    generator = torch.Generator().manual_seed(0)
    held: dict[str, Tensor] = {}

    def layer(name: str, *shape: int) -> None:
        held[f"{name}.weight"] = torch.randn(shape, generator=generator) * 0.3 / max(1, len(shape) * shape[-1]) ** 0.5
        held[f"{name}.bias"] = torch.zeros(shape[0])

    def residual(name: str, inside: int, outside: int) -> None:
        layer(f"{name}.in_layers.0", inside)
        layer(f"{name}.in_layers.2", outside, inside, 3, 3)
        layer(f"{name}.emb_layers.1", 2 * outside, TIME)
        layer(f"{name}.out_layers.0", outside)
        layer(f"{name}.out_layers.3", outside, outside, 3, 3)
        if inside != outside:
            layer(f"{name}.skip_connection", outside, inside, 1, 1)

    def attention(name: str, width: int) -> None:
        layer(f"{name}.norm", width)
        layer(f"{name}.qkv", 3 * width, width, 1)
        layer(f"{name}.proj_out", width, width, 1)

    layer("time_embed.0", TIME, BASE)
    layer("time_embed.2", TIME, TIME)
    layer("input_blocks.0.0", BASE, 3, 3, 3)
    residual("input_blocks.1.0", BASE, BASE)
    residual("input_blocks.2.0", BASE, BASE)
    residual("input_blocks.3.0", BASE, 2 * BASE)
    attention("input_blocks.3.1", 2 * BASE)
    residual("middle_block.0", 2 * BASE, 2 * BASE)
    attention("middle_block.1", 2 * BASE)
    residual("middle_block.2", 2 * BASE, 2 * BASE)
    residual("output_blocks.0.0", 4 * BASE, 2 * BASE)
    attention("output_blocks.0.1", 2 * BASE)
    residual("output_blocks.1.0", 3 * BASE, 2 * BASE)
    attention("output_blocks.1.1", 2 * BASE)
    residual("output_blocks.1.2", 2 * BASE, 2 * BASE)
    residual("output_blocks.2.0", 3 * BASE, BASE)
    residual("output_blocks.3.0", 2 * BASE, BASE)
    layer("out.0", BASE)
    layer("out.2", outputs, BASE, 3, 3)
    return held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.save(checkpoint(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(tmp_path))
    return tmp_path


def test_a_checkpoint_is_read_and_purifies(path: Path, data: TrainingData, images: Tensor, noise: Noise) -> None:
    purifier = Ddpm(denoiser=str(path), t_p=3, respace=250)
    assert purifier.supports(data.facts) is None
    part = AdmDenoiser(path=str(path))
    state = part.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))
    predictor = part.module(state, torch.device("cpu"))
    purified = purifier.purify(images, predictor, noise)
    assert purified.shape == images.shape
    assert purified.isfinite().all()
    assert predictor(images, 5).share is not None
    assert read_outline(state).variance == "learned_range"


def test_a_network_of_three_outputs_has_a_fixed_variance(tmp_path: Path, facts: Facts) -> None:
    torch.save(checkpoint(outputs=3), tmp_path / "net.pt")
    assert AdmDenoiser(path=str(tmp_path / "net.pt")).outline(facts).variance == "fixed_small"
    reason = RetPur(denoiser=str(tmp_path / "net.pt"), variance="learned_range").supports(facts)
    assert reason is not None
    assert "expected 6" in reason


def test_a_recipe_holds_the_digest_and_not_the_path(path: Path, facts: Facts) -> None:
    for component in (Ddpm(denoiser=str(path)), AdmDenoiser(path=str(path))):
        spec = str(component.spec(facts))
        assert "sha256:" in spec
        assert str(path) not in spec


def test_the_published_checkpoint_is_fetched_by_a_command(weights: Path, facts: Facts) -> None:
    purifier = Ddpm(denoiser=PUBLISHED)
    (part,) = purifier.parts(facts).values()
    assert part.downloads(facts) == (FILE,)
    assert AdmDenoiser(path="net.pt").downloads(facts) == ()
    problem = FILE.problem()
    assert problem is not None
    assert "256x256_diffusion_uncond.pt, published at https://openaipublic" in problem
    assert purifier.supports(facts) == f"its weights are {problem}; get them with `retbench weights prepare SUITE`"


def test_another_file_in_the_place_of_the_published_one_is_refused(weights: Path, facts: Facts) -> None:
    torch.save(checkpoint(), weights / FILE.file)
    reason = Ddpm(denoiser=PUBLISHED).supports(facts)
    assert reason is not None
    assert "its weights are not the published file" in reason


def test_a_missing_checkpoint_is_refused_with_what_belongs_there(facts: Facts) -> None:
    reason = Ddpm(denoiser="nowhere/net.pt").supports(facts)
    assert reason == (
        "no checkpoint is there: got 'nowhere/net.pt', expected a file of guided-diffusion, or `adm-imagenet-256`"
    )


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda path: path.write_bytes(b"no zip"), "not a checkpoint of tensors alone"),
        (lambda path: torch.save([torch.zeros(1)], path), "expected tensors by name: got list"),
        (lambda path: torch.save({"a": Path("x")}, path), "not a checkpoint of tensors alone"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "adm checkpoint: "),
    ],
)
def test_another_file_is_the_users_mistake(
    write: Callable[[Path], None], complaint: str, tmp_path: Path, facts: Facts
) -> None:
    write(tmp_path / "net.pt")
    with pytest.raises(UserError) as caught:
        Ddpm(denoiser=str(tmp_path / "net.pt")).supports(facts)
    assert str(tmp_path / "net.pt") in str(caught.value)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_published_file_under_another_name_is_another_denoiser(facts: Facts, weights: Path) -> None:
    """By its path nobody says what size it was trained for, so it walks another chain on images of another size."""
    torch.save(checkpoint(), weights / FILE.file)
    named, by_path = (RetPur(denoiser=name) for name in (PUBLISHED, str(weights / FILE.file)))
    assert named.details(facts)["start_level"] != by_path.details(facts)["start_level"]
    assert named.parts(facts)["denoiser"].spec(facts) != by_path.parts(facts)["denoiser"].spec(facts)


def test_the_published_network_scales_images_to_256_pixels(facts: Facts, weights: Path) -> None:
    torch.save(checkpoint(), weights / FILE.file)
    small = replace(facts, image_size=(224, 224))
    details = RetPur(denoiser=PUBLISHED).details(small)
    assert details["start_level"] == 177
    assert details["resolution"] == "resize 256x256"
    assert details["variance"] == "learned_range"
