"""PyTorch's own GRU, one call for all frames: in Keras its loop is in Python, several times slower on a CPU.

The one file of the layers that names a backend; it is imported only where PyTorch is it.
"""


def native_gru(sequences, initial_state, kernel, recurrent_kernel, bias):
    """States of a GRU, time first.

    Args:
        sequences: ``(frames, batch, channels)``.
        initial_state: ``(batch, units)``.
        kernel, recurrent_kernel, bias: of a ``keras.layers.GRU`` with ``reset_after``, as tensors.

    Returns:
        ``(frames, batch, units)``.
    """
    import torch

    def reordered(weights):  # Keras has the gates in the order z, r, c, PyTorch in the order r, z, c
        z, r, c = weights.chunk(3, dim=-1)
        return torch.cat([r, z, c], dim=-1)

    weights = [reordered(kernel).T, reordered(recurrent_kernel).T, *reordered(bias)]
    settings = {"has_biases": True, "num_layers": 1, "dropout": 0.0, "train": False}
    settings |= {"bidirectional": False, "batch_first": False}
    states, _ = torch.gru(sequences, initial_state[None], [w.contiguous() for w in weights], **settings)
    return states
