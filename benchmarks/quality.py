"""How close a decoder's resynthesis comes to recordings it was not trained on."""

import fnmatch
import pathlib
from typing import Annotated

import numpy as np
import typer

from benchmarks import results


def main(
    preset: Annotated[str, typer.Option(help="Name or path of a preset.")],
    data: Annotated[pathlib.Path, typer.Option(help="The folder it was trained on.")],
    only: Annotated[str, typer.Option(help="Shell pattern of the recordings to use.")] = "*",
    name: Annotated[str, typer.Option(help="Of the result file; default: the preset's.")] = "",
):
    """Loss, pitch and loudness of resynthesis on the held-out end of every recording."""
    import audiozoo
    from audiozoo.data.datasets import instrument_folder
    from audiozoo.data.pipelines import FeatureCrops

    model = audiozoo.load(preset)
    train = model.preset.train
    sound = {"sample_rate": model.sample_rate, "hop": model.hop}
    recordings = [r for r in instrument_folder(data, **sound) if fnmatch.fnmatch(r.name, only)]
    crops = FeatureCrops(
        recordings, **sound, clip_seconds=train.clip_seconds, validation_seconds=train.validation_seconds
    )
    files = {}
    for index, recording in enumerate(recordings):
        places = [place for place in crops.validation_places() if place[0] == index]
        if places:
            batch = crops.collate(*zip(*places, strict=True))
            files[recording.name] = loss_parts(model, batch) | track_errors(model, batch)
            print(recording.name, files[recording.name])
    keys = next(iter(files.values()))
    mean = {key: float(np.mean([values[key] for values in files.values()])) for key in keys}
    path = results.write(name or f"quality_{model.preset.name}", {"mean": mean, "files": files})
    print(f"mean {mean}\nwritten: {path}")


def loss_parts(model, batch):
    """The assignment's loss on 4-second crops, as in validation, whole and in its two parts."""
    from keras import ops

    from audiozoo.losses import MultiScaleSpectralLoss

    audio = model.synthesize(**model.controls(batch["f0_hz"], batch["loudness_db"]))
    loss = MultiScaleSpectralLoss()
    parts = [loss.parts(batch["audio"], audio, window) for window in loss.window_lengths]
    linear, logarithmic = (sum(float(ops.mean(part[i])) for part in parts) for i in range(2))
    return {"mss": linear + logarithmic, "mss_linear": linear, "mss_log": logarithmic}


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
        "f0_median_error_cents": float(np.median(cents)),
        "f0_within_50_cents": float(np.mean(cents < 50.0)),
        "f0_compared_share": float(np.mean(sure)),
        "loudness_mean_error_db": float(np.mean(np.abs(heard.loudness_db - loudness_db)[active])),
    }
