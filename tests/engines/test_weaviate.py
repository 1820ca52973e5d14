"""Weaviate behind the gateway: what was pushed is found, filtered, updated and removed as in the index itself; a restart
loses nothing; and of three nodes one can be killed under load without a query failing or being wrong.

    python -m pytest tests/engines/test_weaviate.py
    ITEMS=100000 python -m pytest -s tests/engines/test_weaviate.py -k "pushing or near"
"""

import json
import os
import signal
import subprocess
import threading
import time

import pytest
import shop
import tls
import weaviate

ITEMS, QUESTIONS = int(os.environ.get("ITEMS", 6000)), 144


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return shop.make(tmp_path_factory.mktemp("catalogue"), ITEMS, QUESTIONS)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    [node] = weaviate.cluster(tmp_path_factory.mktemp("weaviate"), 1)
    node.start()
    try:
        node.wait()
        weaviate.give_roles([node])
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="module")
def pushed(catalogue, node):
    """The first push is cut off on its way, the second goes on."""
    index, _ = catalogue
    engine = weaviate.address([node])
    environment = {**os.environ, "POCKETLENS_ENGINE_KEY": weaviate.PUSHER_KEY}
    first = subprocess.Popen([shop.PROGRAM, "push", index, "--engine", engine], env=environment, stderr=subprocess.DEVNULL)
    while first.poll() is None and count(node, index) < 500:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    there = count(node, index)
    second = shop.push(index, engine, weaviate.PUSHER_KEY)
    print(f"{second['sent'] / second['seconds']:.0f} items pushed a second")
    assert second["sent"] + second["unchanged"] == ITEMS and second["removed"] == 0
    # The last batch is sent again: it may be stored and not yet be found.
    assert second["unchanged"] >= there - 256 > 0
    return engine


def info(index):
    done = subprocess.run([shop.PROGRAM, "index", "info", index, "--json"], check=True, capture_output=True)
    return json.loads(done.stdout)


def count(node, index):
    name = f"Pocketlens_{info(index)['fingerprint']}"
    query = f"{{ Aggregate {{ {name} {{ meta {{ count }} }} }} }}"
    try:
        reply = node.ask("/v1/graphql", {"query": query})
        return reply["data"]["Aggregate"][name][0]["meta"]["count"]
    except (KeyError, TypeError, OSError):
        return 0


@pytest.fixture
def gateway(pushed):
    with shop.Gateway(pushed, weaviate.READER_KEY) as gateway:
        yield gateway


def test_pushing_again_sends_nothing(catalogue, pushed):
    again = shop.push(catalogue[0], pushed, weaviate.PUSHER_KEY)
    assert (again["sent"], again["unchanged"], again["removed"]) == (0, ITEMS, 0)


def test_meta_is_that_of_the_index(catalogue, gateway):
    status, meta = gateway.ask("GET", "/v1/meta")
    own = info(catalogue[0])
    assert status == 200
    assert (meta["model_id"], meta["dim"], meta["items"]) == (own["fingerprint"], own["dim"], own["items"])
    assert gateway.ask("GET", "/v1/openapi.json")[0] == 200


def test_what_is_near_is_found_with_and_without_filters(catalogue, gateway):
    _, questions = catalogue
    plain, filtered, times = [], [], []
    connection = gateway.connect()
    for question in questions:
        request = question["request"]
        start = time.perf_counter()
        status, reply = gateway.search(request, connection)
        times.append(1e3 * (time.perf_counter() - start))
        if status == 400 and len(question["nearest"]) < 10 and ITEMS > 10_000:
            # What Weaviate cannot be asked is looked for among so many, and refused where they are too few.
            continue
        assert status == 200, (request.get("filter"), reply)
        assert len(reply["hits"]) == len(question["nearest"]), request.get("filter")
        share = shop.recall(reply["hits"], question["nearest"])
        (filtered if "filter" in request else plain).append(share)
        scores = dict(question["nearest"])
        for hit in reply["hits"]:
            # Rounded to int8 there, and to nothing here.
            assert abs(hit["score"] - scores.get(hit["key"], hit["score"])) < 0.01
    times.sort()
    print(f"recall@10 {sum(plain) / len(plain):.4f}, with filters {sum(filtered) / len(filtered):.4f}; median {times[len(times) // 2]:.1f} ms")
    assert sum(plain) / len(plain) >= 0.97
    assert min(filtered) >= 0.9 and sum(filtered) / len(filtered) >= 0.98


