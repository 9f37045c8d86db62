"""Audio to standardised log-mel spectrograms and back, against librosa."""

import keras
import librosa
import numpy as np
import pytest
from cases import LayerCase, compiled
from keras import ops

from audiozoo.dsp.inversion import griffin_lim
from audiozoo.errors import AudioError, StatisticsMissing
from audiozoo.layers import AudioTransform, MelSpectrogram

RATE = 16000
CONFIG = {
    "sample_rate": RATE,
    "num_mels": 40,
    "window_length": 512,
    "hop": 128,
    "window": "gaussian",
    "lowest_hz": 50.0,
    "highest_hz": 7600.0,
    "mel_scale": "htk",
    "gain": 300.0,
}


def tones(count=3, samples=6000, seed=0):
    """Decaying harmonic tones over a little noise, ``(count, samples)``."""
    rng, seconds = np.random.default_rng(seed), np.arange(samples) / RATE
    audio = 1e-3 * rng.standard_normal((count, samples))
    for clip in audio:
        f0_hz = rng.uniform(100.0, 400.0)
        clip += sum(
            0.3 / k * np.exp(-k * seconds) * np.sin(2 * np.pi * f0_hz * k * seconds) for k in range(1, 16)
        )
    return audio.astype("float32")


def librosas_log_mel(audio, config):
    """``(..., frames, bands)`` by librosa, not standardised."""
    position = np.arange(config["window_length"]) / config["window_length"] - 0.5
    shape = np.exp(-4.0 * np.log(100.0) * position**2) if config["window"] == "gaussian" else config["window"]
    mel = librosa.feature.melspectrogram(
        y=np.asarray(audio, "float64"),
        sr=config["sample_rate"],
        n_fft=config["window_length"],
        hop_length=config["hop"],
        window=shape,
        power=1.0,
        n_mels=config["num_mels"],
        fmin=config["lowest_hz"],
        fmax=config["highest_hz"],
        htk=config["mel_scale"] == "htk",
    )
    return np.log1p(config["gain"] * np.swapaxes(mel, -1, -2))


def adapted(**changes):
    layer = AudioTransform(**(CONFIG | changes))
    layer.adapt([tones(seed=1)])
    return layer


class TestAudioTransform(LayerCase):
    layer_class = AudioTransform
    config = CONFIG
    tolerance = 1e-4

    def make(self, **changes):
        layer = super().make(**changes)
        layer.adapt([tones(seed=1)])
        return layer

    def inputs(self):
        return [tones(2)]

    def oracle(self, layer, audio):
        mean, deviation = (weight.astype("float64") for weight in layer.get_weights())
        return (librosas_log_mel(audio, CONFIG) - mean) / deviation


def test_mel_magnitudes_are_those_before_compression_and_stay_finite():
    layer = adapted()
    magnitudes = ops.convert_to_numpy(layer.mel_of(layer(tones())))
    np.testing.assert_allclose(magnitudes, np.expm1(librosas_log_mel(tones(), CONFIG)) / 300.0, atol=1e-4)
    extremes = ops.convert_to_numpy(
        layer.mel_of(np.array([-1e3, 1e9], "float32")[:, None, None] * np.ones(40))
    )
    assert not extremes[0].any()
    assert np.isfinite(extremes).all()


