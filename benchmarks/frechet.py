"""The student project's table of Fréchet distances, on our data: what models of sound draw from nothing."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
import tempfile
from typing import Annotated

import typer

from benchmarks import results

PARTS = ("test", "training")
SCORES = ("frechet", "frechet_infinity", "kad")


def main(
    runs: Annotated[pathlib.Path, typer.Option(help="Folder of runs, each with a preset/, of `variants`.")],
    data: Annotated[pathlib.Path, typer.Option(help="Folder that they were trained on.")],
    encoder: Annotated[str, typer.Option(help="The run by whose encoder all are judged.")] = "ours",
    seconds: Annotated[float, typer.Option(min=1, help="Length of the clips that are drawn.")] = 30.0,
    replace: Annotated[bool, typer.Option(help="Even what another command has found.")] = False,
):
    """Draws from the prior of every run, as many as there are training files, beside test and training files.

    Rows are codes of one trained encoder, as in the project, one for each of its frames; but one that hears:
    a collapsed encoder, as the project's, gives equal codes to all sounds. The first row is what the
    others can be held against: training files beside test files.
    """
    results.one_core()
    results.check_free("frechet", replace=replace)
    import audiozoo
    from audiozoo import metrics

    judge = audiozoo.load(runs / encoder / "preset")
    embedding = metrics.EncoderEmbedding(judge)
    files = split_files(judge, data)
    real = {part: metrics.embed_folder(files[part], embedding) for part in PARTS}
    rows = {"training files beside test files": {"test": scores(real["test"], real["training"])}}
    for run in sorted(path.parent for path in runs.glob("*/preset")):
        model = audiozoo.load(run / "preset")
        with tempfile.TemporaryDirectory() as folder:
            draw(model, len(files["training"]), seconds, pathlib.Path(folder))
            try:
                drawn = metrics.embed_folder(folder, embedding)
            except audiozoo.errors.AudioZooError as error:
                rows[run.name] = {"failed": audiozoo.errors.one_line(error)}
                continue
        rows[run.name] = {part: scores(real[part], drawn) for part in PARTS}
        print(run.name, rows[run.name], flush=True)
    values = {
        "encoder": encoder,
        "dimensions": real["test"].dimensions,
        "clips": {part: real[part].clips for part in PARTS},
        "clip_seconds": seconds,
        "rows": rows,
    }
    print(f"written: {results.write('frechet', values)}")


def split_files(model, data):
    """Paths of the files that the model's training held out, and of those that it saw."""
    from benchmarks.vae_quality import crops_of

    crops = crops_of(model, data, seconds=None)
    held_out = [index in crops.held_out for index in range(len(crops.clips))]
    paths = {part: [] for part in PARTS}
    for clip, out in zip(crops.clips, held_out, strict=True):
        paths["test" if out else "training"].append(data / clip.name)
    return paths


def draw(model, count, seconds, folder):
    """Write that many draws from a model's prior as files."""
    from audiozoo.data.audio_io import write_audio

    samples = round(seconds * model.sample_rate)
    for index in range(count):
        (audio,) = model.sample(1, seed=index, samples=samples)
        write_audio(folder / f"{index:04d}.wav", audio.clip(-1.0, 1.0), model.sample_rate)


def scores(reference, generated):
    """Value and interval of each score of two embedded sets."""
    from audiozoo import metrics

    found = metrics.compare(reference, generated)["scores"]
    return {name: found[name] for name in SCORES}
