"""The command line: each command is a few lines over public functions.

Exit status: 0 done; 1 an ``AudioZooError``, said in one line on stderr; 2 wrong usage; 130 Ctrl-C.
Nothing heavy is imported before a command needs it, so that ``audiozoo list`` answers at once.
"""

import os
import signal
import sys
import threading
import time
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiozoo import backend, cli_latent
from audiozoo.cli_options import JsonOption, PresetArgument, able, print_json
from audiozoo.errors import AudioZooError, counted, one_line


class PcmEncoding(StrEnum):
    """How a raw sample is written."""

    float32 = "float32"
    int16 = "int16"


class Algorithm(StrEnum):
    """How a search chooses what to try next."""

    bayesian = "bayesian"
    random = "random"
    hyperband = "hyperband"


class ExportFormat(StrEnum):
    """A kind of file that runs without audiozoo."""

    saved_model = "saved_model"
    onnx = "onnx"
    litert = "litert"


class Objective(StrEnum):
    """What a search minimises."""

    val_loss = "val_loss"
    frechet = "frechet"
    kad = "kad"
    mss = "mss"


app = typer.Typer(
    help="Generative audio models: list them, play them, train them.",
    epilog="Exit status: 0 done, 1 an error (one line on stderr), 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(cli_latent.app, name="latent")

GOING_ON = {"train", "tune", "records"}  # commands that begin where they were broken off
INTERRUPTED = 130  # exit status after Ctrl-C


def main() -> None:
    """Run the command line and exit."""
    # TensorFlow calls a machine without a GPU an error, on stderr, where only ours belong; what really
    # goes wrong in it arrives as an exception.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend.silence_tensorflow()
    warnings.formatwarning = lambda message, *where, **more: f"audiozoo: {one_line(message)}\n"
    try:
        app(prog_name="audiozoo")
    except AudioZooError as error:
        print(f"audiozoo: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:  # click's word for Ctrl-C
        if end.code == INTERRUPTED:
            goes_on = GOING_ON.intersection(sys.argv[1:2]) and "--smoke" not in sys.argv
            more = " The same command goes on." if goes_on else ""
            print(f"Interrupted.{more}", file=sys.stderr)
        raise


@app.command("list")
def list_command(
    pattern: Annotated[str, typer.Argument(help="Shell wildcards, as in 'ddsp*'.")] = "*",
    as_json: JsonOption = False,
) -> None:
    """List the presets of the zoo."""
    from audiozoo.registry import info, list_models

    presets = [info(name) for name in list_models(pattern)]
    if as_json:
        print_json([_overview(preset) for preset in presets])
        return
    for preset in presets:
        size = f"{preset.weights.size / 1e6:.1f} MB" if preset.weights else "recipe"
        print(f"{preset.name:<24} {size:>9}  {preset.card.summary}")
    if not presets:
        print(f"No preset matches {pattern!r}; 'audiozoo list' shows all.")


@app.command()
def info(preset: PresetArgument, as_json: JsonOption = False) -> None:
    """Show everything that is known about a preset: licence, training data, limits, configuration."""
    from audiozoo import registry

    found = registry.info(preset)
    if as_json:
        print_json(registry.as_dict(found))
    else:
        print(registry.as_yaml(found), end="")


@app.command()
def download(preset: PresetArgument) -> None:
    """Fetch the weights of a preset, so that it works without a network. Prints their path."""
    from audiozoo.zoo import download as fetch

    print(fetch(preset))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("demo"),
    as_json: JsonOption = False,
) -> None:
    """Turn the packaged singing voice into a violin."""
    from audiozoo.demo import run

    result = run(out, progress=not as_json)
    if as_json:
        print_json(result)


@app.command()
def transfer(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Recording of one voice, any format and length.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write: .wav, .flac or .ogg.")],
    preset: Annotated[str, typer.Option(help="Name in the zoo, or path of a preset folder.")] = "ddsp_violin",
    semitones: Annotated[float, typer.Option(min=-60, max=60, help="Transposition.")] = 0.0,
    loudness_db: Annotated[
        float, typer.Option(min=-60, max=60, help="Added to the loudness that the model is told.")
    ] = 0.0,
    own_loudness: Annotated[
        bool, typer.Option("--no-match-loudness", help="Keep the recording's own loudness.")
    ] = False,
    dry: Annotated[bool, typer.Option("--no-reverb", help="Leave the learned room out.")] = False,
    reverb: Annotated[
        Path | None, typer.Option(metavar="FILE.wav", help="Impulse response of another room.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Play on the preset's instrument what a recording sings."""
    if dry and reverb:
        raise typer.BadParameter("give --no-reverb or --reverb, not both.")
    from audiozoo.atomic import make_folder
    from audiozoo.data.audio_io import output_format, read_audio, write_audio
    from audiozoo.zoo import load

    output_format(output)  # all that can be wrong with the paths is said before the work
    _apart(source, output)
    audio, sample_rate = read_audio(source)
    make_folder(output.parent)
    model = able("transfer", load(preset), preset)
    room = None if dry else read_audio(reverb, sample_rate=model.sample_rate)[0] if reverb else "learned"
    start = time.perf_counter()
    played = model.transfer(
        audio,
        sample_rate,
        semitones=semitones,
        loudness_db=loudness_db,
        match_loudness=not own_loudness,
        reverb=room,
        progress=not as_json,
    )
    write_audio(output, played, model.sample_rate)
    _report_audio(output, len(played) / model.sample_rate, time.perf_counter() - start, as_json)


@app.command()
def reconstruct(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Recording of anything, any format and length.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write: .wav, .flac or .ogg.")],
    preset: Annotated[
        str, typer.Option(help="Name in the zoo, or path of a preset folder.")
    ] = "spectral_vae",
    as_json: JsonOption = False,
) -> None:
    """Encode a recording by a VAE and decode it again: what passes through the code."""
    from audiozoo.atomic import make_folder
    from audiozoo.data.audio_io import output_format, read_audio, write_audio
    from audiozoo.zoo import load

    output_format(output)
    _apart(source, output)
    audio, sample_rate = read_audio(source)
    make_folder(output.parent)
    model = able("reconstruct", load(preset), preset)
    start = time.perf_counter()
    rebuilt = model.perform(audio, sample_rate)
    write_audio(output, rebuilt, model.sample_rate)
    _report_audio(output, len(rebuilt) / model.sample_rate, time.perf_counter() - start, as_json)


@app.command()
def stream(
    preset: PresetArgument,
    source: Annotated[
        str, typer.Option("--input", metavar="FILE|-", help="One voice: any format; - is standard input.")
    ] = "-",
    output: Annotated[
        str, typer.Option(metavar="FILE|-", help="A .wav, .flac or .ogg; - is standard output.")
    ] = "-",
    block: Annotated[
        int | None, typer.Option(min=1, help="Samples computed at once.", show_default="one frame")
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(min=1000, max=768_000, help="Hz, of standard input.", show_default="the model's"),
    ] = None,
    encoding: Annotated[
        PcmEncoding, typer.Option(help="Of raw mono samples, little-endian, for - on either side.")
    ] = PcmEncoding.float32,
    semitones: Annotated[float, typer.Option(min=-60, max=60, help="Transposition.")] = 0.0,
    loudness_db: Annotated[
        float, typer.Option(min=-60, max=60, help="Added to the loudness that the model is told.")
    ] = 0.0,
    dry: Annotated[bool, typer.Option("--no-reverb", help="Leave the learned room out.")] = False,
) -> None:
    """Play along in real time: a voice in, the preset's instrument out, block by block."""
    from audiozoo.data.audio_io import (
        finite_blocks,
        output_format,
        read_blocks,
        read_pcm_blocks,
        write_blocks,
        write_pcm_blocks,
    )
    from audiozoo.zoo import load

    if output != "-":
        output_format(output)
    if sample_rate is not None and source != "-":
        raise typer.BadParameter("is of standard input; a file has its own.", param_hint="--sample-rate")
    model = able("stream", load(preset), preset)
    if block and block % model.hop:
        raise typer.BadParameter(f"{block} is no multiple of {model.hop}.", param_hint="--block")
    player = model.stream(
        block, semitones=semitones, loudness_db=loudness_db, reverb=None if dry else "learned"
    )
    rate, seconds = model.sample_rate, player.block_size / model.sample_rate
    if source == "-":
        heard = read_pcm_blocks(
            sys.stdin.buffer,
            encoding=encoding.value,
            sample_rate=sample_rate or rate,
            new_sample_rate=rate,
            block_seconds=seconds,
        )
    else:
        heard, _ = read_blocks(source, sample_rate=rate, block_seconds=seconds)
    name = "standard input" if source == "-" else f"path {source!r}"
    heard = until_interrupted(finite_blocks(heard, name=name))
    if output == "-":
        write_pcm_blocks(sys.stdout.buffer, player.play(heard), encoding=encoding.value)
    else:
        samples = write_blocks(output, player.play(heard), rate)
        print(f"{output}: {samples / rate:.1f} s of audio")


def until_interrupted(blocks):
    """The blocks as they come, until Ctrl-C: that ends a recording, and what was played is kept.

    A second Ctrl-C breaks off at once.
    """
    previous = signal.getsignal(signal.SIGINT)
    pressed = threading.Event()

    def end(*_):
        pressed.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, end)
    try:
        for block in blocks:
            if pressed.is_set():
                return
            yield block
    finally:
        signal.signal(signal.SIGINT, previous)


@app.command()
def train(
    preset: PresetArgument,
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with recordings, any formats and rates, or of records; for images mnist, digits or "
            "an .npz.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write into.", show_default="runs/PRESET")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In all; by default the preset's.")] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Stop after this time, and save.")] = None,
    monitor: Annotated[
        list[Path] | None, typer.Option(help="Recording to play after every epoch; may be given twice.")
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option("--from", metavar="PRESET", help="Begin with its weights, not with random ones."),
    ] = None,
    validation_files: Annotated[
        str, typer.Option(metavar="PATTERN", help="Recordings by whose end the best epoch is chosen.")
    ] = "*",
    seed: Annotated[int | None, typer.Option(min=0, help="By default the preset's.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="GPUs that share every batch.")] = 1,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke",
            help="One step, one batch of validation and the examples, in OUT/smoke, begun anew each time: to "
            "see that everything runs.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a preset on a folder of recordings, or on images. Broken off, the same command resumes."""
    import audiozoo

    name = audiozoo.info(preset).name  # a misspelt one is refused before Keras is imported
    result = audiozoo.training.train(
        preset,
        data,
        out=out or Path("runs") / name,
        epochs=epochs,
        max_minutes=max_minutes,
        monitor=tuple(monitor or ()),
        initial=initial,
        validation_files=validation_files,
        seed=seed,
        devices=devices,
        smoke=smoke,
        progress=not as_json,
    )
    if as_json:
        print_json(result)
    else:
        held_out = result["val_loss"]
        validation = "" if held_out is None else f", validation {held_out:.3f}"
        finished = "already finished, " if result["already_finished"] else ""
        epochs = counted(result["epochs"], "epoch")
        print(f"{result['preset_folder']}: {finished}{epochs}, loss {result['loss']:.3f}{validation}")


@app.command()
def records(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder with recordings, any formats and rates.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write into: a new one, or one that was begun.")],
    sample_rate: Annotated[int, typer.Option(min=1000, max=768_000, help="Hz, that of the model.")],
    clip_seconds: Annotated[float, typer.Option(min=0.001, max=600, help="Length of a clip.")] = 4.0,
    hop: Annotated[
        int | None,
        typer.Option(
            min=1, help="Samples per frame of pitch and loudness, for DDSP.", show_default="without them"
        ),
    ] = None,
    clips_per_shard: Annotated[int, typer.Option(min=1, help="In one file.")] = 1024,
    as_json: JsonOption = False,
) -> None:
    """Write recordings as shards of TFRecords, to train on. Broken off, the same command goes on.

    Called again on a finished folder it verifies every shard, and makes anew what is damaged.
    """
    from audiozoo.data.records import write_records

    found = write_records(
        data,
        out,
        sample_rate=sample_rate,
        clip_seconds=clip_seconds,
        hop=hop,
        clips_per_shard=clips_per_shard,
        progress=not as_json,
    )
    if as_json:
        print_json(found)
    else:
        print(
            f"{found['folder']}: {counted(found['clips'], 'clip')} of "
            f"{counted(found['recordings'], 'recording')}, {found['seconds'] / 60:.1f} minutes; "
            f"{counted(found['shards'], 'shard')}, {found['bytes'] / 1e6:.1f} MB"
        )


@app.command()
def tune(
    preset: PresetArgument,
    data: Annotated[Path, typer.Option(metavar="DIR", help="As for train.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write into.", show_default="runs/tune/PRESET")
    ] = None,
    algorithm: Annotated[Algorithm, typer.Option(help="How the next trial is chosen.")] = Algorithm.bayesian,
    objective: Annotated[Objective, typer.Option(help="What is minimised.")] = Objective.val_loss,
    trials: Annotated[int, typer.Option(min=1, help="How many in all.")] = 24,
    executions: Annotated[int, typer.Option(min=1, help="Trainings of each, whose mean counts.")] = 1,
    max_hours: Annotated[float | None, typer.Option(min=0, help="Stop after this time, and save.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of every trial; by default the preset's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is tried.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Search the hyper-parameters in a preset's tune section. Broken off, the same command resumes."""
    import audiozoo

    name = audiozoo.info(preset).name
    result = audiozoo.tuning.search(
        preset,
        data,
        out=out or Path("runs") / "tune" / name,
        algorithm=algorithm.value,
        objective=objective.value,
        trials=trials,
        executions=executions,
        max_hours=max_hours,
        epochs=epochs,
        seed=seed,
        progress=not as_json,
    )
    if as_json:
        print_json(result)
    elif result is None:
        print("This worker is done; the chief writes the result.")
    else:
        print(audiozoo.tuning.summary(result, objective.value))


@app.command()
def export(
    preset: PresetArgument,
    file_format: Annotated[
        ExportFormat,
        typer.Option("--format", help="TensorFlow's own, ONNX, or LiteRT, formerly TensorFlow Lite."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write into.", show_default="exports/PRESET_FORMAT")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a preset to a file that runs without audiozoo, once it was found to sound the same."""
    import audiozoo

    found = audiozoo.export(preset, format=file_format.value, out=out)
    if as_json:
        print_json(found)
    else:
        megabytes, difference = found["bytes"] / 1e6, found["largest_difference"]
        print(
            f"{Path(found['folder']) / found['file']}: {megabytes:.1f} MB, differs from the preset by "
            f"{difference:.1g} of its loudest"
        )


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Examine this installation: versions, backend, devices, cache, extras, weights, and a sound.

    The exit status is 1 where something is broken; the report says what to do.
    """
    from audiozoo import doctor as examination

    found = examination.examine()
    if as_json:
        print_json(found)
    else:
        print(examination.report(found))
    if found["problems"]:
        raise typer.Exit(1)


def _apart(source, output):
    """Raise OutputError if a recording would be replaced by what is made of it."""
    from audiozoo.errors import OutputError

    if output.exists() and source.exists() and output.samefile(source):
        raise OutputError(
            f"output {str(output)!r} is the input itself, which would be lost. Give another name."
        )


def _report_audio(output, seconds, work, as_json):
    if as_json:
        print_json({"output": str(output), "seconds_of_audio": seconds, "seconds_of_work": work})
    else:
        print(f"{output}: {seconds:.1f} s of audio in {work:.1f} s")


def _overview(preset):
    return {
        "name": preset.name,
        "architecture": preset.architecture,
        "parameters": preset.card.parameters,
        "megabytes": preset.weights.size / 1e6 if preset.weights else None,
        "weights_license": preset.card.weights_license,
        "summary": preset.card.summary,
    }
