# SPDX-License-Identifier: Apache-2.0
"""Packages of PyPI that the live tests need newer than Debian has them: versions and hashes of python/requirements.txt, in a cache folder outside the source."""

import os
import pathlib
import shutil

from harness import HERE, TOP, only_one, run, skip

WANTED = HERE / "python" / "requirements.txt"


def python_path():
    """What goes in front of PYTHONPATH; what these packages need besides is Debian's."""
    cache = pathlib.Path(os.environ.get("SALLYPORT_PYPI", TOP / "build" / "pypi"))
    done = cache / "installed.txt"  # only what was installed whole
    with only_one(cache):
        if done.exists() and done.read_text() == WANTED.read_text():
            return cache / "lib"
        shutil.rmtree(cache / "lib", ignore_errors=True)
        installed = run(["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                         "--target", cache / "lib", "-r", WANTED], timeout=300)
        if installed.code != 0:
            skip(f"pip could not install {WANTED.name} (apt-get install python3-pip): {(installed.err or installed.out)[-200:]}")
        done.write_text(WANTED.read_text())
    return cache / "lib"
