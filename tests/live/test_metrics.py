#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""/metrics: what happened is what is counted, in the form that Prometheus reads, for whom it is meant."""

import http.client
import ssl

from harness import *

LINE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+|\+Inf|NaN)$')


def scrape(world, token):
    c = http.client.HTTPSConnection("localhost", world.gateway.console_port, timeout=10 * SLOW,
                                    context=ssl.create_default_context(cafile=str(world.gateway.dir / "tls" / "cert.pem")))
    c.request("GET", "/metrics", headers={"Authorization": "Bearer " + token})
    r = c.getresponse()
    text = r.read().decode()
    c.close()
    return r.status, r.headers["Content-Type"], text


def promised(text, typed):
    """The form, as promtool and Prometheus' own reader want it."""
    from prometheus_client.parser import text_string_to_metric_families
    families = {f.name: f for f in text_string_to_metric_families(text)}
    for name, kind in typed.items():
        family = families[name.removesuffix("_total")]
        assert family.type == kind and family.documentation.endswith((".", "started")) and family.samples is not None, name
        assert kind != "counter" or name.endswith("_total"), name
        assert kind == "counter" or not name.endswith(("_total", "_count", "_sum", "_bucket")), name
    assert text.endswith("\n") and text.count("# TYPE ") == text.count("# HELP ") == len(typed)
    seen = []  # each family's lines stand together
    for line in text.splitlines():
        name = line.split()[2] if line.startswith("# ") else next(n for n in typed if re.match(rf"{n}(_bucket|_sum|_count)?[{{ ]", line))
        if not seen or seen[-1] != name:
            seen.append(name)
    assert len(seen) == len(set(seen)), seen


def read(world):
    """{name{labels}: value}, after a look at the form: each name has its help and type before, histograms add up."""
    status, kind, text = scrape(world, world.token("prom", "metrics", api=True))
    assert status == 200 and kind.startswith("text/plain; version=0.0.4"), (status, kind, text)
    values, typed = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed[line.split()[2]] = line.split()[3]
        elif not line.startswith("# HELP "):
            match = LINE.match(line)
            assert match, line
            name = re.sub(r"_(bucket|sum|count)$", "", match.group(1)) if match.group(1) not in typed else match.group(1)
            assert name in typed, line
            assert line.rsplit(" ", 1)[0] not in values, line
            values[line.rsplit(" ", 1)[0]] = float(match.group(3))
    promised(text, typed)
    for name in (n for n, kind in typed.items() if kind == "histogram"):
        steps = [v for k, v in values.items() if k.startswith(name + "_bucket")]
        assert steps == sorted(steps) and steps[-1] == values[name + "_count"], name
    return values


def grew(world, name, before, by=1):
    """Until the recorder has taken it."""
    return wait_for(lambda: read(world).get(name, 0) >= before.get(name, 0) + by, 10, said=f"{name} did not grow by {by}")


@test
def alerts_are_of_numbers_that_there_are(world):
    rules = (world.stage / "share" / "sallyport" / "prometheus.rules.yml").read_text()
    numbers = read(world)
    there = {re.sub(r"\{.*", "", name) for name in numbers}
    asked = set(re.findall(r"\bsallyport_[a-z_]+", rules))
    assert len(asked) > 5 and asked <= there, asked - there
    labelled = set(re.findall(r"\bsallyport_[a-z_]+\{[^}]*\}", rules))
    assert labelled and labelled <= set(numbers), labelled - set(numbers)


@test
def prometheus_takes_rules_and_numbers(world):
    """By its own tool, which has words for a name, a help text or a rule that is not as it should be."""
    if not shutil.which("promtool"):
        skip("promtool is not installed (Debian's prometheus)")
    rules = run(["promtool", "check", "rules", world.stage / "share" / "sallyport" / "prometheus.rules.yml"])
    assert rules.code == 0 and re.search(r"SUCCESS: [1-9]\d* rules found", rules.out + rules.err), repr(rules)
    numbers = run(["promtool", "check", "metrics"], stdin=scrape(world, world.token("prom", "metrics", api=True))[2])
    assert numbers.code == 0 and not numbers.err and not numbers.out, repr(numbers)


@test
def only_for_whom_it_is_meant(world):
    for user, groups, want in (("ann", "dev", 403), ("prom", "metrics", 200), ("aud", "auditor", 200), ("opa", "admin", 200)):
        assert scrape(world, world.token(user, groups, api=True))[0] == want, user
    assert scrape(world, "nonsense")[0] == 401
    meter = run(["curl", "-sS", "--cacert", world.gateway.dir / "tls" / "cert.pem", "-H", f"Authorization: Bearer {world.token('prom', 'metrics', api=True)}",
                 f"https://localhost:{world.gateway.console_port}/api/v1/status"])
    assert "you may not do this" in meter.out, repr(meter)


@test
def operations_by_verdict_and_rule(world):
    before = read(world)
    assert world.psql("SELECT 1").code == 0 and world.psql("DELETE FROM orders").code != 0
    grew(world, 'sallyport_operations_total{target="orders",verdict="allow",rule=""}', before)
    grew(world, 'sallyport_operations_total{target="orders",verdict="deny",rule="no-unbounded-write"}', before)
    for name in ("decision", "forward", "answer"):
        grew(world, f"sallyport_{name}_seconds_count", before)
        now = read(world)
        assert now[f"sallyport_{name}_seconds_sum"] > before[f"sallyport_{name}_seconds_sum"]
    grew(world, 'sallyport_logins_total{result="admitted"}', before, 2)
    grew(world, "sallyport_store_commit_seconds_count", before)


@test
def masked_values(world):
    before = read(world)
    rows = world.psql("SELECT email FROM customers")
    assert rows.code == 0 and rows.out
    grew(world, "sallyport_masked_columns_total", before)
    grew(world, "sallyport_masked_values_total", before, len(rows.out.splitlines()))


@test
def sessions_and_waiting_requests(world):
    before = read(world)
    assert before['sallyport_sessions{target="orders"}'] == 0 and before["sallyport_requests_waiting"] == 0
    waiting = world.psql_waiting("UPDATE orders SET price = 2 WHERE id = 1")
    request = world.waiting_request()
    now = read(world)
    assert now['sallyport_sessions{target="orders"}'] == 1 and now["sallyport_requests_waiting"] == 1
    grew(world, 'sallyport_operations_total{target="orders",verdict="held",rule="price-needs-lead"}', before)
    assert world.command("approve", request["id"], token=world.token("bob", "leads", api=True)).code == 0
    assert waiting.result().code == 0
    grew(world, "sallyport_approval_wait_seconds_count", before)
    wait_for(lambda: read(world)['sallyport_sessions{target="orders"}'] == 0, 10)


@test
def refusals_are_counted(world):
    before = read(world)
    assert world.psql("SELECT 1", token="nonsense").code != 0
    assert scrape(world, "nonsense")[0] == 401
    grew(world, 'sallyport_logins_total{result="refused"}', before)
    grew(world, "sallyport_api_refused_total", before)


@test
def a_recorder_that_is_away_is_told(world):
    """… and back again; nothing hangs meanwhile."""
    assert read(world)["sallyport_recorder_up"] == 1
    os.kill(world.gateway.children()["recorder"][0], signal.SIGKILL)
    wait_for(lambda: read(world)["sallyport_recorder_up"] == 1, 15)


main(console=True)
