"""Certificates of their own for engines, and TLS in front of a PostgreSQL that was built without: what clients see of one
that has it."""

import asyncio
import contextlib
import queue
import ssl
import subprocess
import threading

# The request for TLS: its length, and a number of its own.
ASKED = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


def certificate(folder):
    """A certificate of its own for 127.0.0.1, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=database", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@contextlib.contextmanager
def before_postgres(path, certificate, key):
    """A port where TLS is spoken for the server at the socket `path`, until the end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(client, to_client):
        # A client that does not know the certificate goes away.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if await client.readexactly(8) == ASKED:
                to_client.write(b"S")
                await to_client.start_tls(context)
                server, to_server = await asyncio.open_unix_connection(path)
                await asyncio.gather(pass_on(client, to_server), pass_on(server, to_client))
        to_client.close()

    began = queue.Queue()

    async def run():
        end = asyncio.Event()
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            began.put((listening.sockets[0].getsockname()[1], asyncio.get_running_loop(), end))
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    port, loop, end = began.get()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


async def pass_on(source, target):
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
