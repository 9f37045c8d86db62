"""From result files to RESULTS.md and the tables of README.md and docs: none is typed by hand."""

if not __package__:
    import as_module  # noqa: F401


import pathlib

from benchmarks import results, tables

ROOT = pathlib.Path(__file__).parents[1]
BEGIN, END = "<!-- models:begin -->", "<!-- models:end -->"
MNIST_BEGIN, MNIST_END = "<!-- mnist:begin -->", "<!-- mnist:end -->"
TUNING_BEGIN, TUNING_END = "<!-- tuning:begin -->", "<!-- tuning:end -->"
BACKENDS = ("tensorflow", "jax", "torch")

# Columns of a table: heading, path in the values, format of the number.
MEAN_COLUMNS = (
    ("spectral loss", ("mean", "mss"), ".2f"),
    ("linear", ("mean", "mss_linear"), ".2f"),
    ("log", ("mean", "mss_log"), ".2f"),
    ("log-spectral distance / dB", ("mean", "log_spectral_distance_db"), ".1f"),
    ("spectral convergence", ("mean", "spectral_convergence"), ".2f"),
    ("SNR / dB", ("mean", "snr_db"), ".1f"),
    ("NMSE", ("mean", "nmse"), ".3g"),
    ("mean spectral convergence", ("mean", "mean_spectral_convergence"), ".2f"),
    ("by Griffin-Lim alone", ("mean", "mean_spectral_convergence_griffin_lim"), ".2f"),
    ("the same with no model", ("mean", "mean_spectral_convergence_without_model"), ".2f"),
    ("mel error", ("mean", "mel_mean_squared_error"), ".3f"),
    ("active dimensions", ("mean", "active_dimensions"), ".1f"),
    ("f0 / cents", ("mean", "f0_median_error_cents"), ".1f"),
    ("loudness / dB", ("mean", "loudness_mean_error_db"), ".1f"),
)
MNIST_COLUMNS = (
    ("variant", "variant", ""),
    ("numbers in the code", "latent_dim", ""),
    ("warm-up / epochs", "warmup_epochs", ""),
    ("parameters", "parameters", ","),
    ("bound, training images / nats", "train_elbo_nats", ".1f"),
    ("bound, test images / nats", "test_elbo_nats", ".1f"),
    ("KL divergence / nats", "test_kl_nats", ".1f"),
    ("active dimensions", "active_dimensions", ""),
    ("training, one core / s", "training_core_seconds", ".0f"),
)
VOCODER_COLUMNS = (
    ("mel error / dB", "mel_error_db", ".2f"),
    ("spectral loss", "mss", ".2f"),
    ("log-spectral distance / dB", "log_spectral_distance_db", ".1f"),
    ("times real time", "times_real_time", ".0f"),
)
SET_SCORES = ("frechet", "frechet_infinity", "kad", "kid", "precision", "recall", "density", "coverage")
SPEED_COLUMNS = (
    ("step / ms", ("training", "milliseconds"), ".0f"),
    ("training, times real time", ("training", "times_real_time"), ".1f"),
    ("training / kHz", ("training", "kilohertz"), ".0f"),
    ("beside plain PyTorch", ("training", "times_as_fast_as_baseline"), ".2f"),
    ("memory / MiB", ("training", "peak_resident_mib"), ".0f"),
    ("GPU memory / MiB", ("training", "peak_device_mib"), ".0f"),
    ("GFLOP a step", ("training", "gflops_per_step"), ".0f"),
    ("of the best FLOP/s", ("training", "share_of_best_flops"), ".0%"),
    ("of the best bytes/s", ("training", "share_of_best_bytes"), ".0%"),
    ("use, times real time", ("use", "times_real_time"), ".1f"),
    ("use / kHz", ("use", "kilohertz"), ".0f"),
    ("beside plain PyTorch", ("use", "times_as_fast_as_baseline"), ".2f"),
)
PARTS = (
    ("`transfer`, pitch tracking included, times real time", ("transfer", "times_real_time_median"), ".1f"),
    ("its features", ("features", "times_real_time_median"), ".1f"),
    ("its controls", ("controls", "times_real_time_median"), ".1f"),
    ("its synthesis", ("synthesize", "times_real_time_median"), ".0f"),
    ("stream, block of 10 ms / ms", ("stream", "exact", "median_ms"), ".2f"),
    ("the same from tables / ms", ("stream", "from_tables", "median_ms"), ".2f"),
    ("features to sound, a minute, ratio", ("inference", "ours", "times_as_fast_as_baseline"), ".2f"),
    ("training step, ratio", ("train_step", "ours", "times_as_fast_as_baseline"), ".2f"),
    ("the same from tables", ("train_step", "ours_from_tables", "times_as_fast_as_baseline"), ".2f"),
    ("recurrence, ratio", ("recurrence_forward_backward", "ours", "times_as_fast_as_baseline"), ".2f"),
    ("spectral loss, ratio", ("loss_forward_backward", "ours", "times_as_fast_as_baseline"), ".2f"),
    ("bank forward, ratio", ("bank_forward", "linear", "times_as_fast_as_baseline"), ".1f"),
    ("bank and gradient, ratio", ("bank_forward_backward", "linear", "times_as_fast_as_baseline"), ".1f"),
    ("peak memory of two steps / MiB", ("peak_memory_mib", "ours"), ".0f"),
    ("that of plain PyTorch / MiB", ("peak_memory_mib", "baseline"), ".0f"),
)
WALK_SCORES = ("precision", "recall", "density", "coverage")
WALK_COLUMNS = (
    *((f"{name}, driven", f"driven_{name}", ".2f") for name in WALK_SCORES),
    *((name, name, ".2f") for name in WALK_SCORES),
    ("KAD", "kad", ".2g"),
    ("inside the ellipsoid", "ellipsoid_share", ".2f"),
    ("cells", "occupied_cells", ".2f"),
    ("entropy", "cell_entropy", ".2f"),
    *((f"{name}, heard", f"sound_{name}", ".2f") for name in WALK_SCORES),
    ("KAD, heard", "sound_kad", ".2g"),
    ("smoothness of the way", "log_jerk", ".1f"),
    ("roughness / dB", "roughness_db", ".2f"),
)
TREMOR_COLUMNS = (
    ("tremor / mm", "tremor_mm", ".1f"),
    ("smoothness of the hand", "motion_log_jerk", ".1f"),
    ("smoothness of the way", "walk_log_jerk", ".1f"),
    ("roughness of the sound / dB", "roughness_db", ".2f"),
)
CMELGAN_COLUMNS = (
    ("spectrograms", "spectrograms", ""),
    ("class recognised", "accuracy", ".0%"),
    ("and as music", "accuracy_as_music", ".0%"),
    ("Fréchet distance", "frechet_distance", ".1f"),
    ("spread of features", "spread_of_features", ".2f"),
    ("spread of spectrograms", "spread_of_spectrograms", ".2f"),
)
SPEED_OF_LAYERS = {
    "stock layer / s": ("baseline", "median_seconds"),
    "ours / s": ("ours", "median_seconds"),
    "times as fast": ("ours", "times_as_fast_as_baseline"),
}
CMELGAN_SETS = {
    "training": "files that were trained on",
    "held_out": "files that were not",
    "samples": "what the model makes",
    "control": "the published recipe, trained as long",
    "noise": "noise with the levels of every band",
}
MELNET_COLUMNS = (*CMELGAN_COLUMNS[:3], ("KAD", "kad", ".2f"), *CMELGAN_COLUMNS[3:])
MELNET_SETS = {
    **{name: CMELGAN_SETS[name] for name in ("training", "held_out", "samples")},
    "cooler": "the same at a temperature of 0.8",
    "cmelgan": "what `cmelgan` makes",
    "few": "what the model makes, as few as of the published recipe",
    **{name: CMELGAN_SETS[name] for name in ("control", "noise")},
}
MELNET_LIKELIHOODS = {
    "a Gaussian for each class and band": "independent",
    "AR(1): one that knows the frame before": "ar1",
    "`melnet_small`": "model",
}
# What a judge says depends on the architecture; columns that none of a table's rows has are left out.
VARIANT_COLUMNS = (
    ("steps", ("steps",), ".0f"),
    ("a step / ms", ("step_milliseconds",), ".0f"),
    ("spectral loss", ("held_out",), ".2f"),
    ("without chords", ("held_out_without_chords",), ".2f"),
    ("SNR / dB", ("held_out", "snr_db"), ".1f"),
    ("NMSE", ("held_out", "nmse"), ".3g"),
    ("spectral convergence", ("held_out", "mean_spectral_convergence"), ".2f"),
    ("with no model", ("held_out", "mean_spectral_convergence_without_model"), ".2f"),
    ("mel error", ("held_out", "mel_mean_squared_error"), ".3f"),
    ("mel error, apart", ("held_out_without", "mel_mean_squared_error"), ".3f"),
    ("KL / nats", ("code", "kl_nats"), ".3g"),
    ("active", ("code", "active_dimensions"), ".0f"),
    ("of", ("code", "dimensions"), ".0f"),
    ("numbers for a clip", ("code", "numbers_per_clip"), ".0f"),
    ("stopped", ("stopped",), ""),
)
LATENT_COLUMNS = (
    ("items", ("items",), ","),
    ("numbers in a code", ("dims",), ""),
    ("rank", ("dimensions", "rank", "singular", "0.95"), ""),
    ("by variance", ("dimensions", "rank", "variance", "0.95"), ""),
    ("KL / nats", ("dimensions", "kl_nats"), ".1f"),
    ("from the prior / nats", ("dimensions", "prior_mismatch_nats"), ".1f"),
    ("error, rest drawn", ("small_codes", "error", "rest from the prior"), ".4f"),
    ("rest at the centre", ("small_codes", "error", "rest at the centre"), ".4f"),
    ("R^2, loudness", ("probe_r2", "loudness"), ".2f"),
    ("centroid", ("probe_r2", "centroid"), ".2f"),
    ("f0", ("probe_r2", "f0"), ".2f"),
    ("report / MB", ("page_megabytes",), ".1f"),
    ("seconds", ("report", "wall_seconds"), ".0f"),
    ("core seconds", ("report", "core_seconds"), ".0f"),
)
WAY_KEYS = ("step_deviations", "loudness_db_per_second", "centroid_octaves_per_second")
PITCH_COLUMNS = (
    ("right within 50 cents", ("mean", "raw_pitch_accuracy"), ".3f"),
    ("right but for octaves", ("mean", "raw_chroma_accuracy"), ".3f"),
    ("voiced that are called so", ("mean", "voicing_recall"), ".3f"),
    ("unvoiced that are called voiced", ("mean", "voicing_false_alarm"), ".3f"),
    ("times real time, one core", ("times_real_time",), ".0f"),
)
EXPORT_COLUMNS = (
    ("preset", "preset", ""),
    ("format", "format", ""),
    ("weights", "weights", ""),
    ("MB", "megabytes", ".1f"),
    ("difference from the model", "largest_difference", ".1e"),
    ("times as fast as Keras", "times_as_fast_as_baseline", ".2f"),
)
SCALING_COLUMNS = (
    ("interconnect, assumed", "interconnect", ""),
    ("GB/s, assumed", "assumed_gigabytes_per_second", ".4g"),
    ("devices", "devices", ""),
    ("step / ms", "step_milliseconds", ".0f"),
    ("times as fast", "times_as_fast", ".2f"),
    ("of the ideal", "share_of_ideal", ".0%"),
    ("of the ideal, whole batches", "share_of_ideal_with_whole_batches", ".1%"),
)
DATA_WAYS = {"cache": "int16 cache", "records": "records at any place", "stream": "records streamed"}
INVERSION_COLUMNS = (
    ("from", "source", ""),
    ("window", "window", ""),
    ("hop", "hop", ""),
    ("method", "method", ""),
    ("convergence / dB", "convergence_db", ".1f"),
    ("worst clip / dB", "worst_convergence_db", ".1f"),
    ("seconds", "median_seconds", ".2f"),
    ("times as fast", "times_as_fast_as_baseline", ".1f"),
)


