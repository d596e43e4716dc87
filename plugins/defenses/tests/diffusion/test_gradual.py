from retbench_defenses.denoisers.denoiser import DenoiserMetadata
from retbench_defenses.diffusion.gradual import Gradual

SMALL_DENOISER = DenoiserMetadata({"block_out_channels": (8,)}, 1000, (32, 32))


def test_the_published_schedule_takes_470_network_calls() -> None:
    passes = Gradual().diffusion_passes(SMALL_DENOISER)
    assert [each.start_level for each in passes] == [29] * 4 + [49] * 2 + [124] * 2
    assert sum(len(each.steps) for each in passes) == 470
    shortened = Gradual(steps=5, schedule=((3, 1), (50, 1))).diffusion_passes(SMALL_DENOISER)
    assert [len(each.steps) for each in shortened] == [3, 5]
