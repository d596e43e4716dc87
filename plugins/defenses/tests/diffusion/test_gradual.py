from retbench_defenses.denoisers.denoiser import Outline
from retbench_defenses.diffusion.gradual import Gradual

SMALL = Outline({"block_out_channels": (8,)}, 1000, (32, 32))


def test_gradual_noise_takes_470_network_calls() -> None:
    walks = Gradual().walks(SMALL)
    assert [walk.start for walk in walks] == [29] * 4 + [49] * 2 + [124] * 2
    assert sum(len(walk.links) for walk in walks) == 470
    assert [len(walk.links) for walk in Gradual(steps=5, schedule=((3, 1), (50, 1))).walks(SMALL)] == [3, 5]
