"""Hands that move by known laws: for tests, for trying out mappings, and where there is no camera.

Reaches follow the minimum-jerk law (Flash and Hogan, 1985, J. Neuroscience 5(7), eq. 5), tremor has the 8 to
12 Hz of physiological tremor (Elble and Koller, 1990), and a hand is a chain of bones on a flat palm.
"""

import numpy as np

from audiozoo.arguments import check_choice, check_range, check_whole
from audiozoo.latent.motion import CHAINS, FINGERS, NUM_POINTS, WRIST, HandMotion

KINDS = ("play", "reach", "circle", "lissajous", "flexion", "tremor")
HAND_LENGTH = 0.09  # wrist to root of the middle finger, metres
# In hand lengths, along the hand and across the palm, of a right hand with the palm down: the root of each
# finger.
ROOTS = np.array([[0.25, -0.35], [0.98, -0.25], [1.0, 0.0], [0.95, 0.22], [0.85, 0.42]])
BONES = np.array(  # of each finger, from the root, in hand lengths
    [[0.45, 0.35, 0.3], [0.45, 0.27, 0.22], [0.5, 0.3, 0.22], [0.46, 0.28, 0.22], [0.36, 0.21, 0.2]]
)
SPREAD_DEGREES = np.array([-40.0, -15.0, 0.0, 12.0, 25.0])  # of a flat hand, away from the middle finger
# How far the joints bend in a fist, degrees. The thumb's root hardly does.
FIST_DEGREES = np.array([[0.0, 50.0, 80.0]] + 4 * [[90.0, 100.0, 90.0]])
REACH_SECONDS = (0.5, 1.5)  # shortest and longest
SPACE_METRES = 0.25  # half of the width in which hands move
TREMOR_HZ = (8.0, 12.0)
RESTING_TREMOR_METRES = 1e-3  # root mean square on each axis: visible, as in strain or old age


def hand_points(position, flexion, *, turn=None, spread=1.0):
    """Points of a hand in given poses.

    Args:
        position: of the wrist, metres, ``(frames, 3)``.
        flexion: of each finger, ``(frames, 5)``, 0 for straight to 1 for a fist.
        turn: rotation matrices ``(frames, 3, 3)``; None: fingers along y, palm towards -z.
        spread: share of the angles of a spread hand, a number or ``(frames,)``; at 0 fingers are parallel.

    Returns:
        float64 ``(frames, 21, 3)``, metres.
    """
    position, flexion = np.asarray(position, "float64"), np.asarray(flexion, "float64")
    frames = len(position)
    points = np.zeros((frames, NUM_POINTS, 3))
    spread = np.radians(SPREAD_DEGREES) * np.broadcast_to(np.asarray(spread, "float64"), frames)[:, None]
    for finger, chain in enumerate(CHAINS):
        along, across = ROOTS[finger]
        ahead = np.stack([np.sin(spread[:, finger]), np.cos(spread[:, finger]), np.zeros(frames)], axis=1)
        points[:, chain[0]] = [across, along, 0.0]
        bend = np.cumsum(np.radians(FIST_DEGREES[finger]) * flexion[:, finger, None], axis=1)
        for joint, length in enumerate(BONES[finger]):
            down = np.array([0.0, 0.0, -1.0]) * np.sin(bend[:, joint, None])
            bone = length * (ahead * np.cos(bend[:, joint, None]) + down)
            points[:, chain[joint + 1]] = points[:, chain[joint]] + bone
    points *= HAND_LENGTH
    if turn is not None:
        points = np.einsum("tij,tpj->tpi", turn, points)
    points[:, WRIST] = 0.0
    return points + position[:, None]


def minimum_jerk(start, end, share):
    """Places on a minimum-jerk reach.

    ``start + (end - start) (10 s^3 - 15 s^4 + 6 s^5)``, which rests at both ends and is fastest in the
    middle, 1.875 times its mean speed.

    Args:
        start, end: ``(dims,)``.
        share: of the duration that has passed, 0 to 1, ``(frames,)``.

    Returns:
        ``(frames, dims)``.
    """
    s = np.clip(np.asarray(share, "float64"), 0.0, 1.0)[:, None]
    return start + (np.asarray(end) - start) * (10.0 * s**3 - 15.0 * s**4 + 6.0 * s**5)


