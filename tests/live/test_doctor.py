#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`sallyport init` writes what passes, and `sallyport doctor` says in plain sentences what is a danger."""

from authority import Authority
from harness import *

OVER = """\
-----BEGIN CERTIFICATE-----
MIIBFTCBvQIUOZ00u8ren4YUGSUGJp+H2YZVFNIwCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDb2xkMB4XDTIwMDEwMTAwMDAwMFoXDTIwMDEwMjAwMDAwMFowDjEMMAoG
A1UEAwwDb2xkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyPToU3gB9cDEiQdf
57Th7cLxrb2NpC67nkiPoiBNNU/uzLUScXx3yDytIJAxTuyYFam8vFxlvBeTDqFr
NJVgizAKBggqhkjOPQQDAgNHADBEAiAxc4DmzlOB4aNTvwZ1OsoVfKFmr/qMGnK9
6aCXHYfSsQIgF3uCarNZ2lAhXdz3JsDjV/Wtma3TsAXZXvsdVBgUpoc=
-----END CERTIFICATE-----
"""  # of two days in 2020


def doctor(world, *args, conf=None):
    done = world.command("doctor", "--json", *args, "--conf", conf or world.gateway.conf_file)
    assert done.out.startswith("{"), repr(done)
    done.found = done.json["found"]
    return done


def said(done, finding, text):
    return [f for f in done.found if f["finding"] == finding and text in f["text"]]


def grant(world, text):
    world.pg.sql(text, "postgres")


@test
def a_sound_gateway_has_no_danger(world):
    done = doctor(world)
    assert done.code == 0 and done.json["dangers"] == 0, repr(done)
    for text in ("syntax is ok", "all targets answered", "tls/cert.pem is good for", "orders.secret is read by its owner alone", "MB are left"):
        assert said(done, "ok", text) or said(done, "warning", text), (text, done.found)
    plain = world.command("doctor", "--conf", world.gateway.conf_file)
    assert plain.code == 0 and "0 dangers" in plain.out and re.search(r"^warning +certificate", plain.out, re.M), repr(plain)


@test
def what_a_login_can_do_beyond_the_policy(world):
    for power, text in (("SUPERUSER", "is a superuser"), ("CREATEROLE", "makes roles"), ("BYPASSRLS", "passes row security")):
        grant(world, f"ALTER ROLE app_gw {power}")
        done = doctor(world, "orders")
        grant(world, f"ALTER ROLE app_gw NO{power}")
        assert done.code == 1 and said(done, "danger", text), (power, done)
    grant(world, "GRANT pg_read_server_files TO app_gw")
    done = doctor(world)
    grant(world, "REVOKE pg_read_server_files FROM app_gw")
    assert done.code == 1 and said(done, "danger", "server's files"), repr(done)


@test
def a_login_that_may_write_under_a_read_only_profile(world):
    policy = world.gateway.policy
    world.gateway.policy += ('\nrule "only-reads" { doc = "Reads.", on = "session", when = { user = present },'
                             ' pin = { default_transaction_read_only = "on" } }\n')
    world.gateway.write()
    done = doctor(world)
    world.gateway.policy = policy
    world.gateway.write()
    assert done.code == 1 and said(done, "danger", "may write, though rules keep sessions read-only"), repr(done)


@test
def files_that_others_may_read_or_change(world):
    g = world.gateway
    for path, mode, text in ((g.dir / "keeper" / "orders.secret", 0o644, "everybody may read the secret"),
                             (g.dir / "policies" / "orders.lua", 0o666, "anybody may write it"),
                             (g.conf_file, 0o666, "anybody may write it"),
                             (g.dir / "tls" / "key.pem", 0o604, "everybody may read the secret")):
        was = path.stat().st_mode & 0o7777
        path.chmod(mode)
        done = doctor(world)
        path.chmod(was)
        assert done.code == 1 and said(done, "danger", text), (path, done)


@test
def a_certificate_that_ends(world):
    cert = world.gateway.dir / "tls" / "cert.pem"
    good = cert.read_text()
    soon = doctor(world)
    assert soon.code == 0 and said(soon, "warning", "tls/cert.pem is good for 1 more days"), repr(soon)
    cert.write_text(OVER)
    done = doctor(world)
    cert.write_text(good)
    assert done.code == 1 and said(done, "danger", "is no longer good"), repr(done)


@test
def a_list_of_revoked_certificates(world):
    g, a = world.gateway, Authority(world.gateway.dir / "tls", "targets")
    text = g.conf_text()
    lists = a.crl()
    g.write(text.replace("tls       off;", f"tls       verify-full ca={a.cert} crl={lists} name=localhost;"))
    try:
        assert said(doctor(world), "ok", "crl.pem is good for"), "a good one"
        a.crl(hours=-2)
        assert said(doctor(world), "danger", "crl.pem is out of date"), "an old one"
        lists.write_text("nothing of the kind\n")
        done = doctor(world)
        assert done.code == 1 and said(done, "danger", "crl.pem"), repr(done)
    finally:
        g.write(text)


@test
def a_configuration_that_is_wrong_or_observes(world):
    g = world.gateway
    text = g.conf_text()
    g.write(text.replace("tls       off;", "tsl       off;"))
    done = doctor(world)
    assert done.code == 1 and said(done, "danger", "tsl"), repr(done)
    g.target_extra = "mode observe;"
    g.write()
    done = doctor(world)
    g.target_extra = ""
    g.write()
    assert done.code == 0 and said(done, "warning", "in observe mode"), repr(done)
    assert world.command("doctor", "nowhere", "--conf", g.conf_file).code == 1


