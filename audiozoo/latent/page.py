"""Pages that need nothing but a browser: pictures, players, and maps that sound under the pointer.

All is inside the one file: sounds as Ogg Opus, pictures as PNG, and a script of our own. Nothing is fetched.
"""

import base64
import html
import io
import json

import numpy as np

from audiozoo.atomic import make_folder, replacing
from audiozoo.data.audio_io import mono_at_rate
from audiozoo.latent.maps import within_view
from audiozoo.progress import in_threads

OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
OPUS_LEVELS = (0.7, 0.8, 0.9, 0.93, 0.96, 1.0)  # of compression: from 90 down to 6 kbit/s
PLAYER_LEVEL = 0.75
CALIBRATION = 12  # sounds by which the level for all is chosen
BASE64 = 4.0 / 3.0  # characters a byte
SOFTEST_PEAK = 1e-3  # what is softer is not turned up

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid #8886; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #8884; }
figure { margin: 1rem 0; } figcaption, .note { font-size: .85rem; opacity: .8; }
.players { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; }
.players figure { margin: .3rem 0; } audio { height: 2rem; width: 17rem; max-width: 100%; }
.map { position: relative; }
.map canvas { width: 100%; background: #fff; border-radius: 4px; display: block; }
.map .tip { position: absolute; pointer-events: none; background: #222; color: #fff; font-size: .8rem;
  padding: .1rem .5rem; border-radius: 3px; display: none; }
.map .tip img { display: block; width: 5rem; image-rendering: pixelated; margin: .2rem 0; }
.map .bar { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center; font-size: .85rem; }
.map .key { display: flex; flex-wrap: wrap; gap: 0 .8rem; font-size: .8rem; }
.map .key i { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin-right: .3rem; }
"""

SCRIPT = """
"use strict";
const PALETTE = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf",
  "#bcbd22", "#393b79", "#637939", "#843c39"];
const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

function ramp(share) {
  const place = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
  const below = Math.min(Math.floor(place), STOPS.length - 2), part = place - below;
  const mixed = STOPS[below].map((c, i) => Math.round(c + part * (STOPS[below + 1][i] - c)));
  return `rgb(${mixed.join(",")})`;
}

