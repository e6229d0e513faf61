#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""P10: a storm of log-ins, good and bad, delays no session and ends none.  tests/bench/access has the figures."""

from harness import *
from wire import *

BOUND = 0.25  # seconds: ten times what P10 promises, over what the machine itself does to a session past the gateway
RATE, SECONDS = 200, 5


def storm(port, token, seconds, rate):
    """A process of its own: log-ins at that rate, by turns good, with a wrong token, of no ticket, and to nowhere."""
    begun, n, counts = time.monotonic(), 0, {"in": 0, "out": 0}
    while time.monotonic() < begun + seconds:
        secret, user, database = ((token, "storm", "orders"), ("x" * 500, "storm", "orders"), ("", "spt-00000000000000000000", "orders"),
                                  (token, "storm", "nowhere"))[n % 4]
        try:
            c = Wire.tcp(port)
            c.send(startup(user=user, database=database))
            kind, body = c.read()
            if kind == "R" and body[:4] == b"\0\0\0\x0a":
                first = b"n,,n=,r=abcdefghijklmnopqrstuvwx"
                c.send(message(b"p", z("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
                c.read()
                c.send(message(b"p", b"c=biws,r=x,p=" + b"A" * 43 + b"="))
            elif kind == "R":
                c.send(message(b"p", z(secret)))
            while (kind := c.read()[0]) not in "ZE":
                pass
            counts["in" if kind == "Z" else "out"] += 1
            c.close() if kind == "Z" else c.sock.close()
        except (Closed, OSError):
            counts["out"] += 1
        n += 1
        time.sleep(max(0, begun + n / rate - time.monotonic()))
    print(json.dumps(counts))


@test
def a_storm_delays_nobody(w):
    sessions = {f"data{n}": Wire.through(w, user=f"data{n}") for n in range(4)}
    token = w.token("storm")

    def storms():
        each = [subprocess.Popen([sys.executable, __file__, "--storm", str(w.gateway.port), token, str(SECONDS), str(RATE / 4)], stdout=subprocess.PIPE, text=True)
                for _ in range(4)]
        return [json.loads(s.communicate(timeout=60 * SLOW)[0]) for s in each]
    said = delayed_nobody(w, sessions, storms, BOUND * SLOW)
    let_in, refused = (sum(s[k] for s in said) for k in ("in", "out"))
    assert let_in > 10 and refused > 30, said
    print(f"        {let_in} let in, {refused} refused in {SECONDS} s")
    for c in sessions.values():
        c.close()
    wait_for(lambda: not w.sessions(live=True), said="sessions are left of the storm")
    admitted = [line for line in w.gateway.audit() if line.get("event") == "admitted" and line.get("user") == "storm"]
    assert len(admitted) == let_in, (len(admitted), let_in)  # each of them is in the audit log


if __name__ == "__main__":
    if "--storm" in sys.argv:
        storm(int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), float(sys.argv[5]))
    else:
        main(record="sync write;", extra="limit sessions=1000 per_user=500 per_address=1000;")  # a disk that is late holds all up: that is P1
