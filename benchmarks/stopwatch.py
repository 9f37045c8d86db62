"""Wall time of programs that do the same, measured in turns: a machine that slows down slows all of them."""

import time

import numpy as np


def in_turns(rivals, repeats):
    """Run every rival once, which compiles; once more to warm up; then ``repeats`` rounds of all.

    Args:
        rivals: dict name -> function of no arguments that returns when its result is there.
        repeats: timed rounds.

    Returns:
        Dict name -> float64 ``(repeats + 1,)``, seconds: the first call, then the timed ones.
    """
    first = {name: seconds_of(rival) for name, rival in rivals.items()}
    for rival in rivals.values():
        rival()
    rounds = [{name: seconds_of(rival) for name, rival in rivals.items()} for _ in range(repeats)]
    return {name: np.array([first[name], *(each[name] for each in rounds)]) for name in rivals}


def seconds_of(function):
    """Wall seconds of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def compare(rivals, repeats):
    """``in_turns`` as a result: seconds of each, and how many times faster than ``"baseline"``.

    The ratio is the median over rounds of the two times of one round, not that of two medians.

    Returns:
        Dict name -> dict with ``first_call_seconds``, ``median_seconds``, ``min_seconds``,
        ``max_seconds`` and, where there is a rival of the name ``"baseline"``,
        ``times_as_fast_as_baseline``.
    """
    seconds = in_turns(rivals, repeats)
    found = {}
    for name, (first, *timed) in seconds.items():
        found[name] = {
            "first_call_seconds": float(first),
            "median_seconds": float(np.median(timed)),
            "min_seconds": float(min(timed)),
            "max_seconds": float(max(timed)),
        }
        if name != "baseline" and "baseline" in seconds:
            ratios = seconds["baseline"][1:] / timed
            found[name]["times_as_fast_as_baseline"] = float(np.median(ratios))
    return found
