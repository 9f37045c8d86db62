"""How unlike the reference is one clip?

The root mean square Mahalanobis distance of the clip's rows from the reference's mean, relative to that of
the reference's own rows, which is 1 whatever the embedding. The covariance is shrunk towards a diagonal
one (Ledoit and Wolf, 2004, A well-conditioned estimator for large-dimensional covariance matrices, with
dimensions scaled to variance 1), so that few rows in many dimensions do not make every new clip look far.
"""

import numpy as np

LEAST_SPREAD = 1e-3  # of a dimension, relative to the root mean square of all


class ReferenceDistance:
    """Distance of clips from a reference set.

    Args:
        rows: ``(rows, dimensions)`` of the reference.
    """

    def __init__(self, rows):
        spread = rows.std(axis=0)
        self.mean = rows.mean(axis=0)
        self.spread = np.maximum(spread, max(LEAST_SPREAD * np.sqrt(np.mean(spread**2)), 1e-12))
        scaled = (rows - self.mean) / self.spread
        variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        shrinkage = ledoit_wolf_shrinkage(scaled)
        shrunk = (1.0 - shrinkage) * variances + shrinkage * np.mean(variances)
        shrunk = np.maximum(shrunk, LEAST_SPREAD**2)
        typical = max(np.mean(variances / shrunk), LEAST_SPREAD)  # of the squared distance, less than 1
        self.whitening = directions / np.sqrt(shrunk * typical)

    def of(self, rows):
        """Distance of the rows ``(rows, dimensions)`` of one clip: float, 1 for the reference itself."""
        white = (rows - self.mean) / self.spread @ self.whitening
        return float(np.sqrt(np.mean(white**2)))


def ledoit_wolf_shrinkage(centred):
    """Best weight of the mean variance against the sample covariance, 0..1.

    Args:
        centred: ``(rows, dimensions)`` with mean 0.
    """
    count, dimensions = centred.shape
    covariance = centred.T @ centred / count
    mean_variance = np.trace(covariance) / dimensions
    from_diagonal = np.sum(covariance**2) - dimensions * mean_variance**2
    # E|x x^T - S|^2 / n, the error of S: the mean square of x x^T less that of S.
    error = (np.mean(np.sum(centred**2, axis=1) ** 2) - np.sum(covariance**2)) / count
    return float(np.clip(error / from_diagonal, 0.0, 1.0)) if from_diagonal > 0.0 else 1.0
