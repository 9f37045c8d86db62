"""Is a walk through a code among the codes of sounds, does it reach them all, and does it sound smooth?

A walk is judged by its frames, against codes of a data set: as points, whatever their order, in the latent
space and, where embeddings are given, as heard. Order is judged by jerk and roughness.
"""

import dataclasses

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from audiozoo.arguments import check_range, check_whole
from audiozoo.data.audio_io import mono_at_rate
from audiozoo.errors import AudioError
from audiozoo.latent.analysis import code_rows
from audiozoo.metrics import MelStatistics, kad, prdc
from audiozoo.metrics.coverage import one_of_each
from audiozoo.metrics.embeddings import UNIT_DB
from audiozoo.metrics.estimates import clip_numbers, rows_by_clip

ELLIPSOID_SHARE = 0.95
CELLS, CODEBOOK_ITERATIONS = 100, 25
LEAST_VARIANCE = 1e-10  # of a direction, relative to the widest: below, an ellipsoid is flat there
LEAST_FRAMES = 4  # of a path, that has a jerk


def walk_quality(
    reference_codes,
    walk_codes,
    *,
    reference_groups=None,
    reference_embedding=None,
    walk_embedding=None,
    reference_embedding_groups=None,
    log_variance=None,
    rows=2000,
    k=5,
    codebook=None,
    num_resamples=200,
    seed=0,
):
    """Quality and coverage of a walk through a code.

    - ``precision``, ``recall``, ``density``, ``coverage``: see ``metrics.prdc``. In many dimensions read them
      together: a walk near the mean of all codes lies in the balls of many, which makes coverage and density
      large and recall 0.
    - ``kad``: see ``metrics.kad``; 0 for equal distributions.
    - ``ellipsoid_share``: share of the frames inside the ellipsoid, around the mean and with the axes of the
      aggregate posterior, that holds 95 % of the reference's codes: 0.95 for equal distributions.
    - ``occupied_cells``: of a codebook of the reference, the share of the cells that the walk visits.
    - ``cell_entropy``: entropy of its visits, as a share of that of even ones. Both are below 1 for the
      reference itself, too: compare with another part of the data.
    - ``sound_precision`` to ``sound_kad``: the same of embeddings, where they are given.

    Every ball is about as wide as its neighbourhood is thin, so scores depend on the number of rows: compare
    walks judged by the same.

    Args:
        reference_codes: posterior means of the data set, ``(codes, dims)``.
        walk_codes: ``(frames, dims)``.
        reference_groups: ``(codes,)``, the recording of each; codes of one are alike, and one of each is used
            where there are enough recordings. None: rows are independent.
        reference_embedding, walk_embedding: of the sound of both, ``(rows, dimensions)``, or None.
        reference_embedding_groups: as ``reference_groups``.
        log_variance: of the reference's posteriors, ``(codes, dims)``: the ellipsoid is then that of draws
            from them, not of means alone.
        rows: at most so many of either set are compared: of the reference drawn, of the walk evenly spaced.
        k: neighbours, see ``prdc``.
        codebook: cells, of a k-means codebook of the reference; None: 100, or half of the codes where they
            are few.
        num_resamples: bootstrap draws.
        seed: of all draws.

    Returns:
        Dict of ``metrics.Estimate`` for scores with intervals (frames taken as independent), else floats.

    Raises:
        ValueError: sets that are too small, not finite, or of unequal dimensions; one embedding without the
            other; a number out of its range.
    """
    reference, walk = code_rows(reference_codes, "reference_codes"), code_rows(walk_codes, "walk_codes")
    if reference.shape[1] != walk.shape[1]:
        raise ValueError(
            f"reference_codes and walk_codes must have equal dimensions; got {reference.shape[1]} and "
            f"{walk.shape[1]}."
        )
    if (reference_embedding is None) != (walk_embedding is None):
        raise ValueError("reference_embedding and walk_embedding must come together; got one of them.")
    check_whole("rows", rows, 2)
    codebook = max(2, min(CELLS, len(reference) // 2)) if codebook is None else codebook
    check_whole("codebook", codebook, 2)
    if len(reference) < codebook:
        raise ValueError(f"codebook must have at most {len(reference)} cells, one a code; got {codebook}.")
    settings = {"k": k, "num_resamples": num_resamples, "seed": seed}
    sampled = drawn_rows(reference, reference_groups, rows, seed), spaced_rows(walk, rows)
    found = set_scores(*sampled, **settings)
    found["ellipsoid_share"] = ellipsoid_share(reference, walk, log_variance=log_variance)
    found |= cell_scores(*sampled, codebook=min(codebook, len(sampled[0])), seed=seed)
    if walk_embedding is not None:
        heard = (
            code_rows(reference_embedding, "reference_embedding"),
            code_rows(walk_embedding, "walk_embedding"),
        )
        heard = drawn_rows(heard[0], reference_embedding_groups, rows, seed), spaced_rows(heard[1], rows)
        count = min(len(rows) for rows in heard)
        heard = drawn_rows(heard[0], None, count, seed), spaced_rows(heard[1], count)
        found |= {f"sound_{name}": score for name, score in set_scores(*heard, **settings).items()}
    return found


def set_scores(reference, walk, *, k, num_resamples, seed):
    """Precision to coverage, and KAD, of two sets of rows."""
    scores = prdc(reference, walk, k=k, num_resamples=num_resamples, seed=seed)
    found = {field.name: getattr(scores, field.name) for field in dataclasses.fields(scores)}
    return found | {"kad": kad(reference, walk, num_resamples=num_resamples, seed=seed)}


def drawn_rows(rows, groups, most, seed):
    """At most that many rows, drawn; one of each group where there are as many groups."""
    rng = np.random.default_rng(seed)
    if groups is not None:
        clips = rows_by_clip(clip_numbers(groups, len(rows), "groups"))
        if len(clips) >= most:
            rows = rows[one_of_each(clips, rng)]
    return rows[np.sort(rng.choice(len(rows), min(most, len(rows)), replace=False))]


def spaced_rows(rows, most):
    """At most that many rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)]


def ellipsoid_share(reference, walk, *, log_variance=None):
    """Share of a walk's rows inside the ellipsoid that holds 95 % of the reference's, see ``walk_quality``.

    Directions in which the reference does not vary are held against a walk that leaves them.
    """
    reference, walk = np.asarray(reference, "float64"), np.asarray(walk, "float64")
    centre = reference.mean(axis=0)
    covariance = np.cov(reference - centre, rowvar=False).reshape(len(centre), -1)
    if log_variance is not None:
        covariance = covariance + np.diag(np.mean(np.exp(np.asarray(log_variance, "float64")), axis=0))
    variances, axes = np.linalg.eigh(covariance)
    variances = np.maximum(variances, LEAST_VARIANCE * max(variances.max(), np.finfo("float64").tiny))
    squared = [np.sum(((rows - centre) @ axes) ** 2 / variances, axis=1) for rows in (reference, walk)]
    return float(np.mean(squared[1] <= np.quantile(squared[0], ELLIPSOID_SHARE)))


def cell_scores(reference, walk, *, codebook=CELLS, seed=0):
    """How many cells of the reference's codebook a walk visits, and how evenly, see ``walk_quality``."""
    centres, _ = kmeans2(
        reference, codebook, iter=CODEBOOK_ITERATIONS, minit="++", rng=np.random.default_rng(seed)
    )
    visits = np.bincount(cKDTree(centres).query(walk)[1], minlength=codebook)
    share = visits[visits > 0] / visits.sum()
    return {
        "occupied_cells": float(np.mean(visits > 0)),
        "cell_entropy": float(np.sum(share * -np.log(share)) / np.log(codebook)),
    }


def log_dimensionless_jerk(path, *, rate):
    """Smoothness of a movement: higher is smoother, -5.3 for one minimum-jerk reach.

    ``-ln(T^3 / v^2 * integral of |jerk|^2)`` with the duration T and the highest speed v (Balasubramanian et
    al., 2015, J. NeuroEngineering and Rehabilitation 12:112, eq. 5). Size and duration do not matter; many
    movements after each other are less smooth than one.

    Args:
        path: ``(frames, dims)``, or a HandMotion's wrist; frames that are not finite are left out, with what
            their derivatives touch.
        rate: frames a second.

    Returns:
        float; NaN for a path that stands still, or is known in too few frames.

    Raises:
        ValueError: a path of another shape, or a rate out of range.
    """
    path = np.asarray(path, "float64")
    if path.ndim != 2 or len(path) < LEAST_FRAMES:
        raise ValueError(
            f"path must be (frames, dims) of at least {LEAST_FRAMES} frames; got shape {path.shape}."
        )
    check_range("rate", rate, 1e-3, 1e6)
    speed = np.linalg.norm(np.diff(path, axis=0) * rate, axis=1)
    jerk = np.sum((np.diff(path, n=3, axis=0) * rate**3) ** 2, axis=1)
    speed, jerk = speed[np.isfinite(speed)], jerk[np.isfinite(jerk)]
    if not jerk.size or speed.max() <= 0.0 or jerk.max() <= 0.0:
        return float("nan")
    seconds = len(jerk) / rate
    return float(-np.log(seconds**3 / speed.max() ** 2 * np.sum(jerk) / rate))


def sound_roughness_db(audio, sample_rate):
    """How much a sound flickers: mean absolute change of 64 mel bands' levels from one 16 ms to the next, dB.

    0 for a steady tone; about 1.7 for white noise. Levels below -80 dB are silence, which does not flicker.

    Args:
        audio: ``(samples,)`` or ``(samples, channels)``, at least 80 ms.
        sample_rate: Hz.

    Returns:
        float.

    Raises:
        AudioError: see ``audio_io.mono_at_rate``; less than 80 ms.
    """
    embedding = MelStatistics()
    audio = mono_at_rate(audio, sample_rate, embedding.sample_rate).astype("float64")
    levels = embedding.levels(audio[None])[0]
    if len(levels) < 2:
        raise AudioError(f"audio must last 80 ms; got {len(audio) / embedding.sample_rate:.3f} s. Pass more.")
    return float(UNIT_DB * np.mean(np.abs(np.diff(levels, axis=0))))
