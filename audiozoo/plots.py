"""Pictures of sound, of images and spectrograms beside each other, and of codes."""

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
    check_png(path)
    import librosa

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
    figure = new_figure((10, 6))
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
    return saved(figure, path)


def image_rows(rows, *, titles, path=None):
    """Rows of grey images beneath each other.

    Args:
        rows: each ``(images, height, width)`` in 0..1, all of one shape; 1 is drawn white.
        titles: of the rows.
        path: file ending in .png to write as well, or None.

    Returns:
        matplotlib ``Figure``.

    Raises:
        ValueError: rows of unequal shapes, not one title for each, or a path of another format.
        OutputError: the file cannot be written.
    """
    check_png(path)
    shapes = {np.shape(row) for row in rows}
    if len(shapes) != 1 or len(titles) != len(rows) or len(next(iter(shapes))) != 3:
        raise ValueError(
            "rows must be (images, height, width), all of one shape, and titles one for each; got shapes "
            f"{sorted(shapes)} and {len(titles)} titles."
        )
    columns, height, width = next(iter(shapes))
    figure = new_figure((0.8 * columns, 0.8 * height / width * len(rows) + 0.3 * len(rows)))
    for panel, row, title in zip(np.atleast_1d(figure.subplots(len(rows), 1)), rows, titles, strict=True):
        framed = np.pad(row, ((0, 0), (0, 0), (0, 1)), constant_values=0.5)  # to see where the next begins
        panel.imshow(np.hstack(list(framed)), cmap="gray", vmin=0.0, vmax=1.0)
        panel.set_title(title, fontsize=9)
        panel.set_axis_off()
    return saved(figure, path)


def mel_sheet(rows, *, titles, frame_rate, path=None):
    """Rows of mel spectrograms beneath each other, all on one scale.

    Args:
        rows: each ``(spectrograms, frames, bands)``, all of one shape but for the first number.
        titles: of the rows.
        frame_rate: Hz.
        path: file ending in .png to write as well, or None.

    Returns:
        matplotlib ``Figure``.

    Raises:
        ValueError: rows of unequal shapes, not one title for each, or a path of another format.
        OutputError: the file cannot be written.
    """
    check_png(path)
    shapes = {np.shape(row)[1:] for row in rows}
    if len(shapes) != 1 or len(titles) != len(rows) or len(next(iter(shapes))) != 2:
        raise ValueError(
            "rows must be (spectrograms, frames, bands), of equal frames and bands, and titles one for each; "
            f"got shapes {[np.shape(row) for row in rows]} and {len(titles)} titles."
        )
    ((frames, _),) = shapes
    columns = max(len(row) for row in rows)
    levels = np.concatenate([np.ravel(row) for row in rows])
    lowest, highest = np.percentile(levels, [1.0, 99.8])
    figure = new_figure((1.6 * columns + 0.4, 1.3 * len(rows) + 0.4))
    panels = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    for line, row, title in zip(panels, rows, titles, strict=True):
        line[0].set_ylabel(title, fontsize=8)
        for panel, spectrogram in zip(line, row, strict=False):
            panel.imshow(
                np.asarray(spectrogram).T,
                origin="lower",
                aspect="auto",
                extent=(0, frames / frame_rate, 0, 1),
                vmin=lowest,
                vmax=highest,
                cmap="magma",
            )
            panel.set_yticks([])
            panel.tick_params(labelsize=7)
        for panel in line[len(row) :]:
            panel.set_axis_off()
    for panel in panels[-1]:
        panel.set_xlabel("s", fontsize=7)
    return saved(figure, path)


def latent_scatter(codes, *, labels=None, axes=("first dimension", "second dimension"), path=None):
    """Codes as points of a plane.

    Args:
        codes: ``(points, 2)``.
        labels: one for each point, by which it is coloured, or None.
        axes: what the two are.
        path: file ending in .png to write as well, or None.

    Returns:
        matplotlib ``Figure``.

    Raises:
        ValueError: codes of another shape, not one label for each, or a path of another format.
        OutputError: the file cannot be written.
    """
    check_png(path)
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != 2:
        raise ValueError(f"codes must be (points, 2); got shape {codes.shape}. Choose two dimensions.")
    if labels is not None and len(labels) != len(codes):
        raise ValueError(f"labels must be one for each of {len(codes)} points; got {len(labels)}.")
    figure = new_figure((6, 5.5))
    panel = figure.subplots()
    kinds = [None] if labels is None else sorted(set(labels))
    colours = "tab10" if len(kinds) <= 10 else "turbo"
    from matplotlib import colormaps

    for number, kind in enumerate(kinds):
        chosen = codes if kind is None else codes[np.asarray(labels) == kind]
        share = number if len(kinds) <= 10 else number / (len(kinds) - 1)
        panel.plot(*chosen.T, ".", markersize=4, alpha=0.7, color=colormaps[colours](share), label=kind)
    panel.set(xlabel=axes[0], ylabel=axes[1], aspect="equal")
    if 1 < len(kinds) <= 30:
        panel.legend(fontsize=8, markerscale=2, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return saved(figure, path)


def check_png(path):
    """Raise ValueError unless ``path`` is None or ends in .png."""
    if path is not None and not str(path).endswith(".png"):
        raise ValueError(f"path must end in .png; got {str(path)!r}.")


def new_figure(inches):
    """A matplotlib ``Figure`` that no window shows, ready to be drawn into."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def saved(figure, path):
    """The figure, written to ``path`` whole or not at all, unless that is None."""
    if path is not None:
        from pathlib import Path

        from audiozoo.atomic import make_folder, replacing

        make_folder(Path(path).parent)
        with replacing(path) as draft:
            figure.savefig(draft, dpi=100)
    return figure
