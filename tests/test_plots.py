import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.image import imread

from audiozoo.errors import AudioError, OutputError
from audiozoo.plots import image_rows, latent_scatter, mel_sheet, spectrogram_comparison


def sine(hz, seconds=1.0, sample_rate=16000):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate).astype("float32")


def panels(figure):
    return figure.axes[:2]


def test_a_sine_is_a_line_at_its_frequency_on_the_axis():
    figure = spectrogram_comparison(sine(1000), 0.1 * sine(3000))
    for panel, kilohertz, level in zip(panels(figure), (1.0, 3.0), (0, -20), strict=True):
        (image,) = panel.get_images()
        decibels = image.get_array()
        left, right, bottom, top = image.get_extent()
        row = int(np.median(decibels.argmax(axis=0)))
        assert bottom + (top - bottom) * row / (len(decibels) - 1) == pytest.approx(kilohertz, abs=0.02)
        assert decibels.max() == pytest.approx(level, abs=0.5)  # one scale for both
        assert image.get_clim() == (-80, 0)
        assert right == pytest.approx(1.0, abs=0.05)


def test_titles_units_and_rate_are_written_on_it():
    figure = spectrogram_comparison(
        sine(440, sample_rate=44100), sine(440, sample_rate=44100), sample_rate=44100, titles=("A", "B")
    )
    assert [panel.get_title() for panel in panels(figure)] == ["A", "B"]
    assert panels(figure)[0].get_ylabel() == "frequency / kHz"
    assert panels(figure)[1].get_xlabel() == "time / s"
    assert panels(figure)[0].get_ylim() == pytest.approx((0, 22.05))


@pytest.mark.parametrize("samples", [1, 100, 1600])
def test_short_sounds_silence_and_stereo_are_drawn(samples):
    figure = spectrogram_comparison(np.zeros(samples), np.zeros((16000, 2), "int16"))
    for panel in panels(figure):
        assert np.all(np.isfinite(panel.get_images()[0].get_array()))


def test_the_file_is_a_picture_and_appears_whole(tmp_path):
    path = tmp_path / "new" / "a.png"
    spectrogram_comparison(sine(440), sine(880), path=str(path))
    assert imread(path).shape == (600, 1000, 4)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
    assert not pyplot.get_fignums()  # nothing waits for a window


def test_an_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file"):
        spectrogram_comparison(sine(440), sine(880), path=tmp_path / "file" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bad_audio_is_refused():
    with pytest.raises(AudioError, match="audio must hold at least one sample"):
        spectrogram_comparison([], sine(440))
    with pytest.raises(AudioError, match="audio must be finite"):
        spectrogram_comparison(sine(440), np.full(100, np.nan))
    with pytest.raises(AudioError, match="sample_rate must be"):
        spectrogram_comparison(sine(440), sine(440), sample_rate=0)
    with pytest.raises(AudioError, match=r"Pass audio\.T"):
        spectrogram_comparison(np.zeros((2, 16000)), sine(440))


def test_images_stand_in_rows_with_a_line_between_them(tmp_path):
    rows = np.random.default_rng(0).random((2, 5, 8, 6))
    figure = image_rows(rows, titles=("A", "B"), path=tmp_path / "a.png")
    assert [panel.get_title() for panel in figure.axes] == ["A", "B"]
    for panel, row in zip(figure.axes, rows, strict=True):
        (image,) = panel.get_images()
        drawn = np.asarray(image.get_array())
        assert drawn.shape == (8, 5 * 7)
        np.testing.assert_array_equal(drawn[:, 7:13], row[1])
        assert image.get_clim() == (0.0, 1.0)  # the same grey in every row
    assert imread(tmp_path / "a.png").ndim == 3


def test_spectrograms_stand_upright_in_rows_on_one_scale(tmp_path):
    rows = [np.random.default_rng(0).random((3, 20, 8)), 5.0 * np.random.default_rng(1).random((2, 20, 8))]
    figure = mel_sheet(rows, titles=("A", "B"), frame_rate=10.0, path=tmp_path / "a.png")
    assert len(figure.axes) == 6
    assert [panel.get_ylabel() for panel in figure.axes[::3]] == ["A", "B"]
    drawn = [panel.get_images() for panel in figure.axes]
    assert [len(images) for images in drawn] == [1, 1, 1, 1, 1, 0]  # a row may be shorter
    np.testing.assert_array_equal(drawn[3][0].get_array(), rows[1][0].T)  # low bands below, time to the right
    assert drawn[0][0].origin == "lower"
    assert drawn[0][0].get_extent()[1] == 2.0  # seconds
    assert len({images[0].get_clim() for images in drawn if images}) == 1
    assert imread(tmp_path / "a.png").ndim == 3


def test_codes_are_points_coloured_by_label():
    codes = np.random.default_rng(0).standard_normal((30, 2))
    labels = [str(index % 3) for index in range(30)]
    (panel,) = latent_scatter(codes, labels=labels, axes=("a", "b")).axes
    assert [line.get_label() for line in panel.lines] == ["0", "1", "2"]
    np.testing.assert_array_equal(panel.lines[1].get_xydata(), codes[1::3])
    assert len({line.get_color() for line in panel.lines}) == 3
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("a", "b")
    (panel,) = latent_scatter(codes).axes
    np.testing.assert_array_equal(panel.lines[0].get_xydata(), codes)
    assert panel.get_legend() is None
    (panel,) = latent_scatter(codes, labels=list(range(30))).axes
    assert len({tuple(line.get_color()) for line in panel.lines}) == 30


def test_pictures_of_something_else_are_refused():
    with pytest.raises(ValueError, match=r"rows must be \(images, height, width\), all of one shape"):
        image_rows([np.zeros((2, 4, 4)), np.zeros((3, 4, 4))], titles=("a", "b"))
    with pytest.raises(ValueError, match="and titles one for each"):
        image_rows([np.zeros((2, 4, 4))], titles=("a", "b"))
    with pytest.raises(ValueError, match=r"codes must be \(points, 2\); got shape \(5, 3\)"):
        latent_scatter(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="labels must be one for each of 5 points; got 4"):
        latent_scatter(np.zeros((5, 2)), labels="abcd")
    for draw in (lambda path: latent_scatter(np.zeros((5, 2)), path=path), check_rows):
        with pytest.raises(ValueError, match=r"path must end in .png; got 'a.pdf'"):
            draw("a.pdf")


def check_rows(path):
    return image_rows([np.zeros((2, 4, 4))], titles=("a",), path=path)
