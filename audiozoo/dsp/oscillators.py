"""Oscillators: a bank of harmonics on one fundamental, and a plucked FM tone.

The bank never builds a ``(batch, samples, harmonics)`` tensor of sines and never sums phase at
sample rate. Phase is carried exactly from frame to frame, and the harmonics of one sample are
summed by Clenshaw's recurrence from a single sine and cosine.
"""

import math

import numpy as np
from keras import ops

from audiozoo.dsp.envelopes import check_envelope, frame_ramp, next_frame


def harmonic_bank(f0_hz, amplitudes, *, sample_rate, hop, envelope="linear", initial_phase=0.0):
    """Sum of harmonics ``k * f0_hz``, k = 1..K, each with its own amplitude envelope.

    Harmonics at or above the Nyquist frequency are silent, and so is an unvoiced frame (0 Hz).

    Args:
        f0_hz: ``(batch, frames, 1)``, Hz; 0 where unvoiced.
        amplitudes: ``(batch, frames, K)``, linear.
        sample_rate: Hz.
        hop: samples per frame.
        envelope: ``"linear"``: amplitudes and frequency move straight from frame to frame;
            ``"nearest"``: both are held for ``hop`` samples.
        initial_phase: cycles at the first sample, a number or ``(batch, 1, 1)``.

    Returns:
        ``(batch, frames * hop)`` audio.

    Raises:
        ValueError: unknown envelope.
    """
    check_envelope(envelope)
    f0_hz, amplitudes = ops.convert_to_tensor(f0_hz, "float32"), ops.convert_to_tensor(amplitudes, "float32")
    frames, num_harmonics = amplitudes.shape[1], amplitudes.shape[2]
    start_hz, end_hz = glide(f0_hz, envelope)
    phase = frame_phase(start_hz, end_hz, sample_rate=sample_rate, hop=hop, initial_phase=initial_phase)
    ramp = frame_ramp(hop)
    # With w = n / hop in 0..1: the integral of f0 + (f1 - f0) w from the frame's first sample.
    sweep = (start_hz + 0.5 * (end_hz - start_hz) * ramp) * ramp * (hop / sample_rate)
    cycles = phase + sweep
    angle = (2.0 * math.pi) * (cycles - ops.round(cycles))

    audible = nyquist_mask(bank_ceiling(f0_hz, envelope), num_harmonics, sample_rate=sample_rate)
    start = amplitudes * audible
    if envelope == "linear":
        change = next_frame(start) - start
        levels = [start[..., k : k + 1] + change[..., k : k + 1] * ramp for k in range(num_harmonics)]
    else:
        levels = [start[..., k : k + 1] for k in range(num_harmonics)]
    return ops.reshape(sine_series(levels, angle), (-1, frames * hop))


def sine_series(coefficients, angle):
    """``sum_k coefficients[k - 1] * sin(k * angle)`` by Clenshaw's recurrence.

    From ``sin((k+1)a) = 2 cos(a) sin(ka) - sin((k-1)a)`` follows, going down from the highest
    harmonic, ``b_k = c_k + 2 cos(a) b_{k+1} - b_{k+2}`` and the sum is ``sin(a) b_1``
    (Clenshaw, 1955): two multiply-adds per harmonic, and no table of sines.

    Args:
        coefficients: list of K tensors that broadcast to the shape of ``angle``.
        angle: radians, best within -pi..pi.

    Returns:
        Tensor of the shape of ``angle``.
    """
    double_cosine = 2.0 * ops.cos(angle)
    last, before_last = ops.zeros_like(angle), ops.zeros_like(angle)
    for coefficient in reversed(coefficients):
        last, before_last = coefficient + double_cosine * last - before_last, last
    return ops.sin(angle) * last


def glide(f0_hz, envelope):
    """Frequency at both ends of each frame, ``(start_hz, end_hz)``, shapes of ``f0_hz``.

    Beside an unvoiced frame (0 Hz) the voiced one's frequency is held: a note begins and ends
    on its own pitch instead of sweeping from or to 0 Hz.
    """
    f0_hz = ops.convert_to_tensor(f0_hz, "float32")
    if envelope == "nearest":
        return f0_hz, f0_hz
    following = next_frame(f0_hz)
    return ops.where(f0_hz > 0, f0_hz, following), ops.where(following > 0, following, f0_hz)


