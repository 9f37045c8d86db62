"""Mean, covariance and a fair sample of rows that arrive a few at a time, in memory that does not grow."""

import numpy as np


class RunningMoments:
    """Mean and covariance of all rows so far, exact and stable in one pass.

    Batches are merged by their own means: sums of squares are never subtracted from each other (Chan, Golub
    and LeVeque, 1983, Algorithms for computing the sample variance).

    Attributes:
        count: rows so far.
        mean: ``(dimensions,)``.
    """

    def __init__(self, dimensions):
        self.count = 0
        self.mean = np.zeros(dimensions)
        self.scatter = np.zeros((dimensions, dimensions))

    def add(self, rows):
        """Take in rows ``(rows, dimensions)``."""
        total = self.count + len(rows)
        mean = rows.mean(axis=0)
        centred, shift = rows - mean, mean - self.mean
        self.scatter += centred.T @ centred + np.outer(shift, shift) * (self.count * len(rows) / total)
        self.mean = self.mean + shift * (len(rows) / total)
        self.count = total

    @property
    def covariance(self):
        """Unbiased covariance ``(dimensions, dimensions)``, of at least two rows."""
        return self.scatter / (self.count - 1)


class RowSample:
    """At most ``size`` of all rows so far, each subset as likely as any other.

    Every row draws a number, and the smallest numbers stay.

    Args:
        size: rows to keep.
        seed: of the numbers.
    """

    def __init__(self, size, seed):
        self.size = size
        self.random = np.random.default_rng(seed)
        self.batches = []
        self.waiting = 0

    def add(self, rows, clip):
        """Take in the rows ``(rows, dimensions)`` of one clip."""
        lots = self.random.random(len(rows))
        self.batches.append((lots, np.full(len(rows), clip), rows))
        self.waiting += len(rows)
        if self.waiting > 2 * self.size:
            self._sift()

    def result(self):
        """``(clip, rows)``: ``(kept,)`` and ``(kept, dimensions)``, in order of arrival."""
        self._sift()
        return self.batches[0][1:]

    def _sift(self):
        lots, clip, rows = (np.concatenate(parts) for parts in zip(*self.batches, strict=True))
        kept = np.sort(np.argsort(lots)[: self.size])
        self.batches = [(lots[kept], clip[kept], rows[kept])]
        self.waiting = len(kept)
