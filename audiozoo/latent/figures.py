"""Pictures of what is found in codes, as matplotlib ``Figure`` and, if asked, as PNG."""

import numpy as np

from audiozoo.latent.descriptors import NAMES, UNITS
from audiozoo.latent.maps import within_view
from audiozoo.metrics.spectra import stft_magnitude
from audiozoo.plots import check_png, new_figure, saved

FLOOR_DB = -80.0
MOST_LABELS = 12  # of which each has a colour and a place in the legend


def fidelity_curves(basis, *, fidelities=(0.8, 0.9, 0.95, 0.99), path=None):
    """Fidelity against the number of directions that are kept, by both definitions.

    Args:
        basis: ``InformativeBasis``.
        fidelities: to mark on the curve of the singular values.
        path: file ending in .png to write as well, or None.
    """
    check_png(path)
    figure = new_figure((6, 3.6))
    panel = figure.subplots()
    ranks = np.arange(1, len(basis.centre) + 1)
    panel.plot(ranks, basis.fidelities("singular"), ".-", label="singular values (RAVE, eq. 11)")
    panel.plot(ranks, basis.fidelities("variance"), ".-", label="explained variance")
    for fidelity in fidelities:
        rank = basis.rank(fidelity)
        panel.plot([rank], [basis.fidelities()[rank - 1]], "o", color="C0", markersize=9, fillstyle="none")
    panel.set(xlabel="directions kept", ylabel="fidelity", ylim=(0.0, 1.03))
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right", fontsize=8)
    return saved(figure, path)


