"""Files as a bad disk, or an enemy, leaves them; and what every reader must make of them.

``AUDIOZOO_FUZZ=50`` (``make fuzz``) tries fifty times as many, new ones each time.
"""

import os
import signal
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from audiozoo.errors import AudioZooError

FACTOR = int(os.environ.get("AUDIOZOO_FUZZ", "1"))
LIMIT_SECONDS = 20.0
LONGEST_MESSAGE = 4000


def fuzzed(examples):
    """Settings of a test that tries so many examples, the same each time; more under ``make fuzz``."""
    return settings(
        max_examples=examples * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def damaged(draw, data):
    """A file's bytes after one to four accidents."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        # Half of them in the first bytes: headers are short, and what is wrong there is believed.
        place = place % 128 if draw(st.booleans()) else place
        size = draw(st.sampled_from([1, 2, 4, 8, 64, 1000]))
        match draw(st.sampled_from(["flip", "write", "extreme", "cut", "drop", "double"])):
            case "flip" if data:
                data[min(place, len(data) - 1)] ^= 1 << draw(st.integers(0, 7))
            case "write":
                data[place : place + 4] = draw(st.binary(min_size=1, max_size=8))
            case "extreme":
                value = draw(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16, 10**9]))
                data[place : place + 4] = value.to_bytes(4, draw(st.sampled_from(["little", "big"])))
            case "cut":
                del data[place:]
            case "drop":
                del data[place : place + size]
            case "double":
                data[place:place] = data[place : place + size]
    return bytes(data)


@st.composite
def misspelt(draw, text):
    """A text file after one to four accidents that leave it a text."""
    words = [
        "",
        '"',
        "}",
        "]",
        "[[[[",
        "{",
        ",",
        ":",
        "-1",
        "1e999",
        "NaN",
        "null",
        "9" * 5000,
        "\n",
        "\0",
        "é",
    ]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 3, 10, 100])))
        text = text[:start] + draw(st.sampled_from(words)) + text[end:]
    return text


# What JSON and YAML can hold, wherever another thing is expected.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, -1, 2**31, 2**63, 10**30])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "../../etc/passwd", "/etc/passwd", "a\0b", "1e-4", "x" * 3000])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def twisted(draw, values):
    """Nested values with one of them replaced, taken out or added, at any depth."""
    if isinstance(values, dict) and values and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(values)))
        rest = {name: value for name, value in values.items() if name != key}
        match draw(st.sampled_from(["within", "within", "replace", "drop", "rename"])):
            case "within":
                return rest | {key: draw(twisted(values[key]))}
            case "replace":
                return rest | {key: draw(VALUES)}
            case "drop":
                return rest
        return rest | {draw(st.text(max_size=8)): values[key]}
    if isinstance(values, list) and values and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(values) - 1))
        return [*values[:place], draw(twisted(values[place])), *values[place + 1 :]]
    return draw(VALUES)


def read_or_refused(read, path, error=AudioZooError, *, named=None):
    """What ``read(path)`` returns, or the error that refuses the file; anything else is a failure.

    It must come in time, name the file, be no page of text, and leave the folder of the file as it was.

    Args:
        read: function of the path.
        path: of the file.
        error: class or classes of the refusal.
        named: what the message must hold, instead of the file's name.
    """
    before = listing(path.parent)
    result = outcome(read, path, error)
    assert listing(path.parent) == before
    if isinstance(result, error):
        assert isinstance(result, AudioZooError)
        assert (named or path.name) in str(result), str(result)
        assert len(str(result)) < LONGEST_MESSAGE, str(result)[:500]
    return result


def outcome(read, path, error):
    """What comes of it in time: a result, or an error of this class."""
    try:
        with time_limit(LIMIT_SECONDS):
            return read(path)
    except error as refused:
        return refused


def refusal(read, path, error=AudioZooError, *, named=None):
    """The message with which the file is refused; that it is read is a failure."""
    result = read_or_refused(read, path, error, named=named)
    assert isinstance(result, AudioZooError), f"{path.name} was read: {result!r:.200}"
    return str(result)


def no_files(path, *kinds):
    """Put one thing after the other that is no file where one is expected; yields the path to be read."""
    for kind in kinds:
        odd = path
        match kind:
            case "folder":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "dangling link":
                path.symlink_to(path.with_name("gone"))
            case "name too long":
                odd = path.with_name("x" * 300 + path.name)
            case "zero byte":
                odd = path.with_name("a\0" + path.name)
            case "missing":
                pass
            case _:
                raise ValueError(f"no such kind: {kind}")
        yield odd
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


def listing(folder):
    """Name, size and time of everything below a folder."""
    stats = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items() if not path.is_dir()}


class OutOfTime(BaseException):
    """No Exception: a reader that catches those must not take it for the fault of a file."""


@contextmanager
def time_limit(seconds):
    """Fail a block that takes longer."""

    def end(*_):
        raise OutOfTime(f"not done after {seconds} s")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
