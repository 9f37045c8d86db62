"""Images as training data: handwritten digits, by name or from a file.

Three sources, none of which the package contains:

- ``"mnist"``: 60,000 and 10,000 digits of 28 x 28, 11 MB, through ``keras.datasets``, which checks the file's
  hash and keeps it in a cache. By LeCun, Cortes and Burges; CC BY-SA 3.0, as stated by Keras.
- ``"digits"``: 1,797 digits of 8 x 8 that come with scikit-learn, for where there is no network: the test
  part of Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
  Repository, whose terms they are under.
- an ``.npz`` with the arrays of Keras's ``mnist.npz``.
"""

import dataclasses
import os
import pathlib

import keras
import numpy as np

from audiozoo.errors import DataError, MissingDependency, one_line
from audiozoo.foreign import npz_arrays, refused
from audiozoo.weights import network_is_forbidden

NAMED = ("mnist", "digits")
MOST_BYTES = 1 << 32  # of the arrays of a file: 80 times those of MNIST


@dataclasses.dataclass(frozen=True)
class Images:
    """A set of images ready for training.

    Attributes:
        name: of the set, or of its file.
        pixels: uint8 ``(images, size, size)``.
        labels: ``(images,)``, or None.
        num_training: the first so many are the set's own training part; all of them where it has no other.
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray | None
    num_training: int

    @property
    def size(self):
        """Pixels in a row."""
        return self.pixels.shape[1]


def load_images(data):
    """A named set, or the one in a file.

    Args:
        data: ``"mnist"``, ``"digits"``, or the path of an ``.npz`` with ``x_train`` and perhaps ``x_test``,
            ``(images, size, size)`` in bytes or as float in 0..1, and their labels ``y_train``, ``y_test``.

    Returns:
        ``Images``.

    Raises:
        DataError: neither of these; MNIST is not here and cannot be fetched; or a file that holds something
            else.
        MissingDependency: ``"digits"`` without scikit-learn.
    """
    if str(data) == "mnist":
        return mnist()
    if str(data) == "digits":
        return digits()
    if pathlib.Path(data).suffix != ".npz":
        raise DataError(
            f"data must be {', '.join(NAMED)} or the path of an .npz file with the array x_train; got "
            f"{str(data)!r}. Use 'digits', which needs no network."
        )
    return images_of_file(pathlib.Path(data))


def mnist():
    """MNIST by ``keras.datasets``, from its cache or its server. Raises DataError, see ``load_images``."""
    home = pathlib.Path(os.environ.get("KERAS_HOME", pathlib.Path.home() / ".keras"))
    way_out = (
        "Use data 'digits', which needs no network, or the path of an mnist.npz that you have; or fetch "
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz into "
        f"{home / 'datasets'}."
    )
    cached = home / "datasets" / "mnist.npz"
    if network_is_forbidden():
        if not cached.exists():
            raise DataError(f"data 'mnist' is not in Keras's cache, and AUDIOZOO_OFFLINE is set. {way_out}")
        return dataclasses.replace(images_of_file(cached), name="mnist")  # Keras might fetch it anew
    try:
        (pixels, labels), (test_pixels, test_labels) = keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise DataError(f"data 'mnist' cannot be fetched from here ({one_line(error)}). {way_out}") from error
    return Images(
        "mnist", np.concatenate([pixels, test_pixels]), np.concatenate([labels, test_labels]), len(pixels)
    )


def digits():
    """The digits of scikit-learn. Raises MissingDependency, see ``load_images``."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependency(
            "data 'digits' needs scikit-learn: pip install 'audiozoo[digits]', or pip install scikit-learn."
        ) from error
    found = load_digits()
    pixels = np.round(found.images * (255.0 / 16.0)).astype("uint8")  # counts of 0..16
    return Images("digits", pixels, found.target, len(pixels))