def main():
    """Write benchmarks/RESULTS.md, and the tables of README.md and of the pages in docs."""
    (ROOT / "benchmarks" / "RESULTS.md").write_text(results_page())
    for name, made_anew in TUTORIALS.items():
        path = ROOT / name
        path.write_text(made_anew(path.read_text()))
    print(f"written: benchmarks/RESULTS.md, {', '.join(TUTORIALS)}")


def with_table(readme):
    """The README's text with its table of models made anew."""
    return between(readme, BEGIN, model_table(), END)


def with_mnist_table(tutorial):
    """The text of docs/vae.md with its table of what was trained made anew."""
    return between(tutorial, MNIST_BEGIN, mnist_table(results.read("mnist_vae").values), MNIST_END)


def with_tuning_findings(page):
    """The text of docs/tuning.md with what the searches found made anew."""
    return between(page, TUNING_BEGIN, "\n\n".join(tuning_findings("images")), TUNING_END)


def with_latent_tables(tutorial):
    """The text of docs/latent.md with its tables of codes made anew."""
    tutorial = between(tutorial, "<!-- latent:begin -->", latent_table(), "<!-- latent:end -->")
    return between(tutorial, "<!-- ways:begin -->", ways_table(), "<!-- ways:end -->")


def with_motion_tables(tutorial):
    """The text of docs/motion.md with its tables of hands that play made anew."""
    tutorial = between(tutorial, "<!-- motion:begin -->", motion_table(), "<!-- motion:end -->")
    return between(tutorial, "<!-- tremor:begin -->", tremor_table(), "<!-- tremor:end -->")


