import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.denoisers.local_denoiser import LocalDenoiser
from retbench_defenses.denoisers.schedule import betas
from retbench_defenses.diffusion.ddpm import Ddpm
from safetensors.torch import save_file

from retbench import Context, Facts, Noise, State, TrainingData, UserError

SaveUNet = Callable[..., UNet2DModel]
NO_LEARNED_VARIANCE = (
    "`variance: learned_range` needs a denoiser that learned it: got 3 output channels, expected 6; "
    "choose another variance"
)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fit(denoiser: LocalDenoiser, data: TrainingData) -> State:
    return denoiser.fit(data, Context(torch.device("cpu"), "float32", Noise(0, ("fit",))))


def predicts_like(denoiser: LocalDenoiser, unet: UNet2DModel, data: TrainingData) -> bool:
    predictor = denoiser.module(fit(denoiser, data), torch.device("cpu"))
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.allclose(predictor(x, 44).eps, unet.eval()(x, 44).sample, atol=1e-5)


@pytest.mark.parametrize("folder", [".", "unet"])
def test_a_folder_written_by_diffusers_is_read(
    folder: str, save_unet: SaveUNet, tmp_path: Path, data: TrainingData
) -> None:
    unet = save_unet(tmp_path / folder)
    denoiser = LocalDenoiser(path=str(tmp_path))
    assert denoiser.supports(data.facts) is None
    assert denoiser.metadata(data.facts).levels == 1000
    assert predicts_like(denoiser, unet, data)


def test_a_hub_id_is_read_from_the_local_cache_only(save_unet: SaveUNet, hub_cache: Path, data: TrainingData) -> None:
    denoiser = LocalDenoiser(path="someone/net")
    reason = denoiser.supports(data.facts)
    assert reason is not None
    assert "hf download someone/net config.json diffusion_pytorch_model.safetensors" in reason
    model = hub_cache / "models--someone--net"
    unet = save_unet(model / "snapshots" / "abc")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc")
    assert denoiser.supports(data.facts) is None
    assert predicts_like(denoiser, unet, data)


@pytest.mark.usefixtures("hub_cache")
def test_the_reason_names_a_missing_folder_and_the_expected_files(tmp_path: Path, facts: Facts) -> None:
    reason = Ddpm(denoiser=str(tmp_path / "nowhere")).supports(facts)
    assert reason is not None
    assert (
        f"got '{tmp_path}/nowhere', expected a folder with config.json and diffusion_pytorch_model.safetensors"
        in reason
    )
    assert "hub" not in reason


@pytest.mark.parametrize(("option", "channels"), [("in_channels", 1), ("out_channels", 4)])
def test_other_numbers_of_channels_are_not_supported(
    option: str, channels: int, save_unet: SaveUNet, tmp_path: Path, facts: Facts
) -> None:
    save_unet(tmp_path, **{option: channels})
    reason = Ddpm(denoiser=str(tmp_path)).supports(facts)
    assert reason is not None
    assert f"got {option} {channels}, expected 3" in reason


def test_a_network_with_six_output_channels_learned_the_variance(
    save_unet: SaveUNet, tmp_path: Path, facts: Facts
) -> None:
    save_unet(tmp_path / "plain")
    save_unet(tmp_path / "learned", out_channels=6)
    plain, learned = (LocalDenoiser(path=str(tmp_path / name)).metadata(facts) for name in ("plain", "learned"))
    assert (plain.variance, learned.variance) == ("fixed_small", "learned_range")
    assert Ddpm(denoiser=str(tmp_path / "learned"), variance="learned_range").supports(facts) is None
    reason = Ddpm(denoiser=str(tmp_path / "plain"), variance="learned_range").supports(facts)
    assert reason == NO_LEARNED_VARIANCE


@pytest.mark.parametrize("file", ["scheduler_config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize(("kind", "variance"), [("fixed_large", "fixed_large"), ("fixed_small_log", "fixed_small")])
def test_the_scheduler_file_determines_the_variance(
    file: str, kind: str, variance: str, save_unet: SaveUNet, tmp_path: Path, facts: Facts
) -> None:
    save_unet(tmp_path)
    before = LocalDenoiser(path=str(tmp_path)).spec(facts)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps({"variance_type": kind, "beta_schedule": "linear"}))
    assert LocalDenoiser(path=str(tmp_path)).metadata(facts).variance == variance
    assert LocalDenoiser(path=str(tmp_path)).spec(facts) != before


def test_a_network_trained_on_another_chain_is_not_supported(save_unet: SaveUNet, tmp_path: Path, facts: Facts) -> None:
    save_unet(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"beta_schedule": "squaredcos_cap_v2"}))
    reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
    assert reason is not None
    assert "trained on another chain: beta_schedule: got squaredcos_cap_v2, expected linear" in reason


