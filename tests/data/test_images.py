"""Images as training data: nothing is fetched, batches repeat, and what is held out is never trained on."""

import sys

import keras
import numpy as np
import pytest

from audiozoo.data.images import ImageBatches, Images, load_images
from audiozoo.data.pipelines import HeldOut, training_pairs
from audiozoo.errors import DataError, MissingDependency


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def numbered(count=50, num_training=None):
    """Images of which each is one grey level, its number."""
    pixels = np.broadcast_to(np.arange(count, dtype="uint8")[:, None, None], (count, 4, 4))
    return Images("numbered", pixels, np.arange(count) % 3, count if num_training is None else num_training)


def numbers(batch):
    return np.round(batch["image"][:, 0, 0] * 255).astype(int)


def test_digits_are_those_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    theirs = load_digits()
    assert (digits.size, len(digits.pixels), digits.num_training) == (8, 1797, 1797)
    np.testing.assert_allclose(digits.pixels / 255.0, theirs.images / 16.0, atol=0.002)
    np.testing.assert_array_equal(digits.labels, theirs.target)


def test_a_batch_depends_on_seed_and_step_alone(digits):
    one, other = (ImageBatches(digits, batch_size=8, binarize=True, seed=5) for _ in range(2))
    other.batch(1)
    for step in (3, 0):
        np.testing.assert_array_equal(one.batch(step)["image"], other.batch(step)["image"])
    assert np.any(one.batch(0)["image"] != one.batch(1)["image"])
    assert np.any(one.batch(0)["image"] != ImageBatches(digits, batch_size=8, seed=6).batch(0)["image"])
    assert one.batch(0)["image"].dtype == np.float32
    assert one.batch(0)["image"].shape == (8, 8, 8)


def test_what_is_held_out_is_never_trained_on():
    for images in (numbered(), numbered(num_training=40)):
        batches = ImageBatches(images, batch_size=64, test_share=0.2)
        held_out = {which for (which,) in batches.validation_places()}
        assert len(held_out) == 10
        trained = set(np.concatenate([numbers(batches.batch(step)) for step in range(40)]).tolist())
        assert trained == set(range(50)) - held_out
    assert held_out == set(range(40, 50))  # the set's own test part
    assert not ImageBatches(numbered(), test_share=0.0).validation_places()


def test_held_out_images_come_in_order_as_inputs_and_target():
    batches = ImageBatches(numbered(num_training=40), batch_size=4)
    found = HeldOut(batches)
    assert len(found) == 3
    inputs, target = found[2]
    assert list(inputs) == ["image"]
    np.testing.assert_array_equal(inputs["image"], target)
    np.testing.assert_array_equal(numbers(inputs), [48, 49])
    assert batches.labels([(48,), (49,)]) == ["0", "1"]
    inputs, target = training_pairs(batches.batch(0))
    np.testing.assert_array_equal(inputs["image"], target)


def test_a_pixel_is_on_as_often_as_it_is_grey_and_anew_each_time(digits):
    few = Images("few", digits.pixels[:2], None, 2)
    batches = ImageBatches(few, batch_size=4000, test_share=0.0, binarize=True)
    drawn = batches.batch(0)["image"]
    assert set(np.unique(drawn)) == {0.0, 1.0}
    grey = few.pixels.mean(axis=0) / 255.0
    np.testing.assert_allclose(drawn.mean(axis=0), grey, atol=0.04)
    assert len(np.unique(drawn.reshape(4000, -1), axis=0)) > 1000


def test_a_held_out_image_is_drawn_once_whatever_is_beside_it(digits):
    batches = ImageBatches(digits, binarize=True)
    alone, together = batches.collate([7])["image"][0], batches.collate([3, 7])["image"][1]
    np.testing.assert_array_equal(alone, together)
    assert set(np.unique(alone)) == {0.0, 1.0}
    assert np.any(alone != ImageBatches(digits, binarize=True, split_seed=1).collate([7])["image"][0])


