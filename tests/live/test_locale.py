#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gateway and a command in Turkish and in German, whose numbers, dates, and letters (I, ı, İ) are others: what they judge, mask,
record and print is what it is in C.  The locales are made here, in a folder of the test's own."""

from harness import *

LOCALES = ("tr_TR.UTF-8", "de_DE.UTF-8")
RULES = """
rule "no-insert" { doc = "INSERT waits for nobody here.", on = "sql.statement", when = { verb = "insert" }, deny = "No INSERT." }
rule "few" { doc = "A statement costs 1.5 of something.", on = "sql.statement", when = { verb = "select", user = "IDIL" }, deny = tostring(1.5) .. string.upper(" i") .. string.lower(" I") }
"""


def environment(name):
    return {"LC_ALL": name, "LANG": name, "LOCPATH": str(LOCALE_DIR), "LANGUAGE": name[:2]}


def make_locales(w):
    global LOCALE_DIR
    if SANITIZED:
        raise Skip("where LOCPATH is set, libc loses a copy of it at each newlocale(), which counts as a leak")
    LOCALE_DIR = w.dir / "locales"
    LOCALE_DIR.mkdir()
    for name in LOCALES:
        done = run(["localedef", "-i", name[:5], "-f", "UTF-8", LOCALE_DIR / name])
        if not (LOCALE_DIR / name / "LC_CTYPE").exists():
            raise Skip(f"localedef makes no {name} here (apt-get install locales): {done.err[:200]}")
    probe = run(["python3", "-c", "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.localeconv()['decimal_point'])"],
                env=environment("de_DE.UTF-8"))
    assert probe.out == ",", f"the locale that was made is not used: {probe!r}"
    whole = Gateway.environment()
    w.gateway.environment = lambda: {**whole, **environment("tr_TR.UTF-8")}


def in_all(w, *args, **more):
    """What a command says, the same in each locale."""
    said = {name: w.command(*args, env=environment(name) if name != "C" else {"LC_ALL": "C"}, **more) for name in ("C", *LOCALES)}
    for name in LOCALES:
        assert (said[name].code, said[name].out, said[name].err) == (said["C"].code, said["C"].out, said["C"].err), f"{args} in {name}:\n{said[name]!r}\nin C:\n{said['C']!r}"
    return said["C"]


@test
def the_gateway_runs_in_it(w):
    for role, pids in w.gateway.children().items():
        if role == "keeper":  # the others' environment is master's choice
            assert b"LC_ALL=tr_TR.UTF-8" in pathlib.Path(f"/proc/{pids[0]}/environ").read_bytes()
    assert b"LC_ALL=tr_TR.UTF-8" in pathlib.Path(f"/proc/{w.gateway.process.pid}/environ").read_bytes()


@test
def verdicts_and_masks(w):
    both = w.both("SELECT price, 1.5::float8, item FROM orders WHERE id = 3")
    assert "4.50|1.5|item 3" in both.out
    assert w.psql("SELECT EMAIL FROM CUSTOMERS WHERE ID = 1").out.endswith(".com")
    assert "ada" not in w.psql("SELECT Email FROM Customers").out
    for verb in ("INSERT", "insert", "Insert"):
        got = w.psql(f"{verb} INTO orders VALUES (1000, 1, 'i', 1, 'open')")
        assert got.code != 0 and "No INSERT." in got.err, repr(got)
    for user in ("IDIL", "idil"):  # I is the capital of i
        got = w.psql("SELECT 1", user=user)
        assert got.code != 0 and "1.5 I i" in got.err, f"{user}: {got!r}"


@test
def times_and_numbers_of_logs(w):
    line = wait_for(lambda: [x for x in w.gateway.audit() if x.get("rule") == "no-insert"], 20, said="no audit line")[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warn|error|debug) ", x) for x in
               (w.gateway.dir / "log" / "error.log").read_text().splitlines())


@test
def what_commands_print(w):
    wait_for(lambda: not w.sessions(live=True), 30, said="sessions live on")
    session = w.last_session()
    wait_for(lambda: w.signed(session), 30, said="the recording does not end")
    for args in (("sessions",), ("sessions", "--json"), ("replay", session, "--format", "jsonl"), ("replay", session), ("verify", session),
                 ("search", "INSERT"), ("search", "insert"), ("doc", "directives"), ("report", "--since", "1h", "--json"),
                 ("policy", "check", w.gateway.dir / "policies" / "orders.lua"), ("verify", w.gateway.dir / "sessions")):
        in_all(w, *args)
    done = {name: w.gateway.daemon("-t", env=environment(name)) for name in LOCALES}
    assert all(d.code == 0 and d.out == done[LOCALES[0]].out for d in done.values()), done


@test
def shipped_policies(w):
    done = in_all(w, "policy", "test", w.stage / "share" / "sallyport" / "policies" / "pii.lua")
    assert done.code == 0, repr(done)


main(before=make_locales, policy=POLICY + RULES)