def images_of_file(path):
    """The images in an ``.npz``. Raises DataError, see ``load_images``."""
    with refused(
        DataError,
        f"data {str(path)!r} is no readable .npz file",
        "Give the path of one with the array x_train, or 'digits'.",
    ):
        arrays = npz_arrays(path, most_bytes=MOST_BYTES)
    if "x_train" not in arrays:
        raise DataError(f"data {str(path)!r} must hold the array x_train (images, size, size); it does not.")
    parts = [part for part in ("train", "test") if f"x_{part}" in arrays]
    pixels = [as_bytes(arrays[f"x_{part}"], f"x_{part} of {str(path)!r}") for part in parts]
    sizes = {part.shape[1:] for part in pixels}
    if len(sizes) > 1:
        raise DataError(f"x_train and x_test of {str(path)!r} must be of one size; got {sorted(sizes)}.")
    labels = [arrays.get(f"y_{part}") for part in parts]
    for part, images, own in zip(parts, pixels, labels, strict=True):
        if own is not None and own.shape != (len(images),):
            raise DataError(
                f"y_{part} of {str(path)!r} must be one label for each of {len(images)} images; got shape "
                f"{own.shape}. Correct it, or leave it out."
            )
    labels = None if any(own is None for own in labels) else np.concatenate(labels)
    return Images(path.name, np.concatenate(pixels), labels, len(pixels[0]))


def as_bytes(pixels, name):
    """Images as uint8 ``(images, size, size)``. Raises DataError where they are none."""
    if pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2] or not pixels.size:
        raise DataError(f"{name} must be square images, (images, size, size); got shape {pixels.shape}.")
    if pixels.dtype == np.uint8:
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise DataError(f"{name} must be bytes, or float in 0..1; got {pixels.dtype}. Convert it to uint8.")
    if not (pixels.min() >= 0.0 and pixels.max() <= 1.0):  # false for NaN too
        raise DataError(
            f"{name} must be in 0..1 where it is float; got {pixels.min():g} to {pixels.max():g}. Scale it, "
            "or convert it to uint8."
        )
    return np.round(255.0 * pixels).astype("uint8")


class ImageBatches:
    """Batches of images, drawn with replacement, as a pure function of seed and step.

    Held out is the set's own test part; of a set that has none, ``test_share`` of the images, drawn by
    ``split_seed``: runs with different ``seed`` are judged by the same images.

    Args:
        images: ``Images``.
        batch_size: images in a batch.
        test_share: 0 to below 1, where the set has no test part.
        binarize: every time an image is used, each of its pixels is on with the probability that is its grey
            value (dynamic binarisation: Salakhutdinov and Murray, 2008, On the Quantitative Analysis of Deep
            Belief Networks, ICML). A held-out image is drawn once and stays so. Then the data are what a
            Bernoulli likelihood is about, and no image is seen twice. False: grey values, as probabilities.
        seed: of batches and their pixels.
        split_seed: of the split and the pixels of what is held out.

    Raises:
        DataError: there is but one image, and part of them is to be held out.
    """

    def __init__(self, images, *, batch_size=100, test_share=0.2, binarize=False, seed=0, split_seed=0):
        self.images, self.batch_size, self.binarize = images, batch_size, binarize
        self.seed, self.split_seed = seed, split_seed
        count = len(images.pixels)
        if images.num_training < count:
            order, training = np.arange(count), images.num_training
        else:
            held_out = min(max(1, round(test_share * count)), count - 1) if test_share > 0.0 else 0
            if test_share > 0.0 and not held_out:
                raise DataError(
                    f"data must hold at least 2 images, one of them to be held out; {images.name!r} holds 1. "
                    "Add more, or set test_share to 0."
                )
            order, training = np.random.default_rng(split_seed).permutation(count), count - held_out
        self.training, self.held_out = order[:training], np.sort(order[training:])

    def batch(self, step):
        """Batch number ``step`` of training images, each equally likely.

        Returns:
            Dict: ``image``, float32 ``(batch, size, size)`` in 0..1.
        """
        random = np.random.default_rng((self.seed, step))
        grey = self.grey(random.choice(self.training, self.batch_size))
        if self.binarize:
            grey = (random.random(grey.shape, dtype="float32") < grey).astype("float32")
        return {"image": grey}

    def validation_places(self):
        """``(number of the image,)`` of everything that is held out, in order."""
        return [(int(which),) for which in self.held_out]

    def collate(self, which):
        """These images, stacked; what their pixels are drawn from does not depend on the others."""
        grey = self.grey(np.asarray(which))
        if self.binarize:
            for image, index in zip(grey, which, strict=True):
                # A third number, so that none of these is the generator of a batch.
                random = np.random.default_rng((self.split_seed, index, 1))
                image[:] = random.random(image.shape, dtype="float32") < image
        return {"image": grey}

    def labels(self, places):
        """The label of each of these places, or None where there are none."""
        if self.images.labels is None:
            return None
        return [str(self.images.labels[which]) for (which,) in places]

    def grey(self, which):
        """Images by number, float32 in 0..1."""
        return self.images.pixels[which].astype("float32") / np.float32(255.0)
