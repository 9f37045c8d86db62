"""Two folders of sound, all scores of how alike they are, in one report ready for JSON."""

import dataclasses

from audiozoo.metrics.coverage import prdc
from audiozoo.metrics.embeddings import EmbeddedSet, check_comparable, embed_folder
from audiozoo.metrics.frechet import few_rows, frechet_distance_from_moments, frechet_estimates
from audiozoo.metrics.kernel import kad, kid

WORST = 10
FEWEST_CLIPS = 6  # of which thirds of two can be made, to extrapolate from
DISTANCE = "root mean square Mahalanobis distance from the reference; its own rows have 1"


def compare(reference, generated, *, embedding="mel_statistics", k=5, seed=0):
    """Every set score of generated sound against reference sound.

    Args:
        reference, generated: folder or list of files, see ``embed_folder``; or an ``EmbeddedSet``.
        embedding: for folders, see ``embed_folder``.
        k: see ``prdc``.
        seed: of samples, draws and permutations: the same seed gives the same report.

    Returns:
        Dict of plain types: ``embedding`` (name, hash, dimensions, sample_rate, hop), ``reference`` and
        ``generated`` (clips, rows, seconds, skipped), ``scores`` (each with value, low, high, and p_value
        where it is tested), ``outliers`` (the ten generated clips farthest from the reference; None for a
        generated set that was embedded without ``against``), ``warnings``.

    Raises:
        DataError: see ``embed_folder``.
        ValueError: sets of different embeddings; fewer than 6 clips in one.
    """
    if not isinstance(reference, EmbeddedSet):
        reference = embed_folder(reference, embedding, seed=seed)
    if not isinstance(generated, EmbeddedSet):
        generated = embed_folder(generated, embedding, against=reference, seed=seed)
    check_comparable(reference, generated)
    for name, embedded in (("reference", reference), ("generated", generated)):
        if embedded.clips < FEWEST_CLIPS:
            raise ValueError(
                f"{name} must hold at least {FEWEST_CLIPS} clips to be scored; got {embedded.clips}. "
                "Cut long recordings into clips, or add more."
            )
    return {
        "embedding": {
            "name": reference.embedding,
            "hash": reference.hash,
            "dimensions": reference.dimensions,
            "sample_rate": reference.sample_rate,
            "hop": reference.hop,
        },
        "reference": counts(reference),
        "generated": counts(generated),
        "scores": {name: entry(score) for name, score in set_scores(reference, generated, k, seed).items()},
        "outliers": worst(generated),
        "warnings": cautions(reference, generated),
    }


def set_scores(reference, generated, k, seed):
    """Estimates by name, of two ``EmbeddedSet``."""
    rows = reference.rows, generated.rows
    settings = {"reference_groups": reference.clip, "generated_groups": generated.clip, "seed": seed}
    frechet = frechet_estimates(*rows, **settings)
    shares = prdc(*rows, k=k, **settings)
    return {
        "frechet": of_all_rows(frechet.plain, reference, generated),
        "frechet_infinity": frechet.infinity,
        "kad": kad(*rows, **settings),
        "kid": kid(*rows, **settings),
        "precision": shares.precision,
        "recall": shares.recall,
        "density": shares.density,
        "coverage": shares.coverage,
    }


def of_all_rows(plain, reference, generated):
    """The plain Fréchet distance of all rows there were; its interval is that of the rows that were kept."""
    if (len(reference.rows), len(generated.rows)) == (reference.num_rows, generated.num_rows):
        return plain
    value = frechet_distance_from_moments(
        reference.mean, reference.covariance, generated.mean, generated.covariance
    )
    shift = value - plain.value
    return dataclasses.replace(plain, value=value, low=max(0.0, plain.low + shift), high=plain.high + shift)


def entry(estimate):
    """An estimate as a dict, without a p-value where there is none."""
    return {key: value for key, value in dataclasses.asdict(estimate).items() if value is not None}


def counts(embedded):
    """How much sound a set is of, and what was left out of it."""
    return {
        "clips": embedded.clips,
        "rows": embedded.num_rows,
        "seconds": embedded.seconds,
        "skipped": [{"file": file, "reason": reason} for file, reason in embedded.skipped],
    }


def worst(generated):
    """The generated clips farthest from the reference, farthest first; None if no distance was taken."""
    if generated.distances is None:
        return None
    farthest = sorted(generated.distances, key=lambda entry: -entry[1])[:WORST]
    return {
        "distance": DISTANCE,
        "worst": [{"file": file, "distance": distance} for file, distance in farthest],
    }


def cautions(reference, generated):
    """What a reader of the report must know: small sets, skipped files, rows left out."""
    sentences = []
    for name, embedded in (("reference", reference), ("generated", generated)):
        sentences += few_rows(name, embedded.num_rows, embedded.dimensions, clips=embedded.clips)
        if embedded.skipped:
            files = len(embedded.skipped)
            sentences.append(f"{name}: {files} of {files + embedded.clips} files could not be read.")
        if len(embedded.rows) < embedded.num_rows:
            sentences.append(
                f"{name}: all scores but frechet are of {len(embedded.rows)} rows chosen at random from "
                f"{embedded.num_rows}."
            )
    return sentences
