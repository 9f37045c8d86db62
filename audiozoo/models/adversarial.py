"""What generators share that are trained against a discriminator, under stock ``fit`` on every backend.

Paper: Goodfellow et al. (2014), Generative Adversarial Networks, arXiv:1406.2661.

Keras's own examples of adversarial training override ``train_step``, once for each backend. This is the
recipe with which ``batch_loss`` alone is enough, for others to copy:

1. ``call`` is the generator, so ``fit`` hands its output to ``batch_loss`` as ``y_pred``.
2. The discriminator learns from the target and from ``stop_gradient(y_pred)``, as one batch, so that its
   weights are read, and their gradients summed, once: no gradient of its loss reaches the generator.
3. The generator learns from the discriminator called a second time, on ``y_pred`` itself, with its weights
   held: ``discriminator.stateless_call`` takes them as values, ``stop_gradient(weight.value)``, and what that
   call would change of its state is dropped. No gradient of the generator's loss reaches the discriminator.
4. The sum of both losses has, for each weight, exactly the gradient that two separate steps from the same
   point would have, in one backward pass.
5. ``keras.optimizers.MultiOptimizer`` gives each of them its own optimizer, chosen by the weight's path.

Both are updated at the same time, not in turns; where the discriminator should be ahead it gets a higher
learning rate (Heusel et al., 2017, arXiv:1706.08500).
"""

import keras
from keras import ops

from audiozoo.models.base import AudioModel


class AdversarialModel(AudioModel, abstract=True):
    """A generator, and a discriminator that exists while it is trained.

    A subclass sets ``generator`` and ``discriminator``, two layers of these names, of which the constructor
    builds the first, and says ``build_discriminator``, ``discriminator_inputs``, ``discriminator_loss`` and
    ``generator_loss``. The discriminator gets its weights in ``compile``: a model that was loaded to be
    played carries none, and presets hold none.

    Called on discriminator inputs, ``discriminator`` returns a dict: ``scores``, a list of tensors, higher
    for more real; ``features``, a list of hidden ones, ``(batch, ...)`` each. A normalisation over a batch
    would see real and generated items in one.

    Attributes:
        adversarial: whether the discriminator takes part; without it only ``reconstruction_loss`` is
            learned from. To change it between epochs, call ``set_adversarial``.
    """

    judged_by_loss = False
    # Convolutions are as fast without it, and ready in a quarter of the time.
    gains_from_xla = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.adversarial = True
        names = ["discriminator_loss", "generator_loss"]
        if type(self).reconstruction_loss is not AdversarialModel.reconstruction_loss:
            names.append("reconstruction_loss")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}

    # --- Of the subclass ---

    def build_discriminator(self):
        """Give the discriminator its weights: call its ``build`` with the shapes of its inputs."""
        raise NotImplementedError

    def discriminator_inputs(self, items, inputs):
        """What the discriminator is called on: by default the items alone.

        Args:
            items: real ones, or what the generator made.
            inputs: what the generator was given.
        """
        return items

    def discriminator_loss(self, real, fake):
        """Scalar; ``real`` and ``fake`` are what the discriminator said of either."""
        raise NotImplementedError

    def generator_loss(self, real, fake):
        """Scalar, as ``discriminator_loss``. No gradient flows into ``real``."""
        raise NotImplementedError

    def reconstruction_loss(self, target, output):
        """Scalar, of a target and what was generated for it; by default there is nothing to reconstruct."""
        return ops.zeros(())

    # --- Training ---

    def compile(self, optimizer="adam", *, discriminator_optimizer=None, **kwargs):
        """As ``keras.Model.compile``, with an optimizer for either part.

        Args:
            optimizer: of the generator, or a ``MultiOptimizer`` for both.
            discriminator_optimizer: by default one of the same settings as ``optimizer``, but for a running
                average of weights, which only the generator is played with.
            kwargs: of ``keras.Model.compile``.
        """
        if not self.discriminator.built:
            self.build_discriminator()
        optimizer = keras.optimizers.get(optimizer)
        if not isinstance(optimizer, keras.optimizers.MultiOptimizer):
            other = keras.optimizers.get(discriminator_optimizer) if discriminator_optimizer else None
            other = other or type(optimizer).from_config(optimizer.get_config() | {"use_ema": False})
            of_discriminator = {r"(.*/)?discriminator/.*": other}
            optimizer = keras.optimizers.MultiOptimizer(
                keras.optimizers.OptimizerMap(optimizer, of_discriminator)
            )
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config):
        # Keras compiles nothing by itself whose ``compile`` is another than its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def set_adversarial(self, adversarial):
        """Let the discriminator take part from now on, or not; between epochs of ``fit`` too."""
        if adversarial != self.adversarial:
            self.adversarial = adversarial
            self.make_train_function(force=True)
            self.make_test_function(force=True)

    def batch_loss(self, x, y, y_pred, *, training):
        """The losses of both parts, as the head of this file says; what they are goes to the log."""
        y = ops.convert_to_tensor(y)
        reconstruction = self.reconstruction_loss(y, y_pred)
        self.track(reconstruction_loss=reconstruction)
        if not self.adversarial:
            # Optimizers ask for a gradient of every weight: for those that do not take part it is 0.
            idle = sum(
                ops.sum(0.0 * ops.convert_to_tensor(v)) for v in self.discriminator.trainable_variables
            )
            return reconstruction + ops.cast(idle, reconstruction.dtype)

        both = keras.tree.map_structure(
            lambda real, fake: ops.concatenate([ops.cast(real, fake.dtype), fake], axis=0),
            self.discriminator_inputs(y, x),
            self.discriminator_inputs(ops.stop_gradient(y_pred), x),
        )
        said, items = self.discriminator(both, training=training), ops.shape(y)[0]
        real = keras.tree.map_structure(lambda values: values[:items], said)
        fake = keras.tree.map_structure(lambda values: values[items:], said)
        discriminator_loss = self.discriminator_loss(real, fake)
        held, _ = self.discriminator.stateless_call(
            [ops.stop_gradient(variable.value) for variable in self.discriminator.trainable_variables],
            [variable.value for variable in self.discriminator.non_trainable_variables],
            self.discriminator_inputs(y_pred, x),
            training=training,
        )
        generator_loss = self.generator_loss(keras.tree.map_structure(ops.stop_gradient, real), held)
        self.track(discriminator_loss=discriminator_loss, generator_loss=generator_loss)
        return discriminator_loss + generator_loss + reconstruction

    def track(self, **losses):
        """Take losses into the log, of the parts that this model has."""
        for name, loss in losses.items():
            if name in self.trackers:
                self.trackers[name].update_state(loss)

    # --- Weights ---

    def released_weights(self):
        of_discriminator = {id(weight) for weight in self.discriminator.weights}
        return [ops.convert_to_numpy(weight) for weight in self.weights if id(weight) not in of_discriminator]

    def count_params(self):
        """Parameters of the generator: what is played."""
        return self.generator.count_params()
