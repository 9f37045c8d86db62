"""What MelNet is measured against: likelihoods by hand, and the whole network for each number."""

import numpy as np
import pytest
from cases import on_one_backend

from benchmarks import melnet


@on_one_backend
def test_likelihoods_of_gaussians_are_those_of_what_made_the_data():
    """A process whose entropy is known: of one frame alone, and of one given the frame before."""
    random = np.random.default_rng(0)
    factor, noise = np.array([0.9, 0.0]), np.array([0.5, 2.0])
    deviation = noise / np.sqrt(1.0 - factor**2)
    shift = np.array([0.0, 3.0])  # of the second class

    def made(count):
        frames = [deviation * random.standard_normal((count, 2))]
        for _ in range(199):
            frames.append(factor * frames[-1] + noise * random.standard_normal((count, 2)))
        labels = np.arange(count) % 2
        return np.stack(frames, axis=1) + shift[labels][:, None, None], labels

    found = melnet.gaussian_likelihoods(*made(200), *made(200))
    entropy = 0.5 * np.log(2.0 * np.pi * np.e)
    assert found["independent"] == pytest.approx(entropy + np.log(deviation).mean(), abs=0.02)
    first, others = np.log(deviation).mean(), np.log(noise).mean()
    assert found["ar1"] == pytest.approx(entropy + (first + 199 * others) / 200, abs=0.02)


@on_one_backend
def test_the_network_for_each_number_draws_what_is_drawn_with_states_kept():
    model = melnet.one_tier((4, 3), 1)
    np.testing.assert_allclose(melnet.recomputed(model), model.sample("music"), atol=1e-5)


def test_the_layers_in_pytorch_are_ours():
    torch = pytest.importorskip("torch")
    from benchmarks.baselines import melnet_pytorch

    theirs = sum(weight.numel() for weight in melnet_pytorch.Stack(64, 2).parameters())
    assert theirs == 2 * 116_352
    stack = melnet_pytorch.Stack(3, 1)
    signal, optimizer = torch.ones(1, 2, 4, 3), torch.optim.SGD(stack.parameters(), 0.1)
    losses = [melnet_pytorch.train_step(stack, optimizer, signal) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]
