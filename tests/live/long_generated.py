#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_generated.py for a night: 20000 cases under each policy, and another seed every day."""

import os
import pathlib
import runpy
import time

import harness

harness.TEST_LIMIT = 0  # run_path() calls this test_generated.py, whose tests may not take a night
os.environ.setdefault("GENERATED", "20000")
os.environ.setdefault("SEED", time.strftime("%Y%m%d"))
runpy.run_path(str(pathlib.Path(__file__).resolve().parent / "test_generated.py"), run_name="__main__")
