#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ID2: PROXY protocol is not spoken at any door: its bytes let nobody in, and nobody's address is what they say."""

import ssl
import struct

from harness import *

LIE = "10.9.8.7"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12) + socket.inet_aton(LIE) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 4711, 5432)
HEADERS = {
    "v1": f"PROXY TCP4 {LIE} 127.0.0.1 4711 5432\r\n".encode(),
    "v1 unknown": b"PROXY UNKNOWN\r\n",
    "v1 unknown, with an address": f"PROXY UNKNOWN {LIE} 127.0.0.1 4711 5432\r\n".encode(),
    "v1 without an end": b"PROXY TCP4 " + LIE.encode() + b" " * 400,
    "v2": V2,
    "v2 local": SIGNATURE + b"\x20\x00\0\0",
    "v2 with more than there is": SIGNATURE + b"\x21\x11\xff\xff" + b"A" * 30,
    "twice": V2 + V2,
}
HELLO = b"\0\3\0\0user\0ann\0database\0orders\0\0"


def said(sock):
    """All that comes until it is closed."""
    got = b""
    try:
        while more := sock.recv(65536):
            got += more
    except ConnectionResetError:
        pass
    except TimeoutError:
        raise AssertionError("the gateway waits for more") from None
    return got


def send(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass  # closed on the first bytes already


def events(w):
    return [line for line in w.gateway.audit() if line.get("event") in ("admitted", "refused")]


@test
def id2_no_door_takes_it(w):
    token = w.token().encode() + b"\0"
    start = struct.pack("!I", len(HELLO) + 4) + HELLO + b"p" + struct.pack("!I", len(token) + 4) + token
    request = f"GET /api/v1/whoami HTTP/1.1\r\nHost: localhost:{w.gateway.console_port}\r\nConnection: close\r\n\r\n".encode()
    before = len(events(w))
    for name, header in HEADERS.items():
        for port in (w.gateway.port, w.gateway.tls_port):
            with socket.create_connection(("127.0.0.1", port), timeout=60 * SLOW) as s:
                send(s, header + start)
                s.shutdown(socket.SHUT_WR)
                got = said(s)
                assert b"R\0\0\0\x08\0\0\0\0" not in got and b"Z\0\0\0\x05" not in got, (name, got)
        with socket.create_connection(("127.0.0.1", w.gateway.console_port), timeout=60 * SLOW) as s:
            send(s, header)
            try:
                with ssl.create_default_context(cafile=str(w.gateway.dir / "tls" / "cert.pem")).wrap_socket(s, server_hostname="localhost") as t:
                    raise AssertionError(f"{name}: the console took it: {t.version()}")
            except (ssl.SSLError, OSError):
                pass
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60 * SLOW)
            s.connect(str(w.gateway.control))
            send(s, header + request)
            s.shutdown(socket.SHUT_WR)
            got = said(s)
            assert b"200 OK" not in got and b'"user"' not in got, (name, got)
    assert w.psql("SELECT 1").out == "1"
    new = events(w)[before:]
    assert [line["event"] for line in new] == ["admitted"] and new[0]["address"].startswith("127.0.0.1"), new  # psql's own
    for path in (w.gateway.dir / "log").iterdir():
        assert not re.search(rf'"address": ?"{re.escape(LIE)}', path.read_text(errors="replace")), path


@test
def id2_nor_after_tls_has_begun(w):
    with socket.create_connection(("127.0.0.1", w.gateway.console_port), timeout=60 * SLOW) as s:
        with ssl.create_default_context(cafile=str(w.gateway.dir / "tls" / "cert.pem")).wrap_socket(s, server_hostname="localhost") as t:
            t.sendall(HEADERS["v1"] + b"GET /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = said(t)
    assert b"200 OK" not in got and b'"user"' not in got, got


main(console=True)
