"""Checks of the arguments of models."""

import numpy as np


def check_range(name, value, lowest, highest):
    """Raise ValueError unless ``value`` is a number with ``lowest <= value <= highest``."""
    numeric = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not numeric or not lowest <= value <= highest:
        raise ValueError(f"{name} must be a number between {lowest} and {highest}; got {value!r}.")


def check_whole(name, value, lowest):
    """Raise ValueError unless ``value`` is a whole number of at least ``lowest``."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name} must be a whole number of at least {lowest}; got {value!r}.")