def with_export_table(page):
    """The text of docs/export.md with its table of files made anew."""
    return between(page, "<!-- export:begin -->", export_table(), "<!-- export:end -->")


def with_scaling_tables(page):
    """The text of docs/scaling.md with its tables of steps on several devices made anew."""
    return between(page, "<!-- scaling:begin -->", "\n\n".join(scaling_findings()), "<!-- scaling:end -->")


def with_data_tables(page):
    """The text of docs/data.md with what was measured made anew."""
    return between(page, "<!-- data:begin -->", "\n\n".join(data_findings()), "<!-- data:end -->")


def with_cmelgan_table(page):
    """The text of docs/cmelgan.md with what was measured made anew."""
    return between(
        page, "<!-- cmelgan:begin -->", "\n\n".join(cmelgan_findings("images")), "<!-- cmelgan:end -->"
    )


def with_pitch_table(page):
    """The text of docs/pitch.md with what was measured made anew."""
    return between(page, "<!-- pitch:begin -->", "\n\n".join(pitch_findings()), "<!-- pitch:end -->")


def with_melnet_table(page):
    """The text of docs/melnet.md with what was measured made anew."""
    return between(
        page, "<!-- melnet:begin -->", "\n\n".join(melnet_findings("images")), "<!-- melnet:end -->"
    )


