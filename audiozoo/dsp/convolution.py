"""Convolutions in groups and transposed ones, as matrix products and as plain convolutions.

What TensorFlow and XLA do with them on a CPU takes up to a hundred times longer: gradients of grouped
convolutions go channel by channel, and transposed ones are computed as convolutions of mostly zeros. The
results here are the same to within rounding.
"""

import keras
import numpy as np
from keras import ops

NARROW = 32  # filters: fewer at a time leave a processor idle (measured with TensorFlow and JAX)
MOST_SPLIT = 32  # groups that are convolved one by one; a program of more takes minutes to compile
MOST_PARTS = 8  # plain convolutions over time, on JAX: one product of matrices for each group overtakes more


def convolve(signal, kernel, *, stride=1, dilation=1, groups=1):
    """Convolution over time, or over time and frequency, without padding.

    Args:
        signal: ``(batch, time, channels)`` or ``(batch, time, frequency, channels)``.
        kernel: ``(width, channels / groups, filters)``, or with a width for each of two axes.
        stride: steps between outputs, on every axis.
        dilation: steps between the taps of the kernel; 1 where there is a stride.
        groups: equal parts of the channels and of the filters, in order, of which each sees its own.

    Returns:
        ``(batch, outputs, filters)``, or with two axes of outputs: on each
        ``1 + (steps - dilation (width - 1) - 1) // stride``.

    Raises:
        ValueError: fewer steps than the kernel is wide; channels or filters that cannot be cut into groups.
    """
    check_convolution(signal, kernel, dilation, groups)
    if groups == 1 or keras.backend.backend() == "torch":  # which is fast at it, and tells groups by shapes
        return ops.conv(signal, kernel, strides=stride, padding="valid", dilation_rate=dilation)
    if len(signal.shape) == 3:
        return grouped_over_time(signal, kernel, stride=stride, dilation=dilation, groups=groups)
    together = -(-groups // MOST_SPLIT)
    if groups % together == 0:
        kernel, groups = joined_groups(kernel, groups, together), groups // together
    parts = zip(ops.split(signal, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
    outputs = [
        ops.conv(part, own, strides=stride, padding="valid", dilation_rate=dilation) for part, own in parts
    ]
    return ops.concatenate(outputs, axis=-1)


def check_convolution(signal, kernel, dilation, groups):
    """Raise ValueError for what ``convolve`` cannot do."""
    *widths, per_group, filters = kernel.shape
    if signal.shape[-1] != groups * per_group or filters % groups:
        raise ValueError(
            "groups must divide channels and filters, and the kernel have channels / groups; got "
            f"groups={groups}, {signal.shape[-1]} channels, a kernel of shape {tuple(kernel.shape)}."
        )
    if len(widths) == 2 and groups > MOST_SPLIT and groups % -(-groups // MOST_SPLIT):
        raise ValueError(
            f"groups must be at most {MOST_SPLIT} over two axes, or a multiple of "
            f"{-(-groups // MOST_SPLIT)}; got {groups}."
        )
    for steps, width in zip(signal.shape[1:-1], widths, strict=True):
        needed = dilation * (width - 1) + 1
        if steps is not None and steps < needed:
            raise ValueError(
                f"signal must have at least {needed} steps for this kernel; got {steps}. Pad it."
            )


def joined_groups(kernel, groups, together):
    """The kernel of the same convolution in fewer groups, with zeros from each to those it is joined with.

    It multiplies ``together`` times as much, and is faster than so many more convolutions of a few channels.

    Args:
        kernel: ``(width, channels / groups, filters)``, or with a width for each of two axes.
        groups: a multiple of ``together``.
        together: how many become one.

    Returns:
        The same with ``together * channels / groups`` channels.
    """
    if together == 1:
        return kernel
    *widths, per_group, filters = kernel.shape
    parts = ops.reshape(kernel, (*widths, 1, per_group, groups // together, together, filters // groups))
    own = ops.reshape(ops.eye(together, dtype=kernel.dtype), (together, 1, 1, together, 1))
    return ops.reshape(parts * own, (*widths, together * per_group, filters))


def grouped_over_time(signal, kernel, *, stride, dilation, groups):
    """A convolution over time in groups, as a few plain ones or as one batched product of matrices.

    Blocks of ``stride`` steps become channels of one step, which takes the stride away.
    """
    width, per_group, filters = kernel.shape
    own, length, taps = filters // groups, signal.shape[1], -(-width // stride)
    blocks = (length - width) // stride + taps if stride > 1 else length
    blocked = ops.pad(signal, ((0, 0), (0, max(0, blocks * stride - length)), (0, 0)))[:, : blocks * stride]
    kernel = ops.pad(kernel, ((0, taps * stride - width), (0, 0), (0, 0)))
    # Groups that are too narrow to keep a processor busy are convolved together.
    together = next(n for n in range(1, groups + 1) if groups % n == 0 and (n * own >= NARROW or n == groups))
    parts = groups // together
    if parts > MOST_PARTS and keras.backend.backend() == "jax":
        blocked = ops.reshape(blocked, (-1, blocks, stride, groups, per_group))
        return multiplied_groups(blocked, kernel, taps=taps, dilation=dilation)
    # The parts lie first, where each is one piece of memory.
    blocked = ops.reshape(blocked, (-1, blocks, stride, parts, together * per_group))
    blocked = ops.transpose(blocked, (3, 0, 1, 2, 4))
    kernel = joined_groups(kernel, groups, together)
    kernel = ops.reshape(kernel, (taps, stride * together * per_group, parts, filters // parts))
    kernel = ops.transpose(kernel, (2, 0, 1, 3))
    outputs = [
        ops.conv(
            ops.reshape(part, (-1, blocks, stride * together * per_group)),
            own_kernel,
            padding="valid",
            dilation_rate=dilation,
        )
        for part, own_kernel in zip(ops.unstack(blocked, parts), ops.unstack(kernel, parts), strict=True)
    ]
    return ops.concatenate(outputs, axis=-1)


def multiplied_groups(blocked, kernel, *, taps, dilation):
    """A convolution in groups as one product of two matrices for each.

    Args:
        blocked: ``(batch, blocks, stride, groups, channels / groups)``.
        kernel: ``(taps * stride, channels / groups, filters)``.
        taps: blocks that an output sees, ``dilation`` apart.
        dilation: blocks.
    """
    _, blocks, stride, groups, per_group = blocked.shape
    filters, outputs = kernel.shape[-1], blocks - dilation * (taps - 1)
    by_group = ops.reshape(ops.transpose(blocked, (3, 0, 1, 2, 4)), (groups, -1, blocks, stride * per_group))
    seen = [by_group[:, :, first : first + outputs] for first in range(0, dilation * taps, dilation)]
    seen = ops.reshape(ops.concatenate(seen, axis=-1), (groups, -1, taps * stride * per_group))
    kernel = ops.reshape(kernel, (taps * stride * per_group, groups, filters // groups))
    made = ops.matmul(seen, ops.transpose(kernel, (1, 0, 2)))
    made = ops.transpose(ops.reshape(made, (groups, -1, outputs, filters // groups)), (1, 2, 0, 3))
    return ops.reshape(made, (-1, outputs, filters))


def convolve_transposed(signal, kernel, *, stride):
    """The transpose of a strided convolution over time, or over time and frequency: ``stride`` steps for one.

    As polyphase filters: a plain convolution gives all ``stride`` steps that begin at one step of the input,
    as so many times the filters, and these are then laid one after the other.

    Args:
        signal: ``(batch, time, channels)`` or ``(batch, time, frequency, channels)``.
        kernel: ``(width, filters, channels)``, or with a width for each of two axes.
        stride: on every axis.

    Returns:
        ``(batch, (time - 1) stride + width, filters)``, or with two such axes.
    """
    *widths, filters, channels = kernel.shape
    axes = len(widths)
    taps = [-(-width // stride) for width in widths]
    kernel = ops.pad(
        kernel,
        [(0, stride * count - width) for count, width in zip(taps, widths, strict=True)] + [(0, 0)] * 2,
    )
    phases = [size for count in taps for size in (count, stride)]
    kernel = ops.reshape(kernel, (*phases, filters, channels))
    tap_axes, phase_axes = list(range(0, 2 * axes, 2)), list(range(1, 2 * axes, 2))
    kernel = ops.transpose(kernel, (*tap_axes, 2 * axes + 1, *phase_axes, 2 * axes))
    kernel = ops.flip(ops.reshape(kernel, (*taps, channels, stride**axes * filters)), axis=list(range(axes)))
    around = [(count - 1, count - 1) for count in taps]
    padded = ops.pad(signal, [(0, 0), *around, (0, 0)])
    sizes = ops.shape(signal)[1:-1]
    steps = [size + count - 1 for size, count in zip(sizes, taps, strict=True)]
    output = ops.reshape(ops.conv(padded, kernel, padding="valid"), (-1, *steps, *[stride] * axes, filters))
    order = [
        axis for pair in zip(range(1, axes + 1), range(axes + 1, 2 * axes + 1), strict=True) for axis in pair
    ]
    output = ops.transpose(output, (0, *order, 2 * axes + 1))
    output = ops.reshape(output, (-1, *(size * stride for size in steps), filters))
    ends = [(size - 1) * stride + width for size, width in zip(sizes, widths, strict=True)]
    return output[(slice(None), *(slice(0, end) for end in ends))]


def pad_sides(signal, amounts, *, padding):
    """The signal with steps added before and after, on every axis of time and frequency.

    Args:
        signal: ``(batch, ..., channels)``.
        amounts: ``(before, after)`` for each axis.
        padding: ``"reflect"``, the mirror image about the outermost step, or ``"zeros"``.

    Raises:
        ValueError: too few steps to be mirrored.
    """
    for steps, amount in zip(signal.shape[1:-1], amounts, strict=True):
        if padding == "reflect" and steps is not None and steps <= max(amount):
            raise ValueError(
                f"signal must have more than {max(amount)} steps to be mirrored at its ends; got {steps}. "
                "Pass a longer one, or pad with zeros."
            )
    mode = "reflect" if padding == "reflect" else "constant"
    return ops.pad(signal, [(0, 0), *amounts, (0, 0)], mode=mode) if np.any(amounts) else signal
