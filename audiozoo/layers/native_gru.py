"""PyTorch's own GRU, one call for all frames: in Keras its loop is in Python, several times slower on a CPU.

The one file of the layers that names a backend; it is imported only where PyTorch is it.
"""


def native_gru(sequences, initial_state, *cells):
    """States of a GRU, time first, or of two beside each other, of which the second begins at the end.

    Args:
        sequences: ``(frames, batch, channels)``.
        initial_state: ``(len(cells), batch, units)``.
        cells: of each the kernel, recurrent kernel and bias, of a ``keras.layers.GRU`` with ``reset_after``.

    Returns:
        ``(frames, batch, len(cells) * units)``.
    """
    import torch

    def reordered(weights):  # Keras has the gates in the order z, r, c, PyTorch in the order r, z, c
        z, r, c = weights.chunk(3, dim=-1)
        return torch.cat([r, z, c], dim=-1)

    weights = []
    for kernel, recurrent_kernel, bias in cells:
        weights += [reordered(kernel).T, reordered(recurrent_kernel).T, *reordered(bias)]
    settings = {"has_biases": True, "num_layers": 1, "dropout": 0.0, "train": False}
    settings |= {"bidirectional": len(cells) == 2, "batch_first": False}
    states, _ = torch.gru(sequences, initial_state, [each.contiguous() for each in weights], **settings)
    return states
