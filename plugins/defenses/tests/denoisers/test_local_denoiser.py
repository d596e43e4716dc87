import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from retbench_defenses.denoisers.local_denoiser import LocalDenoiser
from retbench_defenses.denoisers.schedule import betas
from retbench_defenses.diffusion.ddpm import Ddpm

from retbench import Context, Facts, Noise, TrainingData

Save = Callable[..., UNet2DModel]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache of the test's own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def same_predictions(denoiser: LocalDenoiser, net: UNet2DModel, data: TrainingData) -> bool:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)))
    restored = denoiser.module(denoiser.fit(data, ctx), ctx.device)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.allclose(restored(x, 44).eps, net.eval()(x, 44).sample, atol=1e-5)


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
    assert "hub" not in reason


@pytest.mark.parametrize(("option", "channels"), [("in_channels", 1), ("out_channels", 4)])
def test_other_channels_are_refused(option: str, channels: int, save: Save, tmp_path: Path, facts: Facts) -> None:
    save(tmp_path, **{option: channels})
    reason = Ddpm(denoiser=str(tmp_path)).supports(facts)
    assert reason is not None
    assert f"got {option} {channels}, expected 3" in reason


def test_a_network_that_learned_the_variance_is_known_by_its_channels(
    save: Save, tmp_path: Path, facts: Facts, data: TrainingData
) -> None:
    save(tmp_path / "plain")
    save(tmp_path / "learned", out_channels=6)
    plain, learned = (LocalDenoiser(path=str(tmp_path / name)).outline(facts) for name in ("plain", "learned"))
    assert (plain.variance, learned.variance) == ("fixed_small", "learned_range")
    assert Ddpm(denoiser=str(tmp_path / "learned"), variance="learned_range").supports(facts) is None
    reason = Ddpm(denoiser=str(tmp_path / "plain"), variance="learned_range").supports(facts)
    assert reason == "variance learned_range needs a denoiser that learned it: got 3 output channels, expected 6"


@pytest.mark.parametrize("inside", ["scheduler_config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize(("kind", "variance"), [("fixed_large", "fixed_large"), ("fixed_small_log", "fixed_small")])
def test_the_variance_is_that_of_the_scheduler_beside_it(
    inside: str, kind: str, variance: str, save: Save, tmp_path: Path, facts: Facts
) -> None:
    save(tmp_path)
    before = LocalDenoiser(path=str(tmp_path)).spec(facts)
    (tmp_path / inside).parent.mkdir(exist_ok=True)
    (tmp_path / inside).write_text(json.dumps({"variance_type": kind, "beta_schedule": "linear"}))
    assert LocalDenoiser(path=str(tmp_path)).outline(facts).variance == variance
    assert LocalDenoiser(path=str(tmp_path)).spec(facts) != before


def test_a_network_trained_on_another_chain_is_refused(save: Save, tmp_path: Path, facts: Facts) -> None:
    save(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"beta_schedule": "squaredcos_cap_v2"}))
    reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
    assert reason is not None
    assert "trained on another chain: beta_schedule: got squaredcos_cap_v2, expected linear" in reason


def test_weights_of_the_older_kind_are_read_too(save: Save, tmp_path: Path, data: TrainingData) -> None:
    net = save(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(net.state_dict(), tmp_path / "diffusion_pytorch_model.bin")
    assert same_predictions(LocalDenoiser(path=str(tmp_path)), net, data)


def test_a_network_says_what_size_it_was_trained_for(save: Save, tmp_path: Path, facts: Facts) -> None:
    for name, size in (("square", 32), ("oblong", [24, 48])):
        save(tmp_path / name, sample_size=size)
    assert LocalDenoiser(path=str(tmp_path / "square")).outline(facts).size == (32, 32)
    assert LocalDenoiser(path=str(tmp_path / "oblong")).outline(facts).size == (24, 48)


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


def test_a_folder_that_cannot_be_read_is_refused_in_one_line(save: Save, tmp_path: Path, facts: Facts) -> None:
    def reason(spoil: Callable[[Path], object]) -> str:
        save(tmp_path)
        spoil(tmp_path)
        answer = LocalDenoiser(path=str(tmp_path)).supports(facts)
        assert answer is not None
        assert "\n" not in answer
        return answer

    def configure(**options: object) -> Callable[[Path], object]:
        def write(folder: Path) -> None:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, **options}))

        return write

    weights = "diffusion_pytorch_model.safetensors"
    assert "JSONDecodeError" in reason(lambda folder: (folder / "config.json").write_text("{"))
    assert "SafetensorError" in reason(lambda folder: (folder / weights).write_bytes(b"short"))
    assert "got (3, 8, 3, 3), expected (6, 8, 3, 3)" in reason(configure(out_channels=6))
    assert "TypeError" in reason(configure(no_such_option=1))
    assert "needs a class: got 10" in reason(configure(num_class_embeds=10))
    assert "cannot be read: " in reason(configure(down_block_types=["NoBlock2D", "DownBlock2D"]))


@pytest.mark.parametrize(
    ("options", "complaint"),
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
def test_a_scheduler_that_is_not_understood_is_refused(
    options: dict[str, object], complaint: str, save: Save, tmp_path: Path, facts: Facts
) -> None:
    save(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(options))
    reason = LocalDenoiser(path=str(tmp_path)).supports(facts)
    assert reason is not None
    assert complaint in reason


def test_a_scheduler_that_says_learned_does_not_make_three_outputs_learn(
    save: Save, tmp_path: Path, facts: Facts
) -> None:
    save(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"variance_type": "learned_range"}))
    reason = Ddpm(denoiser=str(tmp_path)).supports(facts)
    assert reason == "variance learned_range needs a denoiser that learned it: got 3 output channels, expected 6"


@pytest.mark.parametrize(
    "options",
    [
        {"beta_start": torch.tensor(1e-4).item(), "beta_end": torch.tensor(0.02).item()},
        {"trained_betas": torch.linspace(1e-4, 0.02, 1000, dtype=torch.float32).tolist()},
        {"trained_betas": list(betas()), "beta_schedule": "squaredcos_cap_v2"},
    ],
    ids=["ends in float32", "betas in float32", "betas in float64"],
)
def test_the_same_chain_written_in_another_precision_is_accepted(
    options: dict[str, object], save: Save, tmp_path: Path, facts: Facts
) -> None:
    save(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(options))
    assert LocalDenoiser(path=str(tmp_path)).supports(facts) is None
