"""The DDSP decoder in plain PyTorch, as one writes it first: the other side of every speed comparison.

After Engel et al. (2020), DDSP, arXiv:2001.04643, and the structure of acids-ircam/ddsp_pytorch: the
sine of a whole ``(batch, samples, harmonics)`` tensor, phase summed at sample rate, noise cut at
each frame, a reverb with an FFT of twice the length of the sound, ``torch.stft``.
It has the weights, inputs and formulas of ``audiozoo.models.DDSPDecoder`` with
``envelope="nearest", noise_tails="cut"``: with equal weights (``copy_weights``) and equal noise the
two sound the same, which ``tests/benchmarks/test_baselines.py`` checks. Nothing of Keras is used.
"""

import math

import numpy as np
import torch
from torch import nn

LOWEST_HZ = 8.1757989  # MIDI note 0; keeps the logarithm finite where f0 is 0 (unvoiced)
SILENCE_DB = -99.9  # at or below it, nothing sounds


class DDSPDecoder(nn.Module):
    """Pitch and loudness to sound: perceptrons, GRU, harmonics, filtered noise, a room.

    Args:
        sample_rate: Hz.
        hop: samples per frame.
        num_units: width of every layer.
        num_harmonics: partials of the harmonic bank.
        num_noise_bands: bands of the noise filter, 0 Hz to Nyquist.
        reverb_length: taps of the learned room.
        pitch_scale: MIDI note number that the network sees as 1.
        loudness_mean_db, loudness_std_db: statistics of the training data.
    """

    def __init__(
        self,
        *,
        sample_rate=16000,
        hop=160,
        num_units=512,
        num_harmonics=100,
        num_noise_bands=65,
        reverb_length=16000,
        pitch_scale=127.0,
        loudness_mean_db=-40.0,
        loudness_std_db=10.0,
    ):
        super().__init__()
        self.sample_rate, self.hop, self.pitch_scale = sample_rate, hop, pitch_scale
        self.loudness_mean_db, self.loudness_std_db = loudness_mean_db, loudness_std_db
        self.pitch_perceptron = perceptron(1, num_units)
        self.loudness_perceptron = perceptron(1, num_units)
        self.recurrence = nn.GRU(2 * num_units, num_units, batch_first=True)
        self.joint_perceptron = perceptron(3 * num_units, num_units)
        self.amplitude_head = nn.Linear(num_units, 1)
        self.harmonic_head = nn.Linear(num_units, num_harmonics)
        self.noise_head = nn.Linear(num_units, num_noise_bands)
        self.reverb = Reverb(reverb_length)

    def forward(self, f0_hz, loudness_db, noise=None):
        """Audio ``(batch, frames * hop)`` from features ``(batch, frames, 1)``; see ``synthesize``."""
        return self.synthesize(**self.controls(f0_hz, loudness_db), noise=noise)

    def controls(self, f0_hz, loudness_db):
        """``f0_hz``, ``amplitudes`` of every harmonic, ``noise_magnitudes``: ``(batch, frames, ...)``."""
        pitch = self.pitch_perceptron(hz_to_midi(f0_hz) / self.pitch_scale)
        loudness = self.loudness_perceptron((loudness_db - self.loudness_mean_db) / self.loudness_std_db)
        both = torch.cat([pitch, loudness], dim=-1)
        memory, _ = self.recurrence(both)
        hidden = self.joint_perceptron(torch.cat([both, memory], dim=-1))

        sounding = (loudness_db > SILENCE_DB).float()
        distribution = audible_distribution(
            modified_sigmoid(self.harmonic_head(hidden)), f0_hz, sample_rate=self.sample_rate
        )
        return {
            "f0_hz": f0_hz,
            "amplitudes": modified_sigmoid(self.amplitude_head(hidden)) * sounding * distribution,
            "noise_magnitudes": modified_sigmoid(self.noise_head(hidden) - 5.0) * sounding,
        }

    def synthesize(self, f0_hz, amplitudes, noise_magnitudes, noise=None):
        """Audio ``(batch, samples)``; ``noise (batch, frames, hop)`` in -1..1 is drawn if not given."""
        if noise is None:
            noise = torch.rand(*f0_hz.shape[:2], self.hop, device=f0_hz.device) * 2.0 - 1.0
        harmonics = harmonic_bank(f0_hz, amplitudes, sample_rate=self.sample_rate, hop=self.hop)
        return self.reverb(harmonics + filter_noise(noise, noise_magnitudes))