def between(text, begin, inner, end):
    """The text with what stands between two marks replaced."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{inner}\n{end}{after}"


def model_table():
    """One row a preset: from its YAML, and from its result files where there are any."""
    import audiozoo

    headings = ["preset", "architecture", "parameters", "MB", "weights' licence", "spectral loss, held out"]
    headings += ["FID-infinity", "KAD", "times real time, one core"]
    rows = []
    for name in audiozoo.list_models():
        preset = audiozoo.info(name)
        quality = f"quality_{name}"
        rows.append(
            [
                f"`{name}`",
                preset.architecture,
                f"{preset.card.parameters:,}",
                f"{preset.weights.size / 1e6:.1f}" if preset.weights else "recipe only",
                preset.card.weights_license,
                shown(value(quality, "mean", "mss"), ".2f"),
                interval(value(quality, "sets", "scores", "frechet_infinity")),
                interval(value(quality, "sets", "scores", "kad")),
                shown(value(f"parts_{name}_tensorflow", "transfer", "times_real_time_median"), ".0f"),
            ]
        )
    return table(headings, rows)


# Files whose tables are made from results, and by which function of their text.
TUTORIALS = {
    "README.md": with_table,
    "docs/vae.md": with_mnist_table,
    "docs/tuning.md": with_tuning_findings,
    "docs/latent.md": with_latent_tables,
    "docs/motion.md": with_motion_tables,
    "docs/cmelgan.md": with_cmelgan_table,
    "docs/pitch.md": with_pitch_table,
    "docs/export.md": with_export_table,
    "docs/scaling.md": with_scaling_tables,
    "docs/data.md": with_data_tables,
    "docs/melnet.md": with_melnet_table,
}


def value(name, *keys):
    """One value of a result, or None where it was not measured."""
    if name not in results.names():
        return None
    return at(results.read(name).values, keys)


def at(values, keys):
    """The leaf of nested dicts at a path of keys, or None."""
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def shown(number, form):
    """A number as text, and nothing for None."""
    return "" if number is None else format(number, form)


def table(headings, rows):
    """A Markdown table; columns that are empty in every row are left out."""
    used = [index for index in range(len(headings)) if any(row[index] != "" for row in rows)]
    lines = [[headings[index] for index in used], ["---"] * len(used)]
    lines += [[str(row[index]) for index in used] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def results_page():
    """The page: tables to read, then where every result came from."""
    sections = [
        "# Results",
        "Made by `python -m benchmarks report` from `results/*.json`. Each number's command, commit, machine "
        "and versions are at the end of the page.",
        *quality_section(),
        *speed_section(),
        *parts_section(),
        *training_section(),
        *variants_section(),
        *frechet_section(),
        *data_section(),
        *export_section(),
        *scaling_section(),
        *inversion_section(),
        *pitch_section(),
        *vocoder_section(),
        *mnist_section(),
        *tuning_section(),
        *latent_section(),
        *motion_section(),
        *cmelgan_section(),
        *melnet_section(),
        *student_section(),
        "## Every result file",
        "\n".join(map(origin, results.names())),
    ]
    return "\n\n".join(sections) + "\n"


def quality_section():
    """Reconstructions and sets, a row a result."""
    records = [results.read(name) for name in results.names("quality_*")]
    if not records:
        return
    yield "## Quality"
    yield (
        "Reconstruction of held-out sound, clip by clip. The spectral loss is the one that training lowers; "
        "linear and log are its two parts."
    )
    rows = [
        [
            record.name.removeprefix("quality_"),
            *(shown(at(record.values, keys), form) for _, keys, form in MEAN_COLUMNS),
        ]
        for record in records
    ]
    yield table(["result", *(heading for heading, _, _ in MEAN_COLUMNS)], rows)
    folders = [
        [f"{record.name.removeprefix('quality_')}, {folder}"]
        + [shown(at(mean, keys[1:]), form) for _, keys, form in MEAN_COLUMNS]
        for record in records
        if len(record.values.get("mean_by_folder", {})) > 1
        for folder, mean in record.values["mean_by_folder"].items()
    ]
    if folders:
        yield "The files of each folder by themselves:"
        yield table(["result, folder", *(heading for heading, _, _ in MEAN_COLUMNS)], folders)
    with_sets = [record for record in records if "sets" in record.values]
    if with_sets:
        yield (
            "The same clips as sets, with 95 % intervals over clips. Scores of different embeddings, or of "
            "different references, cannot be compared; plain FID falls with the number of rows, FID-infinity "
            "does not. A reconstruction shares its melody with its reference, so the unbiased scores of a "
            "good one lie around or below 0."
        )
        headings = ["result", "embedding", "d", "clips", "rows", *SET_SCORES, "p of KAD"]
        yield table(headings, [set_row(record) for record in with_sets])
        yield "\n".join(cautions(with_sets))


def cautions(records):
    """What was warned of, each sentence once, and the results that it is about."""
    concerned = {}
    for record in records:
        for sentence in record.values["sets"]["warnings"]:
            concerned.setdefault(sentence, []).append(record.name.removeprefix("quality_"))
    return [f"- {', '.join(names)}: {sentence}" for sentence, names in concerned.items()]


def interval(score):
    """A score of a set with its interval as text, and nothing for None."""
    return "" if score is None else f"{score['value']:.3g} ({score['low']:.3g} to {score['high']:.3g})"


def set_row(record):
    """Scores of one result as a row."""
    sets = record.values["sets"]
    scores = sets["scores"]
    intervals = [interval(scores[name]) for name in SET_SCORES]
    sides = sets["reference"], sets["generated"]
    counts = [" / ".join(str(side[what]) for side in sides) for what in ("clips", "rows")]
    embedding = sets["embedding"]
    label = f"{embedding['name']} {embedding['hash'][:6]}"
    name = record.name.removeprefix("quality_")
    return [
        name,
        label,
        embedding["dimensions"],
        *counts,
        *intervals,
        shown(scores["kad"].get("p_value"), ".3f"),
    ]


def speed_section():
    """Training and use on every machine, a row for each preset, backend, device, precision and batch."""
    rows = []
    for name in results.names("throughput_*"):
        record = results.read(name)
        for row in record.values["rows"]:
            flops = row["training"]["flops_per_step"]
            row["training"]["gflops_per_step"] = None if flops is None else 1e-9 * flops
            device = f"1 core, {record.machine.processor}" if row["device"] == "CPU" else row["device"]
            labels = [row["preset"], row["backend"], device, row["precision"], row["batch_size"]]
            rows.append([*labels, *(shown(at(row, keys), form) for _, keys, form in SPEED_COLUMNS)])
    if rows:
        yield "## Speed"
        yield (
            "Clips of 4 s. Ratios: medians of runs in turns with the same model in plain PyTorch (float32); "
            "the first call, which compiles, is apart. FLOPs are those of matrix products and convolutions. "
            "The best rates are those of large products and sums, measured in the same process; more than "
            "100 % of the best bytes/s means that weights stay in a cache."
        )
        headings = ["preset", "backend", "device", "precision", "clips"]
        yield table([*headings, *(heading for heading, _, _ in SPEED_COLUMNS)], rows)


def parts_section():
    """What only the DDSP decoder has: a column for each backend."""
    for preset in sorted({name.split("_", 1)[1].rsplit("_", 1)[0] for name in results.names("parts_*")}):
        found = {backend: f"parts_{preset}_{backend}" for backend in BACKENDS}
        found = {backend: name for backend, name in found.items() if name in results.names()}
        yield f"## Parts of `{preset}`, one core"
        yield "A ratio is how many times as fast as plain PyTorch, in turns in one process."
        rows = [
            [heading, *(shown(value(name, *keys), form) for name in found.values())]
            for heading, keys, form in PARTS
        ]
        yield table(["part", *found], rows)
        for name in found.values():
            if (results.FOLDER / f"{name}.png").exists():
                yield f"![How the harmonic bank grows](results/{name}.png)"


def training_section():
    """Loss over time beside plain PyTorch."""
    titles = {"training_curves": "Training beside plain PyTorch", "recurrence_curves": "GRU or minGRU"}
    for name, title in titles.items():
        if name in results.names():
            yield f"## {title}"
            yield f"![Loss over minutes of one core](results/{name}.png)"


def cmelgan_section():
    """The conditional MelGAN."""
    findings = list(cmelgan_findings("../docs/images"))
    if findings:
        yield "## Conditional MelGAN"
        yield from findings


def cmelgan_findings(images):
    """Paragraphs and tables; ``images`` is where the sheet lies, as seen from the page."""
    if "cmelgan_quality" in results.names():
        values = results.read("cmelgan_quality").values
        yield (
            "A small network that learned the classes from the files that were trained on, and to tell them "
            "from noise with their bands and from frames in another order, judges spectrograms of "
            f"{values['held_out_files']} files of {values['held_out_recordings']} other recordings, and what "
            f"was made after {trained_for(values['training'])}. Fréchet distances, in its last hidden layer, "
            "are to the files that were trained on; a spread is that within a class, relative to theirs."
        )
        rows = [
            [title, *(shown(values["sets"][name].get(key), form) for _, key, form in CMELGAN_COLUMNS)]
            for name, title in CMELGAN_SETS.items()
            if name in values["sets"]
        ]
        yield table(["", *(heading for heading, _, _ in CMELGAN_COLUMNS)], rows)
        yield f"![Real spectrograms above what was made]({images}/cmelgan_sheet.png)"
    for backend in BACKENDS:
        if (name := f"cmelgan_speed_{backend}") in results.names():
            values = results.read(name).values
            rows = [
                [layer, *(shown(at(found, keys), ".3g") for keys in SPEED_OF_LAYERS.values())]
                for layer, found in values["grouped"].items()
            ]
            if "train_step" in values:
                found = values["train_step"]
                title = "training step of the large published model, beside its own arithmetic"
                rows.append([title, *(shown(at(found, keys), ".3g") for keys in SPEED_OF_LAYERS.values())])
            yield f"Grouped convolutions with their gradients, one core, {backend}:"
            yield table(["layer", *SPEED_OF_LAYERS], rows)


def trained_for(training):
    """How long the model and its control were trained, in words."""
    return " and ".join(
        f"{found['epochs']} epochs, {found['core_minutes']:.0f} minutes of one core ({name})"
        for name, found in training.items()
    )


def melnet_section():
    """MelNet."""
    findings = list(melnet_findings("../docs/images"))
    if findings:
        yield "## MelNet"
        yield from findings


def melnet_findings(images):
    """Paragraphs and tables; ``images`` is where the sheet lies, as seen from the page."""
    if "melnet_quality" in results.names():
        values = results.read("melnet_quality").values
        yield (
            f"Negative log-likelihood of {values['held_out_files']} files of {values['held_out_recordings']} "
            "recordings that nobody was trained on, nats for each number of the standardised spectrogram; "
            "lower is better, and a difference of 0.69 is one bit."
        )
        nats = values["nats_per_number"]
        rows = [[title, shown(nats[name], ".3f")] for title, name in MELNET_LIKELIHOODS.items()]
        yield table(["", "nats per number"], rows)
        yield (
            f"Samples after {trained_for(values['training'])}, judged as those of the conditional MelGAN "
            "are. Distances of few are larger: those of the published recipe are to be compared with as few "
            "of the model."
        )
        rows = [
            [title, *(shown(values["sets"][name].get(key), form) for _, key, form in MELNET_COLUMNS)]
            for name, title in MELNET_SETS.items()
            if name in values["sets"]
        ]
        yield table(["", *(heading for heading, _, _ in MELNET_COLUMNS)], rows)
        yield f"![Real spectrograms above what was made]({images}/melnet_sheet.png)"
    for backend in BACKENDS:
        if (name := f"melnet_speed_{backend}") in results.names():
            yield from melnet_speed(results.read(name).values)


def melnet_speed(values):
    """Paragraphs and tables of one backend."""
    large, small = (values["drawing"][size] for size in ("large", "small"))
    yield (
        f"Drawing with {values['backend']} on one core, {values['depth']} layers of {values['units']} units, "
        f"a grid of {large['frames']} x {large['bands']}: {large['drawn_seconds']:.2f} s, "
        f"{large['frames_per_second']:.0f} frames a second, and {large['frames_per_second_of_8']:.0f} of "
        f"eight at once. With the whole network for each number it would be {large['predicted_seconds']:.0f} "
        f"s: {large['frames'] * large['bands']:,} passes of {1000 * large['pass_seconds']:.0f} ms, "
        f"{large['predicted_times_as_fast']:,.0f} times as long. On a grid of {small['frames']} x "
        f"{small['bands']}, where that was done, it took {small['recomputed_seconds']:.2f} s, "
        f"{small['times_as_fast']:.0f} times as long; the same reckoning predicts "
        f"{small['predicted_seconds']:.2f} s. The numbers differ by up to {small['largest_difference']:.0e}. "
        f"The student project drew {values['published']['frames_per_second']} frames a second on a T4."
    )
    rows = [
        [cell, shown(found["median_seconds"], ".3f"), shown(found.get("times_as_fast_as_baseline"), ".2f")]
        for cell, found in values["training"].items()
    ]
    yield f"A training step of {values['layers']} layers alone, beside PyTorch's `nn.GRU`, the baseline:"
    yield table(["layers", "step / s", "times as fast"], rows)
    rows = [
        [
            name,
            shown(found["median_seconds"], ".2f"),
            shown(found["kilohertz"], ".0f"),
            shown(found.get("frames_per_second_of_1"), ".0f"),
            shown(found.get("frames_per_second_of_8"), ".0f"),
        ]
        for name, found in values["presets"].items()
    ]
    yield table(
        [
            "model",
            "training step / s",
            "sound per second of training / kHz",
            "frames drawn a second",
            "eight",
        ],
        rows,
    )
    slow, fast = values["published"]["training_kilohertz"]
    yield f"The student project names {fast:.0f} kHz for its small network, {slow:.0f} kHz for its large one."


def variants_section():
    """Recipes trained for equal time: a table for each table of variants."""
    for name in results.names("variants_*"):
        values = results.read(name).values
        yield f"## Recipes in equal time: `{name.removeprefix('variants_')}`"
        yield (
            "All rows are trained for the same processor time, or as many steps, the learning rate falling "
            f"to a twentieth, and judged by what was held out. In common: {settings(values['common'])}."
        )
        rows = [
            [
                f"`{variant}`",
                settings(row["delta"]),
                *(shown_leaf(at(row, keys), form) for _, keys, form in VARIANT_COLUMNS),
            ]
            for variant, row in values["variants"].items()
        ]
        yield table(["recipe", "change", *(heading for heading, _, _ in VARIANT_COLUMNS)], rows)


def settings(delta):
    """Changes of a preset as text: the key and the value of every leaf of nested dicts."""
    texts = []
    for key, leaf in delta.items():
        if isinstance(leaf, dict):
            texts.append(settings(leaf))
        else:
            numbers = leaf if isinstance(leaf, list) else [leaf]
            texts.append(
                f"{key} {', '.join(f'{n:.4g}' if isinstance(n, float) else str(n) for n in numbers)}"
            )
    return ", ".join(texts)


def shown_leaf(value, form):
    """``shown`` of a number or text; nothing for a dict."""
    return "" if isinstance(value, dict) else shown(value, form)


def frechet_section():
    """What models draw from nothing, beside test and training files."""
    if "frechet" in results.names():
        values = results.read("frechet").values
        yield "## Draws from the prior"
        yield (
            f"Clips of {values['clip_seconds']:.0f} s beside {values['clips']['test']} test files and "
            f"{values['clips']['training']} training files; rows are the codes of the encoder of "
            f"`{values['encoder']}`, {values['dimensions']} dimensions. Lower is better; in brackets the "
            "interval of 95 %. The student project's own five numbers are below."
        )
        rows = []
        for name, row in values["rows"].items():
            cells = [
                interval(at(row, (part, score)))
                for score in ("frechet", "frechet_infinity", "kad")
                for part in ("test", "training")
            ]
            rows.append([name, *cells, row.get("failed", "")])
        headings = [
            f"{score}, {part}" for score in ("FID", "FID-infinity", "KAD") for part in ("test", "training")
        ]
        yield table(["drawn by", *headings, "failed"], rows)


def scaling_section():
    """Training steps on several devices: what was measured, and what it would be elsewhere."""
    if results.names("scaling_*"):
        yield "## Several devices"
        yield from scaling_findings()


def scaling_findings():
    """The same, for the page in docs."""
    found = {name.removeprefix("scaling_"): results.read(name).values for name in results.names("scaling_*")}
    rows = [(backend, row) for backend, values in found.items() for row in values["rows"]]
    if not rows:
        return
    yield (
        "Measured: core milliseconds of a step of a whole batch, of a half and of a quarter on one device; "
        "and of a step on 2 and on 4 virtual devices that share the core, beside what the formula says of "
        "them: all shares, one after the other, and the sum of the gradients."
    )
    headings = ["preset", "backend", "batch", "whole", "half", "quarter", "gradient / MB"]
    headings += ["2 devices", "formula", "4 devices", "formula"]
    yield table(headings, [scaling_row(backend, row) for backend, row in rows])
    yield (
        "The sum of a tensor over virtual devices is a copy through this core's memory: its bandwidth "
        "belongs to the formula's values above and to no interconnect."
    )
    links = [(backend, *item) for backend, values in found.items() for item in values["all_reduce"].items()]
    units = {"bytes_per_second": 1e-9, "latency_seconds": 1e3}
    sums = [
        [backend, count, *(shown(factor * link[key], ".2f") for key, factor in units.items())]
        for backend, count, link in links
    ]
    yield table(["backend", "virtual devices", "GB/s", "latency / ms"], sums)
    yield (
        "Predicted, and not measured: the same batch shared by devices of which each is as fast as this "
        "core, behind an interconnect whose speed is that of its data sheet; in the last column each device "
        "has a whole batch."
    )
    predicted = [
        [row["preset"], backend, *(shown(each[key], form) for _, key, form in SCALING_COLUMNS)]
        for backend, row in rows
        for each in map(in_units, row["predictions"])
    ]
    yield table(["preset", "backend", *(heading for heading, _, _ in SCALING_COLUMNS)], predicted)
    sizes = {name: size for values in found.values() for name, size in values["gradient_bytes"].items()}
    if sizes:
        yield "Gradients that every step sends around, of the presets that can be trained:"
        yield table(
            ["preset", "MB"], [[f"`{name}`", shown(1e-6 * size, ".1f")] for name, size in sizes.items()]
        )


def scaling_row(backend, row):
    """What was measured of a preset's step."""
    milliseconds = [1e3 * row["compute_core_seconds"][parts] for parts in ("1", "2", "4")]
    virtual = [
        1e3 * each[key]
        for each in row["virtual"]
        for key in ("measured_core_seconds", "predicted_core_seconds")
    ]
    return [
        row["preset"],
        backend,
        row["batch_size"],
        *(shown(number, ".0f") for number in milliseconds),
        shown(1e-6 * row["gradient_bytes"], ".1f"),
        *(shown(number, ".0f") for number in virtual),
    ]