def test_a_file_like_keras_s_gives_both_parts_and_may_be_float(tmp_path, digits):
    pixels, labels = digits.pixels, digits.labels
    np.savez(
        tmp_path / "a.npz", x_train=pixels[:9], y_train=labels[:9], x_test=pixels[9:12], y_test=labels[9:12]
    )
    found = load_images(tmp_path / "a.npz")
    assert (found.name, found.num_training) == ("a.npz", 9)
    np.testing.assert_array_equal(found.pixels, pixels[:12])
    np.testing.assert_array_equal(found.labels, labels[:12])
    np.savez(tmp_path / "b.npz", x_train=pixels[:9].astype("float32") / 255.0)
    found = load_images(str(tmp_path / "b.npz"))
    assert found.labels is None
    np.testing.assert_array_equal(found.pixels, pixels[:9])
    assert ImageBatches(found).labels([(0,)]) is None


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": np.zeros((3, 4, 4))}, "must hold the array x_train"),
        ({"x_train": np.zeros((3, 4, 5))}, r"x_train of .* must be square images.*got shape \(3, 4, 5\)"),
        ({"x_train": np.zeros((0, 4, 4))}, r"got shape \(0, 4, 4\)"),
        ({"x_train": np.zeros((3, 4, 4), int)}, r"must be bytes, or float in 0\.\.1; got int64. Convert"),
        ({"x_train": np.full((3, 4, 4), 16.0)}, r"must be in 0\.\.1 where it is float; got 16 to 16. Scale"),
        ({"x_train": np.full((3, 4, 4), np.nan)}, "got nan to nan"),
        (
            {"x_train": np.zeros((3, 4, 4)), "x_test": np.zeros((3, 5, 5))},
            r"x_train and x_test of .* must be of one size; got \[\(4, 4\), \(5, 5\)\]",
        ),
        (
            {"x_train": np.zeros((3, 4, 4)), "y_train": np.zeros(2)},
            r"y_train of .* must be one label for each of 3 images; got shape \(2,\)",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_images(tmp_path / "a.npz")


def test_other_data_are_refused_with_a_way_out(tmp_path):
    with pytest.raises(DataError, match="data must be mnist, digits or the path of an .npz.*got 'fashion'"):
        load_images("fashion")
    with pytest.raises(DataError, match="none.npz' is no readable .npz file"):
        load_images(tmp_path / "none.npz")
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="broken.npz' is no readable .npz file"):
        load_images(tmp_path / "broken.npz")
    with pytest.raises(DataError, match="at least 2 images, one of them to be held out; 'numbered' holds 1"):
        ImageBatches(numbered(1))


def test_mnist_is_not_fetched_where_the_network_is_forbidden(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: pytest.fail("the network was used"))
    with pytest.raises(
        DataError, match="not in Keras's cache, and AUDIOZOO_OFFLINE is set. Use data 'digits'"
    ):
        load_images("mnist")
    (tmp_path / "datasets").mkdir()
    pixels, labels = np.zeros((3, 28, 28), "uint8"), np.arange(3)
    np.savez(
        tmp_path / "datasets" / "mnist.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels
    )
    found = load_images("mnist")
    assert (found.name, found.size, len(found.pixels), found.num_training) == ("mnist", 28, 6, 3)


def test_a_download_that_fails_says_what_to_do_instead(monkeypatch):
    def fail():
        raise Exception("URL fetch failure")

    monkeypatch.delenv("AUDIOZOO_OFFLINE")
    monkeypatch.setattr(keras.datasets.mnist, "load_data", fail)
    with pytest.raises(DataError, match="cannot be fetched from here .URL fetch failure.. Use data 'digits'"):
        load_images("mnist")


def test_digits_without_scikit_learn_name_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependency, match="needs scikit-learn: pip install 'audiozoo.digits.'"):
        load_images("digits")
