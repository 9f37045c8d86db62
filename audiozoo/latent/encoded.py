"""A folder of recordings, or a set of images, as codes: each piece is encoded once."""

import dataclasses
import functools

import numpy as np

from audiozoo.arguments import check_whole
from audiozoo.data.clips import audio_folder
from audiozoo.errors import IncompatiblePreset
from audiozoo.latent.analysis import informative_basis
from audiozoo.latent.descriptors import FEWEST_GROUPS, frame_descriptors
from audiozoo.latent.maps import clip_vectors
from audiozoo.progress import in_threads, track

AT_ONCE = 64  # pieces in memory as float
HOP_WITHOUT_FRAMES = 512  # samples between descriptors, of which one code for a clip gets the mean
MAX_ITEMS = 2000


@dataclasses.dataclass(frozen=True, eq=False)
class EncodedSet:
    """Pieces of recordings, or images, and their codes.

    Attributes:
        names: of each item; of a piece of a recording with the second at which it begins.
        labels: class of each item, "" where there is none.
        recordings: that each item is of: what is resampled together.
        items: sequence; item ``i`` is float32 audio ``(samples,)``, or an image.
        codes: posterior means, a list of float32 ``(frames, dims)``; one frame where an item has one code.
        log_variances: likewise.
        sample_rate: Hz; None for images.
        code_rate: Hz; None where an item has one code.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    recordings: tuple[str, ...]
    items: "SoundPieces | np.ndarray"
    codes: list[np.ndarray]
    log_variances: list[np.ndarray]
    sample_rate: int | None
    code_rate: float | None

    @functools.cached_property
    def basis(self):
        """``InformativeBasis`` of all codes."""
        return informative_basis(self.codes)

    @property
    def groups(self):
        """Number of each item's group, ``(items,)``: its recording, or itself where recordings are few."""
        numbers = np.unique(self.recordings, return_inverse=True)[1]
        return numbers if numbers.max() + 1 >= FEWEST_GROUPS else np.arange(len(numbers))

    @property
    def frame_groups(self):
        """Number of the group of each frame of all codes, ``(frames,)``."""
        return np.repeat(self.groups, [len(codes) for codes in self.codes])

    def most_typical(self):
        """Number of the item whose codes are, in mean and deviation, most like those of all the others."""
        vectors = clip_vectors(self.codes, self.basis)
        spread = np.maximum(vectors.std(axis=0), 1e-9)
        return int(np.argmin(np.linalg.norm((vectors - np.median(vectors, axis=0)) / spread, axis=1)))

    def describe(self, *, pitch="swift", progress=False):
        """Descriptors of each item, a list of ``(frames, 7)``; see ``frame_descriptors``.

        Where an item has one code it has one row, the means over its frames.

        Raises:
            IncompatiblePreset: of images.
        """
        if self.sample_rate is None:
            raise IncompatiblePreset("descriptors are of sound; this model is of images.")

        def description(number):
            return self.description(self.items[number], len(self.codes[number]), pitch=pitch)

        return in_threads(description, range(len(self.codes)), "descriptors", shown=progress)

    def description(self, audio, frames, *, pitch="swift"):
        """Descriptors of one sound for so many codes, as in ``describe``."""
        hop = round(self.sample_rate / self.code_rate) if self.code_rate else HOP_WITHOUT_FRAMES
        rows = frames if self.code_rate else 1 + len(audio) // hop
        found = frame_descriptors(audio, sample_rate=self.sample_rate, hop=hop, frames=rows, pitch=pitch)
        return found if self.code_rate else column_means(found)[None]


class SoundPieces:
    """Pieces of recordings as a sequence of float32 ``(samples,)``, read when they are asked for.

    Args:
        clips: list of ``data.clips.Clip``.
        places: ``(clip, first sample)`` of each piece.
        samples: length of a piece; the last one of a clip may be shorter.
    """

    def __init__(self, clips, places, samples):
        self.clips, self.places, self.samples = clips, places, samples

    def __len__(self):
        return len(self.places)

    def __getitem__(self, number):
        index, start = self.places[number]
        clip = self.clips[index]
        return clip.audio[start : start + self.samples].astype("float32") * np.float32(clip.gain)


def encode_data(model, data, *, max_items=MAX_ITEMS, progress=False):
    """The recordings below a folder, or a set of images, as codes of a model.

    Long recordings are cut into pieces as long as the model's own clips, all in one shape, and of each the
    same number is taken, evenly apart, until there are ``max_items``. One shorter than a piece is encoded
    with silence after it, and the codes of the silence are left out.

    Args:
        model: VAE of the zoo.
        data: folder of recordings, or one file; of images see ``data.images.load_images``.
        max_items: pieces or images, at most.
        progress: show progress bars.

    Returns:
        EncodedSet.

    Raises:
        IncompatiblePreset: a model without codes.
        DataError: nothing readable in ``data``.
        ValueError: ``max_items`` below 2.
    """
    check_whole("max_items", max_items, 2)
    if not hasattr(model, "code_distribution"):
        raise IncompatiblePreset(
            f"model must be a VAE, which has codes; got a {type(model).__name__}. 'audiozoo list' shows all "
            "presets."
        )
    if model.trains_on == "images":
        from audiozoo.data.images import load_images

        return encode_images(model, load_images(data), max_items=max_items, progress=progress)
    clips = audio_folder(data, sample_rate=model.sample_rate, progress=progress)
    return encode_clips(model, clips, max_items=max_items, progress=progress)