def in_units(prediction):
    """A prediction in the units of its table."""
    return prediction | {
        "assumed_gigabytes_per_second": 1e-9 * prediction["assumed_bytes_per_second"],
        "step_milliseconds": 1e3 * prediction["step_seconds"],
    }


def data_section():
    """Ways to feed a model, and what models take."""
    findings = list(data_findings())
    if findings:
        yield "## Feeding a model"
        yield from findings


def data_findings():
    """A table with one row a way, and one with a row a model."""
    if "data_throughput" in results.names():
        values = results.read("data_throughput").values
        yield (
            f"Clips of {values['clip_seconds']:g} s at {values['sample_rate'] / 1000:g} kHz in batches of "
            f"{values['batch_size']}, of {values['recordings']} recordings, {values['minutes_of_sound']:g} "
            "minutes in all, which lie in memory: no disk is measured. A core second is one that this "
            "process spent on its one core, whatever else ran on it; what the clock said is in the file."
        )
        rows = [[name, shown(row["clips_per_core_second"], ",.0f")] for name, row in values["ways"].items()]
        yield table(["way", "clips a core second"], rows)
        yield (
            "The training step of each preset, on the same core, with its own clips and batches; and how "
            "many times as fast it would have to be for the data to take as long as the model."
        )
        rows = [
            [
                f"`{name}`",
                f"{row['batch_size']} of {row['clip_seconds']:.3g} s at {row['sample_rate'] / 1000:g} kHz",
                shown(row["clips_per_core_second"], ".1f"),
                *(shown(row["ways"][way]["clips_per_core_second"], ",.0f") for way in DATA_WAYS),
                *(shown(row["times_as_fast_until_data_limit"][way], ",.0f") for way in DATA_WAYS),
            ]
            for name, row in values["models"].items()
        ]
        headings = ["preset", "clips of a batch", "trained on, clips a core second"]
        headings += [*DATA_WAYS.values(), *(f"times as fast, {way}" for way in DATA_WAYS.values())]
        yield table(headings, rows)


