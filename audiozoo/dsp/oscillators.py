"""Oscillators: a bank of harmonics on one fundamental, and a plucked FM tone.

The bank never builds a ``(batch, samples, harmonics)`` tensor of sines and never sums phase at
sample rate. Phase is carried exactly from frame to frame, as a whole number; the harmonics of one
sample are summed by a recurrence from a single sine and cosine, and so is the gradient.
"""

import math

import numpy as np
from keras import ops

from audiozoo.dsp.envelopes import check_envelope, frame_ramp, next_frame

TILE_SAMPLES = 65536  # computed at once: a tile's few arrays stay in a core's cache, and memory is bounded
HARMONICS_AT_ONCE = 20  # of the gradient: between them XLA is kept from computing everything anew
MOST_FRAMES = 2**18  # of a sound whose length is not known when it is traced: 43 minutes at 10 ms
STEP_BITS = 30  # of a cycle of phase, so that a sum of two fits in int32


def harmonic_bank(f0_hz, amplitudes, *, sample_rate, hop, envelope="linear", phase=None):
    """Sum of harmonics ``k * f0_hz``, k = 1..K, each with its own amplitude envelope.

    Harmonics at or above the Nyquist frequency are silent, and so is an unvoiced frame (0 Hz).
    Differentiable with respect to ``amplitudes``, and to ``f0_hz`` where that is asked for; where it
    is not, its gradient is not computed.

    Args:
        f0_hz: ``(batch, frames, 1)``, Hz; 0 where unvoiced.
        amplitudes: ``(batch, frames, K)``, linear.
        sample_rate: Hz.
        hop: samples per frame.
        envelope: ``"linear"``: amplitudes and frequency move straight from frame to frame;
            ``"nearest"``: both are held for ``hop`` samples.
        phase: ``(batch, frames, 1)``, cycles at the first sample of each frame, for a sound that
            goes on from an earlier one; by default ``frame_phase``, which begins at 0.

    Returns:
        ``(batch, frames * hop)`` audio.

    Raises:
        ValueError: unknown envelope.
    """
    check_envelope(envelope)
    f0_hz, amplitudes = ops.convert_to_tensor(f0_hz, "float32"), ops.convert_to_tensor(amplitudes, "float32")
    frames, num_harmonics = ops.shape(amplitudes)[1:]
    start_hz, end_hz = glide(f0_hz, envelope)
    if phase is None:
        phase = frame_phase(start_hz, end_hz, sample_rate=sample_rate, hop=hop)
    phase = ops.convert_to_tensor(phase, "float32")
    cycles = phase + sweep_cycles(start_hz, end_hz, sample_rate=sample_rate, hop=hop)
    angle = (2.0 * math.pi) * (cycles - ops.stop_gradient(ops.round(cycles)))

    audible = nyquist_mask(bank_ceiling(f0_hz, envelope), num_harmonics, sample_rate=sample_rate)
    start = amplitudes * audible
    coefficients = (start, next_frame(start) - start) if envelope == "linear" else (start,)
    return ops.reshape(sine_series(coefficients, angle), (-1, frames * hop))


def sine_series(coefficients, angle):
    """``sum_k c_k sin(k * angle)``, k = 1..K, with coefficients that may move inside a frame.

    Forward, Clenshaw's recurrence (1955). From ``sin((k+1)a) = 2 cos(a) sin(ka) - sin((k-1)a)``
    follows, going down from the highest harmonic, ``b_k = c_k + 2 cos(a) b_{k+1} - b_{k+2}``, and the
    sum is ``sin(a) b_1``: two multiply-adds per harmonic and sample, and no table of sines.

    Backward, the same rule going up. With the gradient g of each sample,
    ``u_k = g sin(ka)`` obeys ``u_{k+1} = 2 cos(a) u_k - u_{k-1}``, and the gradient of a frame's c_k
    is the sum of u_k over the frame, weighted by the ramp for the part of c_k that moves with it: a
    product with a matrix of two columns. Nothing of the forward pass need be kept.
    The gradient of the angle is ``g sum_k k c_k cos(ka)``, Clenshaw's rule again.

    Args:
        coefficients: one or two tensors ``(batch, frames, K)``: c_k at the frame's first sample, and
            its change until the next frame's.
        angle: ``(batch, frames, hop)``, radians, best within -pi..pi.

    Returns:
        Tensor of the shape of ``angle``.
    """
    # PyTorch computes whatever gradient a function offers, wanted or not, but says which is wanted;
    # compilers see by themselves that a result is not used.
    angle_wanted = getattr(angle, "requires_grad", True)

    @ops.custom_gradient
    def series(*arguments):
        *coefficients, angle = arguments

        def gradient(*unused, upstream=None):  # PyTorch passes it by name, and the inputs by place
            upstream = unused[0] if upstream is None else upstream
            to_angle = by_tiles(angle_gradient, upstream, angle, *coefficients) if angle_wanted else None
            to_coefficients = by_tiles(coefficient_gradient, upstream, angle, *coefficients)
            return *to_coefficients, ops.zeros_like(angle) if to_angle is None else to_angle

        return by_tiles(clenshaw, angle, *coefficients), gradient

    return series(*coefficients, angle)


