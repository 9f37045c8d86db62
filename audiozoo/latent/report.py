"""All that can be found out about a code, in one page: ``index.html``, which opens without a network."""

import json
import math
import re
import time

import numpy as np

from audiozoo.arguments import check_choice, check_range
from audiozoo.atomic import make_folder, replacing
from audiozoo.data.audio_io import write_audio
from audiozoo.latent import figures, page
from audiozoo.latent.descriptors import (
    FEWEST_GROUPS,
    NAMES,
    distance_correlation,
    linear_probe,
    spearman,
)
from audiozoo.latent.encoded import (
    MAX_ITEMS,
    column_means,
    decode_codes,
    encode_data,
)
from audiozoo.latent.maps import check_installed, clip_vectors, clusters, pca_plane, umap_plane
from audiozoo.latent.motion import motion_features
from audiozoo.latent.motion_map import MotionMap
from audiozoo.latent.motion_readers import read_motion
from audiozoo.latent.paths import linear_path, spherical_path
from audiozoo.latent.quality import walk_quality
from audiozoo.latent.trajectories import (
    align,
    morph,
    perceptual_path_length,
    sweep,
    total_variation,
)
from audiozoo.latent.walks import KINDS, walk_codes
from audiozoo.metrics import MelStatistics, active_units, kl_per_dimension, prior_mismatch
from audiozoo.plots import saved
from audiozoo.progress import track

FIDELITIES = (0.8, 0.9, 0.95, 0.99)
SHOWN_DIRECTIONS = 16  # in the maps of correlations
SWEPT_DIRECTIONS = 3
JUDGED_ITEMS = 8  # by which small codes are compared
WALK_SECONDS = 4.0
CORRELATION_SECONDS = 0.3
INTERPOLATION_STEPS = 9
MAP_MEGABYTES = 10.0  # of the 15 that a page may have
PARTS = ("dimensions", "small_codes", "map", "sweeps", "correlations", "ways", "interpolation", "motion")


def report(
    model,
    data,
    out,
    *,
    parts=None,
    motion=None,
    files=False,
    fidelity=0.95,
    max_items=MAX_ITEMS,
    pitch="swift",
    seed=0,
    progress=False,
):
    """Analyse a model's code on a data set, and write a page with figures and players.

    Every recording is encoded once. What does not apply to the model, such as sound to a model of images, is
    said in the page.

    Args:
        model: VAE of the zoo.
        data: see ``encode_data``.
        out: folder for ``index.html`` and ``report.json``, the numbers.
        parts: names of ``PARTS``; by default all of them.
        motion: file with a recorded hand that plays the model, see ``read_motion``; None leaves that out.
        files: write pictures as .png and sounds as .wav into ``out`` as well.
        fidelity: of the small code that is listened to.
        max_items: see ``encode_data``.
        pitch: see ``frame_descriptors``.
        seed: of everything random.
        progress: show progress bars.

    Returns:
        Dict, as in ``report.json``: ``page``, ``megabytes``, ``items``, ``seconds`` by part and in all, and
        the numbers of each part.

    Raises:
        DataError, IncompatiblePreset: see ``encode_data``; too few items for a map.
        MissingDependency: see ``umap_plane``.
        ValueError: an unknown part, a fidelity out of range.
        OutputError: ``out`` cannot be written.
    """
    check_range("fidelity", fidelity, 0.0, 1.0)
    parts = PARTS if parts is None else tuple(parts)
    for name in parts:
        check_choice("parts", name, PARTS)
    if "map" in parts:
        check_installed()
    out = make_folder(out)
    maker = ReportMaker(
        model,
        files=out if files else None,
        hand=read_motion(motion) if motion else None,  # what is wrong with it is said before the work
        fidelity=fidelity,
        pitch=pitch,
        seed=seed,
        progress=progress,
    )
    maker.timed(
        "codes", lambda: maker.encode(data, max_items, heard="map" in parts or "correlations" in parts)
    )
    for name in track(parts, "report", shown=progress):
        maker.timed(name, getattr(maker, name))
    text = page.page(f"The code of {maker.name}", maker.sections)
    path = page.write_page(out / "index.html", text)
    seconds = {name: round(value, 2) for name, value in maker.seconds.items()}
    numbers = maker.numbers | {
        "page": str(path),
        "megabytes": round(len(text.encode()) / 1e6, 3),
        "seconds": seconds | {"all": round(sum(maker.seconds.values()), 2)},
    }
    numbers = finite(numbers)
    with replacing(out / "report.json") as draft:
        draft.write_text(json.dumps(numbers, indent=2) + "\n")
    return numbers


