# SPDX-License-Identifier: Apache-2.0
"""What people do in psql: backslash commands, and the line editor's completion in a terminal."""

import os
import pty
import re
import select
import time

from harness import SANITIZED, SLOW

SHOWS = r"""\d|\d+|\d customers|\d+ orders|\d kinds|\d+ kinds|\d open_orders|\d+ parts|\dt|\dt+|\dt *.*|\df|\df+|\df pg_catalog.abs|\l|\dn|\dn+
\du|\du+|\dp|\z orders|\di|\di+|\ds|\dv|\dv+|\dm|\dT|\dT+|\dx|\dx+|\dd|\db|\db+|\dC|\dD|\dE|\dO|\do|\da|\drds|\dRp|\dRs|\dL|\dF|\dFp|\ddp|\dA|\dAc
\dP|\dy|\des|\det|\dew|\deu|\dX|\dconfig work_mem|\sf twice|\sf+ twice|\sv open_orders|\lo_list|\encoding|\dg|\dAf|\dAo btree|\dAp btree|\l+|\dFd|\dFt""".replace("\n", "|").split("|")

TYPED = (("SELECT * FROM cust", b"customers"), ("SELECT * FROM op", b"open_orders"), ("\\d ki", b"kinds"),
         ("SET datest", b"atestyle"), ("UPDATE orders SET pri", b"price"), ("SELECT * FROM customers WHERE car", b"card_number"),
         ("ALTER TABLE par", b"parts"), ("\\df twi", b"twice"), ("GRANT SELECT ON no", b"notes"))


def complete(w, typed, direct, user="ann", groups="dev"):
    """What psql's line editor makes of the text and two tabs."""
    env = dict(os.environ, PGPASSWORD=w.password(user, groups, direct=direct), TERM="dumb", LC_ALL="C.UTF-8", PAGER="cat", HOME=str(w.dir), INPUTRC="/dev/null")
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("psql", ["psql", "-X", "-q", w.dsn(user=user, direct=direct), "-v", "PROMPT1=ready> "], env)
    seen = b""

    def read_until_quiet():
        nonlocal seen
        while select.select([fd], [], [], 1.2 if SANITIZED else 0.6)[0]:
            seen += os.read(fd, 65536)

    def read_for(wanted, seconds):
        nonlocal seen
        end = time.monotonic() + seconds * SLOW
        while wanted not in seen and time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    seen += os.read(fd, 65536)
                except OSError:
                    break
        return wanted in seen
    assert read_for(b"ready> ", 20), seen
    seen = b""
    os.write(fd, typed.encode() + b"\t")
    read_until_quiet()
    os.write(fd, b"\t")
    read_until_quiet()
    answer = seen
    os.write(fd, b"\x15\\q\n")
    time.sleep(0.2)
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(fd)
    return re.sub(rb"\x1b\[[?0-9;]*[a-zA-Z]|\x07", b"", answer)
