"""The wheel, installed, does the whole job: with the store that `tests/faces/prepare` renders."""

from __future__ import annotations

import gc
import json
import os
import shutil
import threading
from pathlib import Path

import numpy
import pocketlens
import pytest

FACES = Path(os.environ["POCKETLENS_FACES"])
STORE = FACES / "store"
GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "default.json"
PHOTOS = sorted((STORE / "queries").glob("*.jpg"))


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (FACES / name).read_text().splitlines()]


def picture(width: int, height: int, seed: int) -> numpy.ndarray:
    """A picture of integer arithmetic: `picture` of core/tests/golden.rs."""
    y, x = numpy.mgrid[0:height, 0:width]
    tile = (x // 24 + y // 24 + seed) % 3 == 0
    inside = (x - width // 2) ** 2 + (y - height // 2) ** 2 < (30 + 7 * (seed % 9)) ** 2
    channels = []
    for a, b in [(1, 2), (3, 1), (0, 2)]:
        value = (x * (a + seed % 5) + y * (b + seed % 3) + seed * 31) % 256
        value = numpy.minimum(value, 255 - value) * numpy.where(tile, 1, 2)
        channels.append(numpy.where(inside, 255 - value, value))
    return numpy.stack(channels, -1).astype(numpy.uint8)


@pytest.fixture(scope="module")
def lens() -> pocketlens.Lens:
    return pocketlens.Lens(STORE / "store.plx")


@pytest.fixture(scope="module")
def bundle() -> pocketlens.Bundle:
    return pocketlens.Bundle()


def test_answers_are_those_of_rust(lens):
    for photo, expected in zip(PHOTOS, lines("answers.jsonl")):
        answer = lens.search(photo)
        assert answer.verdict.name.lower() == expected["verdict"]
        for hit, other in zip(answer.hits, expected["hits"], strict=True):
            assert (hit.key, hit.group, pocketlens.payload(hit)) == (other["key"], other["group"], other["payload"])
            assert numpy.float32(hit.score) == numpy.float32(other["score"])
        assert lens.search(photo.read_bytes()).hits == answer.hits


def test_descriptors_are_those_of_rust_bit_for_bit(bundle):
    expected = numpy.array([line["descriptor"] for line in lines("descriptors.jsonl")], numpy.float32)
    found = bundle.describe_many(PHOTOS[: len(expected)], in_flight=7)
    assert found.dtype == numpy.float32 and found.tobytes() == expected.tobytes()


def test_arrays_give_the_golden_descriptors(bundle):
    golden = json.loads(GOLDEN.read_text())
    assert bundle.info.fingerprint == golden["fingerprint"]
    for seed, vector in enumerate(golden["vectors"]):
        pixels = picture(*vector["picture"], seed)
        expected = numpy.array(vector["descriptor"], numpy.float32).tobytes()
        assert bundle.describe(pixels).tobytes() == expected
        # Rows of a larger array, and columns of one that is turned, lie otherwise in memory.
        framed = numpy.pad(pixels, ((0, 3), (2, 5), (0, 0)))[:-3, 2:-5]
        assert bundle.describe(framed).tobytes() == expected
        assert bundle.describe(numpy.asfortranarray(pixels)).tobytes() == expected


def test_filters_groups_and_explanations(lens):
    filter = {"must": [{"key": "price", "range": {"lt": 4}}], "must_not": [{"key": "kind", "match": {"value": "coffee"}}]}
    hits = lens.search(PHOTOS[0], k=50, filter=filter).hits
    payloads = [pocketlens.payload(hit) for hit in hits]
    assert payloads and all(payload["price"] < 4 and payload["kind"] != "coffee" for payload in payloads)
    hits = lens.search(PHOTOS[0], k=5, group_by="group", explain=True).hits
    assert len({hit.group for hit in hits}) == len(hits) == 5
    heat = hits[0].explanation
    assert len(heat.shares) == heat.columns * heat.rows
    assert sum(heat.shares) == pytest.approx(hits[0].score, abs=0.01)
    kinds = [pocketlens.payload(hit)["kind"] for hit in lens.search(PHOTOS[0], k=5, group_by="kind").hits]
    assert len(set(kinds)) == len(kinds)


def test_a_region_is_the_crop(lens, bundle):
    pixels = picture(400, 300, 1)
    cropped = bundle.describe(pixels[30:130, 20:220].copy())
    assert bundle.describe(pixels, region=(20, 30, 200, 100)).tobytes() == cropped.tobytes()
    assert bundle.describe(pixels, region=(0.05, 0.1, 0.5, 1 / 3)).tobytes() == cropped.tobytes()
    with pytest.raises(pocketlens.PocketlensError.BadInput, match="region"):
        lens.search(pixels, region=(900, 0, 10, 10))


def test_a_focus_looks_at_a_place_in_the_photo_too(lens):
    answers = [(photo, lens.search(photo, focus=pocketlens.Focus.SALIENCY)) for photo in PHOTOS[:30]]
    found = [(photo, answer) for photo, answer in answers if answer.place is not None]
    assert found
    for photo, answer in found:
        place = answer.place
        assert 0 <= place.x < place.x + place.width <= 1 and 0 <= place.y < place.y + place.height <= 1
        assert 0 <= place.score <= 1
        there = lens.search(photo, region=place)
        assert there.hits[0].key == answer.hits[0].key and there.hits[0].score > lens.search(photo).hits[0].score
    # This model has neither a detector nor words.
    detected = lens.search(PHOTOS[0], focus=pocketlens.Focus.DETECTOR)
    assert detected.place is None and detected.attributes == []


def test_limits_are_kept_and_named(lens):
    pixels = picture(64, 64, 1)
    bad_input = pocketlens.PocketlensError.BadInput
    for limits, said, ask in [
        (pocketlens.Limits(photo_pixels=1000), "area in pixels is limited to 1000", {}),
        (pocketlens.Limits(photo_bytes=99), "file size in bytes is limited to 99", {}),
        (pocketlens.Limits(hits=5), "number of hits is limited to 5", {"k": 6}),
        (pocketlens.Limits(milliseconds=0), "milliseconds is limited to 0", {}),
        (
            pocketlens.Limits(filter_conditions=1),
            "at most 1 conditions",
            {"filter": {"must": [{"key": "price", "range": {"lt": 4}}, {"key": "price", "range": {"gt": 1}}]}},
        ),
    ]:
        limited = pocketlens.Lens(STORE / "store.plx", limits=limits)
        assert limited.limits == limits
        with pytest.raises(bad_input, match=said):
            limited.search(PHOTOS[0], **ask)
    with pytest.raises(bad_input):
        pocketlens.Lens(STORE / "store.plx", limits=pocketlens.Limits(network_bytes=9))
    # What is written beside each field is what the library has.
    assert lens.limits == pocketlens.Limits()
    bundle = pocketlens.Bundle(limits=pocketlens.Limits(photo_side=10))
    with pytest.raises(bad_input, match="longest side in pixels is limited to 10"):
        bundle.describe(PHOTOS[0])
    assert bundle.describe(pixels).shape == (bundle.info.dim,)


def test_a_catalogue_is_augmented(tmp_path, bundle):
    entries = [pocketlens.Entry(photo, photo.stem) for photo in sorted((STORE / "catalogue").glob("*.jpg"))[:12]]
    scores = []
    for augment in [None, 3]:
        pocketlens.build_index(tmp_path / "shop.plx", entries, bundle, augment=augment, calibration_queries=0)
        lens = pocketlens.Lens(tmp_path / "shop.plx")
        assert lens.info.augmented == augment
        scores.append(lens.search(entries[0].image).hits[0].score)
    assert scores[0] > 0.99 > scores[1]
    with pytest.raises(pocketlens.PocketlensError.BadInput, match="augment"):
        pocketlens.build_index(tmp_path / "part.plx", entries, bundle, augment=3, is_shard=True)


def test_an_index_is_built_and_kept(tmp_path, bundle):
    catalogue = sorted((STORE / "catalogue").glob("*.jpg"))[:12]
    entries = [pocketlens.Entry(photo, photo.stem, payload={"n": n, "tags": ["a", None]}) for n, photo in enumerate(catalogue)]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    seen: list[int] = []
    report = pocketlens.build_index(
        tmp_path / "shop.plx", [*entries, pocketlens.Entry(broken, "broken")], bundle, progress=seen.append
    )
    assert (report.photos, [refused.image for refused in report.refused]) == (12, [str(broken)])
    assert sorted(seen) == list(range(1, 14))
    index = pocketlens.Index(tmp_path / "shop.plx")
    index.verify()
    assert len(index) == 12 and [item.key for item in index] == sorted(photo.stem for photo in catalogue)

    lens = pocketlens.Lens(tmp_path / "shop.plx")
    lens.put("extra", PHOTOS[0], group="g", payload={"n": 99.5})
    hit = lens.search(PHOTOS[0]).hits[0]
    assert (hit.key, hit.group, pocketlens.payload(hit)) == ("extra", "g", {"n": 99.5})
    assert lens.remove(["extra", "unknown"]).items == 12
    pocketlens.compact(tmp_path / "shop.plx")
    assert lens.reload().items == 12
    with pytest.raises(pocketlens.PocketlensError.BadInput):
        pocketlens.roll_back(tmp_path / "shop.plx")


def test_errors_are_typed_and_say_what_to_do(tmp_path, lens):
    error = pocketlens.PocketlensError
    with pytest.raises(error.Storage):
        pocketlens.Lens(tmp_path / "nothing.plx")
    with pytest.raises(error.BadInput, match="JPEG, PNG or WebP"):
        lens.search(b"no photo")
    with pytest.raises(error.BadInput, match="0.5 to 0.999"):
        lens.search(PHOTOS[0], precision=2)
    with pytest.raises(error.BadInput):
        lens.search(PHOTOS[0], filter='{"must": 3}')
    with pytest.raises(TypeError, match="uint8"):
        lens.search(numpy.zeros((4, 4, 3)))
    shutil.copytree(STORE / "store.plx", tmp_path / "bad.plx")
    segment = next((tmp_path / "bad.plx").glob("*.seg"))
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    segment.write_bytes(damaged)
    with pytest.raises(error.Damaged, match=segment.name):
        pocketlens.Index(tmp_path / "bad.plx").verify()


def test_threads_ask_one_lens(lens):
    expected = [lens.search(photo).hits for photo in PHOTOS[:6]]
    found: list = [None] * 6

    def ask(at: int) -> None:
        found[at] = lens.search(PHOTOS[at]).hits

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == expected


def test_a_search_that_blocks_is_refused_on_the_first_thread(lens):
    from pocketlens import pocketlens_ffi as ffi
    from pocketlens.photo import frame_of

    inner, pixels = lens._lens, picture(64, 64, 1)
    frame, found = frame_of(inner.bundle(), pixels, None), []

    def ask() -> None:
        found.append(inner.search_blocking(frame, ffi.Query(), ffi.CancelToken()).hits)

    if Path("/proc/thread-self").exists():
        with pytest.raises(pocketlens.PocketlensError.BadInput, match="from another"):
            ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [lens.search(pixels).hits]


def test_a_thousand_calls_leave_nothing_behind(lens):
    pixels = picture(320, 256, 2)

    def resident() -> int:
        gc.collect()
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024

    for _ in range(100):
        lens.search(pixels, k=1)
    before = resident()
    for _ in range(1000):
        lens.search(pixels, k=1)
    assert resident() - before < 20, "megabytes"


def test_the_device_gives_the_golden_descriptors(lens):
    report = lens.self_test("a test")
    assert report.passed, report.text
