"""The try-out page of `pocketlens serve` in a real browser: photos come by file, drop and paste; hits, verdict, times,
heat map and filters are there; and who cannot see or use a mouse gets along.

    python -m pytest tests/browser          # POCKETLENS=target/release/pocketlens unless said otherwise
"""

import base64
import json
import os
import pathlib
import subprocess

import pytest
import webdriver

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = os.environ.get("POCKETLENS", str(ROOT / "target/release/pocketlens"))
# Where screenshots are kept, for people to look at.
SHOTS = os.environ.get("SCREENSHOTS")


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The rendered store of `pocketlens demo`: index, catalogue, and photos of a simulated camera."""
    folder = tmp_path_factory.mktemp("store")
    subprocess.run([PROGRAM, "demo", "--out", folder, "--json"], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="session")
def url(store):
    index = next(store.rglob("*.plx"))
    command = [PROGRAM, "serve", index, "--bind", "127.0.0.1:0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield json.loads(server.stdout.readline())["url"]
    server.terminate()
    assert server.wait() == 0


@pytest.fixture(scope="session")
def photo(store):
    return sorted(path for path in store.rglob("*.jpg") if "quer" in str(path))[0]


@pytest.fixture
def page(url):
    with webdriver.Browser(1280, 900) as browser:
        browser.open(url)
        browser.when("document.getElementById('about').textContent.includes('items')")
        yield browser
        # Policy violations, failed requests and exceptions all stand here.
        complaints = [text for text in browser.messages() if "status of 400" not in text]
        assert complaints == []


ANSWERED = "!document.getElementById('verdict').hidden && document.querySelectorAll('.hit').length"


def hits(page):
    return page.run("return [...document.querySelectorAll('.hit h3')].map((title) => title.textContent)")


def shoot(page, name):
    if SHOTS:
        # Pictures of hits come when they are scrolled to.
        page.run("for (const image of document.images) image.loading = 'eager'")
        page.when("[...document.images].every((image) => image.complete)")
        page.screenshot(pathlib.Path(SHOTS) / f"{name}.png")


def test_a_photo_becomes_an_answer(page, photo):
    page.type("#file", str(photo))
    page.when(ANSWERED)
    assert len(hits(page)) == 12
    assert page.run("return document.getElementById('verdict').textContent").strip()[0] in "✓?✕"
    stages = page.run("return [...document.querySelectorAll('#times li')].map((line) => line.textContent)")
    named = [line.strip("■ ").split(" ")[0] for line in stages]
    assert named == ["decode", "resize", "backbone", "describe", "search", "heat", "total", "with"]
    # The heat map of the first hit lies over the photo; pressing the hit takes it away, another brings its own.
    heat = "return document.getElementById('heat').toDataURL()"
    first = page.run(heat)
    assert page.run("return document.getElementById('heat').dataset.shown") == "true"
    page.click(".hits li:nth-child(1) .hit")
    assert page.run("return document.getElementById('heat').dataset.shown") == "false"
    page.click(".hits li:nth-child(2) .hit")
    assert page.run("return document.getElementById('heat').dataset.shown") == "true"
    assert page.run(heat) != first
    pictures = "[...document.querySelectorAll('.hit img')]"
    page.run(f"for (const image of {pictures}) image.loading = 'eager'")
    page.when(f"{pictures}.length === 12 && {pictures}.every((image) => image.complete && image.naturalWidth > 0)")
    page.click(".hits li:nth-child(1) .hit")
    shoot(page, "desktop")


def test_the_camera_input_asks_for_the_camera_at_the_back(page, photo):
    assert page.run("return document.getElementById('camera').getAttribute('capture')") == "environment"
    page.type("#camera", str(photo))
    page.when(ANSWERED)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photos_can_be_dropped_and_pasted(page, photo, event):
    script = """
        const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
        const fields = { bubbles: true, cancelable: true };
        const event = arguments[1] === "drop" ? new DragEvent("drop", { ...fields, dataTransfer: data })
                                              : new ClipboardEvent("paste", { ...fields, clipboardData: data });
        return document.body.dispatchEvent(event);
    """
    # What the page takes, the browser must not open itself.
    assert not page.run(script, base64.b64encode(photo.read_bytes()).decode(), event)
    page.when(ANSWERED)


def test_filters_leave_what_they_say(page, photo):
    page.type("#file", str(photo))
    page.when(ANSWERED)
    best = hits(page)[0]
    key = page.run("return new URL(document.querySelector('.hit img').src).searchParams.get('key')")
    page.run("document.querySelector('details').open = true")
    page.type("#filter", json.dumps({"must_not": [{"has_id": [key]}]}))
    page.click("#apply")
    page.when(ANSWERED)
    assert best != hits(page)[0]
    page.click("#clear")
    page.when(ANSWERED)
    assert hits(page)[0] == best
    page.run("document.getElementById('filter').value = '{'")
    page.click("#apply")
    page.when("document.querySelector('.error')")
    assert "JSON" in page.run("return document.querySelector('.error').textContent")


def test_a_condition_can_be_put_together(page, photo):
    fields = page.run("return [...document.getElementById('field').options].map((option) => option.value)")
    assert fields and fields[0]
    page.type("#file", str(photo))
    page.when(ANSWERED)
    value = page.run("return document.querySelector('.hit dd')?.textContent")
    name = page.run("return document.querySelector('.hit dt')?.textContent")
    if name not in fields:
        name, value = fields[0], "nothing like it"
    page.run("document.querySelector('details').open = true; document.getElementById('field').value = arguments[0]", name)
    page.type("#value", value)
    page.click("#add")
    page.when(f"({ANSWERED}) || !document.getElementById('status').textContent.includes('Searching')")
    written = json.loads(page.run("return document.getElementById('filter').value"))
    assert written["must"][0]["key"] == name


def test_what_is_no_photo_is_named(page, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    page.type("#file", str(broken))
    page.when("document.querySelector('.error')")
    assert len(page.run("return document.querySelector('.error').textContent")) > 10


def test_everything_has_a_name_and_is_reached_by_keyboard(page, photo):
    page.type("#file", str(photo))
    page.when(ANSWERED)
    page.run("document.querySelector('details').open = true")
    nameless = page.run("""
        return [...document.querySelectorAll("input, select, textarea, button")].filter((control) =>
            !(control.labels?.length || control.getAttribute("aria-label") || control.textContent.trim())).map((c) => c.outerHTML)
    """)
    assert nameless == []
    assert page.run("return [...document.images].every((image) => image.hasAttribute('alt'))")
    assert page.run("return document.documentElement.lang && document.querySelectorAll('h1').length") == 1
    assert page.run("return document.querySelector('[role=status]').getAttribute('aria-live')") == "polite"
    reached = page.run("""
        const all = [...document.querySelectorAll("a, input, select, textarea, button, summary")];
        return all.every((control) => control.tabIndex === 0);
    """)
    assert reached
    small = page.run("""
        return [...document.querySelectorAll(".button, .hit, select, summary")].filter((control) => {
            const box = control.getBoundingClientRect();
            return box.width && box.height < 44;
        }).map((control) => control.outerHTML.slice(0, 80));
    """)
    assert small == []
    contrast = page.run(CONTRAST)
    assert contrast == []


# Text whose colour is closer than 4.5:1 to the paint behind it (WCAG 2.2, 1.4.3).
CONTRAST = """
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = numbers(colour).map((value) => value / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor, parts = numbers(colour);
            if (parts.length < 4 || parts[3] === 1) return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const poor = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.getClientRects().length || element.matches("script, style, .skip, span[class^=stage]")) continue;
        const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(element.outerHTML.slice(0, 90) + " " + ((a + 0.05) / (b + 0.05)).toFixed(2));
    }
    return poor;
"""


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_sideways(url, photo, dark):
    with webdriver.Browser(390, 844, dark) as page:
        page.open(url)
        page.type("#file", str(photo))
        page.when(ANSWERED)
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        assert page.run("return matchMedia('(prefers-color-scheme: dark)').matches") == dark
        assert page.run(CONTRAST) == []
        shoot(page, "phone-dark" if dark else "phone")
