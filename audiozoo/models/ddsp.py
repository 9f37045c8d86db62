"""DDSP decoder: pitch and loudness in, an instrument out.

Paper: Engel, Hantrakul, Gu and Roberts (2020), DDSP: Differentiable Digital Signal Processing,
arXiv:2001.04643.
Differences: no latent z (the decoder-only model of the paper's timbre transfer); amplitude and
f0 move linearly inside a frame instead of Hann-overlapped; noise is not cut at the frame.
"""

import warnings

import keras
import numpy as np
from keras import layers, ops

from audiozoo.arguments import check_range, check_whole
from audiozoo.data.audio_io import mono_at_rate, validate_audio
from audiozoo.data.features import block_length, extract_features, loudness_statistics
from audiozoo.dsp.filters import convolve_in_blocks, filter_noise, looped_noise
from audiozoo.dsp.oscillators import MOST_FRAMES, cycles_of_steps, glide, phase_steps
from audiozoo.dsp.pitch import hz_to_midi
from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB
from audiozoo.dsp.tables import read_table
from audiozoo.errors import AudioError
from audiozoo.layers import GRU, FilteredNoiseSynth, HarmonicSynth, MinGRU, Perceptron, Reverb
from audiozoo.losses import MultiScaleSpectralLoss
from audiozoo.models.base import AudioModel
from audiozoo.models.exported import Array, Exported
from audiozoo.progress import track

CHUNK_FRAMES = 2048  # frames computed at once: bounds memory, whatever the length of the sound
SILENCE_DB = LOUDNESS_FLOOR_DB + 0.1  # at or below it, nothing sounds
QUIET_DB = -60.0  # a recording below it is meant to be silent
MARGIN_FRAMES = 2  # neighbours that reach into a chunk: glides, Nyquist fades
LOUDEST_DB = 10.0  # end of the loudness table; a full-scale square wave at 3 kHz reads +1 dB
RECURRENCES = {"gru": GRU, "mingru": MinGRU}


class ControlNetwork(layers.Layer):
    """Scaled pitch and loudness, each ``(batch, frames, 1)``, to the logits of every control.

    Two perceptrons read one scalar each, a recurrent layer remembers, a third perceptron reads all three.

    The first two are functions of a single number, so they can be read from a table of their values. So can
    what follows up to the next nonlinearity, being linear: the products with the input matrices of the
    recurrence and of the third perceptron. From the same weights two thirds of the arithmetic are saved.

    Args:
        num_units: width of every layer.
        num_harmonics, num_noise_bands: of the controls.
        recurrence: a key of ``RECURRENCES``.
        pitch_range, loudness_range: lowest and highest value in a table; beyond it the ends are held.
    """

    def __init__(
        self,
        *,
        num_units,
        num_harmonics,
        num_noise_bands,
        recurrence="gru",
        pitch_range=(0.0, 1.0),
        loudness_range=(-10.0, 10.0),
        **kwargs,
    ):
        super().__init__(**({"autocast": False} | kwargs))
        self.num_units, self.pitch_range, self.loudness_range = num_units, pitch_range, loudness_range
        # A scalar input needs the random bias: see Perceptron.
        self.pitch_perceptron = Perceptron(units=num_units, first_bias=1.0)
        self.loudness_perceptron = Perceptron(units=num_units, first_bias=1.0)
        self.recurrence = RECURRENCES[recurrence](num_units)
        self.joint_perceptron = Perceptron(units=num_units)
        self.amplitude_head = layers.Dense(1)
        self.harmonic_head = layers.Dense(num_harmonics)
        self.noise_head = layers.Dense(num_noise_bands)

    def build(self, pitch_shape=(None, None, 1), loudness_shape=None):
        frames = pitch_shape[:-1]
        self.pitch_perceptron.build((*frames, 1))
        self.loudness_perceptron.build((*frames, 1))
        self.recurrence.build((*frames, 2 * self.num_units))
        self.joint_perceptron.build((*frames, 3 * self.num_units))
        for head in (self.amplitude_head, self.harmonic_head, self.noise_head):
            head.build((*frames, self.num_units))

    def call(self, pitch, loudness, state=None, tables=None):
        if tables is None:
            both = ops.concatenate(
                [self.pitch_perceptron(pitch), self.loudness_perceptron(loudness)], axis=-1
            )
            memory, state = self.recurrence(both, initial_state=state)
            hidden = self.joint_perceptron(ops.concatenate([both, memory], axis=-1))
        else:
            pitch_part = read_table(tables[0], table_position(pitch, self.pitch_range, tables[0]))
            loudness_part = read_table(tables[1], table_position(loudness, self.loudness_range, tables[1]))
            both = pitch_part + loudness_part
            gates, joint = ops.split(both, [both.shape[-1] - self.num_units], axis=-1)
            memory, state = self.recurrence.recur(gates + self.recurrence.input_bias, state)
            joint = joint + ops.matmul(memory, self._joint_kernel()[2 * self.num_units :])
            hidden = self.joint_perceptron.after_first_product(joint)
        logits = {
            "amplitude_logits": self.amplitude_head(hidden),
            "harmonic_logits": self.harmonic_head(hidden),
            "noise_logits": self.noise_head(hidden),
        }
        return logits, state

    def parts(self, pitch, loudness):
        """What pitch and loudness each add to the recurrent gates and, after them, to the third perceptron.

        Any leading shape; channels are those of the gates and ``num_units``.
        """
        width = 2 * self.num_units
        kernel = ops.concatenate([self.recurrence.input_kernel, self._joint_kernel()[:width]], axis=1)
        return (
            ops.matmul(self.pitch_perceptron(pitch), kernel[: self.num_units]),
            ops.matmul(self.loudness_perceptron(loudness), kernel[self.num_units :]),
        )

    def tables(self, rows):
        """``parts`` at ``rows`` evenly spaced pitches and loudnesses, each ``(rows, channels)``."""
        pitch, loudness = (
            ops.linspace(*ends, rows, dtype="float32")[:, None]
            for ends in (self.pitch_range, self.loudness_range)
        )
        return self.parts(pitch, loudness)

    def _joint_kernel(self):
        return ops.cast(ops.convert_to_tensor(self.joint_perceptron.dense[0].kernel), self.compute_dtype)


