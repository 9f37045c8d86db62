"""Peak memory of two training steps, each program in a process of its own."""

import subprocess
import sys

from benchmarks import devices

SIDES = ("ours", "baseline")


def compare(preset, batch_size):
    """Peak resident memory in MiB of a whole process, libraries included, for each side.

    Call it before this process has grown: on Linux a child's peak begins at its parent's size.

    Args:
        preset: name or path.
        batch_size: clips of 4 s.
    """
    command = [sys.executable, "-m", "benchmarks.peak_memory", preset, str(batch_size)]
    found = {}
    for side in SIDES:
        finished = subprocess.run([*command, side], stdout=subprocess.PIPE, text=True, check=True)
        found[side] = float(finished.stdout.split()[-1])
    return found


def main(preset, batch_size, side):
    """Two steps of one side; prints the peak in MiB."""
    import audiozoo
    from benchmarks import train_step

    make = {"ours": train_step.our_step, "baseline": train_step.baseline_step}[side]
    step = make(audiozoo.info(preset), batch_size)
    for _ in range(2):
        step()
    print(devices.peak_resident_mib())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