def export_section():
    """Exported files, a row a preset and format."""
    if "export" in results.names():
        yield "## Exported files"
        yield (
            "One item, 4 s of sound where it is sound, on one core, in turns with the preset itself as Keras "
            "plays it on TensorFlow. Differences are shares of the largest number. Presets without released "
            "weights have random ones."
        )
        yield export_table()


def export_table():
    """The rows of the exported files."""
    rows = [
        [shown(row[key], form) for _, key, form in EXPORT_COLUMNS]
        for row in results.read("export").values["rows"]
    ]
    return table([heading for heading, _, _ in EXPORT_COLUMNS], rows)


def inversion_section():
    """Spectrograms back to sound: one row a method."""
    if "inversion" in results.names():
        values = results.read("inversion").values
        yield "## Spectrograms back to sound"
        yield (
            f"{len(values['clips'])} clips, {values['seconds_of_sound']:.0f} s in all, one core; window of "
            f"{values['window_length']} samples. Spectral convergence: the error of the sound's magnitudes "
            "relative to the true ones, in dB; lower is better. Ratios: in turns with 100 iterations of "
            "Griffin-Lim from the same input."
        )
        headings = [heading for heading, _, _ in INVERSION_COLUMNS]
        rows = [[shown(row.get(key), form) for _, key, form in INVERSION_COLUMNS] for row in values["rows"]]
        yield table(headings, rows)


