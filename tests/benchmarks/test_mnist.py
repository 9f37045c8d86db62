import numpy as np
import pytest
from matplotlib.image import imread

import audiozoo
from audiozoo.data.images import ImageBatches, load_images
from audiozoo.models import MnistVAE
from benchmarks import mnist, report, results


@pytest.fixture(scope="module")
def model():
    return MnistVAE(image_size=8, hidden_units=8, latent_dim=2)


def test_a_model_is_trained_judged_along_the_way_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "STEPS_PER_EPOCH", 2)
    monkeypatch.setattr(mnist, "JUDGED_IMAGES", 10)
    batches = ImageBatches(load_images("digits"), batch_size=4, test_share=0.02, binarize=True)
    arguments = {"latent_dim": 2, "hidden_units": 4}
    row = mnist.train("one", arguments, 1, batches, epochs=3, out=tmp_path / "one")
    assert row["images_seen"] == [200, 400, 600]  # of batches of 100
    assert row["test_elbo_nats"] == row["test_elbo_nats_along"][-1]
    assert len(row["train_elbo_nats_along"]) == len(row["active_dimensions_along"]) == 3
    model = audiozoo.load(tmp_path / "one")
    again = float(np.mean(model.elbo(mnist.test_images(batches))))
    assert again == pytest.approx(row["test_elbo_nats"], rel=0.005)  # half precision
    assert {key for _, key, _ in report.MNIST_COLUMNS} <= set(row)


def test_models_that_were_trained_otherwise_are_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    assert mnist.finished({"epochs": 2}) == {}
    results.write(mnist.NAME, {"epochs": 2, "models": {"a": {"latent_dim": 3}}})
    assert mnist.finished({"epochs": 2}) == {"a": {"latent_dim": 3}}
    assert mnist.finished({"epochs": 3}) == {}


def test_the_manifold_shows_the_middle_of_the_prior_in_its_middle(tmp_path, monkeypatch, model):
    monkeypatch.setattr(mnist, "PICTURES", tmp_path)
    picture = imread(mnist.manifold_picture(model, steps=3))
    assert picture.shape == (24, 24)
    np.testing.assert_allclose(picture[8:16, 8:16], model.decode(np.zeros(2)), atol=0.003)
    right = model.decode(np.array([0.967422, 0.0]))  # five sixths of the prior lie below
    np.testing.assert_allclose(picture[8:16, 16:], right, atol=0.003)
    above = model.decode(np.array([0.0, 0.967422]))
    np.testing.assert_allclose(picture[:8, 8:16], above, atol=0.003)
