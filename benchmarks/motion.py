"""Hands that play codes: how much of a data set's sounds each mapping reaches, beside random walks."""

if not __package__:
    import as_module  # noqa: F401


import pathlib
from typing import Annotated

import numpy as np
import typer

from benchmarks import results

CAMERA_FPS = 30.0  # of recordings that do not say
PLAY_SEEDS, PLAY_SECONDS = range(5), 30.0
PLAYED = slice(0, None, 5)  # of the shared trajectories, whose four kinds come in turns
CORRELATION_SECONDS = 0.3  # of random walks
WALK_SECONDS = 120.0  # of each
PIECE_SECONDS = 5.0  # of sound, decoded at once
TREMOR_METRES = (0.0, 0.0005, 0.001, 0.002, 0.004)
SPACE_METRES = 0.5  # of the shared trajectories, whose unit is the width of the space
CONTROL, UNSEEN = "zscore, others at the mean", "whiten_quantile, of motion that it was not fitted on"
HEARD = ("hand shapes, real",)  # motions whose sounds are compared


def main(
    data: Annotated[pathlib.Path, typer.Option(help="Folder of recordings that codes are of.")],
    hands: Annotated[pathlib.Path, typer.Option(help="Folder with the recorded and synthetic hands.")],
    preset: Annotated[list[str] | None, typer.Option(help="VAE of sound; may be given again.")] = None,
    rows: Annotated[int, typer.Option(min=100, help="Frames of each set that are compared.")] = 2000,
    sound_seconds: Annotated[float, typer.Option(min=0, help="Of each walk, decoded and compared.")] = 30.0,
    replace: Annotated[bool, typer.Option(help="Even what another command has found.")] = False,
):
    """Mapped hand motion, random walks and other files, beside codes of half of a data set's recordings.

    A map is fitted on a motion and the codes of one half, and its walk is judged by that half. The other,
    as a walk, is what can be reached.
    """
    results.one_core()
    results.check_free("motion", replace=replace)
    motions = recorded_motions(hands) | synthetic_motions()
    values = {"rows": rows, "k": 5, "sound_seconds": sound_seconds, "presets": {}}
    values["motions"] = {name: about(recordings) for name, recordings in motions.items()}
    for name in preset or ["spectral_vae", "conv1d_resnet_vae"]:
        values["presets"][name] = judged(name, data, motions, rows, sound_seconds)
    print(f"written: {results.write('motion', values)}")


# --- Motion ---


def recorded_motions(folder):
    """Real hands and the shared synthetic ones: lists of HandMotion by name.

    Of the real ones one data set has shapes, relative to the wrist, and the other the path of a finger tip;
    both are flat. The shared trajectories have a place and an openness, which a synthetic hand takes on.
    """
    from audiozoo.latent import HandMotion, hand_points

    shapes = np.load(folder / "mediapipe_keypoints.npz")
    points = np.pad(shapes["xy"].astype("float64"), ((0, 0), (0, 0), (0, 1)))
    segments = [
        HandMotion(points=points[shapes["segment"] == number][:, None], fps=CAMERA_FPS)
        for number in np.unique(shapes["segment"])
    ]
    tips = np.load(folder / "mediapipe_fingertip_trajectories.npz")
    paths = np.split(tips["xy"].astype("float64"), np.cumsum(tips["length"])[:-1])
    drawn = np.load(folder / "synthetic_trajectories.npz")
    played = []
    for path in drawn["x"][PLAYED].astype("float64"):
        flexion = np.repeat(1.0 - path[:, 3:], 5, axis=1)
        points = hand_points(SPACE_METRES * path[:, :3], flexion)
        played.append(HandMotion(points=points[:, None], fps=float(drawn["rate"])))
    return {
        "hand shapes, real": segments,
        "finger tip, real": [of_one_point(path) for path in paths],
        "place and openness, synthetic": played,
    }


def synthetic_motions():
    """Our own synthetic hands that do all at once."""
    from audiozoo.latent import synthetic_motion

    return {
        "all at once, synthetic": [
            synthetic_motion("play", seconds=PLAY_SECONDS, seed=seed) for seed in PLAY_SEEDS
        ]
    }


