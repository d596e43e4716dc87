import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.ddpm import Ddpm
from retbench_defenses.denoiser import build_unet
from retbench_defenses.local_denoiser import LocalDenoiser

from retbench import Context, Facts, Noise, TrainingData

Save = Callable[..., UNet2DModel]


@pytest.fixture
def save() -> Save:
    def write(folder: Path, **options: object) -> UNet2DModel:
        torch.manual_seed(0)
        layout = {"block_out_channels": (8, 8), "norm_num_groups": 8, "layers_per_block": 1}
        blocks = {
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        }
        net = UNet2DModel(**{**layout, **blocks, **options})
        net.save_pretrained(folder)
        return net

    return write


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache of the test's own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def same_predictions(denoiser: LocalDenoiser, net: UNet2DModel, data: TrainingData) -> bool:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)))
    restored = build_unet(denoiser.fit(data, ctx), ctx.device)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.allclose(restored(x, 44).sample, net.eval()(x, 44).sample, atol=1e-5)


@pytest.mark.parametrize("inside", [".", "unet"])
def test_a_folder_that_diffusers_saved_is_read(inside: str, save: Save, tmp_path: Path, data: TrainingData) -> None:
    net = save(tmp_path / inside)
    denoiser = LocalDenoiser(path=str(tmp_path))
    assert denoiser.supports(data.facts) is None
    assert denoiser.outline(data.facts).levels == 1000
    assert same_predictions(denoiser, net, data)


def test_a_hub_id_is_read_from_the_cache_alone(save: Save, hub: Path, data: TrainingData) -> None:
    denoiser = LocalDenoiser(path="someone/net")
    reason = denoiser.supports(data.facts)
    assert reason is not None
    assert "hf download someone/net config.json diffusion_pytorch_model.safetensors" in reason
    store = hub / "models--someone--net"
    net = save(store / "snapshots" / "abc")
    (store / "refs").mkdir()
    (store / "refs" / "main").write_text("abc")
    assert denoiser.supports(data.facts) is None
    assert same_predictions(denoiser, net, data)


def test_a_missing_folder_is_refused_with_what_belongs_there(hub: Path, tmp_path: Path, facts: Facts) -> None:
    reason = Ddpm(denoiser=str(tmp_path / "nowhere")).supports(facts)
    assert reason is not None
    assert (
        f"got '{tmp_path}/nowhere', expected a folder with config.json and diffusion_pytorch_model.safetensors"
        in reason
    )


@pytest.mark.parametrize(("option", "channels"), [("in_channels", 1), ("out_channels", 6)])
def test_other_channels_are_refused(option: str, channels: int, save: Save, tmp_path: Path, facts: Facts) -> None:
    save(tmp_path, **{option: channels})
    reason = Ddpm(denoiser=str(tmp_path)).supports(facts)
    assert reason == f"the U-Net does not map colour to noise: got {option} {channels}, expected 3"


def test_another_architecture_is_refused(save: Save, tmp_path: Path, facts: Facts) -> None:
    save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "_class_name": "UNet2DConditionModel"}))
    reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
    assert reason is not None
    assert "got UNet2DConditionModel, expected UNet2DModel" in reason


def test_a_recipe_holds_the_weights_digest_and_not_the_path(save: Save, tmp_path: Path, facts: Facts) -> None:
    specs = []
    for folder in ("here", "there"):
        save(tmp_path / folder)
        purifier = Ddpm(denoiser=str(tmp_path / folder))
        specs.append((purifier.spec(facts), purifier.parts(facts)["denoiser"].spec(facts)))
    assert specs[0] == specs[1]
    assert str(tmp_path) not in str(specs[0])
    save(tmp_path / "here", act_fn="relu")
    assert Ddpm(denoiser=str(tmp_path / "here")).parts(facts)["denoiser"].spec(facts) != specs[0][1]