def test_groups_are_one_hit_each(catalogue, gateway):
    request = {**catalogue[1][0]["request"], "group_by": "group", "k": 5}
    status, reply = gateway.search(request)
    groups = [hit["group"] for hit in reply["hits"]]
    assert status == 200 and len(set(groups)) == 5
    assert all(hit["votes"] >= 1 for hit in reply["hits"])


def test_what_cannot_be_asked_is_refused(catalogue, gateway):
    request = catalogue[1][0]["request"]
    cases = [
        ({"model_id": "0" * 32}, 409),
        ({"filter": {"must": [{"key": "brand", "range": {"gt": 3}}]}}, 400),
        ({"k": 0}, 400),
    ]
    for change, expected in cases:
        status, problem = gateway.search({**request, **change})
        assert status == expected == problem["status"], problem


def test_an_update_removes_and_tells_what_is_gone(catalogue, pushed, gateway):
    index, questions = catalogue
    question = questions[0]
    gone = question["nearest"][0][0]
    _, before = gateway.ask("GET", "/v1/meta")
    subprocess.run([shop.PROGRAM, "index", "remove", index, gone], check=True)
    done = shop.push(index, pushed, weaviate.PUSHER_KEY)
    assert (done["sent"], done["removed"], done["unchanged"]) == (0, 1, ITEMS - 1)
    # What a collection says of itself is believed for two seconds.
    end = time.monotonic() + 20
    while gateway.ask("GET", "/v1/meta")[1]["index_version"] == before["index_version"]:
        assert time.monotonic() < end
        time.sleep(0.1)
    status, reply = gateway.search(question["request"])
    assert status == 200
    assert gone not in [hit["key"] for hit in reply["hits"]] and reply["gone"] == [gone]


def test_a_restart_loses_nothing(catalogue, node, gateway):
    request = catalogue[1][2]["request"]
    _, before = gateway.search(request)
    node.stop()
    status, problem = gateway.search(request)
    assert status in (502, 504) and problem["status"] == status
    assert gateway.ask("GET", "/readyz")[0] in (502, 503)
    node.start()
    node.wait()
    end = time.monotonic() + 60
    while True:
        status, after = gateway.search(request)
        if status == 200:
            break
        assert time.monotonic() < end, after
        time.sleep(0.2)
    assert [hit["key"] for hit in after["hits"]] == [hit["key"] for hit in before["hits"]]


def test_a_wrong_key_is_no_way_in(catalogue, pushed):
    environment = {**os.environ, "POCKETLENS_ENGINE_KEY": "wrong"}
    command = [shop.PROGRAM, "push", catalogue[0], "--engine", pushed]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "401" in done.stderr and "wrong" not in done.stderr


def test_the_key_of_the_gateway_cannot_push(catalogue, node, pushed):
    environment = {**os.environ, "POCKETLENS_ENGINE_KEY": weaviate.READER_KEY}
    before = count(node, catalogue[0])
    command = [shop.PROGRAM, "push", catalogue[0], "--engine", pushed]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and count(node, catalogue[0]) == before
    # Whose fault it is, and what to do.
    for part in ["the engine refuses its key", "403", "user 'reader'", "--engine-key"]:
        assert part in done.stderr, done.stderr
    assert weaviate.READER_KEY not in done.stderr


def test_what_another_catalogue_holds_is_out_of_reach(catalogue, pushed):
    other = pushed.replace("/Pocketlens", "/Other")
    environment = {**os.environ, "POCKETLENS_ENGINE_KEY": weaviate.PUSHER_KEY}
    command = [shop.PROGRAM, "push", catalogue[0], "--engine", other]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "the engine refuses its key" in done.stderr, done.stderr


