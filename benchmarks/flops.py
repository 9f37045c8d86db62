"""How much arithmetic a training step is: the matrix products and convolutions that its backend says it does.

Additions, sines and FFTs are left out, as is usual where a model's use of a machine is stated; for synthesis,
which is made of them, the number says little.
"""

import math

import numpy as np


def of_training_step(model, inputs, targets):
    """Arithmetic of one step, forward and backward, and the least memory traffic of it.

    Args:
        model: trained for a step at least; the first one does more.
        inputs, targets: a batch.

    Returns:
        Dict with ``flops`` (a multiplication and an addition are two) and ``bytes`` (operands and results of
        every product, each moved once); None for what the backend does not tell.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        return of_jax_step(model, inputs, targets)
    if backend == "torch":
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            model.train_on_batch(inputs, targets)
        return {"flops": counter.get_total_flops(), "bytes": None}
    return {"flops": None, "bytes": None}


def of_jax_step(model, inputs, targets):
    """``of_training_step`` from what JAX traces, nothing being computed."""
    import jax

    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([variable.value for variable in group] for group in groups)
    return of_jaxpr(jax.make_jaxpr(model.train_step)(state, (inputs, targets)).jaxpr)


def of_jaxpr(jaxpr):
    """``flops`` and ``bytes`` of a JAX program; a scan counts for each of its steps.

    A branch counts as the dearer one; of a loop whose length is found while it runs, one step counts.
    """
    total = {"flops": 0, "bytes": 0}
    for equation in jaxpr.eqns:
        inner = [of_jaxpr(part) for part in programs_in(equation.params)]
        if equation.primitive.name in OPERATIONS:
            shapes = [variable.aval for variable in (*equation.invars, *equation.outvars)]
            part = {
                "flops": OPERATIONS[equation.primitive.name](equation),
                "bytes": sum(aval.size * aval.dtype.itemsize for aval in shapes),
            }
        elif equation.primitive.name == "cond":
            part = max(inner, key=lambda branch: branch["flops"])
        else:
            times = equation.params["length"] if equation.primitive.name == "scan" else 1
            part = {key: times * sum(each[key] for each in inner) for key in total}
        total = {key: total[key] + part[key] for key in total}
    return total


def programs_in(parameters):
    """The programs among the parameters of an operation: a loop's body, branches, a function called."""
    for value in parameters.values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            each = getattr(each, "jaxpr", each)
            if hasattr(each, "eqns"):
                yield each


def product_flops(equation):
    """Of a matrix product: two for every element of the result and every one that is summed over."""
    (summed, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2 * equation.outvars[0].aval.size * math.prod(left[axis] for axis in summed)


def convolution_flops(equation):
    """Of a convolution: two for every element of the result and every weight that it sees."""
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * equation.outvars[0].aval.size * (int(np.prod(kernel)) // outputs)


OPERATIONS = {"dot_general": product_flops, "conv_general_dilated": convolution_flops}
