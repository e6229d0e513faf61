#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes jwt_vectors.json: tokens good and bad, made by another implementation than the one that reads them (ID3).

Groups of tests share a key set, as in Wycheproof's files; each test has a token and whether it must be taken. Run it by hand after
a change here: the file it writes is what `make check` reads. Needs python3-cryptography.
"""

import base64
import hashlib
import hmac
import json
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

NOW = 1800000000
CLAIMS = {"iss": "https://idp", "sub": "ann", "aud": "us", "iat": NOW - 10, "exp": NOW + 100}
HASH = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


class Key:
    def __init__(self, alg, kid="k", bits=2048):
        self.alg, self.kid = alg, kid
        if alg[0] in "RP":
            self.key = rsa.generate_private_key(65537, bits)
            n = self.key.public_key().public_numbers()
            self.jwk = {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
        elif alg == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
            raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        else:
            curve, self.half = {"ES256": (ec.SECP256R1(), 32), "ES384": (ec.SECP384R1(), 48), "ES512": (ec.SECP521R1(), 66)}[alg]
            self.key = ec.generate_private_key(curve)
            n = self.key.public_key().public_numbers()
            self.jwk = {"kty": "EC", "crv": {32: "P-256", 48: "P-384", 66: "P-521"}[self.half], "x": number(n.x, self.half), "y": number(n.y, self.half)}
        self.jwk.update(kid=kid, alg=alg)

    def sign(self, data, alg=None, salt=None):
        alg = alg or self.alg
        if alg == "EdDSA":
            return self.key.sign(data)
        h = HASH[alg[2:]]
        if alg[0] == "R":
            return self.key.sign(data, padding.PKCS1v15(), h)
        if alg[0] == "P":
            return self.key.sign(data, padding.PSS(padding.MGF1(h), h.digest_size if salt is None else salt), h)
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(h)))
        return r.to_bytes(self.half, "big") + s.to_bytes(self.half, "big")

    def public_pem(self):
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def token(key, header=None, claims=None, sign=None, raw_header=None, raw_claims=None):
    head = raw_header or json.dumps({"alg": key.alg, "kid": key.kid, **(header or {})}).encode()
    body = raw_claims or json.dumps({**CLAIMS, **(claims or {})}).encode()
    text = b64(head) + "." + b64(body)
    return text + "." + b64((sign or key.sign)(text.encode()))


def signatures(key):
    """The right one, and what other libraries have taken for it."""
    good = token(key)
    text, _, sig = good.rpartition(".")
    raw = base64.urlsafe_b64decode(sig + "==")
    yield "valid", True, good
    yield "empty signature", False, text + "."
    yield "no signature", False, text
    yield "all zero", False, text + "." + b64(bytes(len(raw)))
    yield "all ones", False, text + "." + b64(b"\xff" * len(raw))
    yield "a byte less", False, text + "." + b64(raw[:-1])
    yield "a byte more", False, text + "." + b64(raw + b"\0")
    yield "a zero before", False, text + "." + b64(b"\0" + raw)
    yield "the last bit", False, text + "." + b64(raw[:-1] + bytes([raw[-1] ^ 1]))
    yield "the first bit", False, text + "." + b64(bytes([raw[0] ^ 0x80]) + raw[1:])
    yield "padded base64", False, text + "." + base64.urlsafe_b64encode(raw + b"").decode() + "="
    yield "plain base64", False, text + "." + base64.b64encode(b"\xfb\xff" + raw[2:]).decode().rstrip("=")
    yield "of other claims", False, token(key, claims={"sub": "bob"}).rpartition(".")[0] + "." + sig
    yield "of the claims alone", False, token(key, sign=lambda data: key.sign(data.split(b".")[1]))
    yield "of a stranger", False, token(key, sign=Key(key.alg).sign)
    if key.alg[:2] == "ES":
        half, order = key.half, {"ES256": 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
                                 "ES384": int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
                                 "ES512": int("1" + "f" * 64 + "fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16)}[key.alg]
        r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
        yield "DER in place of r and s", False, text + "." + b64(utils.encode_dss_signature(r, s))
        yield "r and s exchanged", False, text + "." + b64(raw[half:] + raw[:half])
        for name, a, b in (("r 0", 0, s), ("s 0", r, 0), ("both 0", 0, 0), ("both 1", 1, 1), ("r the order", order, s), ("s the order", r, order),
                           ("both the order", order, order), ("r, and s more than the order", r, s + order if (s + order).bit_length() <= 8 * half else order + 1)):
            yield name, False, text + "." + b64(a.to_bytes(half, "big") + b.to_bytes(half, "big"))
    if key.alg[0] == "P":
        yield "no salt", None, token(key, sign=lambda data: key.sign(data, salt=0))
        yield "PKCS #1 padding", False, token(key, sign=lambda data: key.sign(data, alg="R" + key.alg[1:]))
    if key.alg[0] == "R":
        yield "PSS padding", False, token(key, sign=lambda data: key.sign(data, alg="P" + key.alg[1:]))
    if key.alg != "EdDSA":
        other = {"256": "384", "384": "512", "512": "256"}[key.alg[2:]]
        if key.alg[:2] != "ES":
            yield "another hash", False, token(key, sign=lambda data: key.sign(data, alg=key.alg[:2] + other))
            yield "another hash, and said so", False, token(key, {"alg": key.alg[:2] + other}, sign=lambda data: key.sign(data, alg=key.alg[:2] + other))


def headers(key):
    for alg in ("none", "None", "NONE", "nOnE", "", "HS256", "hs256", "RS256 ", "ES256K", "PS256,none", "A256GCM"):
        if alg != key.alg:
            yield f"alg {alg!r}", False, token(key, {"alg": alg})
    for what, secret in (("the PEM", key.public_pem()), ("the PEM without its last newline", key.public_pem().rstrip()), ("nothing", b""),
                         ("the JWK", json.dumps(key.jwk).encode())):
        for size, h in (("256", hashlib.sha256), ("512", hashlib.sha512)):
            yield f"HS{size} by {what}", False, token(key, {"alg": "HS" + size}, sign=lambda data: hmac.new(secret, data, h).digest())
    for kid in ("../k", "k\0", "K", "", "k k", "/dev/null", "' OR '1'='1", "http://evil/k", ["k"], 1, None, {"k": 1}):
        yield f"kid {kid!r}", False, token(key, {"kid": kid})
    for name, value in (("crit", ["exp"]), ("crit", []), ("b64", False), ("zip", "DEF"), ("enc", "A128GCM"), ("typ", "logout+jwt"), ("typ", "dpop+jwt"), ("typ", 1)):
        yield f"{name} {value!r}", False, token(key, {name: value})
    mine = Key(key.alg, "k")
    for name, value in (("jwk", mine.jwk), ("jku", "https://evil/keys"), ("x5u", "https://evil/cert"), ("x5c", ["AAAA"]), ("x5t", "AAAA")):
        yield f"{name} of one's own, signed by it", False, token(key, {name: value}, sign=mine.sign)
        yield f"{name} is not looked at", True, token(key, {name: value})
    twice = f'{{"alg":"none","alg":"{key.alg}","kid":"k"}}'.encode()
    yield "alg twice", False, token(key, raw_header=twice)
    yield "a header that is a list", False, token(key, raw_header=b"[]")
    yield "a header that is no JSON", False, token(key, raw_header=b'{"alg":')
    yield "a header with something behind it", False, token(key, raw_header=json.dumps({"alg": key.alg, "kid": "k"}).encode() + b" x")


def claims(key):
    def row(name, good, **change):
        whole = {k: v for k, v in {**CLAIMS, **change}.items() if v != "absent"}
        return name, good, token(key, raw_claims=json.dumps(whole).encode())
    for aud, good in (("us", True), (["us"], True), ("them", False), ([], False), ("", False), (["them"], False), ("US", False), ("us\0", False), ({"us": 1}, False),
                      (["us", "them"], False), ([["us"]], False), (None, False), ("absent", False)):
        yield row(f"aud {aud!r}", good, aud=aud)
    yield row("aud with azp of ours", True, aud=["us", "them"], azp="us")
    yield row("aud with azp of theirs", False, aud=["us", "them"], azp="them")
    for iss in ("https://idp/", "https://IDP", "https://idp.evil", "", None, 1, ["https://idp"], "absent"):
        yield row(f"iss {iss!r}", False, iss=iss)
    for exp, good in ((NOW + 1, True), (NOW, False), (NOW - 1, False), (0, False), (-1, False), ("1800000100", False), (1e400, False), (True, False),
                      (2**63 - 1, False), (2**64, False), (None, False), ("absent", False), ([NOW + 100], False), (NOW + 13 * 3600, False)):
        yield row(f"exp {exp!r}", good, exp=exp)
    for iat, good in ((NOW + 60, True), (NOW + 61, False), ("absent", False), (None, False), (-1, False), (NOW + 100, False), ("x", False)):
        yield row(f"iat {iat!r}", good, iat=iat)
    for nbf, good in ((NOW, True), (NOW + 60, True), (NOW + 61, False), ("x", False), (None, False), (-1, False)):
        yield row(f"nbf {nbf!r}", good, nbf=nbf)
    yield row("a logout token", False, events={"http://schemas.openid.net/event/backchannel-logout": {}})
    yield "a claim twice", False, token(key, raw_claims=json.dumps(CLAIMS)[:-1].encode() + b',"sub":"bob"}')
    yield "a claim twice, once escaped", False, token(key, raw_claims=json.dumps(CLAIMS)[:-1].encode() + b',"\\u0073ub":"bob"}')
    yield "claims that are a list", False, token(key, raw_claims=b"[]")
    yield "claims that are no UTF-8", False, token(key, raw_claims=json.dumps(CLAIMS)[:-1].encode() + b',"x":"\xff"}')
    yield "claims with something behind them", False, token(key, raw_claims=json.dumps(CLAIMS).encode() + b"{}")
    good = token(key)
    for name, text in (("a space before", " " + good), ("a newline behind", good + "\n"), ("a fourth part", good + ".x"), ("a dot behind", good + "."), ("two parts", good.rpartition(".")[0]),
                       ("five parts, as of JWE", good + ".x.y"), ("nothing", ""), ("dots", ".."), ("JSON serialization", json.dumps({"payload": good.split(".")[1]}))):
        yield name, False, text


def main():
    keys = {alg: Key(alg) for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")}
    groups = []
    for alg, key in keys.items():
        makers = [signatures] + ([headers] if alg in ("RS256", "ES256", "EdDSA") else []) + ([claims] if alg == "ES256" else [])
        tests = [{"comment": name, "good": good, "token": text} for maker in makers for name, good, text in maker(key) if good is not None]
        groups.append({"keys": {"keys": [key.jwk]}, "tests": tests})
    whole = {"now": NOW, "issuer": "https://idp", "audience": "us", "groups": groups}
    (pathlib.Path(__file__).parent / "jwt_vectors.json").write_text(json.dumps(whole, indent=0, sort_keys=True) + "\n")
    print(sum(len(g["tests"]) for g in groups), "tests")


main()
