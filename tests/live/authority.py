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
