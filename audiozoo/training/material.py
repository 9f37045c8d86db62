"""What a kind of model trains on: how a folder of sound, or a set of images, becomes batches for it."""

import dataclasses

from audiozoo.data.clips import ClipCrops, audio_folder
from audiozoo.data.datasets import instrument_folder
from audiozoo.data.features import loudness_statistics
from audiozoo.data.freesound import freesound_loops, is_freesound
from audiozoo.data.images import ImageBatches, load_images
from audiozoo.data.mels import MelCrops, class_folder
from audiozoo.data.pipelines import FeatureCrops
from audiozoo.data.records import is_records, stored_clips, stored_recordings
from audiozoo.errors import DataError


@dataclasses.dataclass(frozen=True)
class Material:
    """Data, ready to be trained on.

    Attributes:
        crops: batches by number, and what is held out: ``FeatureCrops``, ``ClipCrops``,
            ``MelCrops`` or ``ImageBatches``.
        files: name and length of each file, in samples or frames; name of a set, and number of its images.
        config: arguments of the model that the data give.
        licenses: of the files, where the data say so.
    """

    crops: FeatureCrops | ClipCrops | MelCrops | ImageBatches
    files: list[tuple[str, int]]
    config: dict[str, float | tuple[str, ...]]
    licenses: tuple[str, ...] = ()


def instrument(data, config, settings, *, validation_files, progress):
    """Recordings of one instrument, with pitch and loudness; their ends are held out."""
    sound = {name: config[name] for name in ("sample_rate", "hop")}
    if is_records(data):
        recordings = stored_recordings(data, **sound)
    else:
        recordings = instrument_folder(data, **sound, progress=progress)
    crops = FeatureCrops(
        recordings,
        **sound,
        clip_seconds=settings.clip_seconds,
        batch_size=settings.batch_size,
        validation_seconds=settings.validation_seconds,
        validation_files=validation_files,
        seed=settings.seed,
    )
    mean, std = loudness_statistics(crops.training_loudness_db())
    statistics = {"loudness_mean_db": round(mean, 3), "loudness_std_db": round(std, 3)}
    return Material(crops, files_of(recordings), statistics)


def clips(data, config, settings, *, validation_files, progress):
    """Whole files of any sound; a share of them is held out."""
    found = read_folder(
        data,
        sample_rate=config["sample_rate"],
        recording_pattern=settings.recording_pattern,
        progress=progress,
    )
    crops = ClipCrops(
        found,
        sample_rate=config["sample_rate"],
        clip_seconds=settings.clip_seconds,
        batch_size=settings.batch_size,
        test_share=settings.test_share,
        seed=settings.seed,
    )
    return Material(crops, files_of(found), {}, licenses_of(found))


def read_folder(data, *, sample_rate, recording_pattern, progress):
    """Clips of any folder of sound, or of records; of the Freesound Loop Dataset, those of a free licence."""
    if is_records(data):
        return stored_clips(data, sample_rate=sample_rate, recording_pattern=recording_pattern)
    reading = {"sample_rate": sample_rate, "progress": progress}
    if is_freesound(data):
        return freesound_loops(data, **reading)
    return audio_folder(data, recording_pattern=recording_pattern, **reading)


def classes(data, config, settings, *, validation_files, progress):
    """Spectrograms of files in folders of classes; of each class a share of the files is held out."""
    if is_records(data):
        raise DataError(
            f"data {str(data)!r} holds records of sound; a model of classes is trained on spectrograms. "
            "Give the folder of files."
        )
    found = class_folder(
        data,
        **{name: config[name] for name in ("sample_rate", "num_mels", "window_length", "hop")},
        recording_pattern=settings.recording_pattern,
        progress=progress,
    )
    crops = MelCrops(
        found,
        clip_frames=config["clip_frames"],
        noise_dim=config.get("latent_dim", 0),
        batch_size=settings.batch_size,
        test_share=settings.test_share,
        seed=settings.seed,
    )
    files = [(clip.name, len(clip.log_mel)) for clip in found]
    return Material(crops, files, {"classes": crops.classes}, licenses_of(found))


def images(data, config, settings, *, validation_files, progress):
    """A set of images, by its name or from a file."""
    found = load_images(data)
    batches = ImageBatches(
        found,
        batch_size=settings.batch_size,
        test_share=settings.test_share,
        binarize=settings.binarize,
        seed=settings.seed,
    )
    return Material(batches, [(found.name, len(found.pixels))], {"image_size": found.size})


def files_of(recordings):
    """Name and length of each."""
    return [(recording.name, len(recording.audio)) for recording in recordings]


def licenses_of(clips):
    """Those that are known, each once."""
    return tuple(sorted({clip.license for clip in clips} - {""}))


# By the ``trains_on`` of a model.
MATERIALS = {"instrument": instrument, "clips": clips, "classes": classes, "images": images}
