"""How close a VAE of sound comes to recordings, and what its code says of them."""

import fnmatch

import numpy as np

# Relative errors of what is quieter than this are of nothing that is heard.
QUIET_RMS = 1e-3
MOST_JUDGED = 40  # files, by which recipes are told apart
CONVERGENCE_WINDOWS = (2048, 1024, 512, 256, 128)


def reconstructions(model, folder, *, only, whole):
    """Reconstruction of every file below a folder, clip by clip.

    Args:
        model: AudioVAE.
        folder: of files.
        only: shell pattern of their names.
        whole: use all files, not only those that training on that folder leaves out.

    Yields:
        ``(name, reference, generated, errors)``: clips ``(clips, samples)`` of a file as long as training's,
        those quieter than -60 dB left out; their reconstructions, and ``errors``.
    """
    from audiozoo.errors import DataError

    crops = crops_of(model, folder, seconds=None, whole=whole)
    named = [index for index, clip in enumerate(crops.clips) if fnmatch.fnmatch(clip.name, only)]
    if not named:
        raise DataError(f"only must match a file; {only!r} matches none. Use '*' for all.")
    for index in named:
        audio = sounding_clips(crops, index)
        if len(audio):
            generated = model.reconstruct(audio)
            found = errors(model, audio, generated) | {"active_dimensions": active_dimensions(model, audio)}
            if hasattr(model, "decode_spectrogram"):
                found |= {"mean_spectral_convergence_griffin_lim": griffin_lim_convergence(model, audio)}
            yield crops.clips[index].name, audio, generated, found


def crops_of(model, folder, *, seconds, whole=False):
    """Clips of the length given, or of the training's, from files that are held out, or from all."""
    from audiozoo.data.clips import ClipCrops
    from audiozoo.registry import Train
    from audiozoo.training.material import read_folder

    train = model.preset.train or Train()
    clips = read_folder(
        folder, sample_rate=model.sample_rate, recording_pattern=train.recording_pattern, progress=False
    )
    crops = ClipCrops(
        clips,
        sample_rate=model.sample_rate,
        clip_seconds=seconds or train.clip_seconds,
        test_share=0.0 if whole else train.test_share,
        seed=train.seed,
    )
    if whole:
        crops.held_out = set(range(len(clips)))
    return crops


def sounding_clips(crops, index):
    """Consecutive clips ``(clips, samples)`` of held-out file ``index``; none if it is trained on."""
    places = [place for place in crops.validation_places() if place[0] == index]
    if not places:
        return np.zeros((0, crops.samples), "float32")
    audio = crops.collate(*zip(*places, strict=True))["audio"]
    return audio[np.sqrt(np.mean(audio**2, axis=1)) > QUIET_RMS]


def errors(model, audio, generated):
    """Of the clips of one file, together: SNR in dB and NMSE of all samples, spectra clip by clip."""
    from audiozoo import metrics

    pair = audio.reshape(-1), generated.reshape(-1)
    found = {
        "snr_db": float(metrics.snr_db(*pair)),
        "nmse": float(metrics.nmse(*pair)),
        "mean_spectral_convergence": mean_convergence(audio, generated),
    }
    if hasattr(model, "decode_spectrogram"):
        found |= spectrogram_errors(model, audio)
    return found


def mean_convergence(audio, generated):
    """Spectral convergence, mean over clips and over five windows."""
    from audiozoo import metrics

    return float(
        np.mean(
            [
                metrics.spectral_convergence(audio, generated, window_length=window)
                for window in CONVERGENCE_WINDOWS
            ]
        )
    )


def spectrogram_errors(model, audio):
    """Of what the decoder says, before audio is made of it; and what is lost with no decoder at all."""
    spectrogram = model.spectrogram(audio)
    said = model.decode_spectrogram(model.encode(audio), samples=audio.shape[1])
    without_model = model.item_of(spectrogram, audio.shape[1:])
    return {
        "mel_mean_squared_error": float(np.mean((spectrogram - said) ** 2)),
        "mel_mean_absolute_error": float(np.mean(np.abs(spectrogram - said))),
        "mean_spectral_convergence_without_model": mean_convergence(audio, without_model),
    }


def griffin_lim_convergence(model, audio):
    """``mean_convergence`` of what Griffin-Lim makes of the decoder's spectrogram from random phase."""
    said = model.decode_spectrogram(model.encode(audio), samples=audio.shape[1])
    heard = model.transform.invert(said, method="griffin_lim", iterations=100, samples=audio.shape[1])
    return mean_convergence(audio, heard)


def active_dimensions(model, audio):
    """Dimensions of the code that change within a file; None where it has one code only."""
    from audiozoo import metrics

    code = model.encode(audio)
    return int(metrics.active_units(code).sum()) if code[..., 0].size > 1 else None


def code_statistics(model, audio):
    """What the codes of all clips say: nats, active dimensions, distance from the prior.

    Args:
        model: AudioVAE.
        audio: ``(clips, samples)``.
    """
    from audiozoo import metrics

    posterior = model.code_distribution(audio)
    mean, log_variance = posterior["mean"], posterior["log_variance"]
    kl = metrics.kl_per_dimension(mean, log_variance)
    return {
        "dimensions": int(mean.shape[-1]),
        "active_dimensions": int(metrics.active_units(mean).sum()),
        "numbers_per_clip": int(mean[0].size),
        "kl_nats": float(kl.sum()),
        "kl_nats_of_each_dimension": [float(value) for value in kl],
        "prior_mismatch_nats": float(metrics.prior_mismatch(mean, log_variance).sum()),
    }


def judge(model, data, *, seconds, apart):
    """Errors of the held-out files, of 40 evenly chosen ones where they are more, and means.

    Args:
        model: AudioVAE, with its preset.
        data: folder that it was trained on.
        seconds: length of the clips, or None for that of the training.
        apart: shell pattern of files to be left out of a second mean; "" for none.

    Returns:
        Dict: ``held_out``, means over files; ``held_out_without``, where ``apart`` matches;
        ``held_out_by_folder``; ``code``.
    """
    crops = crops_of(model, data, seconds=seconds)
    found, folders, heard = {}, {}, []
    indices = sorted(crops.held_out)
    for index in indices[:: -(-len(indices) // MOST_JUDGED)]:
        audio = sounding_clips(crops, index)
        if len(audio):
            clip = crops.clips[index]
            found[clip.name] = errors(model, audio, model.reconstruct(audio))
            folders.setdefault(clip.label, []).append(clip.name)
            heard.append(audio)
    means = {
        "held_out": mean_of(found, found),
        "held_out_by_folder": {label: mean_of(found, names) for label, names in folders.items()},
        "code": code_statistics(model, np.concatenate(heard)),
    }
    rest = [name for name in found if not fnmatch.fnmatch(name, apart)]
    return means | ({"held_out_without": mean_of(found, rest)} if 0 < len(rest) < len(found) else {})


def mean_of(found, names):
    """Mean of every error over some files."""
    return {key: float(np.mean([found[name][key] for name in names])) for key in next(iter(found.values()))}
