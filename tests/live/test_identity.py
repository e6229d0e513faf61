#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real identities by a JWKS file: algorithms, issuers, audiences, roles, where a token is good (ID3, ID6)."""

import base64

from harness import *
from wire import *

IDENTITY = """\
identity corp {{
    oidc       issuer=https://idp.example.com audience=sallyport api_audience=sallyport-api jwks=file:{dir}/keeper/corp.json;
    user       claim=sub show=email;
    person     claim=oid;
    groups     claim=groups;
    roles      approver=leads auditor=audit admin=ops;
    token_use  {use};
    max_age    1h;
}}
identity ci {{
    oidc       issuer=https://ci.example.com audience=sallyport jwks=file:{dir}/keeper/ci.json;
    class      workload;
    user       claim=sub;
    allow      repository_id=4711 ref=refs/heads/main;
    token_use  any;
}}
"""


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(data):
    return b64(data.to_bytes((data.bit_length() + 7) // 8, "big"))


class Key:
    """A key pair made by openssl, as a JWK, signing by openssl."""
    rsa = ("RSA", ["-pkeyopt", "rsa_keygen_bits:2048"])
    kinds = {"RS256": rsa, "RS384": rsa, "RS512": rsa, "PS256": rsa, "PS384": rsa, "PS512": rsa,
             "ES256": ("EC", ["-pkeyopt", "ec_paramgen_curve:P-256"]), "ES384": ("EC", ["-pkeyopt", "ec_paramgen_curve:P-384"]),
             "ES512": ("EC", ["-pkeyopt", "ec_paramgen_curve:P-521"]), "EdDSA": ("ED25519", [])}

    def __init__(self, folder, alg, kid):
        self.alg, self.kid, self.path = alg, kid, folder / f"{kid}.pem"
        kind, options = self.kinds[alg]
        run(["openssl", "genpkey", "-algorithm", kind, *options, "-out", self.path], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", str(self.path), "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
        self.half = {"ES256": 32, "ES384": 48, "ES512": 66}.get(alg, 0)
        if kind == "RSA":
            n = run(["openssl", "rsa", "-in", self.path, "-noout", "-modulus"]).out.split("=")[1]
            self.jwk = {"kty": "RSA", "n": unsigned(int(n, 16)), "e": "AQAB", "alg": alg}
        elif kind == "EC":
            self.jwk = {"kty": "EC", "crv": {32: "P-256", 48: "P-384", 66: "P-521"}[self.half], "x": b64(der[-2 * self.half:-self.half]), "y": b64(der[-self.half:])}
        else:
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(der[-32:])}
        self.jwk["kid"] = kid

    def sign(self, data):
        if self.alg == "EdDSA":
            with tempfile.NamedTemporaryFile() as f:
                f.write(data)
                f.flush()
                return subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", str(self.path), "-rawin", "-in", f.name],
                                      capture_output=True, check=True).stdout
        digest = "-sha" + self.alg[2:]
        pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if self.alg[0] == "P" else []
        out = subprocess.run(["openssl", "dgst", digest, "-sign", str(self.path), *pss], input=data, capture_output=True, check=True).stdout
        return self.raw(out) if self.half else out

    def raw(self, der):
        """r and s of an ECDSA signature, each as long as the curve."""
        at, out = 2 + (1 if der[1] & 0x80 else 0), b""
        for _ in range(2):
            n = der[at + 1]
            out += int.from_bytes(der[at + 2:at + 2 + n], "big").to_bytes(self.half, "big")
            at += 2 + n
        return out

    def token(self, header=None, **claims):
        now = int(time.time())
        whole = {"iss": "https://idp.example.com", "aud": "sallyport", "sub": "ann", "groups": ["dev"], "iat": now, "exp": now + 600,
                 "jti": os.urandom(8).hex()}
        whole.update(claims)
        whole = {k: v for k, v in whole.items() if v is not None}
        head = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **(header or {})}
        text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(whole).encode())
        return text + "." + b64(self.sign(text.encode()))


class Keys:
    def __init__(self, w):
        folder = w.dir / "idp"
        folder.mkdir()
        self.corp = {alg: Key(folder, alg, f"corp-{alg}") for alg in Key.kinds}
        self.ci = Key(folder, "ES256", "ci-1")
        self.publish(w, "corp", self.corp.values())
        self.publish(w, "ci", [self.ci])

    @staticmethod
    def publish(w, name, keys):
        path = w.gateway.dir / "keeper" / f"{name}.json"
        path.write_text(json.dumps({"keys": [k.jwk for k in keys]}))
        if IS_ROOT:
            shutil.chown(path, "sallyport-keeper", "sallyport-keeper")
        path.chmod(0o644)


keys = None


def ready(w, use="any", issuer="local_issuer  on beside;"):
    global keys
    (w.gateway.dir / "keeper").chmod(0o711)  # public keys are read by the check process too
    keys = keys or Keys(w)
    w.gateway.extra = IDENTITY.format(dir=w.gateway.dir, use=use)
    w.gateway.write(w.gateway.conf_text().replace("local_issuer  on;", issuer))
    done = w.gateway.reload()
    assert done.code == 0, repr(done)


