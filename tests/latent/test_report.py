"""The page: whole, offline, small, and of every kind of model; in a browser it plays."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile

from audiozoo.errors import DataError, MotionError
from audiozoo.latent import page, synthetic_motion, write_motion
from audiozoo.latent.report import PARTS, report
from audiozoo.models import Conv1DResnetVAE, MnistVAE

SMALL = {"sample_rate": 8000, "strides": (8, 8), "filters": (6, 8), "latent_dim": 4, "clip_seconds": 0.5}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Ten recordings in two folders: tones of rising pitch, noises of rising level; one of them is silent."""
    folder = tmp_path_factory.mktemp("recordings")
    t, rng = np.arange(4800) / 8000, np.random.default_rng(0)
    for kind in ("tones", "noises"):
        (folder / kind).mkdir()
        for number in range(5):
            tone = 0.3 * np.sin(2 * np.pi * 200 * (number + 1) * t)
            noise = 0.05 * number * rng.uniform(-1, 1, len(t))
            soundfile.write(folder / kind / f"{number}.wav", tone if kind == "tones" else noise, 8000)
    return folder


@pytest.fixture(scope="module")
def whole(recordings, tmp_path_factory):
    """A report of everything, with its numbers and the number of batches that were encoded."""
    pytest.importorskip("umap")
    model, calls = Conv1DResnetVAE(**SMALL), []
    encode = model.code_distribution
    model.code_distribution = lambda audio: calls.append(len(audio)) or encode(audio)
    out = tmp_path_factory.mktemp("whole") / "new"
    numbers = report(model, recordings, out, pitch="yin", fidelity=0.7)
    return out, numbers, calls


def test_the_page_is_one_file_that_fetches_nothing(whole):
    out, numbers, _ = whole
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "report.json"]
    text = (out / "index.html").read_text()
    assert len(text) / 1e6 == pytest.approx(numbers["megabytes"], abs=0.01)
    assert numbers["megabytes"] < 15.0
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert not re.findall(r"url\(|import |fetch\(|XMLHttpRequest", text)
    assert text.count("<audio") == 4 + 3 + 5 + 4
    for heading in ("Informative directions", "Map", "Along one direction", "Played by a hand"):
        assert f"<h2>{heading}" in text


def test_every_recording_is_encoded_once(whole):
    assert whole[2] == [10]


def test_numbers_are_json_and_say_what_took_how_long(whole):
    out, numbers, _ = whole
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(numbers))
    assert set(PARTS) | {"codes", "all"} == set(numbers["seconds"])
    assert numbers["seconds"]["all"] == pytest.approx(
        sum(value for name, value in numbers["seconds"].items() if name != "all"), abs=0.1
    )
    assert numbers["items"] == 10
    assert set(numbers["walks"]) == {"gaussian", "ornstein-uhlenbeck", "spline", "lissajous", "a recording"}


def test_the_map_has_all_points_colours_and_sounds(whole):
    text = (whole[0] / "index.html").read_text()
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)[1])
    assert {len(points) for points in data["planes"].values()} == {10}
    assert data["colourings"]["class"]["names"] == ["noises", "tones"]
    assert data["colourings"]["f0"]["values"].count(None) >= 1  # noise and silence have no pitch
    assert all(preview.startswith("data:audio/ogg;base64,") for preview in data["previews"])
    assert data["names"][0] == "noises/0.wav"


