"""Every pooling and encoding, and every kind of fusion, against numpy: from the maps that onnxruntime gives to the
vector that `embed --pooled` prints, with the codebooks that `fit` put into the bundle."""

import json
import struct

import numpy as np
import onnxruntime
import pytest

import aggregation as numpy_says
from networks import LEVELS, chain, tiny_network
from photo import photo_input
from pictures import folder
from program import pooled, run, sections, unit, whitening

CENTRES, LOCAL = 4, 6
SMALL = {"centres": CENTRES, "local": LOCAL}
DEEP = {"tap": "deep", "dim": 3, "whitening": "pca"}

# Each part, and what it must give for maps {tap: C×H×W} and the codebooks of the part.
PARTS = {
    "average": ({"pool": "average"}, lambda m, _: m["deep"].sum((1, 2))),
    "centre": (
        {"pool": {"centre": {"sigma": 0.5}}},
        lambda m, _: (m["deep"] * numpy_says.centre(m["deep"], 0.5)).sum((1, 2)),
    ),
    "max": ({"pool": "max"}, lambda m, _: m["deep"].max((1, 2))),
    "gem": ({"pool": {"gem": {}}}, lambda m, _: numpy_says.gem(m["deep"], 3)),
    "gem of no whole power": ({"pool": {"gem": {"p": 2.5}}}, lambda m, _: numpy_says.gem(m["deep"], 2.5)),
    "rmac": ({"pool": {"rmac": {}}}, lambda m, _: numpy_says.rmac(m["deep"], 3)),
    "regional spoc": (
        {"pool": {"regional_spoc": {"levels": 2}}},
        lambda m, _: numpy_says.rmac(m["deep"], 2, np.mean),
    ),
    "crow": ({"pool": "crow"}, lambda m, _: numpy_says.crow(m["deep"])),
    "early fusion": (
        {"pool": "average", "fuse": ["fine"]},
        lambda m, _: numpy_says.joined([m["deep"], m["fine"]], np.mean).mean((1, 2)),
    ),
    "multi-level": (
        {"pool": "max", "fuse": ["fine"], "resize": "max"},
        lambda m, _: numpy_says.joined([m["deep"], m["fine"]], np.max).max((1, 2)),
    ),
    "landmarks": (
        {"pool": "landmarks", "heat_map": "fine"},
        lambda m, _: numpy_says.landmarks(m["deep"], m["fine"]),
    ),
    "power": (
        {"pool": "average", "power": 0.5},
        lambda m, _: np.sqrt(m["deep"].mean((1, 2))),
    ),
    "vlad": ({"pool": {"vlad": SMALL}}, lambda m, c: numpy_says.vlad(c[0].locals(m["deep"]), c[0])),
    "netvlad": (
        {"pool": {"net_vlad": SMALL | {"alpha": 3.0}}},
        lambda m, c: numpy_says.net_vlad(c[0].locals(m["deep"]), c[0], 3),
    ),
    "mop": ({"pool": {"mop": SMALL}}, lambda m, c: numpy_says.mop(m["deep"], c)),
    "fisher": ({"pool": {"fisher": SMALL}}, lambda m, c: numpy_says.fisher(c[0].locals(m["deep"]), c[0])),
    "triangulation": (
        {"pool": {"triangulation": SMALL}},
        lambda m, c: numpy_says.triangulation(c[0].locals(m["deep"]), c[0]),
    ),
}
for root in ("matrix", "signed"):
    for mean in (False, True):
        PARTS[f"second order, {root}, mean {mean}"] = (
            {"pool": {"second_order": {"local": LOCAL, "root": root, "mean": mean}}},
            lambda m, c, root=root, mean=mean: numpy_says.second_order(c[0].locals(m["deep"]), root, mean),
        )
