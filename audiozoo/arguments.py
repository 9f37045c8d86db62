"""Checks of arguments: a refusal names the argument, what came and what is allowed."""

import numbers

MOST_LAYERS = 64  # a model of more is built for ever


def check_range(name, value, lowest, highest):
    """Raise ValueError unless ``value`` is a number with ``lowest <= value <= highest``."""
    numeric = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not numeric or not lowest <= value <= highest:
        raise ValueError(f"{name} must be a number between {lowest} and {highest}; got {value!r}.")


def check_whole(name, value, lowest):
    """Raise ValueError unless ``value`` is a whole number of at least ``lowest``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name} must be a whole number of at least {lowest}; got {value!r}.")


def check_choice(name, value, allowed):
    """Raise ValueError unless ``value`` is one of those allowed; the first is recommended."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}. Use {allowed[0]!r}.")


def check_layers(name, value):
    """Raise ValueError unless ``value`` can be a number of equal layers: 1 to 64."""
    check_whole(name, value, 1)
    if value > MOST_LAYERS:
        raise ValueError(f"{name} must be at most {MOST_LAYERS}; got {value}.")


def whole_numbers(name, values, lowest):
    """Up to 64 whole numbers of at least ``lowest``, as a tuple. Raises ValueError if they are none."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise ValueError(f"{name} must be a sequence of whole numbers, such as (1, 3); got {values!r}.")
    values = tuple(values)
    if len(values) > MOST_LAYERS:
        raise ValueError(f"{name} must be at most {MOST_LAYERS} numbers; got {len(values)}.")
    for value in values:
        check_whole(name, value, lowest)
    return values
