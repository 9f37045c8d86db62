"""What ``audiozoo.export`` writes of a model: a function of named arrays, and what is in them."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Array:
    """An input or output of an exported function.

    Args:
        shape: its axes: numbers, and names of those that may have any length; of an output also what such a
            length becomes, as in ``("batch", "160 * frames")``.
        meaning: of its numbers, with their unit.
        dtype: of them.
    """

    shape: tuple
    meaning: str
    dtype: str = "float32"


@dataclasses.dataclass(frozen=True)
class Exported:
    """The part of a model that runs without it, and how to see that it does.

    Args:
        inputs, outputs: dict name -> ``Array``. An axis named ``batch`` comes first.
        function: dict of tensors to dict of tensors, in operations that every format has: no FFT, no random
            numbers, no loop of our own. Lengths are read by ``ops.shape``: they may be unknown.
        reference: dict of arrays to dict of arrays; the same by the ways in which the model is played.
        example: audio ``(2, samples)`` at the model's sample rate to real inputs, a batch of two.
        settings: what else who makes the inputs or takes the outputs must know, such as ``hop``.
    """

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    function: Callable
    reference: Callable
    example: Callable
    settings: dict = dataclasses.field(default_factory=dict)
