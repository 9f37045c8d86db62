"""Where the results on a model card were measured: for each, a result file and a path of keys in it."""

# Braces stand for the name of the preset, ``{family}`` for the name without its size.
SOURCES = {
    "test_elbo_nats": ("{}", "preset", "test_elbo_nats"),
    "test_kl_nats": ("{}", "preset", "test_kl_nats"),
    "mss": ("quality_{}", "mean", "mss"),
    "mss_without_chords": ("quality_{}_without_chords", "mean", "mss"),
    "f0_median_error_cents_without_chords": ("quality_{}_without_chords", "mean", "f0_median_error_cents"),
    "loudness_mean_error_db_without_chords": ("quality_{}_without_chords", "mean", "loudness_mean_error_db"),
    "snr_db": ("quality_{}", "mean", "snr_db"),
    "snr_db_tones": ("quality_{}_tones", "mean", "snr_db"),
    "nmse": ("quality_{}", "mean", "nmse"),
    "active_dimensions": ("quality_{}", "mean", "active_dimensions"),
    "mean_spectral_convergence": ("quality_{}", "mean", "mean_spectral_convergence"),
    "mean_spectral_convergence_griffin_lim": ("quality_{}", "mean", "mean_spectral_convergence_griffin_lim"),
    "mean_spectral_convergence_without_model": (
        "quality_{}",
        "mean",
        "mean_spectral_convergence_without_model",
    ),
    "mel_mean_squared_error": ("quality_{}", "mean", "mel_mean_squared_error"),
    "raw_pitch_accuracy": ("pitch", "trackers", "{}", "mean", "raw_pitch_accuracy"),
    "voicing_recall": ("pitch", "trackers", "{}", "mean", "voicing_recall"),
    "voicing_false_alarm": ("pitch", "trackers", "{}", "mean", "voicing_false_alarm"),
    "class_recognised": ("{family}_quality", "sets", "samples", "accuracy_as_music"),
    "class_recognised_real": ("{family}_quality", "sets", "held_out", "accuracy_as_music"),
    "frechet_distance": ("{family}_quality", "sets", "samples", "frechet_distance"),
    "frechet_distance_real": ("{family}_quality", "sets", "held_out", "frechet_distance"),
    "frechet_distance_noise": ("{family}_quality", "sets", "noise", "frechet_distance"),
    "spread": ("{family}_quality", "sets", "samples", "spread_of_spectrograms"),
    "nats_per_number": ("{family}_quality", "nats_per_number", "model"),
    "nats_per_number_ar1": ("{family}_quality", "nats_per_number", "ar1"),
    "mel_error_db": ("vocoder_quality", "rows", "{}", "mel_error_db"),
    "mel_error_db_then_griffin_lim": ("vocoder_quality", "rows", "{}, then Griffin-Lim, 32", "mel_error_db"),
    "mss_alone": ("vocoder_quality", "rows", "{}", "mss"),
    "mss_then_griffin_lim": ("vocoder_quality", "rows", "{}, then Griffin-Lim, 32", "mss"),
    "transfer_times_real_time": ("parts_{}_tensorflow", "transfer", "times_real_time_median"),
}


def source(preset, key):
    """Where a result of a preset comes from.

    Args:
        preset: its name.
        key: of ``card.results``.

    Returns:
        List: name of a result file, then the keys that lead to the number.
    """
    return [part.format(preset, family=preset.removesuffix("_small")) for part in SOURCES[key]]