def test_weights_in_pytorchs_format_are_read(save_unet: SaveUNet, tmp_path: Path, data: TrainingData) -> None:
    unet = save_unet(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(unet.state_dict(), tmp_path / "diffusion_pytorch_model.bin")
    assert predicts_like(LocalDenoiser(path=str(tmp_path)), unet, data)


def test_the_config_determines_the_image_size(save_unet: SaveUNet, tmp_path: Path, facts: Facts) -> None:
    for name, size in (("square", 32), ("oblong", [24, 48])):
        save_unet(tmp_path / name, sample_size=size)
    assert LocalDenoiser(path=str(tmp_path / "square")).metadata(facts).size == (32, 32)
    assert LocalDenoiser(path=str(tmp_path / "oblong")).metadata(facts).size == (24, 48)


def test_another_architecture_is_not_supported(save_unet: SaveUNet, tmp_path: Path, facts: Facts) -> None:
    save_unet(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "_class_name": "UNet2DConditionModel"}))
    reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
    assert reason is not None
    assert "got UNet2DConditionModel, expected UNet2DModel" in reason


def test_a_recipe_contains_the_digest_of_the_weights_and_not_the_path(
    save_unet: SaveUNet, tmp_path: Path, facts: Facts
) -> None:
    specs = []
    for folder in ("first", "second"):
        save_unet(tmp_path / folder)
        purifier = Ddpm(denoiser=str(tmp_path / folder))
        specs.append((purifier.spec(facts), purifier.parts(facts)["denoiser"].spec(facts)))
    assert specs[0] == specs[1]
    assert str(tmp_path) not in str(specs[0])
    save_unet(tmp_path / "first", act_fn="relu")
    assert Ddpm(denoiser=str(tmp_path / "first")).parts(facts)["denoiser"].spec(facts) != specs[0][1]


def test_the_reason_for_an_unreadable_folder_is_one_line(save_unet: SaveUNet, tmp_path: Path, facts: Facts) -> None:
    def reason_after(change: Callable[[Path], object]) -> str:
        save_unet(tmp_path)
        change(tmp_path)
        reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
        assert reason is not None
        assert "\n" not in reason
        return reason

    def set_options(**options: object) -> Callable[[Path], object]:
        def change(folder: Path) -> None:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, **options}))

        return change

    weights = "diffusion_pytorch_model.safetensors"
    assert "JSONDecodeError" in reason_after(lambda folder: (folder / "config.json").write_text("{"))
    assert "damaged: got SafetensorError" in reason_after(lambda folder: (folder / weights).write_bytes(b"short"))
    assert "got (3, 8, 3, 3), expected (6, 8, 3, 3)" in reason_after(set_options(out_channels=6))
    assert "TypeError" in reason_after(set_options(no_such_option=1))
    assert "needs a class: got 10" in reason_after(set_options(num_class_embeds=10))
    assert "cannot be read: " in reason_after(set_options(down_block_types=["NoBlock2D", "DownBlock2D"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variance_type": "learned"}, "unknown variance_type: got learned"),
        ({"variance_type": "bogus"}, "unknown variance_type: got bogus"),
        (
            {"trained_betas": [0.1]},
            "trained on another chain: trained_betas: got 1 from 0.1 to 0.1, expected 1000 from",
        ),
        ({"trained_betas": [*betas()[:-1], 0.019]}, "trained_betas: got 1000 from 0.0001 to 0.019, expected 1000 from"),
        ({"trained_betas": 3}, "the denoiser cannot be read: TypeError"),
        ({"beta_start": 0.00011}, "trained on another chain: beta_start: got 0.00011, expected 0.0001"),
        ({"rescale_betas_zero_snr": True}, "trained on another chain: rescale_betas_zero_snr"),
    ],
)
def test_an_unknown_scheduler_is_not_supported(
    options: dict[str, object], message: str, save_unet: SaveUNet, tmp_path: Path, facts: Facts
) -> None:
    save_unet(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(options))
    reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
    assert reason is not None
    assert message in reason


def test_a_learned_variance_in_the_scheduler_file_needs_six_output_channels(
    save_unet: SaveUNet, tmp_path: Path, facts: Facts
) -> None:
    save_unet(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"variance_type": "learned_range"}))
    reason = Ddpm(denoiser=str(tmp_path)).supports(facts)
    assert reason == NO_LEARNED_VARIANCE


