"""How good a model's sound is: clip by clip beside recordings, and as a set beside a set."""

if not __package__:
    import as_module  # noqa: F401


import contextlib
import pathlib
import tempfile
from typing import Annotated

import numpy as np
import typer

from benchmarks import results

EMBEDDING = "mel_statistics"


def main(
    reference: Annotated[pathlib.Path, typer.Option(help="Folder of recordings to be compared with.")],
    preset: Annotated[str, typer.Option(help="Name or path of a preset, which reconstructs them.")] = "",
    generated: Annotated[pathlib.Path | None, typer.Option(help="Folder of sounds made by anything.")] = None,
    only: Annotated[str, typer.Option(help="Shell pattern of the recordings to reconstruct.")] = "*",
    whole: Annotated[bool, typer.Option(help="All of them, not the end that training leaves out.")] = False,
    embedding: Annotated[str, typer.Option(help="mel_statistics, mfcc or random_conv.")] = EMBEDDING,
    keep: Annotated[pathlib.Path | None, typer.Option(help="Folder to leave the compared clips in.")] = None,
    name: Annotated[str, typer.Option(help="Of the result; by default quality_PRESET.")] = "",
    replace: Annotated[bool, typer.Option(help="Even what another command has found.")] = False,
):
    """FID, FID-infinity, KAD, precision and recall of sets; spectral distances of reconstructions.

    The preset reconstructs the recordings of --reference: those it was trained on are judged by the end of
    each that training left out. As sets the reconstructions are compared with their references, or, with
    --generated, the two folders as they are.
    """
    import audiozoo
    from audiozoo import metrics

    if not preset and generated is None:
        raise typer.BadParameter("give --preset, to judge its reconstructions, or --generated, or both.")
    name = name or f"quality_{audiozoo.info(preset).name if preset else generated.name}"
    results.check_free(name, replace=replace)
    values = {"reference": reference.name, "embedding": embedding}
    with kept_or_temporary(keep) as folder:
        pair = reference, generated
        if preset:
            files = reconstruct(preset, reference, folder, only=only, whole=whole)
            values |= {"part": "whole" if whole else "held out", "mean": mean_of(files)}
            values |= {"mean_by_folder": by_folder(files), "files": files}
        if generated is None:
            pair = folder / "reference", folder / "generated"
        else:
            values["generated"] = generated.name
        values["sets"] = without_folders(metrics.compare(*pair, embedding=embedding), folder)
    path = results.write(name, values)
    print(f"{values.get('mean', '')}\n{values['sets']['scores']}\nwritten: {path}")


def reconstruct(preset, reference, folder, *, only, whole):
    """Write clips and their reconstructions as files, and measure each pair.

    Returns:
        Dict recording -> dict of distances, the mean of its clips.

    Raises:
        DataError: there is no recording, or none long enough.
    """
    import audiozoo
    from audiozoo.data.audio_io import write_audio
    from audiozoo.errors import DataError
    from benchmarks import workloads

    model = audiozoo.load(preset)
    files = {}
    made = workloads.of(model.preset).reconstructions(model, reference, only=only, whole=whole)
    for recording, clips, generated, errors in made:
        files[recording] = distances(model, clips, generated) | errors
        print(recording, files[recording], flush=True)
        for side, audio in (("reference", clips), ("generated", generated)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            for index, clip in enumerate(audio):
                name = f"{pathlib.Path(recording).stem}_{index:03d}.wav"
                path = folder / side / pathlib.Path(recording).with_name(name)
                write_audio(path, clip, model.sample_rate)
    if not files:
        raise DataError(f"reference {str(reference)!r} holds no recording that is long enough to be judged.")
    return files


def distances(model, reference, generated):
    """Spectral distances of clips ``(clips, samples)`` and their reconstructions, averaged over clips."""
    from audiozoo import metrics

    pair = reference, generated
    return loss_parts(model, reference, generated) | {
        "relative_mss": float(np.mean(metrics.relative_spectral_distance(*pair))),
        "log_spectral_distance_db": float(np.mean(metrics.log_spectral_distance(*pair))),
        "spectral_convergence": float(np.mean(metrics.spectral_convergence(*pair))),
    }


def loss_parts(model, reference, generated):
    """The multi-scale spectral loss ``mss``; and its two parts, where it is what the model trains with."""
    from keras import ops

    from audiozoo import metrics

    loss = model.training_loss()
    if loss is None:
        return {"mss": float(np.mean(metrics.multi_scale_spectral_distance(reference, generated)))}
    parts = [loss.parts(reference, generated, window) for window in loss.window_lengths]
    linear, logarithmic = (sum(float(ops.mean(part[i])) for part in parts) for i in range(2))
    return {"mss": linear + logarithmic, "mss_linear": linear, "mss_log": logarithmic}


def mean_of(files):
    """Mean over recordings of everything that is known of all of them."""
    columns = {key: [values[key] for values in files.values()] for key in next(iter(files.values()))}
    return {key: float(np.mean(column)) for key, column in columns.items() if None not in column}


def by_folder(files):
    """``mean_of`` the files of each folder, by its name."""
    folders = {}
    for name, values in files.items():
        folders.setdefault(pathlib.Path(name).parent.name, {})[name] = values
    return {folder: mean_of(of_folder) for folder, of_folder in folders.items()}


def without_folders(compared, folder):
    """The result of ``metrics.compare`` with names of clips instead of paths into a folder that is gone."""
    if isinstance(compared, dict):
        return {key: without_folders(value, folder) for key, value in compared.items()}
    if isinstance(compared, list):
        return [without_folders(value, folder) for value in compared]
    return compared.replace(f"{folder}/", "") if isinstance(compared, str) else compared


@contextlib.contextmanager
def kept_or_temporary(folder):
    """A folder of that name that stays, or one that is gone afterwards."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield pathlib.Path(temporary)