def test_tls_is_spoken_and_checked(catalogue, tmp_path, monkeypatch):
    index, questions = catalogue
    certificate = tls.certificate(tmp_path)
    [node] = weaviate.cluster(tmp_path, 1, certificate)
    node.start()
    try:
        node.wait()
        weaviate.give_roles([node])
        engine = weaviate.address([node])
        environment = {**os.environ, "POCKETLENS_ENGINE_KEY": weaviate.PUSHER_KEY}
        stranger = subprocess.run([shop.PROGRAM, "push", index, "--engine", engine], env=environment, capture_output=True, text=True)
        assert stranger.returncode == 1 and "certificate" in stranger.stderr, stranger.stderr
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        shop.push(index, engine, weaviate.PUSHER_KEY)
        with shop.Gateway(engine, weaviate.READER_KEY) as gateway:
            status, reply = gateway.search(questions[2]["request"])
        assert status == 200 and len(reply["hits"]) == 10
    finally:
        node.stop()


# The one that the gateway asks, and one that only holds replicas.
@pytest.mark.parametrize("killed", [0, 2])
def test_one_of_three_nodes_is_killed_under_load(catalogue, tmp_path, killed):
    index, questions = catalogue
    nodes = weaviate.cluster(tmp_path, 3)
    try:
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait(180)
        engine = weaviate.address(nodes)
        weaviate.give_roles(nodes)
        shop.push(index, engine, weaviate.PUSHER_KEY, "--replicas", "3", "--shards", "3")
        # What was removed above is not in the index any more.
        keys = set(exported(index))
        asked = [question for question in questions if "filter" not in question["request"]]
        with shop.Gateway(engine, weaviate.READER_KEY) as gateway:
            load = Load(gateway, asked, keys)
            load.until(lambda: load.answered >= 200)
            nodes[killed].kill()
            at = load.answered
            load.until(lambda: load.answered >= at + 600)
            load.end()
        assert load.wrong == []
        slowest, shares = max(load.times), load.shares
        print(f"{load.answered} answered, recall@10 {sum(shares) / len(shares):.4f}, slowest {slowest:.0f} ms")
        assert sum(shares) / len(shares) >= 0.95
    finally:
        for node in nodes:
            if node.process and node.process.poll() is None:
                node.kill()


def exported(index):
    done = subprocess.run([shop.PROGRAM, "index", "export", index], check=True, capture_output=True, text=True)
    return [json.loads(line)["key"] for line in done.stdout.splitlines()]


class Load:
    """Four clients that ask without a pause, and look at every answer."""

    def __init__(self, gateway, questions, keys):
        self.gateway, self.questions, self.keys = gateway, questions, keys
        self.answered, self.wrong, self.shares, self.times = 0, [], [], []
        self.over = threading.Event()
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self.ask, args=(first,)) for first in range(4)]
        for thread in self.threads:
            thread.start()

    def ask(self, first):
        connection, at = self.gateway.connect(), first
        while not self.over.is_set():
            question = self.questions[at % len(self.questions)]
            at += 4
            start = time.perf_counter()
            status, reply = self.gateway.search(question["request"], connection)
            passed = 1e3 * (time.perf_counter() - start)
            with self.changed:
                self.answered += 1
                self.times.append(passed)
                fault = self.fault(question, status, reply)
                if fault:
                    self.wrong.append(fault)
                self.changed.notify_all()

    def fault(self, question, status, reply):
        if status != 200:
            return status, reply
        nearest = [(key, score) for key, score in question["nearest"] if key in self.keys]
        scores, found = dict(nearest), reply["hits"]
        self.shares.append(shop.recall(found, nearest))
        order = [hit["score"] for hit in found]
        sound = len(found) == 10 and order == sorted(order, reverse=True) and all(hit["key"] in self.keys for hit in found)
        right = all(abs(hit["score"] - scores.get(hit["key"], hit["score"])) < 0.01 for hit in found)
        return None if sound and right else reply

    def until(self, holds):
        with self.changed:
            assert self.changed.wait_for(lambda: self.wrong or holds(), timeout=120), self.answered

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