function soundMap(box) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const canvas = box.querySelector("canvas"), tip = box.querySelector(".tip");
  const key = box.querySelector(".key"), draw = canvas.getContext("2d");
  const planes = box.querySelector(".plane"), colourings = box.querySelector(".colour");
  for (const [select, entries] of [[planes, data.planes], [colourings, data.colourings]])
    for (const name of Object.keys(entries)) select.add(new Option(name, name));
  let places = [], colours = [], current = -1, player = null;

  function colour() {
    const chosen = data.colourings[colourings.value];
    key.textContent = "";
    if (chosen.names) {
      colours = chosen.values.map(v => v < 0 ? "#bbb" : PALETTE[v % PALETTE.length]);
      chosen.names.forEach((name, i) => {
        const entry = document.createElement("span"), dot = document.createElement("i");
        dot.style.background = PALETTE[i % PALETTE.length];
        entry.append(dot, name);
        key.append(entry);
      });
    } else {
      const [low, high] = chosen.range;
      colours = chosen.values.map(v => v === null ? "#bbb" : ramp((v - low) / (high - low || 1)));
      for (let i = 0; i < 5; i++) {
        const entry = document.createElement("span"), dot = document.createElement("i");
        dot.style.background = ramp(i / 4);
        entry.append(dot, (low + i / 4 * (high - low)).toPrecision(3));
        key.append(entry);
      }
    }
  }

  function paint() {
    const scale = window.devicePixelRatio || 1, width = box.clientWidth, height = Math.round(width * .55);
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.height = height + "px";
    draw.scale(scale, scale);
    const points = data.planes[planes.value];
    const range = axis => {
      const values = points.map(p => p[axis]);
      return [Math.min(...values), Math.max(...values)];
    };
    const [x, y] = [range(0), range(1)], margin = 14;
    places = points.map(p => [
      margin + (p[0] - x[0]) / (x[1] - x[0] || 1) * (width - 2 * margin),
      height - margin - (p[1] - y[0]) / (y[1] - y[0] || 1) * (height - 2 * margin)]);
    places.forEach((p, i) => {
      draw.beginPath();
      draw.arc(p[0], p[1], i === current ? 7 : 3.5, 0, 7);
      draw.fillStyle = colours[i];
      draw.globalAlpha = i === current ? 1 : .8;
      draw.fill();
      if (i === current) { draw.strokeStyle = "#000"; draw.stroke(); }
    });
    draw.globalAlpha = 1;
  }

  function show(index) {
    if (index === current) return;
    current = index;
    if (player) player.pause();
    player = null;
    tip.style.display = index < 0 ? "none" : "block";
    if (index >= 0) {
      tip.textContent = data.names[index];
      const preview = data.previews[index];
      if (preview && data.kind === "image") {
        const image = new Image();
        image.src = preview;
        tip.append(image);
      }
      if (preview && data.kind === "audio") {
        player = new Audio(preview);
        player.play().then(() => { box.dataset.played = index; }).catch(error => {
          if (error.name === "NotAllowedError") tip.textContent += " (click once to let sounds play)";
        });
      }
      const room = box.clientWidth - tip.offsetWidth - 8;
      tip.style.left = Math.max(0, Math.min(places[index][0] + 10, room)) + "px";
      tip.style.top = canvas.offsetTop + places[index][1] + 10 + "px";
    }
    paint();
  }

  function nearest(event) {
    const edge = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - edge.left, event.clientY - edge.top];
    let best = -1, least = 14 * 14;
    places.forEach((p, i) => {
      const distance = (p[0] - x) ** 2 + (p[1] - y) ** 2;
      if (distance < least) { least = distance; best = i; }
    });
    return best;
  }

  canvas.addEventListener("mousemove", event => show(nearest(event)));
  canvas.addEventListener("mouseleave", () => show(-1));
  canvas.addEventListener("click", event => {
    const index = nearest(event);
    show(-1);
    show(index);
  });
  canvas.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); show((current + step + places.length) % places.length); }
  });
  planes.addEventListener("change", () => { show(-1); paint(); });
  colourings.addEventListener("change", () => { colour(); paint(); });
  window.addEventListener("resize", paint);
  colour();
  paint();
}

document.querySelectorAll(".map").forEach(soundMap);
document.addEventListener("play", event => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);
"""


def page(title, sections):
    """A whole page as text.

    Args:
        title: of the page.
        sections: pieces of HTML.
    """
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else a browser would ask for favicon.ico
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        + "\n".join(sections)
        + f"\n<script>{SCRIPT}</script>\n</body></html>\n"
    )


def write_page(path, text):
    """Write a page whole or not at all. Raises OutputError."""
    make_folder(path.parent)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def section(title, *parts):
    """A heading and what is beneath it."""
    return f"<section><h2>{html.escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text, *, note=False):
    """A paragraph of plain text."""
    return f"<p{' class=note' if note else ''}>{html.escape(text)}</p>"


def table(headings, rows):
    """A table of plain texts."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(str(cell))}</th>" for cell in headings) + "</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    ]
    return "<table>" + "\n".join(lines) + "</table>"