for kind in ("energy", "rarity", "border_distance", "square_border_distance"):
    PARTS[f"{kind} in a wide centre"] = (
        {"pool": {"centre": {"sigma": 0.5}}, "weighting": kind},
        lambda m, _, kind=kind: (
            m["deep"] * numpy_says.centre(m["deep"], 0.5) * numpy_says.location_weights(m["deep"], kind)
        ).sum((1, 2)),
    )
PARTS["gem, energy"] = (
    {"pool": {"gem": {}}, "weighting": "energy"},
    lambda m, _: numpy_says.gem(m["deep"], 3, numpy_says.location_weights(m["deep"], "energy")),
)
# A recipe has at most sixteen parts.
RECIPES = [list(PARTS)[at : at + 16] for at in range(0, len(PARTS), 16)]


def codebooks(block: bytes, parts: int) -> list[list[numpy_says.Codebook]]:
    """Those of each part, as core/src/bundle/learned.rs writes them."""
    found = []
    for _ in range(parts):
        of_part = []
        count, block = struct.unpack_from("<I", block)[0], block[4:]
        for _ in range(count):
            mean, projection, block = whitening(block)
            centres, gaussians = struct.unpack_from("<II", block)
            sizes = [(centres, len(projection))]
            sizes += [(gaussians,), (gaussians, len(projection))] if gaussians else []
            block, values = block[8:], []
            for size in sizes:
                length = int(np.prod(size))
                values.append(np.frombuffer(block, "<f4", length).astype(np.float64).reshape(size))
                block = block[4 * length :]
            of_part.append(numpy_says.Codebook(mean, projection, *values))
        found.append(of_part)
    assert not block
    return found


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "tiny.onnx"
    tiny_network(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    # Of the network's own size: nothing is resized, so maps agree to rounding.
    return folder(tmp_path_factory.mktemp("photos") / "made", 40, 320, 224)


def fit(at, network, photos, recipe):
    recipe_file, bundle = at / "recipe.json", at / "bundle.lens"
    recipe_file.write_text(json.dumps(recipe))
    run("fit", "--photos", photos[0].parent, "--backbone", network, "--recipe", recipe_file, "--out", bundle)
    return bundle


@pytest.fixture(scope="module", params=range(len(RECIPES)))
def fitted(request, tmp_path_factory, network, photos):
    """Names of parts, each part's codebooks, and what the program and the network give for some photos."""
    names = RECIPES[request.param]
    recipe = {"name": "test", "parts": [DEEP | PARTS[name][0] for name in names]}
    bundle = fit(tmp_path_factory.mktemp("fitted"), network, photos, recipe)
    books = codebooks(sections(bundle)["code"], len(names)) if "code" in sections(bundle) else [[]] * len(names)
    session = onnxruntime.InferenceSession(network)
    maps = []
    for photo in photos[:5]:
        image = ((photo_input(photo).astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        fine, deep = session.run(["fine", "deep"], {"image": image})
        maps.append({"fine": fine[0].astype(np.float64), "deep": deep[0].astype(np.float64)})
    return names, books, pooled(photos[:5], "--bundle", bundle), maps


def test_every_part_is_what_numpy_says(fitted):
    names, books, found, maps = fitted
    for name, of_part, vectors in zip(names, books, found, strict=True):
        for vector, of_photo in zip(vectors, maps, strict=True):
            expected = unit(PARTS[name][1](of_photo, of_part))
            assert vector.shape == expected.shape, name
            # Float maps differ in their last digits; the iterated root has half of them.
            np.testing.assert_allclose(vector, expected, atol=2e-3 if "matrix" in name else 2e-5, err_msg=name)


def test_views_are_averaged(network, photos, tmp_path):
    part = {"tap": "deep", "pool": "average", "dim": 3, "whitening": "pca"}
    recipe = {"name": "test", "views": {"mirrored": True}, "parts": [part]}
    bundle = fit(tmp_path, network, photos, recipe)
    mean, projection, _ = whitening(sections(bundle)["whit"])
    session = onnxruntime.InferenceSession(network)
    image = ((photo_input(photos[3]).astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
    views = [session.run(["deep"], {"image": view})[0][0] for view in (image, np.ascontiguousarray(image[..., ::-1]))]
    joined = unit(sum(unit(planes.astype(np.float64).sum((1, 2))) for planes in views))
    expected = unit(projection @ (joined - mean))
    (line,) = [json.loads(line) for line in run("embed", photos[3], "--bundle", bundle, "--json").splitlines()]
    np.testing.assert_allclose(line["descriptor"], expected, atol=1e-4)


@pytest.mark.parametrize("learned", ["pca", {"pairs": {"shrinkage": 0.03}}])
def test_eight_levels_are_weighed_by_a_convolution_and_summed(photos, learned, tmp_path):
    """The eight maps of different sizes, pooled to the coarsest by their maxima; what is learned stands for a 1×1
    convolution before the sum over locations, with which it commutes."""
    network = tmp_path / "levels.onnx"
    taps = list(LEVELS)
    chain(network, LEVELS, taps)
    part = {"tap": taps[0], "fuse": taps[1:], "resize": "max", "pool": "average", "dim": 5, "whitening": learned}
    bundle = fit(tmp_path, network, photos, {"name": "test", "parts": [part]})
    mean, projection, _ = whitening(sections(bundle)["whit"])
    assert projection.shape == (5, sum(channels for channels, _ in LEVELS.values()))
    session = onnxruntime.InferenceSession(network)
    (found,) = pooled(photos[:5], "--bundle", bundle)
    lines = [json.loads(line) for line in run("embed", *photos[:5], "--bundle", bundle, "--json").splitlines()]
    for photo, vector, line in zip(photos[:5], found, lines, strict=True):
        image = ((photo_input(photo).astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        maps = [planes[0].astype(np.float64) for planes in session.run(taps, {"image": image})]
        assert len({planes.shape[1:] for planes in maps}) == 4
        grid = numpy_says.joined(maps, np.max)
        assert grid.shape[1:] == maps[-1].shape[1:]
        np.testing.assert_allclose(vector, unit(grid.sum((1, 2))), atol=2e-5)
        length = np.linalg.norm(grid.sum((1, 2)))
        locations = grid[0].size
        weighed = np.einsum("dc,chw->dhw", projection, grid / length - mean[:, None, None] / locations)
        np.testing.assert_allclose(line["descriptor"], unit(weighed.sum((1, 2))), atol=1e-4)


def test_a_joint_projection_whitens_the_joined_parts(network, photos, tmp_path):
    parts = [
        {"tap": tap, "pool": "average", "dim": 4, "whitening": "pca", "weight": weight}
        for tap, weight in (("fine", 0.5), ("deep", 1.0))
    ]
    bundle = fit(tmp_path, network, photos, {"name": "test", "parts": parts, "joint": {"dim": 5}})
    blocks, block = [], sections(bundle)["whit"]
    for _ in parts:
        mean, projection, block = whitening(block)
        blocks.append((mean, projection))
    # No codebook in either part, then the joint projection.
    code = sections(bundle)["code"]
    assert code[:8] == bytes(8)
    mean, projection, rest = whitening(code[8:])
    assert not rest and projection.shape == (5, 8)
    rows = []
    for vectors in zip(*pooled(photos, "--bundle", bundle), strict=True):
        whitened = [
            unit(p @ (vector - m)) * part["weight"]
            for vector, (m, p), part in zip(vectors, blocks, parts, strict=True)
        ]
        rows.append(unit(np.concatenate(whitened)))
    rows = np.array(rows)
    np.testing.assert_allclose(mean, rows.mean(0), atol=1e-4)
    np.testing.assert_allclose(np.cov(((rows - mean) @ projection.T).T, bias=True), np.eye(5), atol=0.02)
    (line,) = [json.loads(line) for line in run("embed", photos[7], "--bundle", bundle, "--json").splitlines()]
    np.testing.assert_allclose(line["descriptor"], unit(projection @ (rows[7] - mean)), atol=1e-3)
