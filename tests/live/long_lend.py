#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ephemeral roles when the lender dies before each thing that it says to the target, from making the role to dropping it."""

from lend_world import *


@test
def a_lender_that_dies_at_any_step_leaves_nothing(w):
    prepare(w)
    if shutil.which("strace") is None:
        skip("strace is not installed (apt-get install strace)")
    nth = 1
    try:
        while killed_at(w, nth):
            nth += 1
            assert nth < 40, "it says more and more"
    except CannotTrace as e:
        skip(f"strace may not trace here: {e}")
    print(f"        it was killed at {nth - 1} places")
    assert nth > 7, f"only {nth - 1} kills: making and dropping a role takes more than that"


main()
