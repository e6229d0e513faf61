#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SSH through the gateway: OpenSSH's client and server, direct and through, equal but for what rules say."""

from ssh_world import *


@test
def a_command_runs_and_says_its_status(w):
    for command in ("uname -s", "echo out; ls /nonexistent; exit 3", "true", "false", "printf 'a\\0b' | wc -c"):
        direct, through = w.direct(command), w.ssh(command)
        assert (direct.out, direct.err, direct.code) == (through.out, through.err, through.code), f"{command}\n{direct!r}\n{through!r}\n{w.gateway.logs()}"


@test
def input_goes_through_to_its_end(w):
    text = "line\n" * 20000
    done = w.ssh("sha256sum", stdin=text)
    assert done.out == w.direct("sha256sum", stdin=text).out, repr(done)
    # half-close: the command answers after it has read all
    assert w.ssh("wc -c", stdin="x" * 100).out == "100"


@test
def much_output_comes_whole(w):
    direct, through = w.direct("seq 1 400000 | sha256sum"), w.ssh("seq 1 400000")
    assert hashlib.sha256((through.out + "\n").encode()).hexdigest() == direct.out.split()[0]


@test
def signals_and_their_ends(w):
    done = w.ssh("kill -TERM 0")
    assert done.code == w.direct("kill -TERM 0").code, repr(done)


@test
def a_rule_denies_with_126(w):
    for command in ("rm -rf /tmp/nothing", "ls; rm x", '\\rm x', "'r'm x", "/bin/rm x", "true && rm x || true"):
        done = w.ssh(command)
        assert done.code == 126 and 'blocked by rule "no-rm": Ask for it in a ticket.' in done.err and "sallyport explain" in done.err, f"{command}: {done!r}"
        assert done.out == "", repr(done)


@test
def what_cannot_be_seen_is_denied(w):
    for command in ("$X", "eval rm x", "sh script", "echo cm0gLXJmIC8= | base64 -d | sh", "ls *", "cat <<X\nhi\nX", "sudo ls", "ls > $F",
                    "FOO=1 ls", "{ ls; }", "python3 -c 'print(1)'", "xargs ls", "env ls", "`ls`", "ls $(id)", "ls 'open"):
        done = w.ssh(command)
        assert done.code == 126 and ("unclear" in done.err or "no-rm" in done.err), f"{command}: {done!r}"
    done = w.ssh("echo $HOME")
    assert done.out == w.direct("echo $HOME").out, f"a rule lifts it: {done!r}"
    assert w.ssh("echo $HOME; ls $HOME").code == 0  # the rule is on the line, which begins so
    assert w.ssh("sh -c 'exit 4'").code == 4


@test
def one_waits_for_a_lead(w):
    p = w.ssh_start("factor", "6", user="held")
    request = w.waiting_request()
    assert "factor 6" in json.dumps(request), request
    view = w.command("requests", request["id"], "--json", token=w.token("lea", "leads", api=True)).json["view"]
    assert view["unseen"] is True, view
    assert p.poll() is None
    done = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    out, err = p.communicate(timeout=20 * SLOW)
    assert out == "6: 2 3\n" and p.returncode == 0, (out, err)
    assert request["id"][:8] in err and "held by rule" in err, err
    p = w.ssh_start("factor", "7", user="held")
    request = w.waiting_request()
    done = w.command("deny", request["id"], "--comment", "not today", token=w.token("lea", "leads", api=True))
    assert done.code == 0, repr(done)
    out, err = p.communicate(timeout=20 * SLOW)
    assert out == "" and p.returncode == 126 and "not today" in err, (out, err, p.returncode)


@test
def a_command_is_not_approved_without_its_stdin(w):
    done = w.ssh("tac", stdin="what nobody has seen\n", user="stdin")
    assert done.code == 126 and done.out == "" and "unseen" in done.err and "tac-needs-lead" in done.err, repr(done)
    assert not [r for r in w.requests() if r["state"] == "waiting"], w.requests()


@test
def who_gives_up_withdraws(w):
    p = w.ssh_start("factor", "8", user="giver")
    request = w.waiting_request()
    hang_up(p)
    wait_for(lambda: not [r for r in w.requests() if r["id"] == request["id"] and r["state"] == "waiting"], said="it still waits")


@test
def cards_are_hidden(w):
    done = w.ssh("printf '4111 1111 1111 1111\\n'; printf 'x 5500005555555559 y' >&2")
    assert "1111" not in done.out and "****" in done.out and "5500" not in done.err and done.err == "x **** y", repr(done)
    done = w.ssh("seq 1 3")
    assert done.out == "1\n2\n3"
    text = w.recording("ann")
    assert "5500005555555559" not in text


@test
def it_is_recorded(w):
    w.ssh("echo needle out", user="rec")
    text = w.recording("rec")
    assert "needle out" in text and "echo needle out" in text and "exit status 0" in text, text
    w.ssh("rm x", user="rec2")
    text = w.recording("rec2")
    assert "no-rm" in text, text


@test
def no_token_no_way(w):
    for token, user in (("wrong", "ann"), (w.token(groups="other"), "ann")):
        done = w.ssh("true", token=token, options=LOUDLY)
        assert done.code == 255 and "access denied" in done.err, repr(done)
    unknown = w.ssh("true", name="nowhere", options=LOUDLY)
    known = w.ssh("true", token="wrong", options=LOUDLY)
    strip = lambda text: re.sub(r"session [0-9a-z]+|port \d+|nowhere|host", "", text)
    assert unknown.code == 255 and strip(unknown.err) == strip(known.err), f"{unknown!r} {known!r}"


@test
def keyboard_interactive_asks_for_a_token(w):
    done = w.ssh("echo in", options=["-o", "PreferredAuthentications=keyboard-interactive"])
    assert done.out == "in", repr(done)
    done = w.ssh("echo in", options=["-o", "PreferredAuthentications=password"])
    assert done.out == "in", repr(done)


@test
def another_login_only_where_it_is_allowed(w):
    done = w.ssh("id -un", name=f"{LOGIN}%host")
    assert done.out == LOGIN, repr(done)
    assert w.ssh("id -un", name="root%host").code == 255
    done = w.ssh("id -un", name="ghost%host2", options=LOUDLY)
    assert done.code == 255 and "does not let the gateway in as ghost" in done.err, repr(done)


@test
def the_certificate_is_good_for_this_login_alone(w):
    w.ssh("true", user="cert")
    line = [l for l in w.sshd.log().splitlines() if "Accepted certificate ID" in l or "Accepted publickey" in l][-1]
    assert f"for {LOGIN}" in line and "ED25519-CERT" in line, line
    assert re.search(r'ID "?sallyport cert session [0-9a-f]', w.sshd.log()), w.sshd.log()[-2000:]


def more(w):
    return w.ssh_target("host2", extra="logins ghost;")


ssh_main(more=more)
