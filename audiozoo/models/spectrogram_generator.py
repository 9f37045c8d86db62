"""What models share that make mel spectrograms of a class, whichever way they make them."""

from keras import ops

from audiozoo.arguments import check_range, check_whole
from audiozoo.data.audio_io import check_sample_rate
from audiozoo.errors import UnknownClass
from audiozoo.layers import AudioTransform
from audiozoo.models.base import AudioModel
from audiozoo.registry import did_you_mean

LONGEST_SECONDS = 600.0


class SpectrogramGenerator(AudioModel, abstract=True):
    """Classes of music, and the way between log-mel spectrograms, standardised ones and sound.

    A subclass says ``sample``, which makes standardised spectrograms.

    Args:
        classes, sample_rate, num_mels, window_length, hop, clip_frames: see ``CMelGAN``.
        kwargs: of the next class in line.

    Attributes:
        transform: ``layers.AudioTransform``, which holds the statistics of the training set.
    """

    trains_on = "classes"

    def __init__(self, *, classes, sample_rate, num_mels, window_length, hop, clip_frames, **kwargs):
        super().__init__(**kwargs)
        check_sample_rate(sample_rate)
        check_whole("num_mels", num_mels, 1)
        check_whole("clip_frames", clip_frames, 1)
        self.classes = checked_classes(classes)
        self.sample_rate, self.num_mels = sample_rate, num_mels
        self.window_length, self.hop = window_length, hop
        self.clip_frames = clip_frames
        self.transform = AudioTransform(
            sample_rate=sample_rate, num_mels=num_mels, window_length=window_length, hop=hop
        )

    def adapt(self, batches):
        self.transform.adapt_log_mel(batch["log_mel"] for batch in batches)

    def frames_of(self, seconds):
        """Frames of a sound of that length, or of a clip where it is None. Raises ValueError."""
        if seconds is None:
            return self.clip_frames
        check_range("seconds", seconds, self.hop / self.sample_rate, LONGEST_SECONDS)
        return 1 + int(seconds * self.sample_rate) // self.hop

    def sound(self, spectrogram, *, method="griffin_lim", **settings):
        """Audio of a spectrogram.

        Args:
            spectrogram: as ``sample`` returns it, with or without batch.
            method: see ``layers.AudioTransform.invert``.
            settings: further arguments of that.

        Returns:
            float32 ``(n, samples)``, or ``(samples,)`` for a single one.

        Raises:
            StatisticsMissing: the model was not trained.
            AudioError, ValueError: as ``layers.AudioTransform.invert``.
        """
        return self.transform.invert(spectrogram, method=method, **settings)

    def standardised(self, log_mel):
        """Log-mel spectrograms of the data, ``(n, frames, num_mels)``, as ``sample`` returns its own."""
        return ops.convert_to_numpy(self.transform.standardised(log_mel))

    def log_mel(self, spectrogram):
        """The reverse: standardised spectrograms as log-mel ones, in which silence is 0."""
        return ops.convert_to_numpy(self.transform.compressed(spectrogram))

    def label_of(self, class_name):
        """The number of a class. Raises UnknownClass where there is none of that name."""
        if class_name not in self.classes:
            raise UnknownClass(
                f"class_name must be one of {', '.join(self.classes)}; got {class_name!r}."
                f"{did_you_mean(class_name, self.classes)}"
            )
        return self.classes.index(class_name)


def checked_classes(classes):
    """Names of classes as a tuple. Raises ValueError for what are none."""
    if isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise ValueError(f"classes must be a sequence of names, such as ('piano', 'lofi'); got {classes!r}.")
    classes = tuple(classes)
    if not classes or not all(isinstance(name, str) and name for name in classes):
        raise ValueError(f"classes must be names, at least one; got {classes!r}.")
    if len(set(classes)) < len(classes):
        raise ValueError(f"classes must differ from each other; got {classes!r}.")
    return classes
