#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ssh with nothing but a browser: keyboard-interactive shows a code, a person confirms it, the session begins (ID5, SS4)."""

from saml_world import *
from ssh_world import *

COOKIES = {}


def cookie(w, user="ann", groups=("dev",)):
    """Somebody's browser, signed in: once."""
    if user not in COOKIES:
        start_provider(w)
        be(id="00" + user, uid=user, groups=list(groups))
        COOKIES[user] = sign_in(w)[0]
    return COOKIES[user]


class Asking:
    """ssh that was given no token."""

    def __init__(self, w, *command, name="host"):
        cookie(w)  # the provider is there from now on
        self.w, self.said = w, w.client / f"said-{next(VISITS)}"
        argv = w.ssh_argv(*command, name=name, options=["-o", "PreferredAuthentications=keyboard-interactive", "-o", "LogLevel=INFO"])
        with open(self.said, "wb") as err:
            self.process = subprocess.Popen(argv, env=dict(os.environ, **w.environment("")), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=err, start_new_session=True)
        self.code = wait_for(self.shown, said=lambda: f"no code is shown: {self.text()}")

    def text(self):
        return self.said.read_text(errors="replace")

    def shown(self):
        found = re.search(re.escape(url(self.w)) + r"/device\?code=([A-Z]{4}-[A-Z]{4})\s", self.text())
        return found and found.group(1)

    def page(self, user="ann", groups=("dev",)):
        return ask(self.w, "GET", f"/device?code={self.code}", cookie=cookie(self.w, user, groups))

    def confirm(self, user="ann", groups=("dev",), allow="1"):
        status, _, page = self.page(user, groups)
        assert status == 200 and self.code in page, (status, page)
        form = {"csrf": re.search(r'name="csrf" value="([^"]*)"', page).group(1), "code": self.code, "allow": allow}
        status, _, after = ask(self.w, "POST", "/device", form, cookie(self.w, user), Origin=url(self.w))
        assert status == 200, (status, after)
        return page

    def end(self):
        out, _ = self.process.communicate(timeout=30 * SLOW)
        return self.process.returncode, out.decode(), self.text()


@test
def a_person_confirms_and_is_in(w):
    a = Asking(w, "echo it is me")
    assert a.process.poll() is None
    page = a.confirm()
    assert "ssh to host" in page and "127.0.0.1" in page, page
    code, out, said = a.end()
    assert code == 0 and out == "it is me\n", (code, out, said)
    session = [s for s in w.sessions() if s["target"] == "host"][0]
    assert session["user"] == "ann" and session["identity"] == "okta" if "identity" in session else session["user"] == "ann", session
    assert a.page()[0] == 404, "a code is good once"


@test
def the_login_name_that_was_asked_for_is_shown(w):
    a = Asking(w, "id -un", name=f"{LOGIN}%host")
    assert f"ssh to host as {LOGIN}" in a.confirm()
    assert a.end()[1].strip() == LOGIN


@test
def a_person_says_no(w):
    a = Asking(w, "echo in")
    a.confirm(allow="0")
    code, out, said = a.end()
    assert code == 255 and out == "" and "the person said no" in said, (code, out, said)


@test
def somebody_who_may_not(w):
    a = Asking(w, "echo in")
    a.confirm("mallory", ["others"])
    code, out, said = a.end()
    assert code == 255 and out == "" and "access denied" in said, (code, out, said)
    a = Asking(w, "echo in", name="nowhere")  # the same question for what there is not
    a.confirm()
    code, out, said = a.end()
    assert code == 255 and out == "" and "access denied" in said, (code, out, said)


@test
def who_gives_up_takes_the_code_along(w):
    a = Asking(w, "echo in")
    os.kill(a.process.pid, signal.SIGINT)
    assert a.end()[0] != 0
    wait_for(lambda: a.page()[0] == 404, said="the code is still good")


@test
def the_session_ends_with_the_sign_in(w):
    be(id="00eve", uid="eve", groups=["dev"])
    COOKIES["eve"] = sign_in(w)[0]
    a = Asking(w, "sleep", "177")
    a.confirm("eve")
    wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "eve"], said="no session")
    assert w.command("revoke", "--user", "eve").code == 0
    assert a.end()[0] == 255


@test
def nobody_comes_in_time(w):
    w.gateway.extra = w.gateway.extra.replace("timeout sign_in=5m;", "timeout sign_in=2s;")
    IDP["base"] = IDP["base"].replace("timeout sign_in=5m;", "timeout sign_in=2s;")
    write(w)
    a = Asking(w, "echo in")
    code, out, said = a.end()
    assert code == 255 and out == "" and "in time" in said, (code, out, said)
    wait_for(lambda: a.page()[0] == 404, said="the code is still good")


ssh_main(listener_extra="timeout sign_in=5m;", console=True)
