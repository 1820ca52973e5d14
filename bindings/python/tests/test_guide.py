"""The guide's Python, as it stands in the guide: what is between anchors is shown there."""

import os
import shutil
from pathlib import Path

import pocketlens
import pytest

STORE = Path(os.environ["POCKETLENS_FACES"]) / "store"


def test_guide(tmp_path, capsys):
    photo = STORE / "queries" / "query-000.jpg"
    index = tmp_path / "shop.plx"
    shutil.copytree(STORE / "store.plx", index)
    # ANCHOR: open
    lens = pocketlens.Lens(index)
    # ANCHOR_END: open
    # ANCHOR: search
    answer = lens.search(photo, k=3)
    for hit in answer.hits:
        print(hit.key, hit.score, pocketlens.payload(hit)["title"])
    # ANCHOR_END: search
    assert len(capsys.readouterr().out.splitlines()) == 3
    # ANCHOR: filter
    cheap = {
        "must": [{"key": "price", "range": {"lt": 5}}, {"key": "kind", "match": {"any": ["cereal", "coffee"]}}],
        "must_not": [{"key": "colour", "match": {"value": "magenta"}}],
    }
    some = lens.search(photo, filter=cheap, group_by="group")
    # ANCHOR_END: filter
    assert some.hits and all(pocketlens.payload(hit)["price"] < 5 for hit in some.hits)
    # ANCHOR: focus
    near = lens.search(photo, focus=pocketlens.Focus.SALIENCY)
    if near.place:
        print("it is at", near.place.x, near.place.y, near.place.width, "wide")
    for word in near.attributes:
        print(word.name, word.label)
    # ANCHOR_END: focus
    # ANCHOR: limits
    hasty = pocketlens.Lens(index, limits=pocketlens.Limits(milliseconds=2_000, photo_pixels=12_000_000))
    # ANCHOR_END: limits
    assert hasty.limits.hits == 10_000
    # ANCHOR: verdict
    match answer.verdict:
        case pocketlens.Verdict.MATCH:
            print("This is", answer.hits[0].key)
        case pocketlens.Verdict.UNSURE:
            print("Is it one of these?")
        case pocketlens.Verdict.NO_MATCH:
            print("We do not have this")
    # ANCHOR_END: verdict
    # ANCHOR: update
    lens.put("mug", photo, payload={"price": 12, "kind": "mug"})
    lens.remove("altiplano-coffee-peru")
    # ANCHOR_END: update
    assert lens.search(photo).hits[0].key == "mug"
    # ANCHOR: measure
    times = answer.times
    print("network", times.backbone, "index", times.search)
    # ANCHOR_END: measure
    path = tmp_path / "nothing.plx"
    # ANCHOR: errors
    try:
        pocketlens.Lens(path)
    except pocketlens.PocketlensError.Storage as error:
        print("try again later:", error.reason)
    except pocketlens.PocketlensError.Damaged as error:
        print("fetch it again:", error.reason)
    # ANCHOR_END: errors
    assert str(path) in capsys.readouterr().out


def test_packs(tmp_path):
    index, pack = tmp_path / "shop.plx", tmp_path / "update.pack"
    shutil.copytree(STORE / "store.plx", index)
    pack.write_bytes(b"no pack")
    lens = pocketlens.Lens(index)
    with pytest.raises(pocketlens.PocketlensError.Damaged):
        # ANCHOR: pack
        pocketlens.apply_pack(index, pack)  # or raises, and the index is as it was
        lens.reload()
        # ANCHOR_END: pack