def picture(figure, caption, *, dots_per_inch=90):
    """A matplotlib figure, as PNG, with its caption."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dots_per_inch, format="png")
    text = html.escape(caption)
    uri = data_uri(buffer.getvalue(), "image/png")
    return f'<figure><img src="{uri}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def players(sounds, *, sample_rate):
    """A player for each of some sounds.

    Args:
        sounds: caption to audio ``(samples,)``.
        sample_rate: Hz.
    """
    figures = [
        f'<figure><figcaption>{html.escape(caption)}</figcaption><audio controls preload="auto" '
        f'src="{data_uri(opus(audio, sample_rate, PLAYER_LEVEL), "audio/ogg")}"></audio></figure>'
        for caption, audio in sounds.items()
    ]
    return '<div class="players">' + "\n".join(figures) + "</div>"


def sound_map(planes, colourings, names, previews, *, kind="audio"):
    """A map whose points sound, or show an image, under the pointer; arrow keys step through them.

    Args:
        planes: name to points ``(points, 2)``.
        colourings: name to values ``(points,)``: numbers, NaN where there is none, or texts.
        names: of the points.
        previews: for each point a ``data:`` address, or None.
        kind: ``"audio"`` or ``"image"``, what the previews are.
    """
    data = {
        "planes": {name: np.round(within_view(points), 4).tolist() for name, points in planes.items()},
        "colourings": {name: colouring(values) for name, values in colourings.items()},
        "names": list(names),
        "previews": list(previews),
        "kind": kind,
    }
    inner = json.dumps(data, allow_nan=False).replace("<", "\\u003c")  # no tag can end the script
    does = "sounds under the pointer" if kind == "audio" else "shows its image under the pointer"
    return (
        '<div class="map"><div class="bar"><label>map <select class="plane"></select></label> '
        f'<label>colour <select class="colour"></select></label><span>{len(data["names"])} points, each '
        f"{does}; click, or use the arrow keys</span></div>\n"
        '<canvas tabindex="0" role="img" aria-label="map of codes"></canvas><div class="tip"></div>'
        f'<div class="key"></div>\n<script type="application/json">{inner}</script></div>'
    )


def colouring(values):
    """Values of points as the script wants them: numbers with their range, or numbers of names."""
    values = np.asarray(values)
    if values.dtype.kind in "fi":
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)  # no outlier takes it all
        rounded = [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]
        return {"values": rounded, "range": [float(low), float(high)]}
    names, counts = np.unique(values[values != "none"], return_counts=True)
    kept = sorted(names[np.argsort(-counts)][:12].tolist())
    return {"values": [kept.index(v) if v in kept else -1 for v in values.tolist()], "names": kept}


def opus(audio, sample_rate, level):
    """Audio as Ogg Opus, bytes; what is beyond full scale is turned down.

    Args:
        audio: ``(samples,)``.
        sample_rate: Hz.
        level: of compression, 0 to 1.
    """
    import soundfile

    rate = next((rate for rate in OPUS_RATES_HZ if rate >= sample_rate), OPUS_RATES_HZ[-1])
    audio = mono_at_rate(audio, sample_rate, rate)
    audio = audio / max(1.0, float(np.abs(audio).max()))
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format="OGG", subtype="OPUS", compression_level=level)
    return buffer.getvalue()


def sounds_within(sounds, sample_rate, megabytes):
    """Addresses ``data:`` of sounds that are together no larger than a budget.

    They are compressed as little as the budget allows; where the most is not enough, only every second,
    third ... has one.

    Args:
        sounds: sequence of audio ``(samples,)``.
        sample_rate: Hz.
        megabytes: of the page, for all of them.

    Returns:
        List of a text or None for each.
    """
    room = megabytes * 1e6 / BASE64
    trial = np.unique(np.linspace(0, len(sounds) - 1, CALIBRATION).astype(int))
    for level in OPUS_LEVELS:
        size = np.mean([len(opus(sounds[index], sample_rate, level)) for index in trial]) * len(sounds)
        if size <= 0.9 * room:
            break
    step = max(1, int(np.ceil(size / (0.9 * room))))
    coded = in_threads(
        lambda index: opus(sounds[index], sample_rate, level),
        range(0, len(sounds), step),
        "sounds",
        shown=False,
    )
    addresses, left = [None] * len(sounds), room
    for number, content in enumerate(coded):
        left -= len(content)
        if left > 0:
            addresses[number * step] = data_uri(content, "audio/ogg")
    return addresses


def image_previews(images):
    """Addresses ``data:`` of grey images ``(images, size, size)`` in 0..1."""
    from matplotlib.image import imsave

    addresses = []
    for image in images:
        buffer = io.BytesIO()
        imsave(buffer, image, cmap="gray", vmin=0.0, vmax=1.0, format="png")
        addresses.append(data_uri(buffer.getvalue(), "image/png"))
    return addresses


def data_uri(content, kind):
    """Bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