@pytest.mark.parametrize(
    "options",
    [
        {"beta_start": torch.tensor(1e-4).item(), "beta_end": torch.tensor(0.02).item()},
        {"trained_betas": torch.linspace(1e-4, 0.02, 1000, dtype=torch.float32).tolist()},
        {"trained_betas": list(betas()), "beta_schedule": "squaredcos_cap_v2"},
    ],
    ids=["ends in float32", "betas in float32", "betas in float64"],
)
def test_betas_rounded_to_float32_are_accepted(
    options: dict[str, object], save_unet: SaveUNet, tmp_path: Path, facts: Facts
) -> None:
    save_unet(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(options))
    assert LocalDenoiser(path=str(tmp_path)).supports(facts) is None


def without(*prefixes: str) -> Callable[[State], State]:
    return lambda state: {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize("file", ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (without("mid_block.resnets.0.conv1.weight"), r"missing mid_block\.resnets\.0\.conv1\.weight$"),
        (without("up_blocks."), r"missing up_blocks\.0\.\S+ and \d+ more$"),
        (lambda state: {**state, "ema.decay": torch.ones(1)}, r"unexpected ema\.decay$"),
        (lambda state: {**state, "conv_out.bias": torch.zeros(3, dtype=torch.int32)}, r"wrong type of conv_out\.bias"),
    ],
    ids=["a tensor", "a block", "surplus", "integers"],
)
def test_a_folder_with_other_tensors_is_refused_before_anything_runs(
    change: Callable[[State], State],
    problem: str,
    file: str,
    save_unet: SaveUNet,
    tmp_path: Path,
    data: TrainingData,
) -> None:
    weights = change(save_unet(tmp_path).state_dict())
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    save_file(weights, tmp_path / file) if file.endswith(".safetensors") else torch.save(weights, tmp_path / file)
    reason = Ddpm(denoiser=str(tmp_path)).supports(data.facts)
    assert reason is not None
    assert re.search(f"{re.escape(str(tmp_path / file))}: not those of the configured U-Net: {problem}", reason)
    with pytest.raises(UserError, match=problem):
        fit(LocalDenoiser(path=str(tmp_path)), data)


def test_weights_that_are_not_finite_are_refused_at_the_start_of_the_fit(
    save_unet: SaveUNet, tmp_path: Path, data: TrainingData
) -> None:
    weights = save_unet(tmp_path).state_dict()
    weights["conv_in.weight"][0, 0, 0, 0] = float("nan")
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(UserError, match=r"NaN or infinity in conv_in\.weight$"):
        fit(LocalDenoiser(path=str(tmp_path)), data)


def test_a_web_page_in_place_of_the_weights_is_reported(save_unet: SaveUNet, tmp_path: Path, facts: Facts) -> None:
    save_unet(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").write_text("<html>Sign in</html>")
    reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
    assert reason is not None
    assert "got a web page; download it again" in reason


def test_attention_of_old_checkpoints_is_read_under_its_new_names(
    save_unet: SaveUNet, tmp_path: Path, data: TrainingData
) -> None:
    unet = save_unet(tmp_path, add_attention=True, attention_head_dim=8)
    old = {name: re.sub(r"\.to_out\.0\.", ".proj_attn.", name) for name in unet.state_dict()}
    for now, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
        old = {name: written.replace(f".{now}.", f".{before}.") for name, written in old.items()}
    assert {"query", "proj_attn"} <= {part for written in old.values() for part in written.split(".")}
    weights = {written: unet.state_dict()[name] for name, written in old.items()}
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    assert LocalDenoiser(path=str(tmp_path)).supports(data.facts) is None
    assert predicts_like(LocalDenoiser(path=str(tmp_path)), unet, data)
    weights["mid_block.attentions.0.to_q.weight"] = weights["mid_block.attentions.0.query.weight"].clone()
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    reason = LocalDenoiser(path=str(tmp_path)).supports(data.facts)
    assert reason is not None
    assert reason.endswith("unexpected mid_block.attentions.0.query.weight")
