# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of a test's own, by openssl: `Authority(folder, "clients")`, then `issue("ann", "/OU=dev/CN=ann")`."""

from harness import *


class Authority:
    def __init__(self, folder, name):
        self.dir = pathlib.Path(folder) / name
        self.dir.mkdir(parents=True)
        self.cert, self.key = self.dir / "ca.pem", self.dir / "ca.key"
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-keyout", self.key, "-out", self.cert], check=True)

    def issue(self, name, subject, days=2, purpose="clientAuth", san=None, kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """The paths of a certificate and its key."""
        cert, key, request, more = (self.dir / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        run(["openssl", "req", "-newkey", *kind, "-nodes", "-subj", subject, "-keyout", key, "-out", request],
            check=True)
        more.write_text(f"extendedKeyUsage={purpose}\n" + (f"subjectAltName={san}\n" if san else ""))
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-days", days, "-extfile", more, "-out", cert],
            check=True)
        return cert, key

    def crl(self, *revoked, hours=24):
        """The path of its list of revoked certificates, made anew: with these, good for so many hours (less than 0: out of date)."""
        conf, index, out = self.dir / "ca.cnf", self.dir / "index.txt", self.dir / "crl.pem"
        lines = []
        for cert, _ in revoked:
            serial = run(["openssl", "x509", "-in", cert, "-noout", "-serial"], check=True).out.strip().split("=")[1]
            lines.append(f"R\t491231000000Z\t200101000000Z\t{serial}\tunknown\t/CN=revoked\n")
        index.write_text("".join(lines))
        conf.write_text(f"[ca]\ndefault_ca=it\n[it]\ndatabase={index}\ndefault_md=sha256\n")
        when = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 3600 * h)) for h in (min(-1, hours - 1), hours)]
        run(["openssl", "ca", "-gencrl", "-config", conf, "-cert", self.cert, "-keyfile", self.key, "-crl_lastupdate", when[0], "-crl_nextupdate", when[1],
             "-out", out], check=True)
        out.chmod(0o644)
        return out