def encode_clips(model, clips, *, max_items=MAX_ITEMS, progress=False):
    """Pieces of clips as codes; see ``encode_data``.

    Args:
        model: VAE of sound.
        clips: list of ``data.clips.Clip`` at the model's rate.
        max_items, progress: see ``encode_data``.
    """
    samples = model.item_shape[0]
    places = piece_places([len(clip.audio) for clip in clips], samples, max_items)
    pieces = SoundPieces(clips, places, samples)

    def padded(numbers):
        rows = np.zeros((len(numbers), samples), "float32")
        for row, number in zip(rows, numbers, strict=True):
            piece = pieces[number]
            row[: len(piece)] = piece
        return rows

    def frames(number):
        shape = model.latent_shape(len(pieces[number]))
        return shape[0] if len(shape) == 2 else 1

    rate = model.sample_rate
    several = {index for index, start in places if start}
    return EncodedSet(
        names=tuple(
            clips[index].name + (f" at {start / rate:.1f} s" if index in several else "")
            for index, start in places
        ),
        labels=tuple(clips[index].label for index, _ in places),
        recordings=tuple(clips[index].recording for index, _ in places),
        items=pieces,
        sample_rate=rate,
        code_rate=model.code_rate,
        **codes_of(model, padded, frames, len(pieces), progress),
    )


def encode_images(model, images, *, max_items=MAX_ITEMS, progress=False):
    """Images as codes; see ``encode_data``. ``images`` is a ``data.images.Images``."""
    chosen = evenly(range(len(images.pixels)), max_items)
    pixels = images.pixels[chosen].astype("float32") / 255.0
    labels = [""] * len(chosen) if images.labels is None else [str(images.labels[i]) for i in chosen]
    names = tuple(f"{images.name} {number}" for number in chosen)
    return EncodedSet(
        names=names,
        labels=tuple(labels),
        recordings=names,
        items=pixels,
        sample_rate=None,
        code_rate=None,
        **codes_of(model, lambda numbers: pixels[numbers], lambda number: 1, len(pixels), progress),
    )


def piece_places(lengths, samples, max_items):
    """``(recording, first sample)`` of pieces: as many of each recording as can be, evenly apart, in order.

    Args:
        lengths: samples of each recording.
        samples: of a piece.
        max_items: pieces in all; of more recordings than that, an even selection is taken.
    """
    chosen = evenly(range(len(lengths)), max_items)
    whole = {index: max(1, lengths[index] // samples) for index in chosen}
    each = max(1, max_items // len(chosen))
    while sum(min(each + 1, count) for count in whole.values()) <= max_items < sum(whole.values()):
        each += 1
    if sum(whole.values()) <= max_items:
        each = max(whole.values())
    taken = {index: min(each, count) for index, count in whole.items()}
    left = max_items - sum(taken.values())
    for index in evenly([index for index in chosen if taken[index] < whole[index]], left):
        taken[index] += 1
    return [
        (index, number * samples) for index in chosen for number in evenly(range(whole[index]), taken[index])
    ]


def evenly(values, count):
    """So many of a sequence's values, evenly apart and in order; all where there are no more."""
    if count <= 0 or not values:
        return []
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[place] for place in places]


def codes_of(model, batch_of, frames_of, count, progress):
    """``codes`` and ``log_variances`` of an EncodedSet, from a function of item numbers to a batch."""
    codes, log_variances = [], []
    for start in track(range(0, count, AT_ONCE), "codes", shown=progress):
        numbers = list(range(start, min(start + AT_ONCE, count)))
        found = model.code_distribution(batch_of(numbers))
        for target, values in ((codes, found["mean"]), (log_variances, found["log_variance"])):
            rows = values if values.ndim == 3 else values[:, None]
            target += [row[: frames_of(number)] for row, number in zip(rows, numbers, strict=True)]
    return {"codes": codes, "log_variances": log_variances}


def decode_codes(model, codes, **length):
    """Items of codes ``(frames, dims)`` or ``(batch, frames, dims)``, also where an item has but one code."""
    codes = np.asarray(codes, "float32")
    return model.decode(codes if model.code_rate else codes[..., 0, :], **length)


def column_means(rows):
    """Mean of each column over the rows that are not NaN; NaN where all are."""
    found = np.isfinite(rows)
    sums = np.where(found, rows, 0.0).sum(axis=0)
    return np.where(found.any(axis=0), sums / np.maximum(found.sum(axis=0), 1), np.nan)
