"""A server under attack over HTTP serves others meanwhile, in bounded memory, and recovers.

Usage: hostile_http_test.py INKLING MAKE_DEVICES [unittest arguments]
"""
import asyncio
import gzip
import http.client
import multiprocessing
import pathlib
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
import unittest

import deployment

INKLING, MAKE_DEVICES = "", ""
COHORT = 64
POOL = COHORT + 32  # threads of `inkling serve`: one for each device of a cohort, and 32
SLOW = 2 * POOL
ATTACK_S = 12
P99_S, GROWTH_MB, RECOVERY_S = 5, 16, 10
HEAD = b"POST /v1/clients/%032x/join HTTP/1.1\r\nHost: a\r\n" % 1


def trusting(authority):
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


# ---- The attackers, in a process of their own: each keeps its connection open as long as it may,
# and opens the next one at once.

async def drip(stream, pieces):
    for piece in pieces:
        stream.write(piece)
        await stream.drain()
        await asyncio.sleep(1)


async def attack(kind, port, context, until):
    while time.monotonic() < until:
        writer = None
        try:
            tls = None if kind == "no handshake" else context
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            if kind == "slow head":
                pieces = (HEAD[i:i + 1] for i in range(len(HEAD)))
            elif kind == "slow body":
                pieces = [HEAD + b"Content-Length: 1000000\r\n\r\n"] + [b"x"] * 1000
            else:
                pieces = [b"\x16"] + [b"\x03"] * 1000
            dripping = asyncio.ensure_future(drip(writer, pieces))
            left = asyncio.ensure_future(reader.read())  # to the end that the server makes
            await asyncio.wait([dripping, left], return_when=asyncio.FIRST_COMPLETED,
                               timeout=max(0.1, until - time.monotonic()))
            for task in (dripping, left):
                task.cancel()
            await asyncio.gather(dripping, left, return_exceptions=True)
        except OSError:
            await asyncio.sleep(0.05)
        finally:
            if writer:
                writer.transport.abort()


def attack_slowly(port, authority, ready):
    async def all_of_them():
        context = trusting(authority)
        until = time.monotonic() + ATTACK_S
        kinds = ["no handshake", "slow head", "slow body"]
        attackers = [asyncio.ensure_future(attack(kinds[i % 3], port, context, until))
                     for i in range(SLOW)]
        await asyncio.sleep(2)  # by then they hold every thread
        ready.set()
        await asyncio.gather(*attackers)
    asyncio.run(all_of_them())


# ---- What is not a request. Each is refused or left without an answer; none is served.