def synthetic_motion(kind="play", *, seconds=20.0, fps=60.0, tremor_metres=0.0, seed=0):
    """One hand that moves by a known law. The same arguments give the same motion.

    - ``"reach"``: the wrist goes from place to place, in a minimum-jerk reach of 0.5 to 1.5 s each.
    - ``"circle"``: it goes round evenly, in a plane and at a pace drawn by the seed.
    - ``"lissajous"``: each axis oscillates at its own pace.
    - ``"flexion"``: the wrist rests; each finger bends and straightens in minimum-jerk moves of its own.
    - ``"tremor"``: it rests and trembles, by 1 mm.
    - ``"play"``: reaches, fingers and turns of the hand at once, each in its own time: all that a hand can
      do.

    Args:
        kind: one of these.
        seconds: length.
        fps: frames a second.
        tremor_metres: root mean square on each axis of the tremor that is added, 8 to 12 Hz.
        seed: of all that is drawn.

    Returns:
        HandMotion, metres, with ``kind`` as its label.

    Raises:
        ValueError: an unknown kind, or a number out of its range.
    """
    check_choice("kind", kind, KINDS)
    check_range("seconds", seconds, 1.0 / 60.0, 86_400.0)
    check_range("fps", fps, 1.0, 1000.0)
    check_range("tremor_metres", tremor_metres, 0.0, 0.1)
    check_whole("seed", seed, 0)
    rng = np.random.default_rng(seed)
    frames = max(1, round(seconds * fps))
    time = np.arange(frames) / fps
    position, turn = np.zeros((frames, 3)), None
    flexion = np.full((frames, 5), 0.2)  # at ease
    if kind in ("reach", "play"):
        position = reaches(time, SPACE_METRES * np.array([[-1.0] * 3, [1.0] * 3]), rng)
    elif kind == "circle":
        position = circle(time, rng)
    elif kind == "lissajous":
        hz, phase = rng.uniform(0.1, 0.6, 3), rng.uniform(0.0, 2.0 * np.pi, 3)
        position = SPACE_METRES * np.sin(2.0 * np.pi * hz * time[:, None] + phase)
    if kind in ("flexion", "play"):
        flexion = np.concatenate([reaches(time, [[0.0], [1.0]], rng) for _ in FINGERS], axis=1)
    if kind == "play":
        widest = np.radians([60.0, 40.0, 60.0])
        turn = turns(reaches(time, [-widest, widest], rng))
    tremor_metres = RESTING_TREMOR_METRES if kind == "tremor" and not tremor_metres else tremor_metres
    if tremor_metres:
        position = position + tremor_metres * tremor(frames, fps, rng)
    points = hand_points(position, flexion, turn=turn)
    return HandMotion(points=points[:, None], fps=fps, label=kind)


def reaches(time, box, rng):
    """Reaches from place to place in a box ``(2, dims)``, one after the other: ``(frames, dims)``."""
    lowest, highest = np.asarray(box, "float64")
    path = np.empty((len(time), len(lowest)))
    begin, place = 0.0, rng.uniform(lowest, highest)
    while begin <= time[-1]:
        duration, goal = rng.uniform(*REACH_SECONDS), rng.uniform(lowest, highest)
        now = (time >= begin) & (time < begin + duration)
        path[now] = minimum_jerk(place, goal, (time[now] - begin) / duration)
        begin, place = begin + duration, goal
    return path


def circle(time, rng):
    """An even circle ``(frames, 3)`` in a plane, at a pace of 0.2 to 1 rounds a second."""
    plane, _ = np.linalg.qr(rng.standard_normal((3, 2)))
    radius, pace_hz = SPACE_METRES * rng.uniform(0.3, 1.0), rng.uniform(0.2, 1.0)
    turned = 2.0 * np.pi * pace_hz * time[:, None]
    return radius * np.concatenate([np.cos(turned), np.sin(turned)], axis=1) @ plane.T


def turns(angles):
    """Rotation matrices ``(frames, 3, 3)`` of angles about x, then y, then z, radians ``(frames, 3)``."""
    matrices = np.broadcast_to(np.eye(3), (len(angles), 3, 3))
    for axis in range(3):
        cosine, sine = np.cos(angles[:, axis]), np.sin(angles[:, axis])
        step = np.broadcast_to(np.eye(3), (len(angles), 3, 3)).copy()
        a, b = (axis + 1) % 3, (axis + 2) % 3
        step[:, a, a], step[:, a, b], step[:, b, a], step[:, b, b] = cosine, -sine, sine, cosine
        matrices = step @ matrices
    return matrices


def tremor(frames, fps, rng):
    """Noise of 8 to 12 Hz with a root mean square of 1 on each axis, ``(frames, 3)``; 0 where fps cannot."""
    hz = np.fft.rfftfreq(frames, 1.0 / fps)
    spectrum = rng.standard_normal((len(hz), 3)) + 1j * rng.standard_normal((len(hz), 3))
    spectrum[(hz < TREMOR_HZ[0]) | (hz > TREMOR_HZ[1])] = 0.0
    noise = np.fft.irfft(spectrum, frames, axis=0)
    size = np.sqrt(np.mean(noise**2, axis=0))
    return noise / np.where(size > 0.0, size, 1.0)
