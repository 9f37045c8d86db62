"""The commands ``audiozoo latent ...``: what the numbers of a code mean, and walks through them.

As in ``cli``, each is a few lines over public functions, and nothing heavy is imported before it is needed.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audiozoo.cli_options import JsonOption, PresetArgument, print_json

app = typer.Typer(
    help="Look into the codes of a VAE: which numbers matter, what they mean, sounds along a way.",
    no_args_is_help=True,
)


class Spectrum(StrEnum):
    """What a fidelity is a share of."""

    singular = "singular"
    variance = "variance"


class Walk(StrEnum):
    """Kind of a random way."""

    gaussian = "gaussian"
    ornstein_uhlenbeck = "ornstein-uhlenbeck"
    spline = "spline"
    lissajous = "lissajous"


class Alignment(StrEnum):
    """How two recordings are brought to one length."""

    dtw = "dtw"
    resample = "resample"


class Method(StrEnum):
    """How a hand is mapped to a code."""

    whiten_quantile = "whiten_quantile"
    pca = "pca"
    linear = "linear"
    knn = "knn"
    learned = "learned"
    zscore = "zscore"


DataOption = Annotated[
    str, typer.Option(metavar="DIR", help="Folder with recordings; for images mnist, digits or an .npz.")
]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder to write into.")]
FilesOption = Annotated[
    bool, typer.Option("--files", help="Write pictures and sounds as files beside the page, too.")
]
MaxItemsOption = Annotated[
    int, typer.Option(min=2, help="Pieces of recordings, or images: at most, evenly chosen.")
]
FidelityOption = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of what the code says.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of everything random.")]
OutputArgument = Annotated[Path, typer.Argument(metavar="OUTPUT", help="File to write: .wav, .flac or .ogg.")]


@app.command()
def report(
    preset: PresetArgument,
    data: DataOption,
    out: OutOption,
    motion: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recording of a hand, which plays the model.")
    ] = None,
    fidelity: FidelityOption = 0.95,
    max_items: MaxItemsOption = 2000,
    seed: SeedOption = 0,
    files: FilesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write all that follows into one page with figures and players, which opens without a network."""
    _report(
        preset,
        data,
        out,
        None,
        as_json,
        motion=motion,
        fidelity=fidelity,
        max_items=max_items,
        seed=seed,
        files=files,
    )


@app.command()
def analyse(
    preset: PresetArgument,
    data: DataOption,
    out: OutOption,
    max_items: MaxItemsOption = 2000,
    as_json: JsonOption = False,
) -> None:
    """Find the directions in which codes differ: how many hold which share of what they say."""
    numbers = _report(preset, data, out, ["dimensions"], as_json, max_items=max_items, files=True)
    if not as_json:
        for fidelity, rank in numbers["dimensions"]["rank"]["singular"].items():
            print(f"fidelity {fidelity}: {rank} of {numbers['dims']} directions")