def frame_phase(start_hz, end_hz, *, sample_rate, hop, initial_phase=0.0):
    """Phase at the first sample of each frame, in cycles, without drift.

    A frame advances the phase by ``(start + end) / 2 * hop / sample_rate`` cycles. Summed in
    float32 that is lost within minutes. So the frequency is split into whole Hz and a rest: the
    whole part advances by an integer number of half-sample steps, ``hop * hz`` modulo
    ``2 * sample_rate``, which float32 sums exactly; the rest stays below one cycle per second
    and its rounding with it. Both running sums are reduced at every step. Measured against
    float64 over 10 minutes the error is below 2e-5 cycles. The split is differentiable: all of
    the gradient with respect to frequency goes through the rest.

    Args:
        start_hz: ``(batch, frames, 1)``, frequency at the frame's first sample.
        end_hz: the same at its end; frequency is linear between them.
        sample_rate: Hz, a whole number.
        hop: samples per frame.
        initial_phase: cycles, a number or ``(batch, 1, 1)``.

    Returns:
        ``(batch, frames, 1)`` in 0..1.
    """
    start_hz, end_hz = ops.convert_to_tensor(start_hz, "float32"), ops.convert_to_tensor(end_hz, "float32")
    whole = ops.floor(start_hz) + ops.floor(end_hz)
    rest = (start_hz - ops.floor(start_hz)) + (end_hz - ops.floor(end_hz))
    steps = running_sum_modulo(ops.mod(ops.stop_gradient(whole) * hop, 2.0 * sample_rate), 2.0 * sample_rate)
    cycles = running_sum_modulo(rest * (0.5 * hop / sample_rate), 1.0)
    at_end = steps / (2.0 * sample_rate) + cycles
    at_start = ops.pad(at_end[:, :-1], ((0, 0), (1, 0), (0, 0)))
    return ops.mod(at_start + ops.cast(initial_phase, at_start.dtype), 1.0)


def running_sum_modulo(increments, modulus):
    """Inclusive running sum along axis 1, reduced modulo ``modulus`` at every step.

    Doubling: after step i each element holds the sum of the last ``2^i`` increments. Sums of
    whole numbers are exact while ``2 * modulus`` is below 2^24.

    Args:
        increments: ``(batch, frames, channels)``, within 0..modulus.
        modulus: positive number.

    Returns:
        Tensor of the same shape, within 0..modulus.
    """
    frames = increments.shape[1]
    total, reach = increments, 1
    while reach < frames:
        earlier = ops.pad(total[:, :-reach], ((0, 0), (reach, 0), (0, 0)))
        total, reach = ops.mod(total + earlier, modulus), 2 * reach
    return total


def nyquist_mask(f0_hz, num_harmonics, *, sample_rate):
    """1 where harmonic k of ``f0_hz`` is audible, 0 at or above Nyquist and where unvoiced.

    Args:
        f0_hz: ``(batch, frames, 1)``, Hz.
        num_harmonics: K.
        sample_rate: Hz.

    Returns:
        ``(batch, frames, K)``, float32.
    """
    harmonic_hz = ops.convert_to_tensor(f0_hz, "float32") * ops.arange(1, num_harmonics + 1, dtype="float32")
    return ops.cast((harmonic_hz > 0) & (harmonic_hz < 0.5 * sample_rate), "float32")


def bank_ceiling(f0_hz, envelope):
    """Highest fundamental that sounds while a frame's amplitude does; 0 where unvoiced.

    With linear envelopes a frame's amplitude reaches into both neighbouring frames, where the
    fundamental glides to the neighbour's: a harmonic must be silent if it passes Nyquist there.
    """
    if envelope == "nearest":
        return f0_hz
    previous = ops.concatenate([f0_hz[:, :1], f0_hz[:, :-1]], axis=1)
    highest = ops.maximum(ops.maximum(previous, f0_hz), next_frame(f0_hz))
    return ops.where(f0_hz > 0, highest, ops.zeros_like(f0_hz))


def fm_pluck(
    f0_hz, *, sample_rate, duration_seconds, decay_seconds=0.5, modulation_index=4.0, modulation_ratio=2.0
):
    """Plucked tone by frequency modulation (Chowning, 1973): brightness decays with loudness.

    ``e(t) sin(2 pi f0 t + I e(t) sin(2 pi r f0 t))`` with ``e(t) = exp(-t / decay)``.

    Args:
        f0_hz: ``(batch,)``, Hz.
        sample_rate: Hz.
        duration_seconds: length of the tone.
        decay_seconds: time to fall to 1/e.
        modulation_index: I, radians, at the onset.
        modulation_ratio: r, modulator frequency over ``f0_hz``.

    Returns:
        ``(batch, samples)`` audio within -1..1.
    """
    samples = round(duration_seconds * sample_rate)
    seconds = np.arange(samples, dtype="float32") / np.float32(sample_rate)
    seconds = ops.convert_to_tensor(seconds)
    envelope = ops.exp(-seconds / decay_seconds)
    cycles = ops.expand_dims(ops.convert_to_tensor(f0_hz, "float32"), 1) * seconds
    modulator = modulation_index * envelope * ops.sin(2.0 * math.pi * ops.mod(modulation_ratio * cycles, 1.0))
    return envelope * ops.sin(2.0 * math.pi * ops.mod(cycles, 1.0) + modulator)
