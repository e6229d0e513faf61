# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's wire protocol by hand: one message at a time, in any order, right or wrong.

    c = Wire.through(w)                     # a session through the gateway; Wire.direct(w): past it
    c.send(parse("", "SELECT $1::int"), bind("", "", [b"1"]), execute(), SYNC)
    for kind, body in c.until_ready(): …
"""

import socket
import ssl
import struct
import threading
import time

SYNC, FLUSH, TERMINATE = b"S\0\0\0\4", b"H\0\0\0\4", b"X\0\0\0\4"
SSL_REQUEST, GSS_REQUEST = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def z(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def query(text):
    return message(b"Q", z(text))


def parse(name, text, types=()):
    return message(b"P", z(name) + z(text) + struct.pack("!H", len(types)) + b"".join(struct.pack("!I", t) for t in types))


def bind(portal="", statement="", values=(), formats=(), results=()):
    body = z(portal) + z(statement) + struct.pack(f"!H{len(formats)}H", len(formats), *formats) + struct.pack("!H", len(values))
    for v in values:
        body += b"\xff\xff\xff\xff" if v is None else struct.pack("!I", len(v)) + v
    return message(b"B", body + struct.pack(f"!H{len(results)}H", len(results), *results))


def describe(kind, name=""):
    return message(b"D", kind.encode() + z(name))


def execute(portal="", rows=0):
    return message(b"E", z(portal) + struct.pack("!I", rows))


def close(kind, name=""):
    return message(b"C", kind.encode() + z(name))


def startup(version=(3, 0), **parameters):
    body = struct.pack("!HH", *version)
    for name, value in parameters.items():
        body += z(name) + z(value)
    body += b"\0"
    return struct.pack("!I", len(body) + 4) + body


def cancel(pid, secret):
    return struct.pack("!III", 12 + len(secret), 80877102, pid) + secret


def fields(body):
    """Of an ErrorResponse or NoticeResponse: {'C': '42501', 'M': …}"""
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def row(body):
    """Values of a DataRow: bytes or None."""
    values, at = [], 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        n = struct.unpack_from("!i", body, at)[0]
        values.append(None if n < 0 else body[at + 4:at + 4 + n])
        at += 4 + max(n, 0)
    assert at == len(body), "a DataRow's fields do not add up"
    return values


class Closed(Exception):
    pass


class Wire:
    def __init__(self, sock):
        self.sock = sock
        self.buffer, self.at = bytearray(), 0
        self.parameters, self.notices, self.key = {}, [], None

    @classmethod
    def tcp(cls, port):
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    @classmethod
    def direct(cls, w, **parameters):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(w.pg.folder / f".s.PGSQL.{w.pg.port}"))
        c = cls(sock)
        c.login(None, **{"user": "app_gw", "database": "orders", **parameters})
        return c

    @classmethod
    def through(cls, w, user="ann", groups="dev", version=(3, 0), ttl="10m", **parameters):
        c = cls.tcp(w.gateway.port)
        c.login(w.token(user, groups, ttl), version, **{"user": user, "database": "orders", **parameters})
        return c

    def login(self, token, version=(3, 0), **parameters):
        """Up to ReadyForQuery; the messages that came."""
        self.send(startup(version, **parameters))
        seen = []
        while True:
            kind, body = self.read()
            seen.append((kind, body))
            if kind == "R" and struct.unpack("!I", body[:4])[0] == 3:
                self.send(message(b"p", z(token)))
            elif kind == "E":
                raise AssertionError(f"login: {fields(body)}")
            elif kind == "K":
                self.key = struct.unpack("!I", body[:4])[0], body[4:]
            elif kind == "Z":
                return seen

    def tls(self, port_certificate, alpn=None):
        context = ssl.create_default_context(cafile=port_certificate)
        if alpn:
            context.set_alpn_protocols(alpn)
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        return self

    def send(self, *messages):
        self.sock.sendall(b"".join(messages))

    def take(self, n):
        while len(self.buffer) - self.at < n:
            if self.at > 0:
                del self.buffer[:self.at]
                self.at = 0
            more = self.sock.recv(1 << 20)
            if not more:
                raise Closed()
            self.buffer += more
        self.at += n
        return bytes(self.buffer[self.at - n:self.at])

    def read(self):
        """The next message; ParameterStatus and notices are kept aside."""
        while True:
            head = self.take(5)
            kind, body = chr(head[0]), self.take(struct.unpack("!I", head[1:])[0] - 4)
            if kind == "S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == "N":
                self.notices.append(fields(body))
            else:
                return kind, body

    def until_ready(self):
        seen = []
        while not seen or seen[-1][0] != "Z":
            seen.append(self.read())
        return seen

    def ask(self, *messages):
        self.send(*messages)
        return self.until_ready()

    def values(self, text):
        """Of a simple query: its rows; an error is an AssertionError."""
        seen = self.ask(query(text))
        for kind, body in seen:
            assert kind != "E", f"{text}: {fields(body)}"
        return [row(body) for kind, body in seen if kind == "D"]

    def ended(self):
        """Reads what comes before the end of the stream; [] when it simply ended."""
        seen = []
        try:
            while True:
                seen.append(self.read())
        except (Closed, ConnectionResetError):
            return seen

    def close(self):
        try:
            self.send(TERMINATE)
        except OSError:
            pass
        self.sock.close()


def shape(seen):
    """What an answer is made of, without what differs between two servers: 'TDDC(SELECT 2)Z(I)'."""
    text = ""
    for kind, body in seen:
        if kind == "C":
            text += f"C({body[:-1].decode()})"
        elif kind == "Z":
            text += f"Z({body.decode()})"
        elif kind == "E":
            text += f"E({fields(body)['C']})"
        else:
            text += kind
    return text


def trips(c, stop, found):
    """Until `stop`: the times of a session's round trips; last, whatever went wrong."""
    try:
        while not stop.is_set():
            start = time.monotonic()
            assert c.values("SELECT item FROM orders WHERE id = 1") == [[b"item 1"]]
            found.append(time.monotonic() - start)
            time.sleep(0.002)
    except Exception as e:  # noqa: BLE001 - whatever it is
        found.append(e)


def delayed_nobody(w, sessions, meanwhile, bound):
    """P10: while meanwhile() runs, sessions ({name: Wire}) wait no longer than `bound`, and what the machine itself does to one past the gateway."""
    direct = Wire.direct(w)
    sessions = {"direct": direct, **sessions}
    stop, found = threading.Event(), {name: [] for name in sessions}
    threads = [threading.Thread(target=trips, args=(c, stop, found[name])) for name, c in sessions.items()]
    for t in threads:
        t.start()
    try:
        value = meanwhile()
    finally:
        stop.set()
        for t in threads:
            t.join()
    direct.close()
    wrong = [x for many in found.values() for x in many if isinstance(x, Exception)]
    assert not wrong, wrong[:3]
    worst = {name: max(many) for name, many in found.items()}
    print("        worst waits " + ", ".join(f"{k} {1000 * v:.1f} ms" for k, v in worst.items()))
    assert max(worst.values()) < bound + 4 * worst["direct"], worst  # as slow as this machine is now
    return value
