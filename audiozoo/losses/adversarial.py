"""Losses of generators and discriminators. Scores are what a discriminator says: higher is more real.

Each takes a list with the scores, or features, of several discriminators or of several of their layers; what
comes back is a mean over the items of a batch, a scalar.
"""

from keras import ops


def hinge_discriminator(real, fake):
    """``mean max(0, 1 - real) + mean max(0, 1 + fake)``, summed over discriminators.

    Lim and Ye (2017), Geometric GAN, arXiv:1705.02894, eq. 13; MelGAN, arXiv:1910.06711, eq. 1.

    Args:
        real, fake: lists of scores of any shapes, of real and of generated items.
    """
    pairs = zip(real, fake, strict=True)
    return sum(ops.mean(ops.relu(1.0 - a)) + ops.mean(ops.relu(1.0 + b)) for a, b in pairs)


def hinge_generator(fake):
    """``-mean fake``, summed over discriminators (MelGAN, arXiv:1910.06711, eq. 2).

    Args:
        fake: list of scores of generated items.
    """
    return sum(-ops.mean(scores) for scores in fake)


def least_squares_discriminator(real, fake):
    """``mean (real - 1)^2 + mean fake^2``, summed over discriminators.

    Mao et al. (2017), Least Squares GAN, arXiv:1611.04076, eq. 9 with a = 0, b = c = 1, without the halves.

    Args:
        real, fake: lists of scores.
    """
    pairs = zip(real, fake, strict=True)
    return sum(ops.mean(ops.square(a - 1.0)) + ops.mean(ops.square(b)) for a, b in pairs)


def least_squares_generator(fake):
    """``mean (fake - 1)^2``, summed over discriminators.

    Args:
        fake: list of scores of generated items.
    """
    return sum(ops.mean(ops.square(scores - 1.0)) for scores in fake)


def paired_feature_matching(real, fake):
    """Mean absolute difference of features, mean over layers: where each fake has a real one to be like.

    MelGAN, arXiv:1910.06711, eq. 3. Gradients flow into both: hold the real ones fixed.

    Args:
        real, fake: lists of features ``(batch, ...)``, layer by layer.
    """
    return sum(ops.mean(ops.abs(a - b)) for a, b in zip(real, fake, strict=True)) / len(real)


def mean_feature_matching(real, fake):
    """Mean absolute difference of the features' means over the batch, mean over layers: where none is paired.

    Salimans et al. (2016), Improved Techniques for Training GANs, arXiv:1606.03498, section 3.1, with
    absolute differences.

    Args:
        real, fake: lists of features ``(batch, ...)``, layer by layer; batches may differ in size.
    """
    layers = zip(real, fake, strict=True)
    return sum(ops.mean(ops.abs(ops.mean(a, axis=0) - ops.mean(b, axis=0))) for a, b in layers) / len(real)