def admitted(w, token, **more):
    got = w.psql("SELECT 1", token=token, **more)
    assert got.code == 0 or (got.code == 2 and "access denied" in got.err), repr(got)
    return got.code == 0


@test
def every_algorithm(w):
    ready(w)
    for key in keys.corp.values():
        assert admitted(w, key.token()), key.alg + w.gateway.logs()


@test
def the_principal_is_who_the_issuer_says(w):
    ready(w)
    k = keys.corp["ES256"]
    assert admitted(w, k.token(sub="zoe"), user="zoe")
    assert admitted(w, k.token(sub="zoe"), user="token")
    assert not admitted(w, k.token(sub="zoe"), user="ann")
    assert not admitted(w, k.token(sub="zoe"), user="ZOE")
    assert not admitted(w, k.token(groups=["other"]))
    assert not admitted(w, k.token(groups="dev-ops"))
    ended = wait_for(lambda: [s for s in w.sessions() if s["user"] == "zoe"], said="no session of zoe")
    assert len(ended) == 2, ended


@test
def tokens_that_are_not_good(w):
    ready(w)
    k, now = keys.corp["RS256"], int(time.time())
    stranger = Key(w.dir / "idp", "RS256", f"stranger-{now}")
    stranger.kid = k.kid
    head, body, signature = k.token().split(".")
    bad = {
        "expired": k.token(iat=now - 700, exp=now - 1), "not yet": k.token(nbf=now + 300), "made in the future": k.token(iat=now + 300),
        "another audience": k.token(aud="other"), "the API's audience": k.token(aud="sallyport-api"), "no audience": k.token(aud=None),
        "another issuer": k.token(iss="https://evil.example.com"), "a slash more": k.token(iss="https://idp.example.com/"),
        "no subject": k.token(sub=None), "no end": k.token(exp=None), "too long a life": k.token(exp=now + 7200),
        "another's key": stranger.token(), "unknown kid": k.token({"kid": "nobody"}), "crit": k.token({"crit": ["exp"]}),
        "another algorithm": k.token({"alg": "PS256"}), "none": k.token({"alg": "none"}),
        "none, unsigned": b64(b'{"alg":"none"}') + "." + body + ".", "no signature": head + "." + body + ".",
        "flipped": head + "." + b64(base64.urlsafe_b64decode(body + "===").replace(b"ann", b"bob")) + "." + signature,
        "the other issuer's key": keys.ci.token(),
        "the other issuer's name": k.token(iss="https://ci.example.com", repository_id="4711", ref="refs/heads/main"),
    }
    for what, token in bad.items():
        assert not admitted(w, token), what
    pem = subprocess.run(["openssl", "pkey", "-in", str(k.path), "-pubout"], capture_output=True, check=True).stdout
    text = b64(json.dumps({"alg": "HS256", "kid": k.kid}).encode()) + "." + body
    mac = subprocess.run(["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + pem.hex(), "-binary"], input=text.encode(),
                         capture_output=True, check=True).stdout
    assert not admitted(w, text + "." + b64(mac)), "HS256 keyed with the public key"
    log = w.gateway.logs(2000)
    for token in bad.values():
        assert token.split(".")[1] not in log, "a token is in the log"


@test
def groups_left_out_are_not_no_groups(w):
    ready(w)
    k = keys.corp["ES256"]
    got = w.psql("SELECT 1", token=k.token(groups=None, _claim_names={"groups": "src1"}))
    assert got.code == 2 and "overage" in got.err, repr(got)
    assert "overage" in w.gateway.logs(), "the log does not say why"
    got = w.psql("SELECT 1", token=k.token(hasgroups=True))
    assert got.code == 2 and "overage" in got.err, repr(got)
    assert "overage" not in w.psql("SELECT 1", token=k.token({"kid": "nobody"}, hasgroups=True)).err


@test
def several_issuers(w):
    ready(w)
    job = {"iss": "https://ci.example.com", "sub": "job-1", "repository_id": "4711", "ref": "refs/heads/main"}
    assert admitted(w, keys.ci.token(**job), user="job-1")
    assert not admitted(w, keys.ci.token(**{**job, "ref": "refs/heads/evil"}), user="job-1")
    assert not admitted(w, keys.ci.token(**{**job, "repository_id": "1"}), user="job-1")
    assert not admitted(w, keys.ci.token(**{**job, "repository_id": None}), user="job-1")
    got = w.command("whoami", token=keys.ci.token(**job))
    assert got.code == 1, "its identity has no api_audience"


@test
def data_and_api_refuse_each_others_tokens(w):
    ready(w)
    k = keys.corp["ES256"]
    assert not admitted(w, k.token(aud="sallyport-api"))
    assert w.command("sessions", token=k.token()).code == 1
    assert w.command("sessions", token=k.token(aud="sallyport-api")).code == 0


@test
def roles_come_from_groups(w):
    ready(w)
    k = keys.corp["EdDSA"]
    waiting = w.psql_waiting("UPDATE orders SET price = 5 WHERE id = 5", token=k.token(groups=["dev", "leads"], oid="1"))
    request = w.waiting_request()

    def approve(**claims):
        return w.command("approve", request["id"], token=k.token(aud="sallyport-api", **claims))
    assert approve(sub="dan", groups=["dev"], oid="2").code == 1, "no approver"
    assert approve(groups=["dev", "leads"], oid="1").code == 1, "her own (AP5)"
    assert approve(sub="ann-admin", groups=["leads"], oid="1").code == 1, "the same person under another name (AP5)"
    nobody = approve(sub="pat", groups=["leads"], oid=None)
    assert nobody.code == 1 and "which person you are" in nobody.err, "who is no person that can be counted (AP5)"
    assert approve(sub="lea", groups=["leads"], oid="3").code == 0
    assert waiting.result().code == 0
    ops = k.token(sub="oli", groups=["ops"], oid="4", aud="sallyport-api")
    live = w.psql_waiting(stdin="SELECT 1;\n", token=k.token(sub="victim", oid="5"), user="victim")
    session = wait_for(lambda: [s for s in w.sessions(live=True) if s["user"] == "victim"], said="no session")[0]["id"]
    assert w.command("kill", session, token=k.token(sub="dan", groups=["dev"], oid="2", aud="sallyport-api")).code == 1
    assert w.command("kill", session, token=ops).code == 0
    live.result()


def from_address(w, address, token):
    s = socket.socket()
    s.settimeout(10)
    s.bind((address, 0))
    s.connect(("127.0.0.1", w.gateway.port))
    c = Wire(s)
    try:
        c.login(token, user="ann", database="orders")
        c.close()
        return True
    except AssertionError:
        return False


@test
def token_use_address(w):
    ready(w, "address")
    token = keys.corp["ES256"].token()
    assert from_address(w, "127.0.0.1", token) and from_address(w, "127.0.0.1", token)
    assert not from_address(w, "127.0.0.2", token), "it was first seen elsewhere"
    assert from_address(w, "127.0.0.2", keys.corp["ES256"].token())


@test
def token_use_once(w):
    ready(w, "once")
    token = keys.corp["ES256"].token()
    assert from_address(w, "127.0.0.1", token)
    assert not from_address(w, "127.0.0.1", token)


@test
def token_use_any(w):
    ready(w, "any")
    token = keys.corp["ES256"].token()
    assert from_address(w, "127.0.0.1", token) and from_address(w, "127.0.0.2", token)


@test
def local_issuer_beside_real_ones_must_be_meant(w):
    ready(w)
    w.gateway.write()
    refused = w.gateway.daemon("-t")
    assert refused.code == 1 and "local_issuer on beside" in refused.err, repr(refused)
    token = w.token("ann")
    ready(w, issuer="local_issuer off;")
    assert not admitted(w, token), "a token of the local issuer is good while it is off"
    assert w.command("token", "--user", "ann", "--groups", "dev").code == 1


@test
def a_bad_key_set_is_refused_and_the_old_stays(w):
    ready(w)
    path = w.gateway.dir / "keeper" / "corp.json"
    good = path.read_text()
    try:
        for bad in ("", "{", '{"keys":[]}', '{"keys":[{"kty":"oct","k":"AAAA"}]}'):
            path.write_text(bad)
            done = w.gateway.reload()
            assert done.code == 1 and "corp" in done.err, (bad, repr(done))
            assert admitted(w, keys.corp["ES256"].token())
    finally:
        path.write_text(good)


@test
def a_new_key_comes_by_reload_and_an_old_one_goes(w):
    ready(w)
    new = Key(w.dir / "idp", "ES256", "corp-new")
    assert not admitted(w, new.token())
    keys.publish(w, "corp", [new])
    assert w.gateway.reload().code == 0
    assert admitted(w, new.token()) and not admitted(w, keys.corp["RS256"].token())
    keys.publish(w, "corp", keys.corp.values())
    assert w.gateway.reload().code == 0


@test
def an_email_is_for_show_only(w):
    """Who may set their own address at the provider is nobody else by it: rules about users are about the claim that names them."""
    ready(w)
    key, claims = keys.corp["ES256"], {"sub": "bea", "email": "ann@example.com", "groups": ["dev"]}
    assert admitted(w, key.token(**claims), user="bea")
    assert not admitted(w, key.token(**claims), user="ann@example.com")
    w.gateway.target_extra = "allow users=ann@example.com;"
    plain = w.gateway.conf_text()
    try:
        w.gateway.write(plain.replace("local_issuer  on;", "local_issuer  on beside;").replace("    allow     groups=dba,dev,leads,fraud;\n", ""))
        assert w.gateway.reload().code == 0
        assert not admitted(w, key.token(**claims), user="bea"), "let in by an address"
        assert admitted(w, key.token(sub="ann@example.com", groups=[]), user="ann@example.com"), "the rule lets nobody in: this test could not fail"
    finally:
        w.gateway.target_extra = ""
        ready(w)


main()
