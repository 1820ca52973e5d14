"""Search against a matrix product in numpy, and evaluation against other code for the same figures."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from networks import tiny_network
from pictures import folder, pattern
from program import ROOT, descriptors, lines, run

SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    at = tmp_path_factory.mktemp("bundle")
    tiny_network(at / "tiny.onnx")
    recipe = at / "recipe.json"
    recipe.write_text('{"name": "test", "parts": [{"tap": "deep", "pool": "average", "dim": 12}]}')
    folder(at / "photos", 30)
    run("fit", "--photos", at / "photos", "--backbone", at / "tiny.onnx", "--recipe", recipe, "--out", at / "tiny.lens")
    return at / "tiny.lens"


def test_scores_are_cosines_and_hits_are_in_their_order(bundle, tmp_path):
    photos = folder(tmp_path / "catalogue", 25)
    run("index", "build", tmp_path / "catalogue", "--out", tmp_path / "shop.plx", "--bundle", bundle)
    query = tmp_path / "query.png"
    Image.fromarray(pattern(96, 64, seed=1000)).save(query)
    (answer,) = lines("search", tmp_path / "shop.plx", query, "-k", 25)
    cosines = descriptors(photos, "--bundle", bundle) @ descriptors([query], "--bundle", bundle)[0]
    expected = dict(zip([photo.name for photo in photos], cosines, strict=True))
    assert [hit["key"] for hit in answer["hits"]][:1] == [max(expected, key=expected.get)]
    for hit in answer["hits"]:
        # What is stored is int8: a step is 1/127 of the largest component.
        assert abs(hit["score"] - expected[hit["key"]]) < 0.01, hit
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 25


def test_the_first_hit_does_not_depend_on_k(bundle, tmp_path):
    folder(tmp_path / "catalogue", 10)
    run("index", "build", tmp_path / "catalogue", "--out", tmp_path / "shop.plx", "--bundle", bundle)
    query = tmp_path / "catalogue" / "004.png"
    answers = [lines("search", tmp_path / "shop.plx", query, "-k", k)[0]["hits"] for k in (1, 3, 10, 50)]
    assert [len(hits) for hits in answers] == [1, 3, 10, 10]
    assert all(hits == answers[3][: len(hits)] for hits in answers)
    assert answers[0][0]["key"] == "004.png"


def average_precision(ranking: list[str], relevant: set[str]) -> float:
    hits = np.array([photo in relevant for photo in ranking])
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / len(relevant))


def test_evaluation_of_a_small_set_by_hand(bundle, tmp_path):
    names = [path.name for path in folder(tmp_path / "set", 24)]
    roles = ["query"] * 4 + ["database"] * 17 + ["junk"] * 3
    rows = [(name, f"g{at % 4}", role) for at, (name, role) in enumerate(zip(names, roles, strict=True))]
    (tmp_path / "set" / "gt.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    (found,) = lines("eval", tmp_path / "set", "--bundle", bundle, "--rankings", tmp_path / "rankings.tsv")
    rankings = [line.split("\t") for line in (tmp_path / "rankings.tsv").read_text().splitlines()]
    group, role = ({row[0]: row[at] for row in rows} for at in (1, 2))
    precisions = []
    for query, *ranking in rankings:
        assert sorted(ranking) == names[4:], "the whole database, junk included"
        relevant = {name for name in names if role[name] == "database" and group[name] == group[query]}
        precisions.append(average_precision([name for name in ranking if role[name] == "database"], relevant))
    assert found["map"] == pytest.approx(np.mean(precisions), abs=1e-9)
    assert (found["queries"], found["database"], found["dim"]) == (4, 17, 12)


@pytest.mark.parametrize("name", ["dvd", "grocery", "landmark"])
def test_evaluation_agrees_with_the_evaluator_of_the_data(bundle, tmp_path, name):
    if not SHARED.is_dir():
        pytest.skip("the evaluation sets are not part of the repository")
    specification = importlib.util.spec_from_file_location("evaluate", SHARED / "evaluate.py")
    evaluate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(evaluate)
    rankings = tmp_path / "rankings.tsv"
    (found,) = lines("eval", SHARED / name, "--bundle", bundle, "--rankings", rankings)
    rows = evaluate.evaluate(evaluate.read_gt(SHARED / name / "gt.tsv"), evaluate.read_results(rankings))
    precision, first, tenth = np.array([row[1:] for row in rows]).mean(0)
    assert found["map"] == pytest.approx(precision, abs=1e-6)
    assert found["recall@1"] == pytest.approx(first, abs=1e-6)
    assert found["recall@10"] == pytest.approx(tenth, abs=1e-6)
    assert found["queries"] == len(rows)