def malformed():
    get, post = b"GET /healthz HTTP/1.1\r\nHost: a\r\n", HEAD
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from [
        b"\r\n\r\n", b"\0\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /healthz\tHTTP/1.1\r\nHost: a\r\n\r\n",
        b"get /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"G\0T /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"DELETE /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", b"X" * 100 + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://a/healthz HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /" + b"p" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /" + b"p" * 600 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: a\n\n", b"GET /healthz HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n", get + b"Host: b\r\n\r\n", get + b"X : y\r\n\r\n",
        get + b" folded\r\n\r\n", get + b"X: a\r\n folded\r\n\r\n", get + b": empty\r\n\r\n",
        get + b"no colon\r\n\r\n", get + b"X: \0\r\n\r\n", get + b"X: a\rb\r\n\r\n",
        get + b"X\xff: y\r\n\r\n", get + b"X: " + b"v" * 9000 * 2 + b"\r\n\r\n",
        get + b"".join(b"X%d: y\r\n" % i for i in range(65)) + b"\r\n",
        get + b"A: b\r\n" * 200_000 + b"\r\n", get + b"Content-Length: 5\r\n\r\nabcde",
        post + b"\r\n", post + b"Content-Length: \r\n\r\n", post + b"Content-Length: -1\r\n\r\n",
        post + b"Content-Length: +1\r\n\r\na", post + b"Content-Length: 1e3\r\n\r\n",
        post + b"Content-Length: 0x10\r\n\r\n", post + b"Content-Length: 1, 1\r\n\r\na",
        post + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        post + b"Content-Length: 18446744073709551616\r\n\r\n",
        post + b"Content-Length: 18446744073709551615\r\n\r\n",
        post + b"Content-Length: 9999999999\r\n\r\n",
        post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        post + b"Transfer-Encoding: identity\r\n\r\n", post + b"Transfer-Encoding: Chunked \r\n\r\n0\r\n\r\n",
        chunked + b"-2\r\n", chunked + b"ffffffffffffffff\r\n", chunked + b"zz\r\nabc\r\n0\r\n\r\n",
        chunked + b"3\r\nabcXX\r\n0\r\n\r\n", chunked + b"3;" + b"e" * 30000 + b"\r\nabc\r\n0\r\n\r\n",
        post + b"Content-Length: 4\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x01",
        post + b"Content-Length: 4\r\nExpect: more\r\n\r\nabcd",
        b"\x80\x2e\x01\x03\x01" + b"\0" * 40, b"\x16\x03\x01\x02\x00" + b"\x01" * 300,
    ]


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.d = deployment.Deployment(INKLING, MAKE_DEVICES, folder.name, 1)
        cls.addClassCleanup(cls.d.close)
        cls.server, cls.port = cls.d.start_server(cohort=COHORT, cohort_min=16)
        cls.authority = str(cls.d.keys / "tls-ca.pem")
        cls.context = trusting(cls.authority)
        for _ in range(20):
            cls.request()

    @classmethod
    def connect(cls):
        raw = socket.create_connection(("127.0.0.1", cls.port), timeout=20)
        try:
            return cls.context.wrap_socket(raw, server_hostname="127.0.0.1")
        except OSError:
            raw.close()
            raise

    @classmethod
    def request(cls):
        """Seconds until an ordinary client has its answer, trying again when told to."""
        start = time.monotonic()
        while True:
            try:
                connection = http.client.HTTPSConnection("127.0.0.1", cls.port, timeout=20,
                                                         context=cls.context)
                connection.request("GET", "/healthz")
                response = connection.getresponse()
                body = response.read()
                connection.close()
                if response.status == 200:
                    assert body == b"ok\n", body
                    return time.monotonic() - start
                assert response.status == 503, response.status
            except (OSError, http.client.HTTPException):
                pass
            if time.monotonic() - start > 30:
                return 30.0
            time.sleep(0.1)

    @classmethod
    def memory_mb(cls, what):
        """VmRSS or VmHWM of the server."""
        status = pathlib.Path(f"/proc/{cls.server.pid}/status").read_text(encoding="ascii")
        [line] = [line for line in status.splitlines() if line.startswith(what)]
        return int(line.split()[1]) / 1024

    def setUp(self):
        pathlib.Path(f"/proc/{self.server.pid}/clear_refs").write_text("5", encoding="ascii")
        self.before_mb = self.memory_mb("VmRSS")

    def tearDown(self):
        self.assertIsNone(self.server.poll(), "the server ended")
        growth = self.memory_mb("VmHWM") - self.before_mb
        print(f"{self.id().rpartition('.')[2]}: memory +{growth:.1f} MB at its peak")
        self.assertLess(growth, GROWTH_MB)
        self.assertLess(self.request(), RECOVERY_S)

    def test_slow_connections_at_twice_the_pool(self):
        ready = multiprocessing.Event()
        attackers = multiprocessing.Process(target=attack_slowly,
                                            args=(self.port, self.authority, ready))
        attackers.start()
        self.addCleanup(attackers.kill)
        self.assertTrue(ready.wait(30))
        until = time.monotonic() + ATTACK_S - 3
        times = []

        def be_a_client():
            while time.monotonic() < until:
                times.append(self.request())
        clients = [threading.Thread(target=be_a_client) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        attackers.join()
        start = time.monotonic()
        while self.request() > 1:
            pass
        recovery = time.monotonic() - start
        p99 = statistics.quantiles(times, n=100, method="inclusive")[98]
        print(f"{len(times)} requests among {SLOW} slow connections: median "
              f"{statistics.median(times):.3f} s, p99 {p99:.3f} s, most {max(times):.3f} s; "
              f"recovery {recovery:.3f} s")
        self.assertGreaterEqual(len(times), 20)
        self.assertLessEqual(p99, P99_S)
        self.assertLess(recovery, RECOVERY_S)

    def push(self, pieces):
        """Bytes that the server let us send."""
        sent = 0
        with self.connect() as stream:
            try:
                for piece in pieces:
                    stream.sendall(piece)
                    sent += len(piece)
            except OSError:
                pass
        return sent

    def test_a_chunked_body_of_200_mb(self):
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        sent = self.push([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"] + [chunk] * 200)
        self.assertLess(sent, 32 << 20, "the body was read")

    def test_a_body_of_200_mb_that_says_so(self):
        sent = self.push([HEAD + b"Content-Length: 209715200\r\n\r\n"] + [bytes(1 << 20)] * 200)
        self.assertLess(sent, 32 << 20, "the body was read")

    def test_a_gzip_bomb(self):
        bomb = gzip.compress(bytes(300 << 20), 9)
        self.assertLess(len(bomb), 400_000)
        with self.connect() as stream:
            stream.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb))
            try:
                stream.sendall(bomb)
            except OSError:
                pass
            self.assertIn(b" 415 ", stream.recv(200))

    def test_malformed_requests(self):
        requests = list(malformed())
        self.assertGreaterEqual(len(requests), 60)
        for request in requests:
            with self.subTest(request[:60]):
                answer = b""
                with self.connect() as stream:
                    stream.settimeout(10)
                    try:
                        stream.sendall(request)
                        while piece := stream.recv(65536):
                            answer += piece
                    except (ConnectionError, ssl.SSLError):
                        pass  # it closed on us: that is an answer, too
                self.assertNotIn(b"HTTP/1.1 2", answer)
                self.assertNotIn(b"HTTP/1.1 500", answer)
                self.assertLessEqual(answer.count(b"HTTP/1.1 "), 1, "served on after a refusal")


if __name__ == "__main__":
    INKLING, MAKE_DEVICES = sys.argv.pop(1), sys.argv.pop(1)
    unittest.main()
