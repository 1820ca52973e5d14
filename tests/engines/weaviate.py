"""Real Weaviate nodes on loopback: one, or a cluster of which one can be killed."""

import json
import os
import pathlib
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
SERVER = os.environ.get("WEAVIATE", str(ROOT / "target/engines/weaviate-server"))
# Of the operator, of the gateway and of who pushes.
ROOT_KEY, READER_KEY, PUSHER_KEY = "a-key-of-the-root", "a-key-of-the-reader", "a-key-of-the-pusher"


def permissions(catalogue, of_collections, of_data):
    """What a role may do with the collections of a catalogue."""
    name = f"{catalogue}_*"
    collections = [{"action": f"{verb}_collections", "collections": {"collection": name}} for verb in of_collections]
    data = [{"action": f"{verb}_data", "data": {"collection": name, "object": "*", "tenant": "*"}} for verb in of_data]
    return collections + data


# As docs/scale.md gives them.
ROLES = {
    "reader": permissions("Pocketlens", ["read"], ["read"]),
    "pusher": permissions("Pocketlens", ["create", "read", "update", "delete"], ["create", "read", "update", "delete"]),
}


def ports(count):
    """Free ports, all different. The one behind each is free too: Weaviate wants pairs (gossip and data, raft and its calls)."""
    found = []
    while len(found) < count:
        first, second = socket.socket(), socket.socket()
        with first, second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            if not {port, port + 1} & {taken + more for taken in found for more in (0, 1)}:
                found.append(port)
    return found


class Node:
    def __init__(self, folder, name, own, join, expect, certificate=None):
        self.folder, self.name = folder / name, name
        self.rest, self.grpc, self.gossip, self.raft, self.profiling = own
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PERSISTENCE_DATA_PATH": str(self.folder),
            "CLUSTER_HOSTNAME": name,
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_GOSSIP_BIND_PORT": str(self.gossip),
            "CLUSTER_DATA_BIND_PORT": str(self.gossip + 1),
            "CLUSTER_IN_LOCALHOST": "true",
            "RAFT_PORT": str(self.raft),
            # On one host the others look for it here.
            "RAFT_INTERNAL_RPC_PORT": str(self.raft + 1),
            "RAFT_BOOTSTRAP_EXPECT": str(expect),
            "GRPC_PORT": str(self.grpc),
            "GO_PROFILING_PORT": str(self.profiling),
            "ENABLE_MODULES": "",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "DISABLE_TELEMETRY": "true",
            "AUTOSCHEMA_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": f"{ROOT_KEY},{READER_KEY},{PUSHER_KEY}",
            "AUTHENTICATION_APIKEY_USERS": "root,reader,pusher",
            "AUTHORIZATION_RBAC_ENABLED": "true",
            "AUTHORIZATION_RBAC_ROOT_USERS": "root",
            "LOG_LEVEL": "warning",
            # Names of all nodes with their raft ports: on one host they differ.
            "RAFT_JOIN": join_raft(expect),
            **({"CLUSTER_JOIN": join} if join else {}),
        }
        self.command = [SERVER, "--host", "127.0.0.1", "--port", str(self.rest), "--scheme", "http"]
        self.url, self.context = f"http://127.0.0.1:{self.rest}", None
        if certificate:
            own, key = map(str, certificate)
            self.environment |= {"GRPC_CERT_FILE": own, "GRPC_KEY_FILE": key}
            self.command = [SERVER, "--scheme", "https", "--tls-host", "127.0.0.1", "--tls-port", str(self.rest)]
            self.command += ["--tls-certificate", own, "--tls-key", key]
            self.url, self.context = f"https://127.0.0.1:{self.rest}", ssl.create_default_context(cafile=own)
        self.process = None

    def start(self):
        log = open(self.folder.with_suffix(".log"), "a")
        self.process = subprocess.Popen(self.command, env=self.environment, cwd=self.folder.parent, stdout=log, stderr=log)

    def ask(self, path, body=None, method=None, key=ROOT_KEY):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60, context=self.context) as reply:
            return json.loads(reply.read() or b"null")

    def ready(self):
        try:
            self.ask("/v1/.well-known/ready")
            return bool(self.ask("/v1/cluster/statistics")["statistics"][0].get("leaderId"))
        except (OSError, KeyError, ValueError, IndexError):
            return False

    def knows_roles(self):
        """Whether the last role that was given has arrived here: what is not there is not forbidden."""
        try:
            self.ask("/v1/schema/Pocketlens_none", key=PUSHER_KEY)
        except urllib.error.HTTPError as error:
            return error.code == 404
        return True

    def wait(self, seconds=60, until=None):
        end = time.monotonic() + seconds
        while not (until or self.ready)():
            log = self.folder.with_suffix(".log")
            assert self.process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)

    def stop(self):
        """As an operator stops it."""
        self.process.terminate()
        self.process.wait(60)

    def kill(self):
        """As a power cut stops it."""
        self.process.kill()
        self.process.wait()


RAFT = {}


def join_raft(expect):
    return ",".join(f"{name}:{port}" for name, port in RAFT[expect].items())


def cluster(folder, count, certificate=None):
    """`count` nodes that know one another, not yet started; with TLS where there is a certificate."""
    numbers = ports(5 * count)
    own = [numbers[5 * at : 5 * at + 5] for at in range(count)]
    names = [f"node{at + 1}" for at in range(count)]
    RAFT[count] = {name: ports_[3] for name, ports_ in zip(names, own)}
    first = f"127.0.0.1:{own[0][2]}"
    return [Node(folder, name, own[at], first if at else None, count, certificate) for at, name in enumerate(names)]


def give_roles(nodes):
    """To each user the role of its name."""
    for name, may in ROLES.items():
        nodes[0].ask("/v1/authz/roles", {"name": name, "permissions": may})
        nodes[0].ask(f"/v1/authz/users/{name}/assign", {"roles": [name], "userType": "db"})
    for node in nodes:
        node.wait(until=node.knows_roles)


def address(nodes, catalogue="Pocketlens"):
    hosts = ",".join(f"127.0.0.1:{node.rest}" for node in nodes)
    calls = ",".join(str(node.grpc) for node in nodes)
    scheme = "weaviates" if nodes[0].context else "weaviate"
    return f"{scheme}://{hosts}/{catalogue}?grpc={calls}"