class ReportMaker:
    """The parts of a report: each adds a section of HTML and its numbers.

    Args:
        model: VAE of the zoo.
        files: folder for pictures and sounds, or None.
        hand: ``HandMotion``, or None.
        fidelity, pitch, seed, progress: see ``report``.
    """

    def __init__(self, model, *, files, hand, fidelity, pitch, seed, progress):
        self.model, self.fidelity, self.pitch, self.seed = model, fidelity, pitch, seed
        self.files, self.hand = files, hand
        self.progress = progress
        self.name = model.preset.name if model.preset else type(model).__name__
        self.sections, self.numbers, self.seconds = [], {"model": self.name}, {}

    def timed(self, name, work):
        """Do some work, and keep what it took."""
        began = time.perf_counter()
        work()
        self.seconds[name] = time.perf_counter() - began

    def add(self, title, *parts):
        """Add a section."""
        self.sections.append(page.section(title, *parts))

    @property
    def sounds(self):
        """Whether the model is of sound."""
        return self.set.sample_rate is not None

    def encode(self, data, max_items, *, heard):
        """Encode and describe the data; the head of the page."""
        self.set = encode_data(self.model, data, max_items=max_items, progress=self.progress)
        self.basis = self.set.basis
        self.typical = self.set.most_typical()
        self.described = None
        if self.sounds and heard:
            self.described = self.set.describe(pitch=self.pitch, progress=self.progress)
        codes, dims = self.basis.rows, len(self.basis.centre)
        rate = f", {self.set.code_rate:.1f} a second" if self.set.code_rate else ""
        kind = "recordings" if self.sounds else "images"
        count = len(set(self.set.recordings))
        pieces = f", {len(self.set.names)} pieces of them" if len(self.set.names) > count else ""
        facts = [("data", f"{count} {kind}{pieces}")]
        facts += [("codes", f"{codes} of {dims} numbers{rate}")]
        card = self.model.preset.card if self.model.preset else None
        if card and card.limits:
            facts += [("limits of the model", card.limits)]
        self.sections.append(page.table(["", ""], facts))
        self.numbers |= {"items": len(self.set.names), "codes": codes, "dims": dims}

    def dimensions(self):
        """Informative directions, and how much the code says."""
        mean, log_variance = (np.concatenate(rows) for rows in (self.set.codes, self.set.log_variances))
        ranks = {
            spectrum: {f"{f:g}": self.basis.rank(f, spectrum) for f in FIDELITIES}
            for spectrum in ("singular", "variance")
        }
        kl = kl_per_dimension(mean, log_variance)
        found = {
            "rank": ranks,
            "kl_nats": float(kl.sum()),
            "active_dimensions": int(active_units(mean).sum()),
            "prior_mismatch_nats": float(prior_mismatch(mean, log_variance).sum()),
        }
        self.numbers["dimensions"] = found
        rows = [[f, ranks["singular"][f], ranks["variance"][f]] for f in ranks["singular"]]
        self.add(
            "Informative directions",
            page.paragraph(
                "Centred posterior means, rotated so that the directions in which they differ most come "
                "first (Caillon and Esling, 2021, RAVE, eq. 11)."
            ),
            self.picture(figures.fidelity_curves(self.basis, fidelities=FIDELITIES), "fidelity against rank"),
            page.table(["fidelity", "directions, singular values", "explained variance"], rows),
            page.paragraph(
                f"A code says {found['kl_nats']:.1f} nats; {found['active_dimensions']} of {len(kl)} numbers "
                "are active. From the prior the codes of all items together differ by "
                f"{found['prior_mismatch_nats']:.1f} nats: where that is much, draws from the prior are "
                "codes that nothing has."
            ),
        )

    def small_codes(self):
        """What is lost with fewer directions, the rest drawn or at its centre."""
        rank = self.basis.rank(self.fidelity)
        chosen = np.unique(np.linspace(0, len(self.set.codes) - 1, JUDGED_ITEMS).round().astype(int))
        chosen = np.unique([*chosen, self.typical])
        whole = [self.set.codes[number] for number in chosen]
        ways = {"all": lambda codes: codes}
        for name, seed in (("rest from the prior", self.seed), ("rest at the centre", None)):
            ways[name] = lambda codes, seed=seed: self.basis.codes(
                self.basis.coordinates(codes)[:, :rank], seed
            )
        heard = {name: self.decode_all([way(codes) for codes in whole]) for name, way in ways.items()}
        reference = [self.features(item) for item in heard["all"]]
        errors = {
            name: float(
                np.mean([np.mean((a - self.features(b)) ** 2) for a, b in zip(reference, items, strict=True)])
            )
            for name, items in heard.items()
            if name != "all"
        }
        self.numbers["small_codes"] = {"fidelity": self.fidelity, "rank": rank, "error": errors}
        unit = (
            "squared difference of mel levels, in units of 20 dB"
            if self.sounds
            else "squared difference of pixels"
        )
        place = int(np.flatnonzero(chosen == self.typical)[0])
        shown = {"original": self.set.items[self.typical]}
        shown |= {f"decoded,\n{name}": items[place] for name, items in heard.items()}
        self.add(
            f"A code of {rank} numbers",
            page.paragraph(
                f"Fidelity {self.fidelity:g} keeps {rank} of {len(self.basis.centre)}. Below, what else "
                "there was is drawn from the prior, as in RAVE, or put at its centre. Only where a model "
                "ignores a direction may anything stand in it."
            ),
            page.table(
                [f"decoded from {rank} numbers", f"{unit}, from all numbers"],
                [[name, f"{error:.4f}"] for name, error in errors.items()],
            ),
            self.shown(shown),
        )

    def map(self):
        """Items as points of two planes, which sound under the pointer."""
        planes = {
            "principal components": pca_plane(self.set.codes, self.basis),
            "UMAP": umap_plane(clip_vectors(self.set.codes, self.basis), seed=self.seed),
        }
        found = clusters(planes["UMAP"])
        named = np.array(["none" if number < 0 else f"cluster {number + 1}" for number in found])
        colourings = {"cluster": named}
        if len(set(self.set.labels)) > 1:
            colourings = {"class": np.array([label or "none" for label in self.set.labels])} | colourings
        if self.sounds:
            means = np.stack([column_means(rows) for rows in self.described])
            colourings |= dict(zip(NAMES, means.T, strict=True))
            colourings["centroid"] = 2.0 ** colourings["centroid"]
            previews = page.sounds_within(self.set.items, self.set.sample_rate, MAP_MEGABYTES)
        else:
            previews = page.image_previews(self.set.items)
        kind = "audio" if self.sounds else "image"
        first = next(iter(colourings))
        still = [
            self.picture(
                figures.plane(points, colourings[first], title=first, categories=True), f"{name}, by {first}"
            )
            for name, points in planes.items()
        ]
        self.numbers["map"] = {
            "clusters": int(found.max() + 1),
            "share_in_none": float(np.mean(found < 0)),
            "items_with_preview": sum(preview is not None for preview in previews),
        }
        self.add(
            "Map",
            page.paragraph(
                "Each item by the mean of its codes (principal components), or by mean and deviation (UMAP, "
                "with clusters of HDBSCAN). UMAP keeps neighbours together; distances and sizes on it mean "
                "little. Points far outside of all others stand at the edge."
            ),
            page.sound_map(planes, colourings, self.set.names, previews, kind=kind),
            *still,
        )

    def sweeps(self):
        """Along the most informative directions, everything else held."""
        around = self.set.codes[self.typical]
        parts = []
        for number in range(min(SWEPT_DIRECTIONS, len(self.basis.centre))):
            places, codes = sweep(self.basis, number, around=around)
            items = self.decoded(codes)
            titles = [f"{place:+.0f}" for place in places]
            caption = (
                f"direction {number + 1}, -3 to 3 standard deviations around {self.set.names[self.typical]}"
            )
            parts.append(self.strip(items, titles, caption))
            if self.sounds:
                self.write_sounds(
                    {
                        f"direction {number + 1} {title}": item
                        for title, item in zip(titles, items, strict=True)
                    }
                )
            if self.sounds:
                parts.append(self.players({"one after the other": np.concatenate(list(items))}))
        self.add("Along one direction", *parts)

    def correlations(self):
        """Which directions go along with which descriptors."""
        title = "What the directions mean"
        if not self.sounds:
            self.add(title, page.paragraph("Descriptors are of sound. This model is of images."))
            return
        groups = self.set.frame_groups
        if len(np.unique(groups)) < FEWEST_GROUPS:
            self.add(title, page.paragraph(f"Fewer than {FEWEST_GROUPS} items: nothing can be said of them."))
            return
        rows = self.basis.coordinates(np.concatenate(self.set.codes))
        descriptors = np.concatenate(self.described)
        first = rows[:, :SHOWN_DIRECTIONS]
        ranks = spearman(first, descriptors, groups, seed=self.seed)
        distance = distance_correlation(first, descriptors, groups, seed=self.seed)
        probe = linear_probe(rows, descriptors, groups, seed=self.seed)
        strongest = []
        for column, name in enumerate(NAMES):
            values = ranks.value[:, column]
            if np.isfinite(values).any():
                row = int(np.nanargmax(np.abs(values)))
                strongest.append(
                    [name, row + 1, *interval(ranks, (row, column)), *interval(distance, (row, column))]
                )
        self.numbers["correlations"] = {
            "spearman": ranks.value.tolist(),
            "distance": distance.value.tolist(),
            "probe_r2": dict(zip(NAMES, probe.value.tolist(), strict=True)),
            "strongest": [
                dict(zip(("descriptor", "direction", "spearman", "interval"), row, strict=False))
                for row in strongest
            ],
        }
        self.add(
            title,
            page.paragraph(
                "Descriptors of each frame against coordinates of its code. Intervals of 95 % are of whole "
                "recordings drawn anew; a dot says that 0 lies outside."
            ),
            self.picture(figures.association_map(ranks, title="Spearman's correlation"), "rank correlations"),
            self.picture(
                figures.association_map(distance, title="distance correlation"),
                "distance correlations: dependence of any form",
            ),
            page.table(
                ["descriptor", "direction", "Spearman", "95 %", "distance correlation", "95 %"], strongest
            ),
            self.picture(
                figures.bars(probe.value, probe.low, probe.high, NAMES, label="R^2 of a linear probe"),
                "share of each descriptor's variance that a linear function of the whole code predicts, in "
                "recordings it was not fitted to",
            ),
        )

    def ways(self):
        """Ways along time: smooth and rough random ones, through given places, round and round."""
        title = "Ways through the code"
        if not self.set.code_rate:
            self.add(title, page.paragraph("An item has one code: there is no time in it to walk along."))
            return
        length = {"seconds": WALK_SECONDS, "correlation_seconds": CORRELATION_SECONDS, "seed": self.seed}
        paths = {kind: walk_codes(self.set, kind, **length) for kind in KINDS}
        paths["a recording"] = self.set.codes[self.typical]
        self.compare_ways(
            title,
            paths,
            "walks",
            f"{WALK_SECONDS:g} s each, correlated over {CORRELATION_SECONDS:g} s. The spline meets a random "
            "code of the data each time; Lissajous moves the first three directions.",
        )

    def interpolation(self):
        """From one recording to another, on the line and on the arc."""
        title = "From one item to another"
        ends = self.two_ends()
        a, b = (self.set.codes[number] for number in ends)
        names = " to ".join(self.set.names[number] for number in ends)
        if not self.sounds:
            rows = [
                self.decoded(path(a, b, np.linspace(0.0, 1.0, INTERPOLATION_STEPS)))
                for path in (linear_path, spherical_path)
            ]
            titles = [f"{t:.2f}" for t in np.linspace(0.0, 1.0, INTERPOLATION_STEPS)]
            self.add(
                title,
                *(
                    self.strip(row, titles, f"{names}, {kind}")
                    for row, kind in zip(rows, ("straight line", "arc"), strict=True)
                ),
            )
            return
        start, end = align(a, b)
        paths, table_rows, numbers = {"straight line": linear_path, "arc": spherical_path}, [], {}
        for kind, path in paths.items():
            lengths = perceptual_path_length(
                self.features_of, lambda t, path=path: path(start, end, t), draws=8, seed=self.seed
            )
            steps = self.decoded(path(start, end, np.linspace(0.0, 1.0, INTERPOLATION_STEPS)))
            means = np.stack(
                [column_means(self.set.description(sound, len(start), pitch=None)) for sound in steps]
            )
            numbers[kind] = {
                "path_length": float(lengths.mean()),
                "path_length_standard_error": float(lengths.std(ddof=1) / math.sqrt(len(lengths))),
                "loudness_variation_db": variation(means[:, 0]),
                "centroid_variation_octaves": variation(means[:, 1]),
            }
            table_rows.append([kind, *(f"{value:.3g}" for value in numbers[kind].values())])
        line, arc = numbers["straight line"], numbers["arc"]
        numbers["arc_over_line"] = {
            key: arc[key] / line[key] if line[key] else math.nan
            for key in ("loudness_variation_db", "centroid_variation_octaves")
        }
        self.numbers["interpolation"] = {
            "from": self.set.names[ends[0]],
            "to": self.set.names[ends[1]],
        } | numbers
        heading = ["way", "perceptual path length", "standard error", "loudness variation / dB"]
        head = page.paragraph(
            f"{names}, aligned by dynamic time warping. Perceptual path length is the mean squared change of "
            "the log-mel spectrogram, per value, for a step along the whole way; variation is the sum of all "
            f"changes of the mean over {INTERPOLATION_STEPS} steps, up and down."
        )
        score = page.table([*heading, "centroid variation / octaves"], table_rows)
        if self.set.code_rate:
            ways = {"from": a, "to": b} | {
                f"morph, {kind}": morph(a, b, spherical=kind == "arc") for kind in paths
            }
            self.compare_ways(
                title,
                ways,
                "morphs",
                "A morph passes from the one to the other as time goes by.",
                head,
                score,
            )
        else:
            self.add(title, head, score)

    def motion(self):
        """A recorded hand that plays the model."""
        title = "Played by a hand"
        if self.hand is None:
            self.add(title, page.paragraph("No recording of a hand was given (--motion FILE)."))
            return
        if not self.set.code_rate:
            self.add(title, page.paragraph("An item has one code: a hand has no time in it to move along."))
            return
        features, names = motion_features(self.hand)
        codes, log_variance = (np.concatenate(rows) for rows in (self.set.codes, self.set.log_variances))
        mapping = MotionMap(method="whiten_quantile").fit(
            features, self.basis.coordinates(codes), names=names
        )
        walk = self.basis.codes(mapping.trajectory(self.hand, code_rate=self.set.code_rate))
        quality = walk_quality(
            codes,
            walk,
            reference_groups=self.set.frame_groups,
            log_variance=log_variance,
            seed=self.seed,
        )
        found = {name: float(getattr(value, "value", value)) for name, value in quality.items()}
        self.numbers["motion"] = found
        self.compare_ways(
            title,
            {"hand": walk, "a recording": self.set.codes[self.typical]},
            "motion_ways",
            "What the hand does is whitened and given the distribution of the data's codes, the most "
            "informative directions first.",
            page.table(
                ["the way of the hand", ""], [[name, f"{value:.3g}"] for name, value in found.items()]
            ),
        )

    # --- What the parts share ---

    def picture(self, figure, caption):
        """A picture of the page; a file too, if files are asked for."""
        if self.files:
            saved(figure, self.files / f"{file_name(caption)}.png")
        return page.picture(figure, caption)

    def players(self, sounds):
        """Players of the page."""
        return page.players(sounds, sample_rate=self.set.sample_rate)

    def write_sounds(self, sounds):
        """Sounds by their names as files, if files are asked for; too loud ones turn all of them down."""
        peak = max(1.0, *(float(np.abs(sound).max()) for sound in sounds.values()))
        for name, sound in sounds.items() if self.files else ():
            write_audio(self.files / f"{file_name(name)}.wav", sound / peak, self.set.sample_rate)

    def compare_ways(self, title, ways, key, note, *more):
        """A section: sounds of some ways, their loudness and centroid, and how much these change."""
        rate = self.set.sample_rate
        sounds = {name: self.decoded(codes[None])[0] for name, codes in ways.items()}
        described = {
            name: self.set.description(sound, len(ways[name]), pitch=None) for name, sound in sounds.items()
        }
        seconds = {name: len(sound) / rate for name, sound in sounds.items()}
        found = {}
        for name, codes in ways.items():
            steps = np.diff(self.basis.coordinates(codes), axis=0) / np.maximum(self.basis.deviations, 1e-9)
            loudness, centroid = (described[name][:, column] for column in (0, 1))
            found[name] = {
                "step_deviations": float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0,
                "loudness_db_per_second": variation(loudness) / seconds[name],
                "centroid_octaves_per_second": variation(centroid) / seconds[name],
            }
        self.numbers[key] = found
        self.write_sounds(sounds)
        rows = [[name, *(f"{value:.3g}" for value in values.values())] for name, values in found.items()]
        self.add(
            title,
            *([page.paragraph(note)] if note else []),
            self.players(sounds),
            self.picture(
                figures.descriptor_curves(described, seconds=seconds), f"{title}: loudness and centroid"
            ),
            page.table(
                ["way", "step / deviations", "loudness, dB up and down / s", "centroid, octaves / s"], rows
            ),
            *more,
        )

    def two_ends(self):
        """Numbers of two items far apart: at the 5th and 95th hundredth of the first coordinate."""
        first = np.array([self.basis.coordinates(codes)[:, 0].mean() for codes in self.set.codes])
        order = np.argsort(first)
        return [int(order[round(share * (len(order) - 1))]) for share in (0.05, 0.95)]

    def decoded(self, codes):
        """Items of codes ``(batch, frames, dims)``; sounds may be louder than full scale."""
        return decode_codes(self.model, codes)

    def decode_all(self, codes):
        """Items of a list of codes, those of equal length at once."""
        items = [None] * len(codes)
        for length in {len(rows) for rows in codes}:
            numbers = [number for number, rows in enumerate(codes) if len(rows) == length]
            decoded = self.decoded(np.stack([codes[number] for number in numbers]))
            for number, item in zip(numbers, decoded, strict=True):
                items[number] = item
        return items

    def features(self, item):
        """What is compared of an item: mel levels, or pixels."""
        if not self.sounds:
            return item
        rate = self.set.sample_rate
        return MelStatistics(sample_rate=rate).levels(item[None].astype("float64"))

    def features_of(self, codes):
        """Spectrograms of codes, scaled such that a squared distance is a mean over all values."""
        codes = np.asarray(codes, "float32")
        if hasattr(self.model, "decode_spectrogram") and self.model.code_rate:
            found = self.model.decode_spectrogram(codes)
        else:
            found = np.stack([self.features(item)[0] for item in decode_codes(self.model, codes)])
        return found / math.sqrt(found[0].size)

    def strip(self, items, titles, caption):
        """Items beside each other as one picture."""
        if self.sounds:
            figure = figures.spectrogram_strip(items, titles, sample_rate=self.set.sample_rate)
            return self.picture(figure, caption)
        return self.picture(figures.image_strip(items, titles), caption)

    def shown(self, items):
        """Items to be heard or seen, by their captions."""
        if self.sounds:
            return self.players(items)
        return self.strip(list(items.values()), list(items), "the most typical image")


def variation(values):
    """Total variation of the values that are not NaN; NaN where none is."""
    known = values[np.isfinite(values)]
    return total_variation(known) if len(known) else math.nan


def file_name(caption):
    """A caption as the name of a file."""
    return re.sub(r"[^\w.+-]+", "_", caption).strip("_")[:80]


def interval(association, place):
    """A value and its interval as texts."""
    value, low, high = (getattr(association, end)[place] for end in ("value", "low", "high"))
    return f"{value:.2f}", f"{low:.2f} to {high:.2f}"


def finite(values):
    """Nested values with None for NaN, which JSON does not have."""
    if isinstance(values, dict):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values
