"""How many clips a second every way of feeding a model gives on one core, and how many a model can take."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
import tempfile
import time
from typing import Annotated

import numpy as np
import typer

from benchmarks import results

PRESETS = ("spectral_vae", "conv1d_resnet_vae", "ddsp_violin_small", "ddsp_violin")
RECORDINGS, MINUTES = 8, 1.0  # each; small enough to stay in memory, so that no disk is measured
SAMPLE_RATE, HOP, CLIP_SECONDS, BATCH_SIZE = 16000, 160, 4.0, 16
CLIPS_PER_SHARD = 8
WARM_UP = 3  # batches, or training steps
STEPS = 3


def main(
    preset: Annotated[
        list[str] | None, typer.Option(help="To be trained; by default those of the page.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Of the core, for each way.")] = 1.5,
):
    """Ways to read clips beside the training steps of models, all in one process on one core.

    The recordings are synthetic plucks, and lie in memory.
    """
    results.one_core()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        ways = {}
        for name, batches in ways_of(folder).items():
            ways[name] = rate_of(batches(), seconds)
            print(name, ways[name], flush=True)
        models = {}
        for name in preset or PRESETS:
            models[name] = model_row(name, folder, seconds)
            print(name, models[name], flush=True)
    values = {
        "recordings": RECORDINGS,
        "minutes_of_sound": RECORDINGS * MINUTES,
        "sample_rate": SAMPLE_RATE,
        "clip_seconds": CLIP_SECONDS,
        "batch_size": BATCH_SIZE,
        "ways": ways,
        "models": models,
    }
    print(f"written: {results.write('data_throughput', values)}")


def recordings_at(sample_rate, folder):
    """A folder of WAV files at this rate, written once."""
    from audiozoo.data.tones import FMPlucks

    folder = folder / f"wav_{sample_rate}"
    if not folder.exists():
        hop = sample_rate // 100
        plucks = FMPlucks(
            num_recordings=RECORDINGS, duration_seconds=60.0 * MINUTES, sample_rate=sample_rate, hop=hop
        )
        plucks.write(folder)
    return folder


def ways_of(folder):
    """Dict of each way to a function that begins to give batches, ``(inputs, target)``."""
    from audiozoo.data.audio_io import read_audio, write_audio
    from audiozoo.data.clips import ClipCrops, audio_folder
    from audiozoo.data.datasets import instrument_folder
    from audiozoo.data.pipelines import FeatureCrops, numpy_stream, tf_stream
    from audiozoo.data.records import read_records, stored_clips, stored_recordings, write_records

    wav, cache = recordings_at(SAMPLE_RATE, folder), folder / "cache"
    for path in wav.iterdir():
        audio, _ = read_audio(path)
        for suffix in ("flac", "ogg"):
            write_audio(folder / suffix / f"{path.stem}.{suffix}", audio, SAMPLE_RATE)
    plain, with_features = folder / "plain", folder / "with_features"
    sound = {"sample_rate": SAMPLE_RATE, "cache": cache}
    shards = {"clip_seconds": CLIP_SECONDS, "clips_per_shard": CLIPS_PER_SHARD} | sound
    write_records(wav, plain, **shards)
    write_records(wav, with_features, hop=HOP, f0_method="yin", **shards)

    crop = {"sample_rate": SAMPLE_RATE, "clip_seconds": CLIP_SECONDS, "batch_size": BATCH_SIZE}
    cached = ClipCrops(audio_folder(wav, **sound), **crop)
    told = FeatureCrops(instrument_folder(wav, hop=HOP, f0_method="yin", **sound), hop=HOP, **crop)
    stored = ClipCrops(stored_clips(plain, sample_rate=SAMPLE_RATE), **crop)
    stored_told = FeatureCrops(
        stored_recordings(with_features, sample_rate=SAMPLE_RATE, hop=HOP), hop=HOP, **crop
    )
    stream = {"batch_size": BATCH_SIZE, "verify": False}
    everything = stream | {"test_share": 0.0}
    return {
        "WAV, a seek for each crop": lambda: seeking(wav),
        "FLAC, a seek for each crop": lambda: seeking(folder / "flac"),
        "OGG Vorbis, a seek for each crop": lambda: seeking(folder / "ogg"),
        "int16 cache, NumPy": lambda: numpy_stream(cached),
        "int16 cache, PyDataset": lambda: as_keras_reads(cached),
        "int16 cache, tf.data": lambda: tf_stream(cached),
        "int16 cache with features, tf.data": lambda: tf_stream(told),
        "records at any place, NumPy": lambda: numpy_stream(stored),
        "records at any place, tf.data": lambda: tf_stream(stored),
        "records with features at any place, tf.data": lambda: tf_stream(stored_told),
        "records in order": lambda: read_records(plain, part="all", **stream).repeat(),
        "records interleaved and shuffled": lambda: read_records(plain, **everything).repeat(),
        "records with features, interleaved and shuffled": lambda: read_records(
            with_features, **everything
        ).repeat(),
    }


def seeking(folder):
    """Random crops of files, each opened and read at its place, as batches without end."""
    import soundfile

    paths, samples = sorted(folder.iterdir()), round(CLIP_SECONDS * SAMPLE_RATE)
    lengths = [soundfile.info(path).frames for path in paths]
    random = np.random.default_rng(0)

    def crop():
        which = random.integers(len(paths))
        with soundfile.SoundFile(paths[which]) as source:
            source.seek(int(random.integers(lengths[which] - samples)))
            return source.read(samples, dtype="float32")

    while True:
        audio = np.stack([crop() for _ in range(BATCH_SIZE)])
        yield {"audio": audio}, audio


def as_keras_reads(crops):
    """Batches by number as ``fit`` reads them from a ``PyDataset`` on TensorFlow, without end."""
    import keras
    from keras.src.trainers.data_adapters import get_data_adapter  # what fit itself calls

    from audiozoo.data.pipelines import training_pairs

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 100_000

        def __getitem__(self, index):
            return training_pairs(crops.batch(index))

    return get_data_adapter(Batches(), shuffle=False).get_tf_dataset()


def rate_of(batches, seconds):
    """Clips a second by the clock, and by the time that this process spends on the core."""
    batches, clips = iter(batches), 0
    for _ in range(WARM_UP):
        next(batches)
    began, core = time.perf_counter(), time.process_time()
    while time.process_time() - core < seconds:
        _, target = next(batches)
        clips += len(target)
    core, wall = time.process_time() - core, time.perf_counter() - began
    return {"clips_per_second": clips / wall, "clips_per_core_second": clips / core}


def model_row(name, folder, seconds):
    """Clips a second of a preset's training step, and of the ways to its own clips in its own batches."""
    import audiozoo
    from audiozoo.data.pipelines import tf_stream, training_pairs
    from audiozoo.data.records import read_records, write_records
    from audiozoo.training.train import compile_for_training, full_config, material_for

    preset = audiozoo.info(name)
    config, settings = full_config(preset), preset.train
    wav = recordings_at(config["sample_rate"], folder)
    hop = config["hop"] if preset.architecture == "DDSPDecoder" else None
    records = folder / f"records_of_{name}"
    write_records(
        wav,
        records,
        sample_rate=config["sample_rate"],
        clip_seconds=settings.clip_seconds,
        hop=hop,
        clips_per_shard=CLIPS_PER_SHARD,
        cache=folder / "cache",
    )
    cached, stored = (material_for(preset, data, settings, progress=False).crops for data in (wav, records))
    ways = {
        "cache": tf_stream(cached),
        "records": tf_stream(stored),
        "stream": read_records(
            records, batch_size=settings.batch_size, test_share=0.0, verify=False
        ).repeat(),
    }
    ways = {way: rate_of(batches, seconds) for way, batches in ways.items()}

    model = audiozoo.load(name)
    compile_for_training(model, settings)
    inputs, target = training_pairs(cached.batch(0))
    for _ in range(WARM_UP):
        model.train_on_batch(inputs, target)
    began, core = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        model.train_on_batch(inputs, target)
    core, wall = time.process_time() - core, time.perf_counter() - began
    clips = STEPS * len(target)
    model_rate = clips / core
    return {
        "sample_rate": config["sample_rate"],
        "clip_seconds": settings.clip_seconds,
        "batch_size": settings.batch_size,
        "clips_per_second": clips / wall,
        "clips_per_core_second": model_rate,
        "ways": ways,
        "times_as_fast_until_data_limit": {
            way: rate["clips_per_core_second"] / model_rate for way, rate in ways.items()
        },
    }
