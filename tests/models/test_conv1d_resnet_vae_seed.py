"""The student project's model: its table, row by row, and the faults that it is kept for."""

import keras
import numpy as np
import pytest
from cases import ModelCase, numpy_of
from keras import ops

from audiozoo.errors import AudioError
from audiozoo.models import Conv1DResnetVAESeed

ENCODER = [
    ("conv1d", 5_760_064),
    ("resnet1d_block", 4_166),
    ("conv1d_3", 8_320),
    ("resnet1d_block_1", 16_518),
    ("conv1d_6", 16_512),
    ("resnet1d_block_2", 16_518),
    ("conv1d_9", 33_024),
    ("resnet1d_block_3", 65_798),
    ("flatten", 0),
    ("dense", 5_140),
]
DECODER = [
    ("reshape", 0),
    ("resnet1d_block_4", 5_642),
    ("conv1d_transpose_2", 5_632),
    ("resnet1d_block_5", 131_338),
    ("conv1d_transpose_5", 131_328),
    ("resnet1d_block_6", 32_906),
    ("conv1d_transpose_8", 32_896),
    ("resnet1d_block_7", 8_266),
    ("conv1d_transpose_11", 8_256),
    ("conv1d_transpose_12", 5_850_000),
]
EAGERLY = keras.backend.backend() == "tensorflow"  # a few steps are sooner taken than compiled
SMALL = {"sample_rate": 1000, "samples": 50, "latent_dim": 4}


def hum(samples=50):
    t = np.arange(samples) / 1000
    return np.stack([0.5 * np.sin(2 * np.pi * hz * t) for hz in (60.0, 110.0)]).astype("float32")


class TestConv1DResnetVAESeed(ModelCase):
    model_class = Conv1DResnetVAESeed
    config = {
        "sample_rate": 1000,
        "samples": 50,
        "latent_dim": 4,
        "likelihood": "gaussian",
        "dropout": 0.1,
        "beta": 0.5,
        "free_bits": 0.01,
    }

    def batch(self):
        return {"audio": hum()}

    def target(self):
        return hum()

    def test_the_loss_falls_and_every_weight_moves(self):
        """The encoder's blocks do not move, all but the last shift of each: they are dead. The rest moves."""
        model = self.make()
        model.compile(keras.optimizers.Adam(self.learning_rate), run_eagerly=EAGERLY)
        before = [numpy_of(weight) for weight in model.trainable_weights]
        for _ in range(3):
            model.train_on_batch(self.batch(), self.target())
        still = {
            weight.path
            for weight, old in zip(model.trainable_weights, before, strict=True)
            if not np.any(numpy_of(weight) != old)
        }
        blocks = [row for row in model.encoder.rows if "block" in row.name]
        dead = {w.path for block in blocks for w in block.weights if w is not block.norm_b.shift}
        assert len(dead) == 4 * 7
        assert dead <= still
        assert model.encoder.rows[0].kernel.path not in still
        assert model.decoder.rows[-1].kernel.path not in still


def test_every_row_of_the_published_table_is_reproduced():
    model = Conv1DResnetVAESeed()
    assert [(row.name, row.count_params()) for row in model.encoder.rows] == ENCODER
    assert [(row.name, row.count_params()) for row in model.decoder.rows] == DECODER
    assert model.encoder.count_params() == 5_926_060
    assert model.decoder.count_params() == 6_206_264
    assert not model.encoder.non_trainable_weights
    assert sum(int(np.prod(w.shape)) for w in model.decoder.non_trainable_weights) == 16
    assert model.count_params() == 12_132_324
    # A second model in one session has the same names: they are its own, not Keras's count.
    assert [row.name for row in Conv1DResnetVAESeed(**SMALL).encoder.rows] == [name for name, _ in ENCODER]


def test_its_own_loss_rewards_logits_without_end_and_the_other_one_does_not():
    own, other = (Conv1DResnetVAESeed(**SMALL, likelihood=name) for name in ("bernoulli", "gaussian"))
    audio = ops.convert_to_tensor(hum())
    negative = ops.minimum(audio, 0.0)
    towards = [
        numpy_of(own.reconstruction_error(audio, {"output": scale * negative})) for scale in (1.0, 1e3, 1e5)
    ]
    # A cross-entropy of probabilities is never below 0.
    assert np.all(towards[2] < towards[1])
    assert np.all(towards[1] < 0.0)
    away = [
        numpy_of(other.reconstruction_error(audio, {"output": scale * audio})) for scale in (1.0, 1e2, 1e4)
    ]
    assert np.all(away[0] < away[1])
    assert np.all(away[1] < away[2])


def test_what_it_plays_is_probabilities_or_audio():
    audio = Conv1DResnetVAESeed(**SMALL).sample(2)
    assert audio.shape == (2, 50)
    assert 0.0 < audio.min() <= audio.max() < 1.0
    assert Conv1DResnetVAESeed(**SMALL, likelihood="gaussian").sample(8).min() < 0.0


def test_codes_are_one_vector_a_clip_and_verbs_know_the_only_length():
    model = Conv1DResnetVAESeed(**SMALL)
    assert model.encode(hum()).shape == (2, 4)
    assert model.encode(hum()[0]).shape == (4,)
    assert model.decode(np.zeros((3, 4))).shape == (3, 50)
    assert model.interpolate(*hum(), 3).shape == (3, 50)
    with pytest.raises(AudioError, match=r"audio must be exactly 50 samples long \(0.05 s\); got 49"):
        model.encode(hum(49))
    with pytest.raises(AudioError, match="exactly 50 samples"):
        model.decode(np.zeros((1, 4)), samples=60)
    with pytest.raises(ValueError, match=r"latent must be \(batch, dims\) with dims=4.*got shape \(1, 5\)"):
        model.decode(np.zeros((1, 5)))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"likelihood": "cauchy"},
            "likelihood must be one of bernoulli, gaussian; got 'cauchy'. Use 'gaussian'",
        ),
        ({"samples": 0}, "samples must be a whole number of at least 1; got 0"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1; got 0"),
        ({"beta": -1.0}, "beta must be a number between 0.0"),
        ({"dropout": 1.5}, "dropout must be a number between 0.0 and 0.95; got 1.5"),
    ],
)
def test_impossible_arguments_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Conv1DResnetVAESeed(**(SMALL | change))
