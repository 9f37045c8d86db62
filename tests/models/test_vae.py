"""What all variational autoencoders share is no architecture of its own."""

from audiozoo.models import VAE, AudioModel, AudioVAE


def test_what_architectures_share_is_no_architecture():
    assert not {"VAE", "AudioVAE"} & set(AudioModel.architectures)
    assert issubclass(AudioModel.architectures["Conv1DResnetVAE"], AudioVAE)
    assert issubclass(AudioVAE, VAE)