def test_parts_alone_with_files(recordings, tmp_path):
    numbers = report(
        Conv1DResnetVAE(**SMALL), recordings, tmp_path, parts=["dimensions", "sweeps"], files=True
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert sum(name.endswith(".wav") for name in names) == 3 * 7
    assert "direction_1_+3.wav" in names
    assert sum(name.endswith(".png") for name in names) == 1 + 3
    assert numbers["dimensions"]["rank"]["singular"]["0.99"] == 4
    with pytest.raises(ValueError, match="parts must be one of dimensions, .*; got 'taste'"):
        report(Conv1DResnetVAE(**SMALL), recordings, tmp_path, parts=["taste"])


def test_one_code_for_a_clip_and_what_does_not_apply(recordings, tmp_path):
    model = Conv1DResnetVAE(**SMALL, latent_mode="global")
    parts = ["dimensions", "small_codes", "sweeps", "correlations", "ways", "interpolation", "motion"]
    numbers = report(model, recordings, tmp_path, parts=parts)
    text = (tmp_path / "index.html").read_text()
    assert "there is no time in it to walk along" in text
    assert set(numbers["interpolation"]["straight line"]) > {"path_length"}


def test_images_are_seen_and_not_heard(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "small.npz", x_train=rng.uniform(size=(40, 8, 8)), y_train=np.arange(40) % 4)
    model = MnistVAE(image_size=8, hidden_units=12, latent_dim=4)
    parts = [part for part in PARTS if part != "map"]
    report(model, str(tmp_path / "small.npz"), tmp_path / "out", parts=parts)
    text = (tmp_path / "out" / "index.html").read_text()
    assert "<audio" not in text
    assert "Descriptors are of sound. This model is of images." in text
    assert "An item has one code" in text
    assert text.count("<img") == 1 + 1 + 3 + 2


def test_nothing_is_written_where_there_is_no_sound(tmp_path):
    with pytest.raises(DataError):
        report(Conv1DResnetVAE(**SMALL), tmp_path / "missing", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_a_budget_of_sounds_is_kept():
    sounds = list(np.random.default_rng(0).uniform(-0.3, 0.3, (30, 4000)))
    for megabytes in (1.0, 0.1, 0.02):
        addresses = page.sounds_within(sounds, 16000, megabytes)
        assert 0 < sum(len(address or "") for address in addresses) <= megabytes * 1e6 + 30 * 30
    assert sum(address is None for address in addresses) > 15  # the least compression is not enough
    assert None not in page.sounds_within(sounds, 16000, 1.0)


def test_text_cannot_become_markup():
    evil = "</script><b>&"
    box = page.sound_map({"p": np.zeros((2, 2))}, {"c": np.array([evil, evil])}, [evil, evil], [None, None])
    assert box.count("</script>") == 1
    assert "<b>" not in box + page.paragraph(evil) + page.table([evil], [[evil]]) + page.page(evil, [])


def test_in_a_browser_it_loads_without_errors_and_plays(whole):
    browsers = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    executable = next((path for path in browsers if path), None)
    if executable is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
        browser = driver.chromium.launch(executable_path=executable, args=arguments)
        shown = browser.new_context(offline=True).new_page()
        complaints = []
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("requestfailed", lambda request: complaints.append(request.url[:100]))
        shown.goto((whole[0] / "index.html").as_uri())
        played = shown.evaluate(
            """async () => {
                const found = [];
                for (const player of document.querySelectorAll("audio")) {
                    await player.play();
                    await new Promise(done => player.addEventListener("timeupdate", done, { once: true }));
                    found.push(player.duration);
                    player.pause();
                }
                return found;
            }"""
        )
        assert len(played) == 16
        assert min(played) > 0.4
        canvas = shown.locator(".map canvas")
        canvas.focus()
        for _ in range(3):
            shown.keyboard.press("ArrowRight")
        shown.wait_for_function("document.querySelector('.map').dataset.played === '2'")
        assert shown.locator(".map .tip").inner_text() == "noises/2.wav"
        inked = canvas.evaluate(
            "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        )
        assert inked > 10
        browser.close()
        assert not complaints


def test_a_hand_plays_the_model(recordings, tmp_path):
    write_motion(tmp_path / "hand.npz", synthetic_motion("play", seconds=2.0))
    numbers = report(
        Conv1DResnetVAE(**SMALL), recordings, tmp_path / "out", parts=["motion"], motion=tmp_path / "hand.npz"
    )
    assert 0.0 <= numbers["motion"]["coverage"] <= 1.0
    assert (tmp_path / "out" / "index.html").read_text().count("<audio") == 2
    (tmp_path / "broken.csv").write_text("nothing of a hand\n")
    with pytest.raises(MotionError):
        report(Conv1DResnetVAE(**SMALL), recordings, tmp_path / "no", motion=tmp_path / "broken.csv")
    assert not list((tmp_path / "no").glob("*"))