def table_position(value, ends, table):
    """Where a value stands in a table of evenly spaced ones, in rows."""
    lowest, highest = ends
    return (ops.cast(value, "float32") - lowest) * ((table.shape[0] - 1.0) / (highest - lowest))


class DDSPDecoder(AudioModel):
    """Plays an instrument from pitch and loudness: harmonics plus filtered noise in a room.

    Args:
        sample_rate: Hz.
        hop: samples per frame of features.
        num_units: width of every layer.
        num_harmonics: partials of the harmonic bank.
        num_noise_bands: bands of the noise filter, 0 Hz to Nyquist.
        reverb_length: taps of the learned room.
        envelope: ``"linear"`` or ``"nearest"``, how controls move inside a frame.
        noise_tails: ``"overlap"`` or ``"cut"``, what happens to noise at a frame's end.
        pitch_scale: MIDI note number that the network sees as 1.
        loudness_mean_db, loudness_std_db: statistics of the training data; the network sees
            ``(loudness_db - mean) / std``.
        recurrence: ``"gru"``, or ``"mingru"``, which trains in half the time.
        table_rows: in training, the networks that read one number are evaluated at so many of its values
            and interpolated, see ``ControlNetwork``; 0: evaluated exactly, as always outside of training.

    Input:
        Dict with ``f0_hz`` and ``loudness_db``, each ``(batch, frames, 1)``; 0 Hz is unvoiced, and
        a loudness of ``LOUDNESS_FLOOR_DB`` is silence.
        Other entries (``audio``) are ignored.

    Output:
        Audio ``(batch, frames * hop)``, about -1..1.

    Reference:
        Engel et al. (2020), DDSP, arXiv:2001.04643, section 3 and appendix B.
    """

    trains_on = "instrument"

    def __init__(
        self,
        *,
        sample_rate=16000,
        hop=160,
        num_units=512,
        num_harmonics=100,
        num_noise_bands=65,
        reverb_length=16000,
        envelope="linear",
        noise_tails="overlap",
        pitch_scale=127.0,
        loudness_mean_db=-40.0,
        loudness_std_db=10.0,
        recurrence="gru",
        table_rows=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = {"sample_rate": sample_rate, "hop": hop, "num_units": num_units}
        sizes |= {"num_harmonics": num_harmonics, "reverb_length": reverb_length}
        for name, value in sizes.items():
            check_whole(name, value, 1)
        check_whole("num_noise_bands", num_noise_bands, 2)
        check_range("pitch_scale", pitch_scale, 1.0, 1e6)
        check_range("loudness_mean_db", loudness_mean_db, -200.0, 200.0)
        check_range("loudness_std_db", loudness_std_db, 0.01, 200.0)
        self.sample_rate, self.hop = sample_rate, hop
        self.num_units, self.num_harmonics, self.num_noise_bands = num_units, num_harmonics, num_noise_bands
        self.reverb_length, self.envelope, self.noise_tails = reverb_length, envelope, noise_tails
        if recurrence not in RECURRENCES:
            raise ValueError(
                f"recurrence must be one of {', '.join(RECURRENCES)}; got {recurrence!r}. Use 'gru'."
            )
        check_whole("table_rows", table_rows, 0)
        if table_rows == 1:
            raise ValueError("table_rows must be 0, for no table, or at least 2; got 1. Use 1024.")
        self.pitch_scale, self.recurrence, self.table_rows = pitch_scale, recurrence, table_rows
        self.loudness_mean_db, self.loudness_std_db = loudness_mean_db, loudness_std_db
        self.network = ControlNetwork(
            num_units=num_units,
            num_harmonics=num_harmonics,
            num_noise_bands=num_noise_bands,
            recurrence=recurrence,
            pitch_range=(0.0, float(self._scaled_pitch(sample_rate / 2.0))),
            loudness_range=(self._scaled_loudness(LOUDNESS_FLOOR_DB), self._scaled_loudness(LOUDEST_DB)),
        )
        self.harmonic_synth = HarmonicSynth(sample_rate=sample_rate, hop=hop, envelope=envelope)
        self.noise_synth = FilteredNoiseSynth(hop=hop, tails=noise_tails)
        self.reverb = Reverb(length=reverb_length)
        self.build()

    def build(self, input_shape=None):
        # By shape and not by a call on zeros: synthesis has no weights, and tracing it takes long.
        self.network.build((None, None, 1))
        self.reverb.build((None, None))

    def call(self, inputs, training=False):
        tables = self.network.tables(self.table_rows) if training and self.table_rows else None
        controls, _ = self._controls(inputs, tables)
        noise_magnitudes = controls.pop("noise_magnitudes")
        dry = self.harmonic_synth.get_signal(**controls)
        dry = dry + self.noise_synth.get_signal(noise_magnitudes, training=training)
        return self.reverb(dry)

    def _controls(self, inputs, tables=None):
        f0_hz = ops.cast(inputs["f0_hz"], "float32")
        pitch, loudness = self._scaled_pitch(f0_hz), self._scaled_loudness(inputs["loudness_db"])
        logits, state = self.network(pitch, loudness, inputs.get("state"), tables)
        noise_logits = logits.pop("noise_logits")
        controls = self.harmonic_synth.get_controls(**logits, f0_hz=f0_hz)
        controls |= self.noise_synth.get_controls(noise_logits)
        # A network never quite reaches zero, and the loss's logarithm hears the rest: digital
        # silence is no matter of learning.
        sounding = ops.cast(inputs["loudness_db"] > SILENCE_DB, "float32")
        controls["amplitude"] *= sounding
        controls["noise_magnitudes"] *= sounding
        return controls, state

    def _scaled_pitch(self, f0_hz):
        return hz_to_midi(f0_hz) / self.pitch_scale

    def _scaled_loudness(self, loudness_db):
        return (loudness_db - self.loudness_mean_db) / self.loudness_std_db

    def render(self, inputs):
        return self.synthesize(**self.controls(inputs["f0_hz"], inputs["loudness_db"]))

    def perform(self, audio, sample_rate):
        return self.transfer(audio, sample_rate)

    def training_loss(self):
        return MultiScaleSpectralLoss()

    def exported(self):
        return Exported(
            inputs={
                "f0_hz": Array(
                    ("batch", "frames", 1), f"pitch, Hz, every {self.hop} samples; 0 where unvoiced"
                ),
                "loudness_db": Array(
                    ("batch", "frames", 1), f"A-weighted, dB; {LOUDNESS_FLOOR_DB:g} and below: silence"
                ),
            },
            outputs={"audio": Array(("batch", f"{self.hop} * frames"), "about -1..1, in the learned room")},
            function=self._sound_without_fft,
            reference=self._sound_of_looped_noise,
            example=self._features_of_singing,
            settings={"hop": self.hop, "most_frames": MOST_FRAMES},
        )

    def _sound_without_fft(self, inputs):
        """As ``call``, in operations that every runtime has. The noise is endless, but always the same."""
        controls, _ = self._controls(inputs)
        magnitudes = controls.pop("noise_magnitudes")
        noise = looped_noise(ops.shape(magnitudes)[1], self.hop)
        dry = self.harmonic_synth.get_signal(**controls)
        dry = dry + filter_noise(noise, magnitudes, tails=self.noise_tails, transforms="matrices")
        return {"audio": convolve_in_blocks(dry, self.reverb.impulse_response(), self.hop)}

    def _sound_of_looped_noise(self, inputs):
        controls, _ = self._controls(inputs)
        magnitudes = controls.pop("noise_magnitudes")
        noise = looped_noise(magnitudes.shape[1], self.hop)
        dry = self.harmonic_synth.get_signal(**controls) + self.noise_synth.get_signal(magnitudes, noise)
        return {"audio": ops.convert_to_numpy(self.reverb(dry))}

    def _features_of_singing(self, audio):
        """An octave up, which a violin can play, and as loud as the training data."""
        found = [extract_features(item, sample_rate=self.sample_rate, hop=self.hop) for item in audio]
        loudness_db = np.stack([each.loudness_db for each in found])
        level = self.loudness_mean_db - np.median(loudness_db)
        return {
            "f0_hz": 2.0 * np.stack([each.f0_hz for each in found])[..., None],
            "loudness_db": keep_silence(loudness_db + level, loudness_db)[..., None].astype("float32"),
        }

    def transfer(
        self,
        audio,
        sample_rate,
        *,
        semitones=0.0,
        loudness_db=0.0,
        match_loudness=True,
        reverb="learned",
        progress=False,
    ):
        """Play what a recording sings: its pitch and loudness, this model's timbre.

        Args:
            audio: ``(samples,)`` or ``(samples, channels)``, float in -1..1 or int16, int32,
                uint8; one voice at a time, any length.
            sample_rate: Hz, of ``audio``.
            semitones: transposition.
            loudness_db: added to the loudness that the network sees.
            match_loudness: shift and stretch the input's loudness to the range of the training
                data, so that a quiet recording is not played as a distant violin.
            reverb: ``"learned"``, None for the dry sound, or an impulse response ``(taps,)``
                at the model's sample rate.
            progress: show a progress bar.

        Returns:
            float32 ``(samples,)`` at ``self.sample_rate``, as long as the input. Silence gives
            silence, and so does a recording in which no pitch was heard.

        Raises:
            AudioError: the audio is empty, not finite, of an unknown type or shape.
            ValueError: an argument out of range.
        """
        check_range("semitones", semitones, -60.0, 60.0)
        check_range("loudness_db", loudness_db, -60.0, 60.0)
        audio = mono_at_rate(audio, sample_rate, self.sample_rate)
        features = extract_features(audio, sample_rate=self.sample_rate, hop=self.hop)
        if not np.any(features.f0_hz):
            if features.loudness_db.max() > QUIET_DB:
                warnings.warn("no pitch was heard in the audio, so the result is silence.", stacklevel=2)
            return np.zeros(len(audio), "float32")
        loudness = features.loudness_db
        if match_loudness:
            mean, std = loudness_statistics(loudness)
            stretch = np.clip(self.loudness_std_db / max(std, 1e-3), 0.5, 2.0)
            loudness = (loudness - mean) * stretch + self.loudness_mean_db
        loudness = keep_silence(loudness + loudness_db, features.loudness_db)
        controls = self.controls(features.f0_hz * 2.0 ** (semitones / 12.0), loudness, progress=progress)
        return self.synthesize(**controls, reverb=reverb, progress=progress)[0, : len(audio)]

    def stream(
        self,
        block_size=None,
        *,
        reverb="learned",
        seed=0,
        semitones=0.0,
        loudness_db=0.0,
        table_rows=0,
    ):
        """Play in real time, block by block; the sound is that of ``synthesize``, a little later.

        Args:
            block_size: samples a call gives, a whole multiple of ``hop``; by default one frame.
            reverb: as in ``transfer``.
            seed: of the noise.
            semitones, loudness_db: as in ``transfer``, of a voice that is given to ``process_audio``.
            table_rows: read the networks of one number from tables of so many rows, made now. Of a block of
                one frame that saves a sixth of the time on TensorFlow, more than a third on JAX. 0 is exact;
                1024 agree with it to about 100 dB.

        Returns:
            ``ddsp_stream.DDSPStream``.

        Raises:
            ValueError: an argument out of range.
        """
        from audiozoo.models.ddsp_stream import DDSPStream  # which leans on this module

        return DDSPStream(
            self,
            block_size=block_size,
            reverb=reverb,
            seed=seed,
            semitones=semitones,
            loudness_db=loudness_db,
            table_rows=table_rows,
        )

    def controls(self, f0_hz, loudness_db, *, progress=False):
        """The sound's physical controls, for looking at and for editing.

        Args:
            f0_hz: ``(frames,)`` or ``(batch, frames, 1)``, Hz, 0 where unvoiced.
            loudness_db: the same shape, dB.
            progress: show a progress bar.

        Returns:
            Dict of float32 arrays ``(batch, frames, channels)``: ``f0_hz``, ``amplitude``,
            ``harmonic_distribution`` (sums to 1), ``noise_magnitudes``.

        Raises:
            ValueError: shapes differ or a value is not finite.
        """
        f0_hz, loudness_db = as_frames("f0_hz", f0_hz), as_frames("loudness_db", loudness_db)
        check_f0(f0_hz)
        if f0_hz.shape != loudness_db.shape:
            raise ValueError(
                f"f0_hz and loudness_db must have the same shape; got {f0_hz.shape} and {loudness_db.shape}."
            )
        frames = f0_hz.shape[1]
        chunk = block_length(frames, CHUNK_FRAMES)
        state = np.zeros((f0_hz.shape[0], self.num_units), "float32")
        pieces = []
        for start in track(range(0, frames, chunk), "controls", shown=progress):
            index = np.clip(np.arange(start, start + chunk), 0, frames - 1)
            inputs = {"f0_hz": f0_hz[:, index], "loudness_db": loudness_db[:, index], "state": state}
            controls, state = self.run_compiled(self._controls, inputs)
            pieces.append(controls)
        return {
            name: np.concatenate([piece[name] for piece in pieces], axis=1)[:, :frames] for name in pieces[0]
        }

    def synthesize(
        self,
        *,
        f0_hz,
        amplitude,
        harmonic_distribution,
        noise_magnitudes,
        reverb="learned",
        seed=0,
        progress=False,
    ):
        """Audio from controls, edited or not.

        Args:
            f0_hz, amplitude, harmonic_distribution, noise_magnitudes: as ``controls`` returns
                them, ``(batch, frames, channels)``.
            reverb: ``"learned"``, None, or an impulse response ``(taps,)``.
            seed: of the noise.
            progress: show a progress bar.

        Returns:
            float32 ``(batch, frames * hop)``.

        Raises:
            ValueError: a control has the wrong shape or is not finite.
        """
        controls = {
            "f0_hz": as_frames("f0_hz", f0_hz, 1),
            "amplitude": as_frames("amplitude", amplitude, 1),
            "harmonic_distribution": as_frames("harmonic_distribution", harmonic_distribution),
            "noise_magnitudes": as_frames("noise_magnitudes", noise_magnitudes, self.num_noise_bands),
        }
        check_f0(controls["f0_hz"])
        shapes = {value.shape[:2] for value in controls.values()}
        if len(shapes) > 1:
            raise ValueError(
                "controls must agree in batch and frames; got "
                + ", ".join(f"{name} {value.shape}" for name, value in controls.items())
            )
        dry = self._dry_audio(controls, seed, progress)
        return self._in_room(dry, reverb)

    def _dry_audio(self, controls, seed, progress):
        f0_hz = controls["f0_hz"]
        batch, frames, _ = f0_hz.shape
        noise = draw_noise(np.random.default_rng(seed), frames, self.hop)
        chunk = block_length(frames, CHUNK_FRAMES)
        # Neighbours reach into a chunk: noise rings on for one sample less than it has bands.
        margin = max(MARGIN_FRAMES, -(-(self.num_noise_bands - 1) // self.hop))
        audio = np.empty((batch, frames * self.hop), "float32")
        steps = np.zeros((batch, 1, 1), "int32")
        for start in track(range(0, frames, chunk), "audio", shown=progress):
            wanted = np.arange(start - margin, start + chunk + margin)
            index = np.clip(wanted, 0, frames - 1)
            inputs = {name: value[:, index] for name, value in controls.items()}
            sounding = ((wanted >= 0) & (wanted < frames)).astype("float32")[None, :, None]
            inputs["sounding"] = np.repeat(sounding, batch, axis=0)
            inputs["noise"] = np.repeat(noise[:, index], batch, axis=0)
            inputs["steps"] = steps
            piece, all_steps = self.run_compiled(self._dry_chunk, inputs)
            steps = all_steps[:, chunk : chunk + 1]  # where the next chunk, margin included, begins
            stop = min(chunk, frames - start) * self.hop
            audio[:, start * self.hop : start * self.hop + stop] = piece[:, margin * self.hop :][:, :stop]
        return audio

    def _dry_chunk(self, inputs):
        """Audio of frames that may lie before or after the sound (``sounding`` is 0), and their phases."""
        f0_hz, sounding = inputs["f0_hz"], inputs["sounding"]
        # Phase stands still before the first frame, where it is 0.
        ends_hz = [hz * sounding for hz in glide(f0_hz, self.envelope)]
        steps = phase_steps(*ends_hz, **self._grid, initial_steps=inputs["steps"])
        phase = cycles_of_steps(steps[:, :-1], **self._grid)
        harmonics = self.harmonic_synth.get_signal(
            f0_hz, inputs["amplitude"], inputs["harmonic_distribution"], phase=phase
        )
        noise = self.noise_synth.get_signal(inputs["noise_magnitudes"], inputs["noise"] * sounding)
        return harmonics + noise, steps

    @property
    def _grid(self):
        return {"sample_rate": self.sample_rate, "hop": self.hop}

    def _in_room(self, dry, reverb):
        if reverb is None:
            return dry
        from scipy.signal import oaconvolve

        response = self.room_response(reverb)
        return oaconvolve(dry, response[None], axes=1)[:, : dry.shape[1]].astype("float32")

    def room_response(self, reverb):
        """The impulse response ``(taps,)`` that ``reverb`` means: ``"learned"``, or one given and checked.

        Raises:
            ValueError: it is neither.
        """
        if isinstance(reverb, str):
            if reverb != "learned":
                raise ValueError(
                    f"reverb must be 'learned', None or an impulse response; got {reverb!r}. "
                    "Use 'learned' for the room of the recordings."
                )
            reverb = self.impulse_response()
        try:
            response = validate_audio(reverb, self.sample_rate)
        except AudioError as error:
            raise ValueError(f"reverb must be 'learned', None or an impulse response: {error}") from error
        if response.ndim != 1:
            raise ValueError(
                f"reverb must be an impulse response of shape (taps,); got shape {response.shape}. "
                "Mix several channels down first."
            )
        return response

    def impulse_response(self):
        """What a clap sounds like in the learned room, direct sound first. float32 ``(taps,)``."""
        return keras.ops.convert_to_numpy(self.reverb.impulse_response())


def draw_noise(generator, frames, hop):
    """Excitation of a sound's next frames, uniform in -1..1, float32 ``(1, frames, hop)``.

    Drawn frame by frame or all at once, the numbers are the same.
    """
    return generator.random((1, frames, hop), dtype="float32") * 2.0 - 1.0


def keep_silence(loudness_db, heard_db):
    """Adjusted loudness, but silence where silence was heard, and nowhere else. All shapes equal."""
    silent = heard_db <= SILENCE_DB
    return np.where(silent, LOUDNESS_FLOOR_DB, np.maximum(loudness_db, SILENCE_DB + 0.1))


def as_frames(name, values, channels=None):
    """Features as float32 ``(batch, frames, channels)``; a plain ``(frames,)`` is one channel."""
    values = np.asarray(values, "float32")
    if values.ndim == 1:
        values = values[None, :, None]
    expected = channels or values.shape[-1]
    if values.ndim != 3 or values.shape[-1] != expected or not values.size:
        raise ValueError(
            f"{name} must be (frames,) or (batch, frames, {channels or 'channels'}), not empty; "
            f"got shape {values.shape}."
        )
    if not np.all(np.isfinite(values)):
        silence = "0 Hz for unvoiced frames" if name == "f0_hz" else f"{LOUDNESS_FLOOR_DB:g} dB for silence"
        raise ValueError(f"{name} must be finite; got NaN or infinity. Use {silence}.")
    return values


def check_f0(f0_hz):
    """Raise ValueError if a frequency is negative."""
    if f0_hz.min() < 0.0:
        raise ValueError(
            f"f0_hz must be at least 0 Hz; got {f0_hz.min():g}. Use 0 for unvoiced frames; "
            "loudness in dB is the other argument."
        )