def perceptron(channels, units, depth=3):
    """``depth`` times linear, layer normalisation, leaky ReLU."""
    stages = []
    for _ in range(depth):
        stages += [nn.Linear(channels, units), nn.LayerNorm(units), nn.LeakyReLU()]
        channels = units
    return nn.Sequential(*stages)


class Reverb(nn.Module):
    """Direct sound plus its convolution with learned taps, scaled down towards the end of the room."""

    def __init__(self, length):
        super().__init__()
        self.taps = nn.Parameter(0.02 * torch.randn(length))
        self.register_buffer("scale", 0.1 * torch.exp(-4.0 * torch.arange(length) / length))

    def forward(self, audio):
        """Audio ``(batch, samples)`` in the room."""
        samples = audio.shape[1]
        response = torch.tanh(self.scale * self.taps)[:samples]
        return audio + fft_convolve(audio, nn.functional.pad(response, (0, samples - len(response))))


def hz_to_midi(f0_hz):
    """MIDI note number; 0 Hz (unvoiced) becomes note 0."""
    return 69.0 + torch.log(f0_hz.clamp(min=LOWEST_HZ) / 440.0) * (12.0 / math.log(2.0))


def modified_sigmoid(logits):
    """Positive control ``2 * sigmoid(x)^ln(10) + 1e-7``."""
    return 2.0 * torch.sigmoid(logits) ** math.log(10.0) + 1e-7


def audible_distribution(distribution, f0_hz, *, sample_rate):
    """Without harmonics at or above Nyquist and without unvoiced frames, scaled to sum to 1."""
    harmonic_hz = f0_hz * torch.arange(1, distribution.shape[-1] + 1, device=f0_hz.device)
    distribution = distribution * ((harmonic_hz > 0) & (harmonic_hz < 0.5 * sample_rate))
    return distribution / distribution.sum(dim=-1, keepdim=True).clamp(min=1e-7)


def harmonic_bank(f0_hz, amplitudes, *, sample_rate, hop):
    """Every harmonic's sine at every sample, then their sum.

    Args:
        f0_hz: ``(batch, frames, 1)``, Hz.
        amplitudes: ``(batch, frames, harmonics)``, linear, 0 where a harmonic is not audible.
        sample_rate: Hz.
        hop: samples per frame.

    Returns:
        ``(batch, frames * hop)`` audio.
    """
    step = 2.0 * math.pi * f0_hz.repeat_interleave(hop, dim=1) / sample_rate
    phase = torch.cumsum(step, dim=1) - step  # 0 at the first sample
    number = torch.arange(1, amplitudes.shape[-1] + 1, device=amplitudes.device)
    sines = torch.sin(number * phase)
    return (amplitudes.repeat_interleave(hop, dim=1) * sines).sum(dim=-1)