@test
def init_writes_what_passes_and_runs(world):
    """From options, with a real log-in; the certificate that it made is one that psql verifies."""
    folder, port = world.dir / "made", free_port()
    done = world.command("init", folder, "--yes", "--server", f"127.0.0.1:{world.pg.port}", "--database", "orders", "--login", "app_gw",
                         "--groups", "dev,leads", "--listen", f"127.0.0.1:{port}")
    assert done.code == 0 and "Next:" in done.out, repr(done)
    conf = folder / "sallyport.conf"
    daemon = world.stage / "sbin" / "sallyportd"
    tested = run([daemon, "-c", conf, "-t"])
    assert tested.code == 0 and "1 targets" in tested.out, repr(tested)
    (folder / "secrets" / "orders").write_text(world.pg.password)
    tried = run([daemon, "-c", conf, "-t", "--connect"])
    assert tried.code == 0 and "all targets answered" in tried.out, repr(tried)
    for noise in ("peer is gone", "keeper is away", "drained"):
        assert noise not in tried.out + tried.err, repr(tried)
    assert doctor(world, conf=conf).json["dangers"] == 0, doctor(world, conf=conf)
    process = subprocess.Popen([daemon, "-c", conf, "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        control = {"SALLYPORT_CONTROL": str(folder / "run" / "control.sock")}
        token = wait_for(lambda: (t := run([world.stage / "bin" / "sallyport", "token", "--user", "ann", "--groups", "dev"], env=control)).code == 0 and t.out, 30)
        dsn = f"host=localhost hostaddr=127.0.0.1 port={port} dbname=orders user=ann sslmode=verify-full sslrootcert={folder}/tls/gateway.pem"
        ask = lambda sql: run(["psql", dsn, "-XAtqc", sql], env={"PGPASSWORD": token})
        wait_for(lambda: ask("SELECT 1").out == "1", 30)
        assert "sallyport explain" in ask("DELETE FROM orders").err
    finally:
        process.terminate()
        process.wait(30)
    again = world.command("init", folder, "--yes")
    assert again.code == 1 and "is there already" in again.err, repr(again)


@test
def init_asks_five_questions(world):
    folder = world.dir / "asked"
    answers = "db.example.com:5433\nshop\ngate\nhttps://idp.example.com\ndev,ops\n"
    done = world.command("init", folder, stdin=answers)
    assert done.code == 0 and done.err.count("?") == 5, repr(done)
    target = (folder / "conf.d" / "shop.conf").read_text()
    for text in ("db.example.com:5433", "user=gate", "groups=dev,ops", "verify-full"):
        assert text in target, target
    conf = (folder / "sallyport.conf").read_text()
    for text in ("issuer=https://idp.example.com client=sallyport secret=file:", "listen    127.0.0.1:8443;", "url       https://localhost:8443;"):
        assert text in conf, conf
    assert "https://localhost:8443/signin/callback/corp" in done.out and (folder / "secrets" / "corp.oidc").read_text() == "", repr(done)
    assert run([world.stage / "sbin" / "sallyportd", "-c", folder / "sallyport.conf", "-t"]).code == 0
    other = world.dir / "other"
    assert world.command("init", other, "--yes", "--database", "Shop.V2").code == 0
    assert run([world.stage / "sbin" / "sallyportd", "-c", other / "sallyport.conf", "-t"]).code == 0, "a name with capital letters and a dot"
    for bad in (["--server", "db"], ["--groups", "a;b"], ["--issuer", "http://x"], ["--listen", "here"], ["--url", "http://gate:8443"], ["--url", "https://gate"]):
        wrong = world.command("init", world.dir / "wrong", "--yes", *bad)
        assert wrong.code == 2, (bad, wrong)
    assert not (world.dir / "wrong" / "sallyport.conf").exists()
    ended = world.command("init", world.dir / "ended", stdin="")
    assert ended.code == 1 and "no answer came" in ended.err, repr(ended)


@test
def init_takes_the_place_of_what_was_shipped(world):
    """Which an installation leaves where `init` writes; as soon as somebody has changed it, it is theirs."""
    folder, shipped = world.dir / "shipped", world.stage / "share" / "sallyport" / "sallyport.conf"
    folder.mkdir()
    shutil.copy(shipped, folder)
    done = world.command("init", folder, "--yes", "--issuer", "https://idp.example.com", "--listen", "0.0.0.0:5432", "--url", "https://gate.example.com:444", "--client", "gate")
    assert done.code == 0, repr(done)
    conf = (folder / "sallyport.conf").read_text()
    for text in ("client=gate ", "listen    0.0.0.0:444;", "url       https://gate.example.com:444;"):
        assert text in conf, conf
    names = run(["openssl", "x509", "-in", folder / "tls" / "gateway.pem", "-noout", "-ext", "subjectAltName"]).out
    assert "DNS:gate.example.com" in names and "DNS:localhost" in names, names
    changed = world.dir / "changed"
    changed.mkdir()
    (changed / "sallyport.conf").write_text(shipped.read_text() + "# ours\n")
    refused = world.command("init", changed, "--yes")
    assert refused.code == 1 and "is there already" in refused.err and [f.name for f in changed.iterdir()] == ["sallyport.conf"], repr(refused)


main()