@app.command("map")
def map_command(
    preset: PresetArgument,
    data: DataOption,
    out: OutOption,
    max_items: MaxItemsOption = 2000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Draw recordings as points that sound under the pointer: principal components, UMAP, clusters."""
    _report(preset, data, out, ["map"], as_json, max_items=max_items, seed=seed, files=True)


@app.command()
def sweep(
    preset: PresetArgument,
    data: DataOption,
    out: OutOption,
    max_items: MaxItemsOption = 2000,
    as_json: JsonOption = False,
) -> None:
    """Go along the three most informative directions, one by one: sounds and spectrograms."""
    _report(preset, data, out, ["sweeps"], as_json, max_items=max_items, files=True)


@app.command()
def correlate(
    preset: PresetArgument,
    data: DataOption,
    out: OutOption,
    max_items: MaxItemsOption = 2000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Find which directions go along with loudness, brightness, pitch and other descriptors."""
    numbers = _report(
        preset, data, out, ["correlations"], as_json, max_items=max_items, seed=seed, files=True
    )
    if not as_json:
        for row in numbers.get("correlations", {}).get("strongest", ()):
            print(f"{row['descriptor']}: direction {row['direction']}, {row['spearman']} ({row['interval']})")


@app.command()
def compact(
    preset: PresetArgument,
    data: DataOption,
    out: OutOption,
    fidelity: FidelityOption = 0.95,
    spectrum: Annotated[Spectrum, typer.Option(help="What the share is of.")] = Spectrum.singular,
    name: Annotated[
        str | None, typer.Option(help="Of the new preset.", show_default="PRESET_compact")
    ] = None,
    max_items: MaxItemsOption = 2000,
    as_json: JsonOption = False,
) -> None:
    """Make a preset with a small code, of the directions that hold a share of what the code says."""
    from audiozoo.latent import compact as make_compact
    from audiozoo.latent.encoded import encode_data
    from audiozoo.zoo import load

    model = load(preset)
    encoded = encode_data(model, data, max_items=max_items, progress=not as_json)
    small = make_compact(model, encoded.codes, fidelity=fidelity, spectrum=spectrum.value)
    dims = len(encoded.basis.centre)
    card = model.preset.card
    summary = f"{card.summary} Its code cut to the {small.rank} most informative of {dims} directions."
    folder = small.save_to_preset(
        out, name=name or f"{model.preset.name}_compact", card=card.model_copy(update={"summary": summary})
    )
    if as_json:
        print_json({"preset_folder": str(folder), "rank": small.rank, "dims": dims, "fidelity": fidelity})
    else:
        print(f"{folder}: {small.rank} of {dims} directions")


@app.command()
def walk(
    preset: PresetArgument,
    output: OutputArgument,
    data: DataOption,
    kind: Annotated[Walk, typer.Option(help="Of way.")] = Walk.gaussian,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600.0, help="Length.")] = 10.0,
    correlation_seconds: Annotated[
        float, typer.Option(min=0.001, max=60.0, help="Time in which it forgets, or between anchors.")
    ] = 0.3,
    max_items: MaxItemsOption = 500,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Decode a random way through the codes of recordings."""
    from audiozoo.data.audio_io import output_format
    from audiozoo.latent.encoded import encode_data
    from audiozoo.latent.walks import walk_codes, write_codes
    from audiozoo.zoo import load

    output_format(output)
    model = load(preset)
    encoded = encode_data(model, data, max_items=max_items, progress=not as_json)
    codes = walk_codes(
        encoded, kind.value, seconds=seconds, correlation_seconds=correlation_seconds, seed=seed
    )
    _print_sound(output, write_codes(output, model, codes), as_json)


@app.command()
def interpolate(
    preset: PresetArgument,
    start: Annotated[Path, typer.Argument(metavar="A", help="Recording to begin with.")],
    end: Annotated[Path, typer.Argument(metavar="B", help="Recording to end with.")],
    output: OutputArgument,
    straight: Annotated[
        bool, typer.Option("--straight", help="Along straight lines instead of arcs.")
    ] = False,
    alignment: Annotated[Alignment, typer.Option("--align", help="By warping, or evenly.")] = Alignment.dtw,
    as_json: JsonOption = False,
) -> None:
    """Pass from one recording to another as time goes by."""
    from audiozoo.data.audio_io import output_format, read_audio
    from audiozoo.latent import morph
    from audiozoo.latent.walks import check_along_time, write_codes
    from audiozoo.zoo import load

    output_format(output)
    model = load(preset)
    check_along_time(model)
    codes = [model.encode(read_audio(path, sample_rate=model.sample_rate)[0]) for path in (start, end)]
    way = morph(*codes, spherical=not straight, method=alignment.value)
    _print_sound(output, write_codes(output, model, way), as_json)


@app.command()
def motion(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Recording of a hand: MediaPipe, DHG, Leap Motion, phone ..."),
    ],
    preset: PresetArgument,
    data: DataOption,
    out: Annotated[Path, typer.Option(metavar="SOUND", help="File to write: .wav, .flac or .ogg.")],
    method: Annotated[Method, typer.Option(help="How the hand is mapped.")] = Method.whiten_quantile,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, help="Frames a second.", show_default="what FILE says, or 30"),
    ] = None,
    max_items: MaxItemsOption = 500,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Play a recorded hand: what it does becomes a way among the codes of recordings, and sound."""
    from audiozoo.data.audio_io import output_format
    from audiozoo.latent import play_motion, read_motion
    from audiozoo.latent.encoded import encode_data
    from audiozoo.latent.walks import check_along_time, write_codes
    from audiozoo.zoo import load

    output_format(out)
    recorded = read_motion(source, fps=fps)
    model = load(preset)
    check_along_time(model)
    encoded = encode_data(model, data, max_items=max_items, progress=not as_json)
    codes, found = play_motion(recorded, encoded, method=method.value, seed=seed)
    seconds = write_codes(out, model, codes)
    if as_json:
        print_json({"output": str(out), "seconds_of_audio": seconds} | found)
    else:
        print(
            f"{out}: {seconds:.1f} s of audio; {len(found['features'])} features of the hand drive "
            f"{found['driven']} coordinates, which reach {found['coverage']:.0%} of the codes"
        )


def _report(preset, data, out, parts, as_json, **settings):
    """Write a report of some parts, and say where it is. Returns its numbers."""
    from audiozoo.latent.report import report as write_report
    from audiozoo.zoo import load

    numbers = write_report(load(preset), data, out, parts=parts, progress=not as_json, **settings)
    if as_json:
        print_json(numbers)
    else:
        seconds = numbers["seconds"]["all"]
        print(f"{numbers['page']}: {numbers['items']} items, {numbers['megabytes']} MB, in {seconds:.0f} s")
    return numbers


def _print_sound(output, seconds, as_json):
    if as_json:
        print_json({"output": str(output), "seconds_of_audio": seconds})
    else:
        print(f"{output}: {seconds:.1f} s of audio")