def clenshaw(angle, *coefficients):
    """``sum_k c_k sin(k * angle)`` of one tile; arguments as in ``sine_series``, without a batch."""
    sine, _ = clenshaw_pair(angle, coefficients)
    return ops.sin(angle) * sine


def angle_gradient(upstream, angle, *coefficients):
    """Gradient of ``clenshaw`` with respect to the angle: ``g sum_k k c_k cos(k * angle)``."""
    k = ops.arange(1, coefficients[0].shape[-1] + 1, dtype="float32")
    last, before_last = clenshaw_pair(angle, [k * c for c in coefficients])
    return upstream * (ops.cos(angle) * last - before_last)


def clenshaw_pair(angle, coefficients):
    """``(b_1, b_2)`` of Clenshaw's recurrence."""
    start, *change = coefficients
    ramp = frame_ramp(angle.shape[-1])
    double_cosine = 2.0 * ops.cos(angle)
    last, before_last = ops.zeros_like(angle), ops.zeros_like(angle)
    for k in reversed(range(start.shape[-1])):
        coefficient = start[:, k : k + 1]
        if change:
            coefficient = coefficient + change[0][:, k : k + 1] * ramp
        last, before_last = coefficient + double_cosine * last - before_last, last
    return last, before_last


def coefficient_gradient(upstream, angle, *coefficients):
    """Gradient of ``clenshaw`` with respect to each of the coefficients, as a tuple."""
    frames, hop = angle.shape
    moments, num_harmonics = len(coefficients), coefficients[0].shape[-1]
    weights = ops.stack([ops.ones(hop), frame_ramp(hop)][:moments], axis=-1)
    double_cosine = 2.0 * ops.cos(angle)
    at_once = min(HARMONICS_AT_ONCE, num_harmonics)
    rounds = -(-num_harmonics // at_once)

    def next_harmonics(number, state):
        term, before, sums = state
        found = []
        for _ in range(at_once):
            found.append(ops.matmul(term, weights))
            term, before = double_cosine * term - before, term
        found = ops.reshape(ops.stack(found, axis=1), (1, frames, at_once, moments))
        return term, before, ops.slice_update(sums, (number, 0, 0, 0), found)

    first = upstream * ops.sin(angle)
    sums = ops.zeros((rounds, frames, at_once, moments))
    *_, sums = ops.fori_loop(0, rounds, next_harmonics, (first, ops.zeros_like(first), sums))
    sums = ops.reshape(ops.transpose(sums, (1, 0, 2, 3)), (frames, -1, moments))
    return tuple(sums[:, :num_harmonics, moment] for moment in range(moments))


def by_tiles(function, *arrays):
    """``function`` of arrays ``(batch, frames, channels)``, a tile of frames at a time.

    A tile is one item's stretch of frames. The loop is also a wall that compilers do not move work
    across: without it XLA computes a frame's amplitudes anew for each of its samples.

    Args:
        function: arrays ``(tile, channels)`` to one, or a tuple, of the same.
        arrays: the first one's channels are samples.

    Returns:
        What ``function`` gives, ``(batch, frames, channels)``.
    """
    frames = ops.shape(arrays[0])[1]
    if not isinstance(frames, int):  # traced for any length, whose tiles cannot be counted: all is one
        flat = function(*(ops.reshape(array, (-1, array.shape[2])) for array in arrays))
        return map_each(lambda array: ops.reshape(array, (-1, frames, array.shape[1])), flat)
    samples = frames * arrays[0].shape[2]
    tiles = -(-samples // TILE_SAMPLES)
    tile = -(-frames // tiles)
    missing = ((0, 0), (0, tiles * tile - frames), (0, 0))

    def cut(array):
        padded = ops.pad(array, missing) if tiles * tile > frames else array
        return ops.reshape(padded, (-1, tile, array.shape[2]))

    def join(array):
        return ops.reshape(array, (-1, tiles * tile, array.shape[2]))[:, :frames]

    return map_each(join, ops.map(lambda parts: function(*parts), tuple(cut(array) for array in arrays)))


def map_each(function, arrays):
    """``function`` of an array, or of each in a tuple or list."""
    return tuple(map(function, arrays)) if isinstance(arrays, (tuple, list)) else function(arrays)


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


def sweep_cycles(start_hz, end_hz, *, sample_rate, hop):
    """Cycles since a frame's first sample, but for a whole number of them.

    With w = n / hop in 0..1: the integral of ``f0 + (f1 - f0) w``. At 1 kHz a frame of 10 ms has ten
    cycles, and float32 would leave of their fraction 20 bits. So whole Hz go their whole number of
    ``1 / sample_rate`` cycles per sample, of which ``sample_rate`` are taken out exactly (below
    ``2^24 / hop`` Hz); what is left is small.

    Args:
        start_hz, end_hz: ``(batch, frames, 1)``.
        sample_rate: Hz.
        hop: samples per frame.

    Returns:
        ``(batch, frames, hop)``.
    """
    sample, ramp = ops.arange(hop, dtype="float32"), frame_ramp(hop)
    whole_hz = ops.stop_gradient(ops.floor(start_hz))
    steps = whole_hz * sample
    steps = steps - sample_rate * ops.floor(steps * (1.0 / sample_rate))
    rest_hz = (start_hz - whole_hz) + 0.5 * (end_hz - start_hz) * ramp
    return (steps + rest_hz * sample) * (1.0 / sample_rate)


def frame_phase(start_hz, end_hz, *, sample_rate, hop):
    """Phase at the first sample of each frame, in cycles, without drift, beginning at 0.

    The value is that of ``phase_steps``, the gradient that of a plain sum.

    Args:
        start_hz: ``(batch, frames, 1)``, frequency at the frame's first sample.
        end_hz: the same at its end; frequency is linear between them.
        sample_rate: Hz, a whole number.
        hop: samples per frame.

    Returns:
        ``(batch, frames, 1)`` in 0..1.
    """
    start_hz, end_hz = ops.convert_to_tensor(start_hz, "float32"), ops.convert_to_tensor(end_hz, "float32")
    steps = phase_steps(start_hz, end_hz, sample_rate=sample_rate, hop=hop)
    exact = cycles_of_steps(steps[:, :-1], sample_rate=sample_rate, hop=hop)
    advance = (start_hz + end_hz) * (0.5 * hop / sample_rate)
    smooth = ops.cumsum(advance, axis=1) - advance
    return ops.stop_gradient(exact) + (smooth - ops.stop_gradient(smooth))


def phase_steps(start_hz, end_hz, *, sample_rate, hop, initial_steps=0):
    """Phase at the first sample of each frame and after the last one, exactly, in whole steps.

    A frame advances the phase by ``(start + end) / 2 * hop / sample_rate`` cycles. Summed in
    float32 that is lost within minutes. So a cycle is cut into ``d * 2^b`` steps, where
    ``hop / (2 * sample_rate) = n / d`` in lowest terms: then x Hz advance by ``x * n * 2^b`` steps,
    a whole number for every float32 frequency that is a multiple of ``2^-b`` Hz (b is 22 at 16 kHz and
    a hop of 160; float32 itself resolves 2^-15 Hz at 440 Hz). Whole numbers are summed without error,
    in any order, in one go or block by block.

    Args:
        start_hz, end_hz, sample_rate, hop: as in ``frame_phase``.
        initial_steps: int32 ``(batch, 1, 1)``, or 0: where an earlier call ended; less than a cycle, of
            either sign.

    Returns:
        int32 ``(batch, frames + 1, 1)``, each below ``steps_per_cycle``.
    """
    numerator, denominator, bits = phase_grid(sample_rate, hop)
    start_hz, end_hz = ops.convert_to_tensor(start_hz, "float32"), ops.convert_to_tensor(end_hz, "float32")
    whole = ops.floor(start_hz) + ops.floor(end_hz)
    rest = (start_hz - ops.floor(start_hz)) + (end_hz - ops.floor(end_hz))
    advance = ops.mod(ops.cast(whole, "int32") * numerator, denominator) * 2**bits
    advance = advance + ops.cast(ops.round(rest * 2.0**bits), "int32") * numerator
    cycle = denominator * 2**bits
    initial = ops.zeros_like(advance[:, :1]) + initial_steps
    increments = ops.mod(ops.concatenate([initial, advance], axis=1), cycle)
    return running_sum_modulo(increments, cycle)


def cycles_of_steps(steps, *, sample_rate, hop):
    """Steps of ``phase_steps`` as float32 cycles in 0..1."""
    _, denominator, bits = phase_grid(sample_rate, hop)
    return ops.cast(steps, "float32") * (1.0 / (denominator * 2**bits))


def phase_grid(sample_rate, hop):
    """``(n, d, b)`` of ``phase_steps``: the finest grid whose numbers fit in int32."""
    shared = math.gcd(hop, 2 * sample_rate)
    numerator, denominator = hop // shared, 2 * sample_rate // shared
    return numerator, denominator, STEP_BITS - max(denominator, 2 * numerator).bit_length()


def running_sum_modulo(increments, modulus):
    """Inclusive running sum along axis 1 of whole numbers, reduced modulo ``modulus`` at every step.

    Doubling: after step i each element holds the sum of the last ``2^i`` increments.

    Args:
        increments: int32 ``(batch, frames, channels)``, each from 0 to below ``modulus``.
        modulus: at most 2^30.

    Returns:
        Tensor of the same shape, each from 0 to below ``modulus``.
    """
    frames = ops.shape(increments)[1]
    total, reach = increments, 1
    while reach < (frames if isinstance(frames, int) else MOST_FRAMES):
        total = total + ops.pad(total, ((0, 0), (reach, 0), (0, 0)))[:, :frames]
        total, reach = ops.where(total >= modulus, total - modulus, total), 2 * reach
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