def pitch_section():
    """Pitch trackers on recordings whose pitch is known."""
    findings = list(pitch_findings())
    if findings:
        yield "## Pitch trackers"
        yield from findings


def pitch_findings():
    """What was tracked, and a table with one row a tracker."""
    if "pitch" in results.names():
        values = results.read("pitch").values
        yield (
            f"{len(values['recordings'])} rendered recordings with true f0, "
            f"{values['seconds_of_sound']:.0f} s in all; shares of frames as mir_eval defines them, means of "
            "the recordings. What of a note is left in the room after its end counts as unvoiced."
        )
        rows = [
            [name, *(shown(at(row, keys), form) for _, keys, form in PITCH_COLUMNS)]
            for name, row in values["trackers"].items()
        ]
        yield table(["tracker", *(heading for heading, _, _ in PITCH_COLUMNS)], rows)


def vocoder_section():
    """Mel spectrograms to sound: quality on held-out music, and speed beside PyTorch."""
    speeds = results.names("vocoder_speed_*")
    if not speeds and "vocoder_quality" not in results.names():
        return
    yield "## Vocoders"
    if "vocoder_quality" in results.names():
        values = results.read("vocoder_quality").values
        yield (
            f"{len(values['clips'])} recordings that no vocoder was trained on, "
            f"{values['seconds_of_sound']:.0f} s in all, one core. Each row but the last knows "
            f"{values['settings']['num_mels']} mel bands and no more; the last one knows all magnitudes and "
            "lacks phase alone. Mel error: mean absolute difference of the spectrograms in dB; spectral loss "
            "as elsewhere."
        )
        rows = [
            [name, *(shown(row.get(key), form) for _, key, form in VOCODER_COLUMNS)]
            for name, row in values["rows"].items()
        ]
        yield table(["sound by", *(heading for heading, _, _ in VOCODER_COLUMNS)], rows)
    if speeds:
        yield (
            "In turns with the published network in plain PyTorch, the baseline, one core: sound without "
            "weight normalisation, and a step of the published training, without a warm start."
        )
        rows = [
            [backend, what, name, shown(found["kilohertz"], ".0f"), shown(ratio, ".2f")]
            for backend, values in (
                (name.removeprefix("vocoder_speed_"), results.read(name).values) for name in speeds
            )
            for what in ("inference", "training")
            for name, found in values[what].items()
            for ratio in [found.get("times_as_fast_as_baseline")]
        ]
        yield table(["backend", "what", "network", "kHz", "beside plain PyTorch"], rows)


def mnist_section():
    """The VAE of digits: sizes of its code, variants, warm-up."""
    if "mnist_vae" in results.names():
        values = results.read("mnist_vae").values
        images = values["epochs"] * values["steps_per_epoch"] * values["batch_size"]
        yield "## The VAE of digits"
        yield (
            f"{values['data']}: {values['training_images']:,} images to train on, {values['test_images']:,} "
            "that none was trained on; pixels drawn on or off; each model has seen "
            f"{images:,} images. The bound is that on the logarithm of an image's probability; higher is "
            "better."
        )
        yield mnist_table(values)
        if "preset" in values:
            preset = values["preset"]
            yield (
                f"`{preset['name']}`, trained as its card says, on the same test images: bound "
                f"{preset['test_elbo_nats']:.1f} nats, KL divergence {preset['test_kl_nats']:.1f} nats, "
                f"{preset['active_dimensions']} active dimensions."
            )
        yield "![The bound over the images seen](../docs/images/vae_elbo_curves.png)"


def mnist_table(values):
    """One row a model of the result file ``mnist_vae``."""
    headings = [heading for heading, _, _ in MNIST_COLUMNS]
    rows = [[shown(row[key], form) for _, key, form in MNIST_COLUMNS] for row in values["models"].values()]
    return table(headings, rows)


def tuning_section():
    """The searches over beta and dropout."""
    found = tuning_findings("../docs/images")
    if found:
        yield "## What beta and dropout do"
        yield from found


def tuning_findings(images):
    """Paragraphs, tables and pictures of every search, the pictures from the folder ``images``."""
    return [
        part
        for name in results.names("tuning_*")
        for part in findings_of_search(results.read(name).values, images)
    ]


def findings_of_search(values, images):
    """What one search found."""
    says, name = values["says"], values["preset"]
    yield f"### {name}"
    yield (
        f"{len(values['trials'])} trials of up to {values['training_seconds']:.0f} seconds of one core. The "
        f"score is the held-out reconstruction error plus {values['fixed_beta']:g} times the divergence in "
        "nats."
    )
    yield table(
        ["rank correlation (Spearman; by chance in p)", "of beta", "of dropout"],
        [
            [f"with the {text}", *(rank(says[f"{what}_with_{of}"]) for of in ("beta", "dropout"))]
            for what, text in (
                ("reconstruction", "reconstruction error"),
                ("kl", "divergence"),
                ("score", "score"),
            )
        ],
    )
    yield (
        f"The median score with dropout above 0.25 is {says['median_score_high_dropout']:.3f}, below it "
        f"{says['median_score_low_dropout']:.3f}. The loss in which a trial's own beta counts is least in "
        f"trial {says['naive_winner']}, with beta {says['naive_winner_beta']:.2g}; the smallest beta that "
        f"was tried is {says['smallest_beta']:.2g}."
    )
    headings = ["", "beta", "dropout", "score, mean of seeds", "least", "most"]
    rows = [
        [
            label,
            shown(entry["values"].get("beta", values["fixed_beta"]), ".2g"),
            shown(entry["values"].get("dropout", 0.0), ".2f"),
            shown(sum(entry["scores"]) / len(entry["scores"]), ".3f"),
            shown(min(entry["scores"]), ".3f"),
            shown(max(entry["scores"]), ".3f"),
        ]
        for label, entry in values["again"].items()
    ]
    yield table(headings, rows)
    yield f"![{name}: reconstruction and divergence over beta]({images}/tuning_{name}_trade_off.png)"
    yield f"![{name}: every trial as a line]({images}/tuning_{name}_trials.png)"


