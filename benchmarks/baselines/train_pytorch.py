"""Training of the plain PyTorch decoder on exactly our data, by the clock: what our curves stand beside."""

import json
import pathlib
import shutil
import time
from typing import Annotated

import typer

from benchmarks import results


def main(
    data: Annotated[pathlib.Path, typer.Option(help="Folder of recordings of one instrument.")],
    out: Annotated[pathlib.Path, typer.Option(help="Folder of the run; started again, it goes on.")],
    minutes: Annotated[float, typer.Option(help="Of the core's time, training alone.")] = 45.0,
    batch_size: Annotated[int, typer.Option(help="Clips of 4 seconds.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, after the rise.")] = 1e-3,
    warmup_steps: Annotated[int, typer.Option(help="Steps of the linear rise.")] = 0,
    decay_per_epoch: Annotated[float, typer.Option(help="Factor of the learning rate.")] = 1.0,
    steps_per_epoch: Annotated[int, typer.Option(help="Steps between two decays.")] = 100,
    evaluate_minutes: Annotated[float, typer.Option(help="Of the same between two evaluations.")] = 3.0,
    seed: Annotated[int, typer.Option(help="Of weights, crops and noise.")] = 0,
    name: Annotated[str, typer.Option(help="Of the result; none is written without.")] = "",
):
    """Train the plain PyTorch decoder on one core; loss over time on what is held out, per recording.

    The clock stops for evaluation. It counts the seconds of the core that this process had, which
    are the wall's where nothing else runs; both are in the history.
    """
    settings = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup_steps": warmup_steps,
        "decay_per_epoch": decay_per_epoch,
        "steps_per_epoch": steps_per_epoch,
        "seed": seed,
    }
    results.one_core()
    from audiozoo.data.datasets import instrument_folder
    from audiozoo.data.features import loudness_statistics
    from audiozoo.data.pipelines import FeatureCrops
    from benchmarks.baselines.ddsp_pytorch import DDSPDecoder

    recordings = instrument_folder(data, sample_rate=16000, hop=160)
    crops = FeatureCrops(recordings, sample_rate=16000, hop=160, batch_size=batch_size, seed=seed)
    mean_db, std_db = loudness_statistics(crops.training_loudness_db())
    out.mkdir(parents=True, exist_ok=True)
    run = Run(lambda: DDSPDecoder(loudness_mean_db=mean_db, loudness_std_db=std_db), crops, settings, out)
    run.restore()
    while run.core_seconds < 60.0 * minutes:
        run.train(min(60.0 * evaluate_minutes, 60.0 * minutes - run.core_seconds))
        print(run.evaluate(), flush=True)
        run.save()
    if name:
        shutil.copyfile(out / "history.jsonl", results.FOLDER / f"{name}_history.jsonl")
        best = min(run.history, key=lambda entry: entry["held_out"])
        print(f"written: {results.write(name, settings | {'last': run.history[-1], 'best': best})}")


class Run:
    """A baseline in training: its model, optimizer and clock, and the history of its evaluations.

    Args:
        make_model: function of no arguments, called after the seed is set.
        crops: ``audiozoo.data.pipelines.FeatureCrops``.
        settings: dict of what a continued run must not change.
        folder: of ``checkpoint.pt`` and ``history.jsonl``.
    """

    def __init__(self, make_model, crops, settings, folder):
        import torch

        self.crops, self.settings, self.folder = crops, settings, folder
        torch.set_num_threads(1)
        torch.manual_seed(settings["seed"])
        self.model = make_model()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings["learning_rate"])
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.learning_rate_factor)
        self.steps, self.core_seconds, self.wall_seconds = 0, 0.0, 0.0
        self.history, self.losses = [], []

    def learning_rate_factor(self, step):
        """A linear rise, times a constant factor from epoch to epoch."""
        rise = min(1.0, (step + 1) / max(1, self.settings["warmup_steps"]))
        return rise * self.settings["decay_per_epoch"] ** (step // self.settings["steps_per_epoch"])

    def train(self, seconds):
        """Whole steps until this process has had the core for ``seconds`` more."""
        wall, core = time.perf_counter(), time.process_time()
        while time.process_time() - core < seconds:
            self.losses.append(self.step())
        self.wall_seconds += time.perf_counter() - wall
        self.core_seconds += time.process_time() - core

    def step(self):
        """One batch; returns its loss. Ends the process where that is not finite."""
        self.model.train()
        loss = self.loss(self.crops.batch(self.steps))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.steps += 1
        if not loss.isfinite():
            raise SystemExit(f"the loss became {loss} in step {self.steps}; lower --learning-rate.")
        return loss.item()

    def loss(self, batch):
        """Of a batch of crops, a scalar tensor."""
        import torch

        from benchmarks.baselines.ddsp_pytorch import multi_scale_spectral_loss

        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        audio = self.model(tensors["f0_hz"], tensors["loudness_db"])
        return multi_scale_spectral_loss(tensors["audio"], audio)

    def evaluate(self):
        """Loss on the held-out crops, a mean per recording and over all crops: a line of the history."""
        import torch

        self.model.eval()
        recordings = self.crops.recordings
        losses = {recording.name: [] for recording in recordings}
        # Noise of its own, always the same; training goes on with the noise that it would have drawn.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for index, start in self.crops.validation_places():
                crop = self.crops.collate([index], [start])
                losses[recordings[index].name].append(self.loss(crop).item())
        every = [loss for some in losses.values() for loss in some]
        entry = {
            "core_seconds": round(self.core_seconds, 1),
            "wall_seconds": round(self.wall_seconds, 1),
            "steps": self.steps,
            "learning_rate": self.schedule.get_last_lr()[0],
            "loss": sum(self.losses) / len(self.losses),
            "held_out": sum(every) / len(every),
            "held_out_files": {name: sum(some) / len(some) for name, some in losses.items() if some},
        }
        self.losses = []
        self.history.append(entry)
        return entry

    def save(self):
        """Write the checkpoint, and the history as a copy to read."""
        import torch

        from audiozoo.atomic import replacing

        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "steps": self.steps,
            "core_seconds": self.core_seconds,
            "wall_seconds": self.wall_seconds,
            "history": self.history,
            "settings": self.settings,
        }
        with replacing(self.folder / "checkpoint.pt") as draft:
            torch.save(state, draft)
        with replacing(self.folder / "history.jsonl") as draft:
            draft.write_text("".join(json.dumps(entry) + "\n" for entry in self.history))

    def restore(self):
        """Go on where the folder's checkpoint stands, if there is one, with the same batches and noise.

        Raises:
            ValueError: the folder holds a run with other settings.
        """
        import torch

        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["settings"] != self.settings:
            raise ValueError(
                f"out {str(self.folder)!r} holds a run with {state['settings']}; now asked for: "
                f"{self.settings}. Choose another folder."
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        self.steps, self.history = state["steps"], state["history"]
        self.core_seconds, self.wall_seconds = state["core_seconds"], state["wall_seconds"]
