"""Pictures of sound."""

import numpy as np


def spectrogram_comparison(x, y, *, sample_rate=16000, titles=("input", "output"), path=None):
    """Two spectrograms beneath each other, on the same axes and the same decibel scale.

    Args:
        x, y: audio ``(samples,)``.
        sample_rate: Hz, of both.
        titles: of the two pictures.
        path: file ending in .png to write as well, or None.

    Returns:
        matplotlib ``Figure``.

    Raises:
        AudioError: audio is empty or not finite.
        ValueError: not two titles, or a path of another format.
        OutputError: the file cannot be written.
    """
    if len(titles) != 2:
        raise ValueError(f"titles must be two, one for each picture; got {titles!r}.")
    if path is not None and not str(path).endswith(".png"):
        raise ValueError(f"path must end in .png; got {str(path)!r}.")
    import librosa
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from audiozoo.atomic import make_folder, replacing
    from audiozoo.data.audio_io import mono_at_rate

    window_length, hop = 1024, 256
    sounds = [mono_at_rate(audio, sample_rate, sample_rate) for audio in (x, y)]
    magnitudes = [
        np.abs(
            librosa.stft(np.pad(a, (0, max(0, window_length - len(a)))), n_fft=window_length, hop_length=hop)
        )
        for a in sounds
    ]
    loudest = max(magnitude.max() for magnitude in magnitudes) or 1.0
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 1, sharex=True, sharey=True)
    for panel, magnitude, title in zip(panels, magnitudes, titles, strict=True):
        decibels = 20.0 * np.log10(np.maximum(magnitude / loudest, 1e-5))
        seconds = magnitude.shape[1] * hop / sample_rate
        image = panel.imshow(
            decibels,
            origin="lower",
            aspect="auto",
            extent=(0, seconds, 0, sample_rate / 2000),
            vmin=-80,
            vmax=0,
            cmap="magma",
        )
        panel.set(title=title, ylabel="frequency / kHz")
    panels[-1].set_xlabel("time / s")
    figure.colorbar(image, ax=panels, label="level / dB")
    if path is not None:
        from pathlib import Path

        make_folder(Path(path).parent)
        with replacing(path) as draft:
            figure.savefig(draft, dpi=100)
    return figure
