"""What ``scaling`` measures on some number of devices, in a process that has so many from its start."""

import json
import sys
import time

import numpy as np

WARM_UP_STEPS = 3
ALL_REDUCED_MIB = (1, 2, 4, 8, 16)  # about what the gradients of the zoo are
ALL_REDUCES = 5


def measure(devices, steps, presets):
    """Dict that JSON can hold; see ``scaling``."""
    import audiozoo
    from audiozoo import registry
    from audiozoo.training.devices import devices_for

    spread = devices_for(devices, registry.Train(batch_size=devices))
    if not steps:
        sizes = {name: gradient_bytes(compiled(audiozoo.info(name), spread)) for name in trainable_presets()}
        return {"gradient_bytes": sizes}
    found = {"steps": {name: steps_of(audiozoo.info(name), spread, steps) for name in presets}}
    if devices > 1:
        found["all_reduce"] = all_reduce(spread)
    return found


def trainable_presets():
    """Names of the presets that can be trained, but for student projects' networks of the size of others."""
    import audiozoo

    names = audiozoo.list_models()
    return [name for name in names if audiozoo.info(name).train and "seed" not in name]


def compiled(preset, spread):
    """A model of a preset with random weights, ready for training; XLA is left to Keras, as on several."""
    import keras

    from audiozoo.models import AudioModel

    with spread.building():
        model = AudioModel.architectures[preset.architecture](**preset.config)
        model.compile(keras.optimizers.Adam(1e-4), loss=model.training_loss(), jit_compile="auto")
    return model


def gradient_bytes(model):
    """Of the gradient of every weight, in float32."""
    return 4 * sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def steps_of(preset, spread, steps):
    """Seconds of one core for a step of a whole batch; on one device also of a half and of a quarter."""
    from benchmarks import workloads

    work, whole = workloads.of(preset), preset.train.batch_size
    seconds = {}
    for parts in (1, 2, 4) if spread.count == 1 else (1,):
        model = compiled(preset, spread)
        inputs, target = work.batch(model, whole // parts)
        model.adapt([inputs])
        seconds[parts] = core_seconds(model, inputs, target, spread, steps)
    found = {"batch_size": whole, "gradient_bytes": gradient_bytes(model), "core_seconds": seconds[1]}
    return found | ({"compute_core_seconds": seconds} if spread.count == 1 else {})


def core_seconds(model, inputs, target, spread, steps):
    """Seconds that all threads of this process compute for one step of ``fit``, after some that compile."""
    import keras

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.process_time()

        def on_epoch_end(self, epoch, logs=None):
            self.spent = time.process_time() - self.began

    class Same:
        def batch(self, step):
            return inputs | {"audio": target}

    from audiozoo.data.pipelines import training_stream

    watch = Watch()
    with spread.running():
        stream = training_stream(Same())
        for count in (WARM_UP_STEPS, steps):
            model.fit(stream, steps_per_epoch=count, epochs=1, shuffle=False, verbose=0, callbacks=[watch])
    return watch.spent / steps


def all_reduce(spread):
    """Latency and bandwidth of a sum over all devices: a line through the times of some sizes."""
    sizes = np.array(ALL_REDUCED_MIB) * 2**20
    seconds = np.array([all_reduce_seconds(spread, int(size)) for size in sizes])
    sent = 2.0 * (spread.count - 1) / spread.count * sizes
    slope, latency = np.polyfit(sent, seconds, 1)
    return {
        "bytes": sizes.tolist(),
        "core_seconds": seconds.tolist(),
        "bytes_per_second": 1.0 / slope,
        "latency_seconds": max(0.0, latency),
    }


def all_reduce_seconds(spread, size):
    """Seconds of the core for one sum of ``size`` bytes over all devices."""
    import keras

    make = jax_sum if keras.backend.backend() == "jax" else tensorflow_sum
    run = make(spread, size // 4)
    run()
    spent = []
    for _ in range(ALL_REDUCES):
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)
    return min(spent)


def jax_sum(spread, floats):
    """Function that adds up so many numbers of every device."""
    import jax

    mesh = jax.make_mesh((spread.count,), ("batch",))
    split = jax.sharding.PartitionSpec("batch")
    values = jax.device_put(
        np.ones((spread.count, floats), "float32"), jax.sharding.NamedSharding(mesh, split)
    )
    added = jax.jit(
        jax.shard_map(lambda x: jax.lax.psum(x, "batch"), mesh=mesh, in_specs=split, out_specs=split)
    )
    return lambda: added(values).block_until_ready()


def tensorflow_sum(spread, floats):
    """The same by the means that MirroredStrategy has."""
    import tensorflow as tf

    strategy = spread.callbacks[0].strategy
    values = strategy.experimental_distribute_values_from_function(lambda _: tf.ones((floats,)))

    @tf.function
    def added():
        reduce = tf.distribute.ReduceOp.SUM
        return strategy.run(
            lambda x: tf.distribute.get_replica_context().all_reduce(reduce, x), args=(values,)
        )

    return lambda: [each.numpy() for each in strategy.experimental_local_results(added())]


if __name__ == "__main__":
    devices, steps, *presets = sys.argv[1:]
    print(json.dumps(measure(int(devices), int(steps), presets)))
