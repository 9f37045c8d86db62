"""Architectures, one a file. Importing this package registers them all with Keras."""

from audiozoo.models.adversarial import AdversarialModel
from audiozoo.models.audio_vae import AudioVAE
from audiozoo.models.base import AudioModel
from audiozoo.models.cmelgan import CMelGAN
from audiozoo.models.cmelgan_seed import CMelGANSeed
from audiozoo.models.compact_vae import CompactVAE
from audiozoo.models.conv1d_resnet_vae import Conv1DResnetVAE
from audiozoo.models.conv1d_resnet_vae_seed import Conv1DResnetVAESeed
from audiozoo.models.crepe import Crepe
from audiozoo.models.ddsp import DDSPDecoder
from audiozoo.models.melgan_vocoder import MelGANVocoder
from audiozoo.models.melnet import MelNet
from audiozoo.models.melnet_seed import MelNetSeed
from audiozoo.models.mnist_vae import MnistVAE
from audiozoo.models.spectral_vae import SpectralVAE
from audiozoo.models.spectrogram_gan import SpectrogramGAN
from audiozoo.models.spectrogram_generator import SpectrogramGenerator
from audiozoo.models.vae import VAE

__all__ = [
    "VAE",
    "AdversarialModel",
    "AudioModel",
    "AudioVAE",
    "CMelGAN",
    "CMelGANSeed",
    "CompactVAE",
    "Conv1DResnetVAE",
    "Conv1DResnetVAESeed",
    "Crepe",
    "DDSPDecoder",
    "MelGANVocoder",
    "MelNet",
    "MelNetSeed",
    "MnistVAE",
    "SpectralVAE",
    "SpectrogramGAN",
    "SpectrogramGenerator",
]
