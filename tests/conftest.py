"""What every test starts from: a fixed seed, an empty cache, no network, no window, one thread a worker."""

import os
import random
import sys

# Read when a backend is first imported, hence before any test module is.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers are the parallelism: more threads would only contend
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")

import pytest

import audiozoo  # noqa: F401  (light; chooses KERAS_BACKEND where it is unset, for tests that import Keras alone)


@pytest.fixture(scope="session", autouse=True)
def empty_cache_and_no_network(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("AUDIOZOO_OFFLINE", "1")
        yield


@pytest.fixture(autouse=True)
def fixed_seed():
    random.seed(0)
    if "keras" in sys.modules:  # a test that needs Keras has imported it by now; no other one should
        sys.modules["keras"].utils.set_random_seed(0)


def pytest_collection_modifyitems(items):
    """Long tests first, so that no worker ends with one of them while the others stand idle."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