def rank(found):
    """A rank correlation and how likely it is by chance."""
    return f"{found['rho']:.2f} (p {found['p']:.1g})"


def latent_section():
    """What is known of the codes of models."""
    if results.names("latent_*"):
        yield "## Codes"
        yield (
            "What `audiozoo latent report` finds. The rank is the number of directions with a fidelity of "
            "95 %, by singular values and by explained variance; the error is that of a code of so many "
            "numbers against the whole one, the rest drawn from the prior or at its centre, as the squared "
            "difference of mel levels in units of 20 dB, or of pixels. R^2 is that of a linear probe in "
            "unheard recordings. Time is that of the whole report, recordings "
            "decoded anew; where seconds exceed core seconds, the machine had other work besides."
        )
        yield latent_table()
        yield "Ways through them, and from one recording to another:"
        yield ways_table()


def latent_table():
    """One row a result ``latent_*``."""
    rows = [
        [record.values["preset"], *(shown(at(record.values, keys), form) for _, keys, form in LATENT_COLUMNS)]
        for record in map(results.read, results.names("latent_*"))
    ]
    return table(["preset", *(heading for heading, _, _ in LATENT_COLUMNS)], rows)


def ways_table():
    """Ways through the codes of every result ``latent_*``."""
    rows = []
    for values in (results.read(name).values for name in results.names("latent_*")):
        for way, found in values.get("walks", {}).items():
            rows.append([values["preset"], way, *(shown(found[key], ".3g") for key in WAY_KEYS), ""])
        for way in ("straight line", "arc"):
            length = at(values, ("interpolation", way, "path_length"))
            if length is not None:
                rows.append([values["preset"], f"between two, {way}", "", "", "", shown(length, ".2f")])
    headings = ["preset", "way", "step / deviations", "loudness / dB a second", "centroid / octaves a second"]
    return table([*headings, "perceptual path length"], rows)


def motion_section():
    """Hands that play codes."""
    if "motion" not in results.names():
        return
    values = results.read("motion").values
    yield "## Hands that play codes"
    sizes = "; ".join(
        f"{name}: {row['recordings']} recordings, {row['seconds']:.0f} s"
        for name, row in values["motions"].items()
    )
    yield (
        f"Frames of a walk, at most {values['rows']:,}, evenly apart, beside as many codes of half of the "
        f"recordings; {values['k']} neighbours. Of the coordinates that motion drives, and of all numbers. "
        f"Heard are {values['sound_seconds']:.0f} s of a walk, a row a second, beside what codes of the data "
        "decode to. Smoothness is the logarithm of dimensionless jerk in windows of a second: higher is "
        f"smoother. {sizes}."
    )
    rows = []
    for preset, found in values["presets"].items():
        for name, row in found["controls"].items():
            cells = [shown(row.get(key), form) for _, key, form in WALK_COLUMNS]
            rows.append([preset, "", name, "", *cells])
        for motion, part in found["motions"].items():
            walks = part["walks"] | {"the other recordings": part["the other recordings"]}
            for name, row in walks.items():
                cells = [shown(row.get(key), form) for _, key, form in WALK_COLUMNS]
                rows.append([preset, motion, name, part["driven"], *cells])
    headings = ["preset", "motion", "walk", "driven", *(heading for heading, _, _ in WALK_COLUMNS)]
    yield table(headings, rows)
    yield "The same playing with more and more tremor:"
    yield tremor_table()


def motion_table():
    """Coverage of each walk, in the coordinates that motion drives and in all: a column for each motion."""
    if "motion" not in results.names():
        return ""
    values, rows = results.read("motion").values, []
    motions = values["motions"]
    for preset, found in values["presets"].items():
        parts, controls = found["motions"], found["controls"]
        walks = {"the other recordings": [parts[motion]["the other recordings"] for motion in motions]}
        for walk in next(iter(parts.values()))["walks"]:
            walks[walk] = [parts[motion]["walks"][walk] for motion in motions]
        # What no motion drives has no driven coordinates.
        walks |= {walk: [row] * len(motions) for walk, row in controls.items() if walk not in walks}
        for walk, found_of_each in walks.items():
            cells = [
                f"{shown(row.get('driven_coverage'), '.2f') or '-'} / {row['coverage']:.2f}"
                for row in found_of_each
            ]
            rows.append([f"`{preset}`", walk, *cells])
    return table(["preset", "walk", *motions], rows)


def tremor_table():
    """Jerk of a hand and roughness of what it plays, a row for each strength of tremor."""
    if "motion" not in results.names():
        return ""
    rows = [
        [f"`{preset}`", *(shown(row.get(key), form) for _, key, form in TREMOR_COLUMNS)]
        for preset, found in results.read("motion").values["presets"].items()
        for row in found["tremor"]
    ]
    return table(["preset", *(heading for heading, _, _ in TREMOR_COLUMNS)], rows)


def student_section():
    """The tables of the four student projects, theirs and ours."""
    if "tables" in results.names():
        yield "## The student projects, theirs and ours"
        for entry in results.read("tables").values["tables"]:
            yield f"### {entry['title']}"
            yield entry["text"]
            yield table(entry["columns"], [[tables.cell(cell) for cell in row] for row in entry["rows"]])


def origin(name):
    """Where a result file came from, as an entry of a list; the file has every value."""
    record = results.read(name)
    versions = ", ".join(f"{package} {number}" for package, number in record.versions.items())
    return (
        f"- [{record.name}](results/{record.name}.json): `{record.command}`, seed {record.seed}, commit "
        f"{record.commit}, {record.date}, {record.machine.processor}, {record.machine.cores} cores, "
        f"{record.machine.system}; {versions}"
    )
