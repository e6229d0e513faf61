# SPDX-License-Identifier: Apache-2.0
"""A gateway whose clock on the wall can be put forward and back, and nobody else's: `clock = Clock(world)` before the start,
then `clock.step(3600)`.  The machine's clock stays as it is: others live by it.

Master drops LD_PRELOAD from what its children get, so each of their programs is a script that sets it anew, in a copy of
what is installed."""

import struct

from harness import *

SCRIPT = """#!/bin/bash
export LD_PRELOAD={library} SALLYPORT_TEST_CLOCK={file}
exec -a "$0" {program} "$@"
"""


class Clock:
    def __init__(self, world):
        self.ahead, self.steps = 0.0, 0
        self.file, library, stage = world.dir / "clock", world.dir / "stepped.so", world.dir / "stage"
        run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-o", library, HERE / "stepped.c"], check=True)
        self.file.write_bytes(struct.pack("=q", 0))
        self.file.chmod(0o644)
        shutil.copytree(world.stage, stage, symlinks=True)
        roles = stage / "libexec" / "sallyport"
        (stage / "libexec" / "real").mkdir()
        for program in list(roles.iterdir()):
            real = stage / "libexec" / "real" / program.name
            program.rename(real)
            program.write_text(SCRIPT.format(library=library, file=self.file, program=real))
            program.chmod(0o755)
        world.gateway.wrap = ["env", f"LD_PRELOAD={library}", f"SALLYPORT_TEST_CLOCK={self.file}"]
        world.gateway.stage = world.stage = stage
        world.gateway.write()

    def step(self, seconds):
        self.ahead += seconds
        self.steps += 1
        with open(self.file, "r+b") as f:
            f.write(struct.pack("=q", int(self.ahead * 1e6)))
