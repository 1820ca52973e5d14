"""The program under test: pushes, and the gateway while it serves."""

import http.client
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = os.environ.get("POCKETLENS", str(ROOT / "target/release/pocketlens"))
CATALOGUE = os.environ.get("CATALOGUE_EXAMPLE", str(ROOT / "target/release/examples/catalogue"))


def make(folder, items, questions):
    """A made-up catalogue, and questions with their exact answers."""
    subprocess.run([CATALOGUE, folder, str(items), str(questions)], check=True, stdout=subprocess.DEVNULL)
    lines = (folder / "questions.jsonl").read_text().splitlines()
    return folder / "shop.plx", [json.loads(line) for line in lines]


def push(index, engine, key, *more):
    environment = {**os.environ, "POCKETLENS_ENGINE_KEY": key}
    command = [PROGRAM, "push", index, "--engine", engine, "--json", *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Gateway:
    """`pocketlens serve` in front of an engine."""

    def __init__(self, source, key):
        environment = {**os.environ, "POCKETLENS_ENGINE_KEY": key}
        command = [PROGRAM, "serve", source, "--bind", "127.0.0.1:0", "--json"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.host = json.loads(self.process.stdout.readline())["url"].split("/")[2]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(30) == 0

    def connect(self):
        return http.client.HTTPConnection(self.host, timeout=30)

    def ask(self, method, path, body=None, connection=None):
        connection = connection or self.connect()
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")

    def search(self, request, connection=None):
        return self.ask("POST", "/v1/search", request, connection)


def recall(found, nearest):
    """The share of the true nearest that were found; what has the score of the last is as good as it."""
    if not nearest:
        return 1.0 if not found else 0.0
    last = nearest[-1][1]
    right = {key for key, _ in nearest}
    good = [hit for hit in found if hit["key"] in right or hit["score"] >= last - 0.004]
    return min(len(good), len(nearest)) / len(nearest)