def filter_noise(noise, magnitudes):
    """White noise through one filter per frame, each frame cut at its own end.

    Args:
        noise: ``(batch, frames, hop)``.
        magnitudes: ``(batch, frames, bands)``, gain from 0 Hz to Nyquist.

    Returns:
        ``(batch, frames * hop)`` audio.
    """
    hop, taps = noise.shape[-1], 2 * (magnitudes.shape[-1] - 1)
    response = torch.fft.irfft(magnitudes.to(torch.complex64), n=taps)
    response = torch.roll(response, taps // 2, dims=-1) * torch.hann_window(taps, device=response.device)
    response = torch.roll(nn.functional.pad(response, (0, hop - taps)), -(taps // 2), dims=-1)
    return fft_convolve(noise, response).flatten(start_dim=1)


def fft_convolve(signal, response):
    """Convolution of two signals of ``samples`` along the last axis, by an FFT of twice that, then cut."""
    samples = signal.shape[-1]
    spectrum = torch.fft.rfft(signal, n=2 * samples) * torch.fft.rfft(response, n=2 * samples)
    return torch.fft.irfft(spectrum, n=2 * samples)[..., :samples]


def multi_scale_spectral_loss(
    reference, estimate, *, window_lengths=(2048, 1024, 512, 256, 128, 64), epsilon=1e-7
):
    """Mean difference of magnitudes and of their logarithms, over six windows.

    Args:
        reference, estimate: audio ``(batch, samples)``.
        window_lengths: samples; each is moved by a quarter of itself.
        epsilon: added inside the logarithm.

    Returns:
        Scalar.
    """
    loss = 0.0
    for window_length in window_lengths:
        a, b = (stft_magnitude(audio, window_length) for audio in (reference, estimate))
        loss = loss + (a - b).abs().mean()
        loss = loss + (torch.log(a + epsilon) - torch.log(b + epsilon)).abs().mean()
    return loss


def stft_magnitude(audio, window_length):
    """``(batch, bins, frames)`` of audio ``(batch, samples)``; centred, periodic Hann window."""
    window = torch.hann_window(window_length, device=audio.device)
    return torch.stft(audio, window_length, window_length // 4, window=window, return_complex=True).abs()


@torch.no_grad()
def copy_weights(decoder, baseline):
    """Give ``baseline`` the weights of an ``audiozoo.models.DDSPDecoder`` of the same sizes.

    Keras keeps a dense kernel as ``(in, out)``, PyTorch as ``(out, in)``. Keras orders the gates of
    a GRU update, reset, candidate, and PyTorch reset, update, candidate; both add one bias to the
    input's product and one to the state's.
    """
    network = decoder.network
    for name in ("pitch_perceptron", "loudness_perceptron", "joint_perceptron"):
        source, stages = getattr(network, name), getattr(baseline, name)
        for i, (dense, norm) in enumerate(zip(source.dense, source.norm, strict=True)):
            copy_dense(dense, stages[3 * i])
            copy_arrays(norm.get_weights(), (stages[3 * i + 1].weight, stages[3 * i + 1].bias))
    for name in ("amplitude_head", "harmonic_head", "noise_head"):
        copy_dense(getattr(network, name), getattr(baseline, name))

    kernel, recurrent_kernel, bias = network.recurrence.get_weights()
    gru = baseline.recurrence
    arrays = [reset_gate_first(array) for array in (kernel.T, recurrent_kernel.T, bias[0], bias[1])]
    copy_arrays(arrays, (gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0))
    copy_arrays(decoder.reverb.get_weights(), (baseline.reverb.taps,))


def copy_dense(dense, linear):
    """Weights of a Keras ``Dense`` to a PyTorch ``Linear``."""
    kernel, bias = dense.get_weights()
    copy_arrays((kernel.T, bias), (linear.weight, linear.bias))


def reset_gate_first(array):
    """Gates along axis 0 from Keras's order to PyTorch's."""
    update, reset, candidate = np.split(array, 3)
    return np.concatenate([reset, update, candidate])


def copy_arrays(arrays, parameters):
    """Each array to its parameter. Raises ValueError where shapes differ."""
    for array, parameter in zip(arrays, parameters, strict=True):
        if array.shape != tuple(parameter.shape):
            raise ValueError(
                f"decoder and baseline must have equal sizes; got shapes {array.shape} and "
                f"{tuple(parameter.shape)}. Make both with the same arguments."
            )
        parameter.copy_(torch.tensor(array))