@pytest.mark.parametrize("sample_rate", [22050, 44100])
def test_defaults_are_librosas_to_a_ten_thousandth(sample_rate):
    audio = tones(2, 30000)
    layer = AudioTransform(sample_rate=sample_rate)
    settings = {name: layer.get_config()[name] for name in CONFIG}
    assert (settings["num_mels"], settings["window_length"], settings["hop"]) == (128, 2048, 512)
    expected = librosas_log_mel(audio, settings)
    ours = ops.convert_to_numpy(compiled(layer.log_mel)(audio))
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 128, 5000])
def test_any_length_goes_forth_and_back_exactly_as_long(samples):
    layer, audio = adapted(), tones(2, samples)
    spectrogram = layer.spectrogram(audio)
    assert spectrogram.shape == (2, 1 + samples // 128, 40)
    assert layer.compute_output_shape((2, samples)) == spectrogram.shape
    assert layer.compute_output_shape((None, None)) == (None, None, 40)
    for method in ("griffin_lim", "pghi"):
        back = layer.invert(spectrogram, method=method, samples=samples, iterations=2)
        assert back.shape == (2, samples)
        assert np.all(np.isfinite(back))


def test_statistics_are_those_of_all_frames_at_once_however_they_are_cut():
    layer, clips = AudioTransform(**CONFIG), [tones(3, 6000), tones(1, 900, seed=1)[0], tones(2, 100, seed=2)]
    layer.adapt(clips)
    frames = np.concatenate([librosas_log_mel(clip, CONFIG).reshape(-1, 40) for clip in clips])
    mean, deviation = layer.get_weights()
    np.testing.assert_allclose(mean, frames.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(deviation, np.sqrt(frames.var(axis=0).mean()), rtol=1e-5)


def test_the_training_set_has_mean_0_and_variance_1():
    layer, audio = AudioTransform(**CONFIG), tones()
    layer.adapt(iter(audio))
    spectrogram = layer.spectrogram(audio)
    np.testing.assert_allclose(spectrogram.mean(axis=(0, 1)), 0.0, atol=1e-5)
    assert np.mean(spectrogram**2) == pytest.approx(1.0, abs=1e-5)


def test_statistics_are_no_parameters_and_are_measured_anew_each_time():
    layer = adapted()
    first = layer.get_weights()
    assert not layer.trainable_weights
    layer.adapt([0.1 * tones(seed=5)])
    assert np.all(layer.get_weights()[0] != first[0])
    layer.adapt([tones(seed=1)])
    np.testing.assert_array_equal(layer.get_weights()[0], first[0])


@pytest.mark.parametrize("window", ["hann", "gaussian"])
def test_magnitudes_have_the_spectrogram_that_they_were_made_of(window):
    layer = adapted(window=window)
    spectrogram = layer.spectrogram(tones(2))
    magnitude = layer.magnitude(spectrogram)
    assert magnitude.shape == (2, *spectrogram.shape[1:2], 257)
    again = (np.log1p(300.0 * magnitude @ layer.filters) - layer.get_weights()[0]) / layer.get_weights()[1]
    assert np.mean((again - spectrogram) ** 2) < 0.01


@pytest.mark.parametrize("method", ["griffin_lim", "pghi"])
@pytest.mark.parametrize("mel_inverse", ["nnls", "pinv"])
def test_sound_that_was_inverted_has_nearly_the_same_spectrogram(method, mel_inverse):
    layer = adapted(hop=64, num_mels=80)
    spectrogram = layer.spectrogram(tones(2))
    back = layer.invert(spectrogram, method=method, samples=6000, mel_inverse=mel_inverse)
    error = np.mean((layer.spectrogram(back) - spectrogram) ** 2)
    assert error < 0.1, f"of a variance of 1, {error} is lost"


def test_inversion_finds_the_pitch():
    layer, seconds = adapted(hop=64, num_mels=80), np.arange(6000) / RATE
    back = layer.invert(layer.spectrogram(0.5 * np.sin(2 * np.pi * 440.0 * seconds)))
    spectrum = np.abs(np.fft.rfft(back[1000:5000]))
    assert np.argmax(spectrum) * RATE / 4000 == pytest.approx(440.0, abs=10.0)


def test_inversion_is_the_parts_that_it_is_made_of():
    layer, audio = adapted(), tones(2)
    spectrogram = layer.spectrogram(audio)
    expected = griffin_lim(layer.magnitude(spectrogram), hop=128, window="gaussian", samples=6000, seed=3)
    np.testing.assert_array_equal(layer.invert(spectrogram, samples=6000, seed=3), expected)
    assert np.any(layer.invert(spectrogram, samples=6000, seed=4) != expected)


def test_an_item_is_inverted_as_if_alone():
    layer = adapted()
    spectrogram = layer.spectrogram(tones(2))
    for method in ("griffin_lim", "pghi"):
        together = layer.invert(spectrogram, method=method, iterations=3)
        alone = layer.invert(spectrogram[1], method=method, iterations=3)
        assert alone.ndim == 1
        np.testing.assert_allclose(together[1], alone, atol=1e-4)


@pytest.mark.parametrize("method", ["griffin_lim", "pghi"])
def test_silence_comes_back_as_silence(method):
    layer = adapted()
    back = layer.invert(layer.spectrogram(np.zeros(6000)), method=method, samples=6000)
    assert np.abs(back).max() < 1e-6


def test_a_keras_file_keeps_the_statistics(tmp_path):
    layer, audio = adapted(), tones(2)
    inputs = keras.Input((6000,))
    keras.Model(inputs, layer(inputs)).save(tmp_path / "transform.keras")
    loaded = keras.saving.load_model(tmp_path / "transform.keras").layers[-1]
    assert isinstance(loaded, AudioTransform)
    np.testing.assert_array_equal(loaded.spectrogram(audio), layer.spectrogram(audio))


def test_a_weights_file_keeps_the_statistics(tmp_path):
    layer, fresh = adapted(), AudioTransform(**CONFIG)
    saved, loaded = keras.Sequential([layer]), keras.Sequential([fresh])
    for model in (saved, loaded):
        model(np.zeros((1, 1000), "float32"))  # builds, whether anything was measured or not
    saved.save_weights(tmp_path / "transform.weights.h5")
    loaded.load_weights(tmp_path / "transform.weights.h5")
    np.testing.assert_array_equal(fresh.spectrogram(tones(1)), layer.spectrogram(tones(1)))


def test_within_a_compiled_model_it_is_the_same():
    layer, audio = adapted(), tones(2)
    model = keras.Sequential([layer])
    np.testing.assert_allclose(model.predict(audio, verbose=0), layer.spectrogram(audio), atol=1e-4)


def test_half_precision_leaves_the_signal_in_single():
    assert AudioTransform(**CONFIG, dtype="mixed_bfloat16").compute_dtype == "float32"


class TestRefusals:
    def test_before_adapt_the_doors_say_what_to_do_and_the_layer_gives_nan(self):
        layer = AudioTransform(**CONFIG, name="ears")
        for use in (lambda: layer.spectrogram(tones(1)), lambda: layer.invert(np.zeros((5, 40)))):
            with pytest.raises(StatisticsMissing, match=r"ears does not know .* Call adapt\(batches\)"):
                use()
        assert not np.any(np.isfinite(ops.convert_to_numpy(layer(tones(1)))))

    @pytest.mark.parametrize(
        "batches, sentence",
        [
            ([], "batches must hold audio of the training set; there was none"),
            ([np.zeros((3, 6000))], "batches must hold sound; every frame is the same"),
            ([tones(1), np.full(50, np.nan)], "batch 1 must be finite; 50 of 50 samples are NaN"),
            ([np.zeros((2, 0))], r"batch 0 must be .* not empty; got shape \(2, 0\)"),
        ],
    )
    def test_a_training_set_without_sound(self, batches, sentence):
        layer = adapted()
        before = layer.get_weights()
        with pytest.raises(AudioError, match=sentence):
            layer.adapt(batches)
        np.testing.assert_array_equal(layer.get_weights()[0], before[0])

    @pytest.mark.parametrize(
        "audio, sentence",
        [
            (np.array([0.0, np.inf, 0.0]), r"audio must be finite; 1 of 3 .* numpy.nan_to_num\(audio\)"),
            (np.zeros(0), r"audio must be \(samples,\) or \(batch, samples\), not empty; got shape \(1, 0\)"),
            (np.zeros((1, 100, 1)), r"not empty; got shape \(1, 100, 1\)"),
        ],
    )
    def test_audio_that_is_none(self, audio, sentence):
        with pytest.raises(AudioError, match=sentence):
            adapted().spectrogram(audio)

    @pytest.mark.parametrize(
        "spectrogram, sentence",
        [
            (np.full((5, 40), np.nan), "spectrogram must be finite; 200 values are NaN or infinite"),
            (np.full((5, 40), np.inf), "spectrogram must be finite; 200 values"),
            (np.zeros((5, 39)), r"spectrogram must be numbers \(frames, 40\) or .* of shape \(5, 39\)"),
            (np.zeros(40), r"spectrogram must be numbers \(frames, 40\) or .* of shape \(40,\)"),
            (np.zeros((0, 40)), r"not empty; got shape \(0, 40\)"),
        ],
    )
    def test_spectrograms_that_are_none(self, spectrogram, sentence):
        with pytest.raises(AudioError, match=sentence):
            adapted().invert(spectrogram)

    def test_unknown_methods_and_lengths(self):
        layer = adapted()
        with pytest.raises(ValueError, match="method must be one of .* got 'wavenet'. Use 'griffin_lim'"):
            layer.invert(np.zeros((5, 40)), method="wavenet")
        with pytest.raises(ValueError, match="mel_inverse must be one of .* got 'lstsq'. Use 'nnls'"):
            layer.invert(np.zeros((5, 40)), mel_inverse="lstsq")
        with pytest.raises(ValueError, match="iterations must be a whole number of at least 0; got -1"):
            layer.invert(np.zeros((5, 40)), iterations=-1)
        with pytest.raises(ValueError, match="seed must be a whole number of at least 0; got -1"):
            layer.invert(np.zeros((5, 40)), seed=-1)
        with pytest.raises(ValueError, match="samples must lie between 512 and 639"):
            layer.invert(np.zeros((5, 40)), samples=640)

    @pytest.mark.parametrize(
        "change, sentence",
        [
            ({"window": "kaiser"}, "window must be one of .* got 'kaiser'"),
            ({"window_length": 513}, "window_length must be even; got 513"),
            ({"hop": 400}, "hop must lie between 1 and half a window, 256 samples; got 400"),
            ({"gain": 0.0}, "gain must be positive; got 0.0"),
            ({"num_mels": 300}, "num_mels=300 leaves .* bands without any bin"),
        ],
    )
    def test_settings_that_make_no_transform(self, change, sentence):
        with pytest.raises(ValueError, match=sentence):
            AudioTransform(**(CONFIG | change))


class TestMelSpectrogram(LayerCase):
    layer_class = MelSpectrogram
    config = {
        "sample_rate": RATE,
        "num_mels": 40,
        "window_length": 512,
        "hop": 128,
        "lowest_hz": 50.0,
        "highest_hz": 7600.0,
    }
    tolerance = 1e-5

    def inputs(self):
        return [tones(2)]

    def oracle(self, layer, audio):
        padded = np.pad(audio.astype("float64"), ((0, 0), (192, 192)), mode="reflect")
        mel = librosa.feature.melspectrogram(
            y=padded,
            sr=RATE,
            n_fft=512,
            hop_length=128,
            center=False,
            power=1.0,
            n_mels=40,
            fmin=50.0,
            fmax=7600.0,
        )
        return np.log10(np.maximum(np.swapaxes(mel, 1, 2), 1e-5))

    def test_a_frame_stands_for_its_own_samples(self):
        layer = self.make()
        click = np.zeros((1, 1280), "float32")
        click[0, 4 * 128 + 64] = 1.0
        mel = ops.convert_to_numpy(layer(click))
        assert mel.shape == (1, 10, 40)
        assert layer.compute_output_shape((None, 1280)) == (None, 10, 40)
        assert np.argmax(mel.sum(axis=-1)) == 4
        np.testing.assert_allclose(mel[0, 3], mel[0, 5], atol=1e-5)

    def test_an_odd_hop_is_refused(self):
        with pytest.raises(ValueError, match="hop must be even; got 125"):
            self.make(hop=125)