def of_one_point(path):
    """A HandMotion whose wrist goes along a path ``(frames, 2)``, and of which nothing else is known."""
    from audiozoo.latent import HandMotion

    points = np.full((len(path), 1, 21, 3), np.nan)
    points[:, 0, 0] = np.pad(path, ((0, 0), (0, 1)))
    return HandMotion(points=points, fps=CAMERA_FPS)


def about(recordings):
    """Size of a list of recordings, and its smoothness."""
    jerks = [mean_jerk(motion.points.reshape(motion.frames, -1), motion.fps) for motion in recordings]
    return {
        "recordings": len(recordings),
        "frames": sum(motion.frames for motion in recordings),
        "seconds": sum(motion.seconds for motion in recordings),
        "log_jerk": mean_of_known(jerks),
    }


def mean_jerk(path, rate):
    """Mean of ``log_dimensionless_jerk`` over windows of a second, of the columns that are known; or NaN."""
    from audiozoo.latent import log_dimensionless_jerk

    path, length = path[:, np.isfinite(path).all(axis=0)], round(rate)
    windows = [path[start : start + length] for start in range(0, len(path) - length + 1, length)]
    return mean_of_known([log_dimensionless_jerk(window, rate=rate) for window in windows if window.size])


def mean_of_known(values):
    """Mean of those that are not NaN; None where all are."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None


# --- Walks ---


def judged(preset, data, motions, rows, sound_seconds):
    """All walks through the code of one preset."""
    import audiozoo
    from audiozoo.latent import informative_basis

    model = audiozoo.load(preset)
    halves = half_and_half(model, data)
    reference = np.concatenate(halves[0].codes)
    basis = informative_basis(reference)
    judge = Judge(model, basis, halves, rows, sound_seconds)
    found = {
        "recordings": [len(set(half.recordings)) for half in halves],
        "codes": len(reference),
        "dims": reference.shape[1],
        "code_rate_hz": model.code_rate,
        "controls": judge.controls(),
        "motions": {},
    }
    for name, recordings in motions.items():
        found["motions"][name] = judge.motion(recordings, heard=name in HEARD)
        covered = {key: round(row["coverage"], 2) for key, row in found["motions"][name]["walks"].items()}
        print(preset, name, covered, flush=True)
    return found | {"tremor": judge.tremor()}


def half_and_half(model, data, seed=0):
    """Two EncodedSet of equally many recordings of a folder, drawn by the seed."""
    from audiozoo.data.clips import audio_folder
    from audiozoo.latent.encoded import encode_clips

    pattern = model.preset.train.recording_pattern if model.preset.train else None
    clips = audio_folder(data, sample_rate=model.sample_rate, recording_pattern=pattern)
    names = sorted({clip.recording for clip in clips})
    first = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    halves = [[clip for clip in clips if (clip.recording in first) is which] for which in (True, False)]
    return [encode_clips(model, half, max_items=len(half)) for half in halves]


class Judge:
    """Walks through one code, held against half of a data set."""

    def __init__(self, model, basis, halves, rows, sound_seconds):
        self.model, self.basis, self.rows, self.sound_seconds = model, basis, rows, sound_seconds
        self.reference, self.others = (np.concatenate(half.codes) for half in halves)
        self.coordinates = basis.coordinates(self.reference)
        self.heard = self.embedding(self.reference)

    def controls(self):
        """The other half of the data set, and random walks."""
        from audiozoo.latent import gaussian_process, ornstein_uhlenbeck

        frames = round(WALK_SECONDS * self.model.code_rate)
        size = (frames, self.coordinates.shape[1])
        settings = {"correlation_frames": CORRELATION_SECONDS * self.model.code_rate}
        smooth, rough = gaussian_process(*size, **settings), ornstein_uhlenbeck(*size, **settings)
        walks = {
            "the other recordings": self.others,
            "random walk from the prior": smooth,
            "random walk as wide as the data": self.basis.codes(smooth * self.basis.deviations),
            "rough random walk as wide as the data": self.basis.codes(rough * self.basis.deviations),
        }
        return {name: self.scores(walk, None, heard=True) for name, walk in walks.items()}

    def motion(self, recordings, *, heard):
        """Walks of every method for one kind of motion."""
        from audiozoo.latent import MotionMap, motion_features
        from audiozoo.latent.motion_map import METHODS

        features = [motion_features(motion)[0] for motion in recordings]
        names = motion_features(recordings[0])[1]

        def walk(method, seen=slice(None), played=slice(None), **settings):
            mapping = MotionMap(method, **settings)
            mapping.fit(np.concatenate(features[seen]), self.coordinates, names=names)
            paths = [mapping.trajectory(m, code_rate=self.model.code_rate) for m in recordings[played]]
            return mapping, paths

        mapping, _ = walk("whiten_quantile")
        walks = {method: walk(method)[1] for method in METHODS}
        walks["whiten_quantile, others at the mean"] = walk("whiten_quantile", others="mean")[1]
        walks[CONTROL] = walk("zscore", others="mean")[1]
        walks[UNSEEN] = walk("whiten_quantile", slice(None, None, 2), slice(1, None, 2))[1]
        found = {"features": list(mapping.names), "driven": mapping.driven, "walks": {}}
        for name, paths in walks.items():
            row = self.scores(self.basis.codes(np.concatenate(paths)), mapping.driven, heard=heard)
            row["log_jerk"] = mean_of_known([mean_jerk(path, self.model.code_rate) for path in paths])
            found["walks"][name] = row
        others = self.scores(self.others, mapping.driven, heard=False)
        return found | {"the other recordings": others}

    def scores(self, codes, driven, *, heard):
        """Quality of a walk, in all dimensions, ``driven_...`` in those that motion drives, and as heard."""
        from audiozoo.latent import walk_quality

        settings = {"rows": self.rows, "num_resamples": 2}
        embeddings = {}
        if heard and self.sound_seconds:
            audio = self.sounds(codes)
            embeddings = {"reference_embedding": self.heard, "walk_embedding": embedded(self.model, audio)}
        found = walk_quality(self.reference, codes, **embeddings, **settings)
        if driven:
            numbers = self.basis.coordinates(codes)[:, :driven]
            part = walk_quality(self.coordinates[:, :driven], numbers, **settings)
            found |= {f"driven_{name}": value for name, value in part.items()}
        if embeddings:
            found["roughness_db"] = mean_roughness(self.model, audio)
        return {name: float(getattr(value, "value", value)) for name, value in found.items()}

    def sounds(self, codes):
        """Pieces of sound of a walk, evenly apart, ``(pieces, samples)``."""
        length = 1 + round(PIECE_SECONDS * self.model.code_rate)  # n frames may be n - 1 hops of sound
        count = max(1, min(round(self.sound_seconds / PIECE_SECONDS), len(codes) // length))
        starts = np.linspace(0, len(codes) - length, count).round().astype(int)
        return np.concatenate(
            [self.model.decode(codes[None, start : start + length].astype("float32")) for start in starts]
        )

    def embedding(self, codes):
        """Rows of the sound that codes of the data set make: what the decoder does to all is in both sets."""
        return embedded(self.model, self.sounds(codes)) if self.sound_seconds else None

    def tremor(self):
        """The same playing with more and more tremor: jerk of the hand, roughness of the sound."""
        from audiozoo.latent import MotionMap, motion_features, synthetic_motion

        calm = synthetic_motion("play", seconds=PLAY_SECONDS)
        features, names = motion_features(calm)
        mapping = MotionMap().fit(features, self.coordinates, names=names)
        rows = []
        for metres in TREMOR_METRES:
            motion = synthetic_motion("play", seconds=PLAY_SECONDS, tremor_metres=metres)
            path = mapping.trajectory(motion, code_rate=self.model.code_rate)
            row = {
                "tremor_mm": 1e3 * metres,
                "motion_log_jerk": mean_jerk(motion.points[:, 0, 0], motion.fps),
            }
            row["walk_log_jerk"] = mean_jerk(path, self.model.code_rate)
            if self.sound_seconds:
                row["roughness_db"] = mean_roughness(self.model, self.sounds(self.basis.codes(path)))
            rows.append(row)
        return rows


def embedded(model, audio):
    """Rows of MelStatistics of pieces ``(pieces, samples)``, one a second."""
    from audiozoo import metrics

    judge = metrics.MelStatistics()
    return np.concatenate([judge.embed(piece, model.sample_rate) for piece in audio])


def mean_roughness(model, audio):
    """Mean ``sound_roughness_db`` of pieces ``(pieces, samples)``."""
    from audiozoo.latent import sound_roughness_db

    return float(np.mean([sound_roughness_db(piece, model.sample_rate) for piece in audio]))
