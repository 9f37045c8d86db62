"""The DDSP decoder in real time: pitch and loudness, or a voice, in by blocks; audio out by blocks.

What comes out is what ``DDSPDecoder.synthesize`` computes for the whole sound at once, later by a fixed
number of frames. It cannot come at once, because what a frame sounds like depends on what follows it:

- With linear envelopes its amplitudes and pitch move towards the next frame's, and whether the next
  frame's highest harmonics sound depends on the pitch of the frame after that (a harmonic that would
  cross Nyquist is silent on both sides): two frames.
- The noise filter has no phase, so the response of a frame of noise begins ``num_noise_bands - 2`` samples
  before it.

At 16 kHz and a hop of 160 the two frames are 20 ms.
"""

import types

import keras
import numpy as np
from keras import ops

from audiozoo.arguments import check_range, check_whole
from audiozoo.data.audio_io import validate_audio
from audiozoo.data.feature_stream import FeatureStream
from audiozoo.dsp.filters import convolve_block, partition_response, silent_convolution
from audiozoo.dsp.spectra import LOUDNESS_FLOOR_DB
from audiozoo.errors import AudioError
from audiozoo.models.ddsp import as_frames, check_f0, draw_noise, keep_silence


class DDSPStream:
    """Plays a ``DDSPDecoder`` block by block; made by ``DDSPDecoder.stream``, which explains the arguments.

    One sound is fed in one of two ways, by ``process`` or by ``process_audio``, and ends with ``finish``.
    All that is remembered between two blocks is ``state``, a nested dict of tensors, and the generator of
    the noise.

    Attributes:
        block_size: samples a call gives.
        latency_samples: delay of ``process``: how much later a frame is heard than the features of it
            were given.
        audio_latency_samples: delay of ``process_audio``, from the voice to what is played; that of the
            features (see ``data.feature_stream``) included. Whoever plays in real time waits
            in addition for a block to be filled.
        state: what ``stream_step`` needs of the past.
    """

    def __init__(self, model, *, block_size, reverb, seed, semitones, loudness_db, table_rows):
        block_size = model.hop if block_size is None else block_size
        check_whole("block_size", block_size, 1)
        if block_size % model.hop:
            raise ValueError(
                f"block_size must be a whole multiple of the hop of {model.hop} samples; got {block_size}. "
                f"Use {model.hop * max(1, round(block_size / model.hop))}."
            )
        check_range("semitones", semitones, -60.0, 60.0)
        check_range("loudness_db", loudness_db, -60.0, 60.0)
        check_whole("seed", seed, 0)
        self.model, self.block_size, self.seed = model, block_size, seed
        self.semitones, self.loudness_db = semitones, loudness_db
        self._frames = block_size // model.hop
        self._fixed = {}  # inputs of every block
        if reverb is not None:
            room = partition_response(model.room_response(reverb), block_size)
            self._fixed["room"] = ops.convert_to_tensor(room)
        if table_rows:
            check_whole("table_rows", table_rows, 2)
            self._fixed["tables"] = model.network.tables(table_rows)
        self._features = FeatureStream(sample_rate=model.sample_rate, hop=model.hop)
        self.latency_samples = frames_ahead(model) * model.hop
        self.audio_latency_samples = self.latency_samples + self._features.latency_samples
        self.reset()
        self._step = model.compile_function(
            types.MethodType(stream_step, model), self._inputs(*self._silence())
        )
        self._play(*self._silence())  # compiles now, so that the first block is not late
        self.reset()

    def process(self, f0_hz, loudness_db):
        """The next block, from features.

        Args:
            f0_hz: ``(block_size // hop,)``, Hz, 0 where unvoiced.
            loudness_db: the same shape, dB; ``LOUDNESS_FLOOR_DB`` is silence.

        Returns:
            float32 ``(block_size,)``, what was given ``latency_samples`` ago; silence before that.

        Raises:
            ValueError: a wrong number of frames, a value that is not finite, a negative frequency; or the
                sound was begun by ``process_audio``.
        """
        f0_hz, loudness_db = self._checked("f0_hz", f0_hz), self._checked("loudness_db", loudness_db)
        check_f0(f0_hz)
        self._begin("process")
        return self._play(f0_hz, loudness_db)

    def process_audio(self, audio):
        """The next block, from a block of one voice.

        Pitch is found by YIN and held where there is none; loudness is what the voice has, plus
        ``loudness_db``. ``transfer`` also fits the loudness of the whole recording to that of the training
        data, which a stream cannot know: choose ``loudness_db`` as
        ``model.loudness_mean_db`` minus the usual loudness of the voice
        (``data.features.loudness_statistics``).

        Args:
            audio: ``(block_size,)`` at the model's sample rate; float in -1..1, int16, int32 or uint8.

        Returns:
            float32 ``(block_size,)``, played to what was heard ``audio_latency_samples`` ago.

        Raises:
            AudioError: a wrong number of samples, an unknown type, a value that is not finite.
            ValueError: the sound was begun by ``process``.
        """
        audio = validate_audio(audio, self.model.sample_rate)
        if audio.shape != (self.block_size,):
            raise AudioError(
                f"audio must be one block of shape ({self.block_size},); got {audio.shape}. Gather that many "
                "samples, mix channels down, or use 'play', which takes pieces of any length."
            )
        self._begin("process_audio")
        f0_hz, heard_db = self._features.process(audio)
        f0_hz = f0_hz * np.float32(2.0 ** (self.semitones / 12.0))
        loudness_db = keep_silence(heard_db + self.loudness_db, heard_db)
        return self._play(as_frames("f0_hz", f0_hz), as_frames("loudness_db", loudness_db))

    def play(self, pieces):
        """A voice in pieces of any length, as it is played: the output is as long as the input.

        Args:
            pieces: iterable of audio ``(samples,)`` at the model's sample rate, of types as in
                ``process_audio``.

        Yields:
            float32 audio, at most ``block_size`` samples at once, the delay taken out.
        """
        self.reset()
        late, left = self.audio_latency_samples, 0  # samples to drop, and to play yet
        for block in in_blocks(pieces, self.block_size):
            left += len(block)
            played = self.process_audio(np.pad(block, (0, self.block_size - len(block))))[late:][:left]
            late, left = max(0, late - self.block_size), left - len(played)
            yield played
        if left:
            yield self.finish()[late:][:left]

    def finish(self):
        """The rest of the sound, ``latency_samples`` or ``audio_latency_samples`` of it; then ``reset``.

        The sound ends as it does in ``synthesize``: its last frame is held, and the noise is over. A voice
        ends in silence. The room's echo is not part of it; to hear that die away, feed silence before.

        Returns:
            float32 ``(samples,)``.
        """
        hearing = self._way == "process_audio"
        missing = self.audio_latency_samples if hearing else self.latency_samples
        blocks = [np.zeros(0, "float32")]
        for _ in range(-(-missing // self.block_size)):
            if hearing:
                blocks.append(self.process_audio(np.zeros(self.block_size, "float32")))
            else:
                blocks.append(self._play(*self._silence(), over=True))
        self.reset()
        return np.concatenate(blocks)[:missing]

    def reset(self):
        """Forget everything: the next block begins a new sound."""
        self._way = None
        self._features.reset()
        self._generator = np.random.default_rng(self.seed)
        state = initial_state(self.model, self.block_size, self._fixed.get("room"))
        self.state = keras.tree.map_structure(ops.convert_to_tensor, state)

    def _begin(self, way):
        if self._way not in (None, way):
            raise ValueError(f"this sound was begun with {self._way}; call finish() or reset() before {way}.")
        self._way = way

    def _checked(self, name, values):
        values = np.asarray(values)
        if values.dtype.kind not in "fiu" or values.shape != (self._frames,):
            raise ValueError(
                f"{name} must be {self._frames} numbers, shape ({self._frames},), one for each "
                f"{self.model.hop} samples of a block of {self.block_size}; got {values.dtype} of shape "
                f"{values.shape}."
            )
        return as_frames(name, values)

    def _silence(self):
        frames = np.zeros((1, self._frames, 1), "float32")
        return frames, frames + np.float32(LOUDNESS_FLOOR_DB)

    def _play(self, f0_hz, loudness_db, *, over=False):
        audio, self.state = self._step(self._inputs(f0_hz, loudness_db, over=over))
        return np.array(ops.convert_to_numpy(audio)[0])

    def _inputs(self, f0_hz, loudness_db, *, over=False):
        noise = draw_noise(self._generator, self._frames, self.model.hop)
        inputs = {
            "f0_hz": f0_hz,
            "loudness_db": loudness_db,
            "noise": noise,
            "over": np.full((1, 1, 1), over),
        }
        return inputs | {"state": self.state} | self._fixed


def stream_step(model, inputs):
    """One block of sound: a pure function of tensors, to be compiled or exported.

    The window that is synthesized reaches from ``frames_behind`` the block that is given back to
    ``frames_ahead`` of it, where the newest features are. Nothing beyond it can be heard in the block.

    Args:
        model: DDSPDecoder.
        inputs: dict of ``f0_hz`` and ``loudness_db`` ``(1, frames, 1)``; ``noise (1, frames, hop)``;
            ``over``, bool ``(1, 1, 1)``: the sound is over, so that the last frame is held, without
            new noise; ``state``, at first ``initial_state``'s; for a sound in a room, ``room``, of
            ``dsp.filters.partition_response``; for networks read from tables, ``tables``, of
            ``ControlNetwork.tables``.

    Returns:
        ``(audio, state)``: ``(1, frames * hop)``, and the state for the next block.
    """
    state, over = inputs["state"], inputs["over"]
    hop, behind, frames = model.hop, frames_behind(model), inputs["f0_hz"].shape[1]
    features = {name: inputs[name] for name in ("f0_hz", "loudness_db")}
    controls, memory = model._controls(features | {"state": state["memory"]}, inputs.get("tables"))

    past = state["controls"]
    controls = {name: ops.where(over, past[name][:, -1:], controls[name]) for name in past}
    window = {name: ops.concatenate([past[name], controls[name]], axis=1) for name in past}
    noise = ops.where(over, 0.0, inputs["noise"])
    noise = ops.concatenate([state["noise"], noise], axis=1)
    place = ops.arange(noise.shape[1], dtype="int32")[None, :, None]
    sounding = ops.cast(place >= state["first_frame"], "float32")

    surroundings = {"noise": noise, "sounding": sounding, "steps": state["steps"]}
    audio, steps = model._dry_chunk(window | surroundings)
    # Before the first frame there is nothing, not even the noise that its filter sends ahead.
    audio = ops.reshape(audio, (1, -1, hop)) * sounding
    audio = ops.reshape(audio[:, behind : behind + frames], (1, -1))
    new_state = {
        "memory": memory,
        "controls": {name: value[:, frames:] for name, value in window.items()},
        "noise": noise[:, frames:],
        "steps": steps[:, frames : frames + 1],
        "first_frame": ops.maximum(state["first_frame"] - frames, 0),
    }
    if "room" in inputs:
        audio, new_state["room"] = convolve_block(audio, inputs["room"], state["room"])
    return audio, new_state


def initial_state(model, block_size, room=None):
    """The state of ``stream_step`` before the first frame: nested dict of arrays.

    Args:
        model: DDSPDecoder.
        block_size: samples.
        room: of ``dsp.filters.partition_response``, or None.
    """
    kept = frames_behind(model) + frames_ahead(model)
    channels = {
        "f0_hz": 1,
        "amplitude": 1,
        "harmonic_distribution": model.num_harmonics,
        "noise_magnitudes": model.num_noise_bands,
    }
    state = {
        "memory": np.zeros((1, model.num_units), "float32"),
        "controls": {name: np.zeros((1, kept, count), "float32") for name, count in channels.items()},
        "noise": np.zeros((1, kept, model.hop), "float32"),
        "steps": np.zeros((1, 1, 1), "int32"),  # the phase where the window begins
        "first_frame": np.full((1, 1, 1), kept, "int32"),  # the sound's, counted from where the window begins
    }
    return state if room is None else state | {"room": silent_convolution(room.shape[1], block_size)}


def frames_ahead(model):
    """Frames of features that must be known beyond the one that is played."""
    return max(2 if model.envelope == "linear" else 0, ringing_frames(model))


def frames_behind(model):
    """Frames before the one that is played that are heard in it: their noise, or their pitch's ceiling."""
    return max(1, ringing_frames(model))


def ringing_frames(model):
    """Frames that a frame of noise rings on into, on either side."""
    # The outermost tap of the filter, num_noise_bands - 1 samples away, is the window's zero.
    return 0 if model.noise_tails == "cut" else -(-(model.num_noise_bands - 2) // model.hop)


def in_blocks(pieces, block_size):
    """Audio in pieces of any length as blocks of ``block_size`` samples, the last one perhaps shorter."""
    waiting = []
    count = 0
    for piece in pieces:
        if np.ndim(piece) != 1:
            raise AudioError(
                f"pieces must be audio of shape (samples,) each, one voice; got shape {np.shape(piece)}. Mix "
                "channels down, and pass a whole recording as [recording]."
            )
        waiting.append(np.asarray(piece))
        count += len(waiting[-1])
        if count >= block_size:
            joined = np.concatenate(waiting)
            whole = count - count % block_size
            yield from joined[:whole].reshape(-1, block_size)
            waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)
