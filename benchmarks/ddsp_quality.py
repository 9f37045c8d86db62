"""How close the DDSP decoder's resynthesis comes to recordings, and its errors of pitch and loudness."""

import fnmatch

import numpy as np


def reconstructions(model, folder, *, only, whole):
    """Resynthesis of every recording of one instrument below a folder, from its pitch and loudness.

    Args:
        model: DDSPDecoder.
        folder: of recordings.
        only: shell pattern of their names.
        whole: use all of each, not only the end that training on that folder leaves out.

    Yields:
        ``(name, reference, generated, errors)``: crops ``(clips, samples)`` of a recording and of its
        resynthesis, and the errors of pitch and loudness as a dict.
    """
    from audiozoo.data.datasets import instrument_folder
    from audiozoo.data.pipelines import FeatureCrops
    from audiozoo.errors import DataError
    from audiozoo.registry import Train

    train = model.preset.train or Train()
    sound = {"sample_rate": model.sample_rate, "hop": model.hop}
    recordings = instrument_folder(folder, **sound)
    chosen = [recording for recording in recordings if fnmatch.fnmatch(recording.name, only)]
    if not chosen:
        raise DataError(
            f"only must match a recording; {only!r} matches none of "
            f"{', '.join(recording.name for recording in recordings)}. Use '*' for all."
        )
    crops = FeatureCrops(
        chosen,
        **sound,
        clip_seconds=train.clip_seconds,
        validation_seconds=0.0 if whole else train.validation_seconds,
    )
    places = whole_places(crops) if whole else crops.validation_places()
    for index, recording in enumerate(chosen):
        starts = [start for which, start in places if which == index]
        if starts:
            batch = crops.collate([index] * len(starts), starts)
            generated = model.synthesize(**model.controls(batch["f0_hz"], batch["loudness_db"]))
            yield recording.name, batch["audio"], generated, track_errors(model, batch)


def whole_places(crops):
    """``(recording, first frame)`` of consecutive crops through all of every recording."""
    return [
        (index, start)
        for index, end in enumerate(crops.split_frame)
        for start in range(0, end - crops.clip_frames + 1, crops.clip_frames)
    ]


def track_errors(model, batch):
    """Pitch and loudness of a resynthesis in one go, tracked again, against those it was told.

    Pitch is compared where the tracker is sure of both signals; the share of those frames and of
    octave errors among them is given too. Loudness is compared within 40 dB of the loudest frame.
    """
    from audiozoo.data.features import extract_features

    f0_hz, loudness_db = batch["f0_hz"].reshape(-1), batch["loudness_db"].reshape(-1)
    audio = model.synthesize(**model.controls(f0_hz, loudness_db))[0]
    told = extract_features(batch["audio"].reshape(-1), sample_rate=model.sample_rate, hop=model.hop)
    heard = extract_features(audio, sample_rate=model.sample_rate, hop=model.hop)
    sure = (told.confidence > 0.9) & (heard.confidence > 0.5)
    cents = 1200.0 * np.abs(np.log2(heard.f0_hz[sure] / f0_hz[sure]))
    active = loudness_db > loudness_db.max() - 40.0
    return {
        "f0_median_error_cents": float(np.median(cents)) if sure.any() else None,
        "f0_within_50_cents": float(np.mean(cents < 50.0)) if sure.any() else None,
        "f0_compared_share": float(np.mean(sure)),
        "loudness_mean_error_db": float(np.mean(np.abs(heard.loudness_db - loudness_db)[active])),
    }


def judge(model, data, *, seconds, apart):
    """Loss on the held-out end of every recording, and its means.

    Args:
        model: DDSPDecoder.
        data: folder of recordings of one instrument.
        seconds: length of the crops that are judged.
        apart: shell pattern of recordings to be left out of a second mean.
    """
    from audiozoo.data.datasets import instrument_folder
    from audiozoo.data.pipelines import FeatureCrops
    from benchmarks.quality import loss_parts

    sound = {"sample_rate": model.sample_rate, "hop": model.hop}
    recordings = instrument_folder(data, **sound)
    crops = FeatureCrops(recordings, **sound, clip_seconds=seconds)
    losses = {}
    for index, recording in enumerate(recordings):
        places = [place for place in crops.validation_places() if place[0] == index]
        batch = crops.collate(*zip(*places, strict=True))
        generated = model.synthesize(**model.controls(batch["f0_hz"], batch["loudness_db"]))
        losses[recording.name] = loss_parts(model, batch["audio"], generated)["mss"]
    rest = [loss for name, loss in losses.items() if not fnmatch.fnmatch(name, apart)]
    return {
        "held_out": float(np.mean(list(losses.values()))),
        "held_out_without": float(np.mean(rest)),
        "held_out_files": losses,
    }
