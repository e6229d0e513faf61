#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The `sallyport` command by hand: help, tables and JSON, exit status 0, 1, 2, and errors that say what to do."""

from harness import *


def commands(w):
    out = w.command("help").out
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", out, re.M)


@test
def every_command_has_help(w):
    names = commands(w)
    assert {"token", "requests", "approve", "replay", "verify", "policy test"} <= set(names), names
    for name in names:
        for argv in ([*name.split(), "--help"], ["help", *name.split()]):
            got = w.command(*argv)
            assert got.code == 0 and got.out.startswith(f"sallyport {name}") and "Options:" in got.out and got.err == "", repr(got)


@test
def misuse_is_two_and_says_what_to_do(w):
    for argv, text in (
            ([], "usage: sallyport COMMAND"),
            (["tokn"], 'did you mean "token"?'),
            (["frobnicate"], "`sallyport help` lists all"),
            (["--json", "status"], "options come after the command"),
            (["policy"], "sallyport policy test"),
            (["token"], "it needs --user NAME"),
            (["token", "--user"], "--user takes a value"),
            (["token", "--user", "ann", "--ttl", "5"], "unit, such as 10m"),
            (["whoami", "more"], '"more" is one word too many'),
            (["whoami", "--jsn"], "did you mean --json?"),
            (["kill"], "it takes ID"),
            (["sessions", "--limit", "x"], "whole number from 1 on"),
            (["replay", "x", "--format", "film"], "text, jsonl, asciicast or terminal"),
            (["replay", "x", "--speed", "fast"], "takes a number"),
            (["verify", str(w.gateway.dir / "sessions"), "--key", "12"], "64 hexadecimal digits")):
        got = w.command(*argv)
        assert got.code == 2 and text in got.err and got.out == "", f"{argv}: {got!r}"


@test
def refusals_are_one(w):
    ann = w.token("ann", "dev", api=True)
    for argv, token, text in (
            (["kill", "0" * 26], None, "there is no such session"),
            (["requests", "0" * 26], None, "there is no such request"),
            (["approve", "A B"], None, "is no id"),
            (["replay", "/nonexistent"], None, "No such file"),
            (["verify", "/nonexistent"], None, "No such file"),
            (["verify", "/etc/passwd"], None, "not a recording"),
            (["policy", "check", "/nonexistent"], None, "No such file"),
            (["token", "--user", "bob"], ann, 'it takes "may mint"'),
            (["revoke", "--user", "bob"], ann, 'it takes "may operate"'),
            (["status"], ann, 'it takes "may audit or operate"'),
            (["whoami"], "junk", "the token was not accepted"),
            (["whoami"], w.token(), "not for the API"),
            (["whoami", "--token-file", "/nonexistent"], None, "No such file"),
            (["status", "--control", "/nonexistent"], None, "is sallyportd running?")):
        got = w.command(*argv, token=token)
        assert got.code == 1 and text in got.err and got.out == "", f"{argv}: {got!r}"


@test
def tables_are_also_json(w):
    assert w.psql("SELECT 1", user="tab").out == "1"
    for argv, member in ((["sessions"], "sessions"), (["sessions", "--limit", "1"], "sessions"), (["requests", "--all"], "requests"),
                         (["targets"], "targets"), (["status"], "workers")):
        got = w.command(*argv, "--json")
        assert got.code == 0 and isinstance(got.json[member], list), f"{argv}: {got!r}"
    assert w.command("whoami", "--json").json["user"].startswith("unix:")
    assert w.command("verify", str(w.gateway.dir / "sessions"), "--json").json["ok"] is True
    assert len(w.command("sessions", "--limit", "1", "--json").json["sessions"]) == 1


@test
def tables_are_aligned(w):
    head, *rows = w.command("sessions").out.splitlines()
    at = [m.start() for m in re.finditer(r"\S+", head)]
    assert rows, head
    for row in rows:
        for column in at[1:]:
            assert row.ljust(len(head))[column - 2:column] == "  ", f"{head}\n{row}"


@test
def what_an_approver_sees_is_all(w):
    waiting = w.psql_waiting("UPDATE orders SET price = 3 /* \x1b[2J \u202e */ WHERE id = 3", user="hal")
    request = w.waiting_request()
    got = w.command("approve", request["id"], token=w.token("lea", "leads", api=True))
    assert got.code == 0 and got.out.endswith("approved, 1 of 1 votes"), repr(got)
    for text in ("price-needs-lead", request["hash"], "search_path", "app_gw", "127.0.0.1", "UPDATE orders SET price = 3", r"\x1b[2J", r"\u{202e}"):
        assert text in got.out, f"{text}: {got!r}"
    assert "\x1b" not in got.out and "\u202e" not in got.out
    assert waiting.result().code == 0


main()