def association_map(association, *, title, path=None):
    """How each number of a code goes along with each descriptor, as colours; dots where 0 is outside.

    Args:
        association: ``Association`` of ``(dims, descriptors)``, the most informative number first.
        title: what the numbers are.
        path: see ``fidelity_curves``.
    """
    check_png(path)
    dims, descriptors = association.value.shape
    figure = new_figure((1.2 + 0.32 * dims, 1.4 + 0.34 * descriptors))
    panel = figure.subplots()
    image = panel.imshow(association.value.T, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
    clear = (association.low > 0) | (association.high < 0)
    panel.plot(*np.nonzero(clear), "k.", markersize=3)
    names = NAMES if descriptors == len(NAMES) else [str(number + 1) for number in range(descriptors)]
    panel.set_xticks(range(dims), [str(number + 1) for number in range(dims)], fontsize=8)
    panel.set_yticks(range(descriptors), names, fontsize=9)
    panel.set_xlabel("direction, the most informative first")
    panel.set_title(title, fontsize=10)
    figure.colorbar(image, ax=panel)
    return saved(figure, path)


def plane(points, values, *, title, categories=False, path=None):
    """Points of a plane, coloured.

    Args:
        points: ``(points, 2)``.
        values: for each point a number, or a name where ``categories``. Of many names, the most frequent ones
            have a colour.
        title: what the colours are.
        categories: whether values are names.
        path: see ``fidelity_curves``.
    """
    check_png(path)
    points = within_view(points)
    figure = new_figure((6.4, 4.8))
    panel = figure.subplots()
    if categories:
        values = np.asarray(values).astype(str)
        kinds, counts = np.unique(values, return_counts=True)
        named = sorted(kinds[np.argsort(-counts)][:MOST_LABELS])
        rest = ~np.isin(values, named)
        panel.plot(*points[rest].T, ".", color="0.8", markersize=4)
        for number, kind in enumerate(named):
            colour = "0.7" if kind == "none" else f"C{number % 10}"
            style = {"color": colour, "marker": "." if number < 10 else "+"}
            panel.plot(*points[values == kind].T, markersize=4, linestyle="", label=kind or "?", **style)
        panel.legend(fontsize=8, markerscale=2, loc="center left", bbox_to_anchor=(1.0, 0.5), title=title)
    else:
        known = np.isfinite(values)
        panel.plot(*points[~known].T, ".", color="0.8", markersize=4)
        dots = panel.scatter(*points[known].T, c=np.asarray(values)[known], s=8, cmap="viridis")
        figure.colorbar(dots, ax=panel, label=title)
    panel.set_xticks([])
    panel.set_yticks([])
    return saved(figure, path)


def spectrogram_strip(sounds, titles, *, sample_rate, path=None):
    """Spectrograms beside each other, on one scale.

    Args:
        sounds: ``(sounds, samples)``, or a list of such.
        titles: of each.
        sample_rate: Hz.
        path: see ``fidelity_curves``.
    """
    check_png(path)
    window_length, hop = 1024, 256
    magnitudes = [
        stft_magnitude(
            np.pad(sound.astype("float64"), (0, max(0, window_length - len(sound)))),
            window_length=window_length,
            hop=hop,
        )
        for sound in sounds
    ]
    loudest = max(magnitude.max() for magnitude in magnitudes) or 1.0
    figure = new_figure((1.2 + 1.25 * len(sounds), 2.6))
    panels = np.atleast_1d(figure.subplots(1, len(sounds), sharey=True))
    for panel, magnitude, title in zip(panels, magnitudes, titles, strict=True):
        image = panel.imshow(
            20.0 * np.log10(np.maximum(magnitude.T / loudest, 10.0 ** (FLOOR_DB / 20.0))),
            origin="lower",
            aspect="auto",
            extent=(0, len(magnitude) * hop / sample_rate, 0, sample_rate / 2000),
            vmin=FLOOR_DB,
            vmax=0.0,
            cmap="magma",
            interpolation="nearest",
        )
        panel.set_title(title, fontsize=9)
        panel.set_xticks([])
    panels[0].set_ylabel("kHz")
    figure.colorbar(image, ax=panels, label="dB")
    return saved(figure, path)


def image_strip(images, titles, *, path=None):
    """Grey images in 0..1 beside each other, each with its title."""
    check_png(path)
    figure = new_figure((1.2 * len(images), 1.5))
    panels = np.atleast_1d(figure.subplots(1, len(images)))
    for panel, image, title in zip(panels, images, titles, strict=True):
        panel.imshow(image, cmap="gray", vmin=0.0, vmax=1.0)
        panel.set_title(title, fontsize=8)
        panel.set_axis_off()
    return saved(figure, path)


def descriptor_curves(described, *, seconds, path=None):
    """Loudness and centroid along sounds.

    Args:
        described: name of each sound to descriptors ``(frames, 7)``.
        seconds: length of each sound, by the same names.
        path: see ``fidelity_curves``.
    """
    check_png(path)
    figure = new_figure((8, 3.8))
    panels = figure.subplots(2, 1, sharex=True)
    for number, (name, rows) in enumerate(described.items()):
        t = np.linspace(0.0, seconds[name], len(rows))
        for panel, column in zip(panels, (0, 1), strict=True):
            values = rows[:, column] if column == 0 else 2.0 ** rows[:, column] / 1000.0
            panel.plot(t, values, color=f"C{number}", linewidth=1, label=name)
    panels[0].set_ylabel(f"{NAMES[0]} / {UNITS[0]}")
    panels[1].set(ylabel=f"{NAMES[1]} / kHz", xlabel="time / s")
    for panel in panels:
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return saved(figure, path)


def bars(values, low, high, names, *, label, path=None):
    """Values with their intervals, a bar each."""
    check_png(path)
    figure = new_figure((6, 2.6))
    panel = figure.subplots()
    known = np.flatnonzero(np.isfinite(values))
    reach = np.maximum(0.0, np.stack([values - low, high - values])[:, known])
    panel.barh(known, values[known], xerr=reach, color="C0", alpha=0.8)
    panel.set_yticks(range(len(names)), names, fontsize=9)
    panel.invert_yaxis()
    panel.set(xlabel=label, xlim=(min(0.0, float(np.nanmin(low, initial=0.0))), 1.0))
    panel.grid(alpha=0.3, axis="x")
    return saved(figure, path)
