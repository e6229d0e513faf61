# SPDX-License-Identifier: Apache-2.0
"""npm packages of the live tests: exact versions, in a cache folder outside the source."""

import os
import pathlib
import shutil

from harness import HERE, TOP, only_one, run, skip

NODE = HERE / "node"


def node_folder():
    """The folder that has node_modules; the packages are those of node/package.json."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node and npm are not installed")
    cache = pathlib.Path(os.environ.get("SALLYPORT_NODE", TOP / "build" / "node"))
    wanted = (NODE / "package.json").read_text()
    done = cache / "installed.json"  # only what was installed whole
    with only_one(cache):
        if done.exists() and done.read_text() == wanted:
            return cache
        (cache / "package.json").write_text(wanted)
        installed = run(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--silent"], cwd=cache, timeout=900)
        if installed.code != 0:
            skip(f"npm could not install the packages: {(installed.err or installed.out)[-200:]}")
        done.write_text(wanted)
    return cache


def node_modules():
    return node_folder() / "node_modules"
