"""The published MelGAN in plain PyTorch: what ours is compared with, in its output and in its speed.

Written from appendix A of Kumar et al. (2019), arXiv:1910.06711, and its list of layers. Names in the state
dict are those of the code published with it.
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm


def rectified():
    """The activation of all layers."""
    return nn.LeakyReLU(0.2)


class ResidualBlock(nn.Module):
    """1x1 shortcut plus dilated convolution and 1x1 convolution, ``(batch, channels, time)``."""

    def __init__(self, channels, dilation):
        super().__init__()
        self.block = nn.Sequential(
            rectified(),
            nn.ReflectionPad1d(dilation),
            weight_norm(nn.Conv1d(channels, channels, 3, dilation=dilation)),
            rectified(),
            weight_norm(nn.Conv1d(channels, channels, 1)),
        )
        self.shortcut = weight_norm(nn.Conv1d(channels, channels, 1))

    def forward(self, hidden):
        return self.shortcut(hidden) + self.block(hidden)


class MelGANGenerator(nn.Module):
    """Mel spectrogram ``(batch, bands, frames)`` to audio ``(batch, 1, samples)``."""

    def __init__(self, *, num_mels=80, channels=512, ratios=(8, 8, 2, 2), dilations=(1, 3, 9)):
        super().__init__()
        layers = [nn.ReflectionPad1d(3), weight_norm(nn.Conv1d(num_mels, channels, 7))]
        for ratio in ratios:
            up = nn.ConvTranspose1d(
                channels,
                channels // 2,
                2 * ratio,
                stride=ratio,
                padding=ratio // 2 + ratio % 2,
                output_padding=ratio % 2,
            )
            channels //= 2
            layers += [rectified(), weight_norm(up), *(ResidualBlock(channels, d) for d in dilations)]
        layers += [rectified(), nn.ReflectionPad1d(3), weight_norm(nn.Conv1d(channels, 1, 7)), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, mel):
        return self.model(mel)

    def remove_weight_norm(self):
        """Fold the normalisation into the kernels, as is done for playing."""
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
                nn.utils.parametrize.remove_parametrizations(module, "weight")


class ScaleDiscriminator(nn.Module):
    """Audio ``(batch, 1, samples)`` to all hidden layers and, as the last, the scores."""

    def __init__(self, *, channels=16, most_channels=1024, strides=(4, 4, 4, 4)):
        super().__init__()
        layers = [nn.Sequential(nn.ReflectionPad1d(7), weight_norm(nn.Conv1d(1, channels, 15)), rectified())]
        for stride in strides:
            before, channels = channels, min(channels * stride, most_channels)
            convolution = nn.Conv1d(
                before, channels, 10 * stride + 1, stride=stride, padding=5 * stride, groups=before // 4
            )
            layers.append(nn.Sequential(weight_norm(convolution), rectified()))
        wider = min(2 * channels, most_channels)
        layers.append(nn.Sequential(weight_norm(nn.Conv1d(channels, wider, 5, padding=2)), rectified()))
        layers.append(weight_norm(nn.Conv1d(wider, 1, 3, padding=1)))
        self.layers = nn.ModuleList(layers)

    def forward(self, audio):
        results = []
        for layer in self.layers:
            audio = layer(audio)
            results.append(audio)
        return results


class MelGANDiscriminator(nn.Module):
    """Three of them, on the audio and on it at a half and a quarter of the rate."""

    def __init__(self, *, scales=3, **settings):
        super().__init__()
        self.scales = nn.ModuleList([ScaleDiscriminator(**settings) for _ in range(scales)])
        self.pool = nn.AvgPool1d(4, stride=2, padding=1, count_include_pad=False)

    def forward(self, audio):
        results = []
        for number, scale in enumerate(self.scales):
            audio = self.pool(audio) if number else audio
            results.append(scale(audio))
        return results


def parameters_of(module):
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def train_step(generator, discriminator, optimizers, mel, audio):
    """One step of both parts: hinge and feature matching, in turns, as published.

    Args:
        generator, discriminator: the modules above.
        optimizers: of either.
        mel: ``(batch, bands, frames)``.
        audio: ``(batch, 1, samples)``.
    """
    fake = generator(mel)
    optimizers[1].zero_grad()
    losses = [
        torch.relu(1.0 - real[-1]).mean() + torch.relu(1.0 + made[-1]).mean()
        for real, made in zip(discriminator(audio), discriminator(fake.detach()), strict=True)
    ]
    sum(losses).backward()
    optimizers[1].step()
    optimizers[0].zero_grad()
    with torch.no_grad():
        real = discriminator(audio)
    made = discriminator(fake)
    loss = sum(-scale[-1].mean() for scale in made)
    for a, b in zip(real, made, strict=True):
        for x, y in zip(a[:-1], b[:-1], strict=True):
            loss = loss + 48.0 / (len(made) * (len(a) - 1)) * nn.functional.l1_loss(x, y)
    loss.backward()
    optimizers[0].step()
