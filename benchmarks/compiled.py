"""Functions and their gradients as each backend runs them best; every call waits for its result.

TensorFlow compiles with XLA (``tf.function(jit_compile=True)``), JAX with ``jit``; PyTorch is eager.
"""

import keras

COMPILERS = {"tensorflow": "tf.function(jit_compile=True)", "jax": "jax.jit", "torch": "none (eager)"}


def forward(function):
    """``function`` of tensors, compiled, without a gradient; its results as arrays."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return waiting(tensorflow_function(function))
    if backend == "jax":
        import jax

        return waiting(jax.jit(function))
    import torch

    return waiting(torch.no_grad()(function))


def forward_and_gradient(function, layer=None):
    """A function and the gradient of ``sum(upstream * output)``, as a training step needs them.

    The output is returned and upstream is an argument, so that no compiler may leave out the
    forward pass of a linear function or fold a constant into its gradient.

    Args:
        function: of tensors, to one tensor.
        layer: whose trainable weights get a gradient as well, or None.

    Returns:
        Function of ``upstream`` (of the output's shape), the argument that gets a gradient, and any
        others that get none. It returns the output, the gradient of that argument, and those of the
        layer's weights in their order, as arrays.
    """
    make = {"tensorflow": tensorflow_gradient, "jax": jax_gradient, "torch": torch_gradient}
    return waiting(make[keras.backend.backend()](function, layer))


def tensorflow_function(function):
    """``function`` compiled by XLA."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # a new function for every size is what we want, and no warning of it
    return tf.function(function, jit_compile=True, autograph=False)


def tensorflow_gradient(function, layer):
    """``forward_and_gradient`` on TensorFlow."""
    import tensorflow as tf

    weights = [variable.value for variable in layer.trainable_variables] if layer else []

    def run(upstream, inputs, *others):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = function(inputs, *others)
        return output, *tape.gradient(output, [inputs, *weights], output_gradients=upstream)

    return tensorflow_function(run)


def jax_gradient(function, layer):
    """``forward_and_gradient`` on JAX: weights go in as arguments, or they would be constants."""
    import jax

    variables = layer.trainable_variables if layer else []

    @jax.jit
    def run(values, upstream, inputs, *others):
        def with_weights(inputs, values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(inputs, *others)

        output, pull_back = jax.vjp(with_weights, inputs, values)
        gradient, gradients = pull_back(upstream)
        return output, gradient, *gradients

    return lambda *arrays: run([variable.value for variable in variables], *arrays)


def torch_gradient(function, layer):
    """``forward_and_gradient`` on PyTorch."""
    import torch

    weights = [variable.value for variable in layer.trainable_variables] if layer else []

    def run(upstream, inputs, *others):
        inputs = inputs.detach().requires_grad_()
        output = function(inputs, *others)
        return output.detach(), *torch.autograd.grad(output, [inputs, *weights], upstream)

    return run


def waiting(function):
    """The same function of arrays or tensors, returning arrays: that waits, and copies nothing on a CPU."""

    def run(*arrays):
        result = function(*[keras.ops.convert_to_tensor(array) for array in arrays])
        return keras.tree.map_structure(keras.ops.convert_to_numpy, result)

    return run
