#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peeking at a message with descriptors installs them: the check of the sources has to find it.

usage: threat29_peek_test.py SOURCE_DIR
"""
import pathlib
import subprocess
import sys
import tempfile

source = pathlib.Path(sys.argv[1])
check = source / "tests/support/check_patterns.py"
with tempfile.TemporaryDirectory() as name:
    subprocess.run(["git", "init", "-q", name], check=True)
    (pathlib.Path(name) / "peek.cc").write_text("ssize_t n = recv(fd, bytes, size, MSG_" + "PEEK);\n")
    found = subprocess.run([sys.executable, "-B", check, name], capture_output=True, text=True, check=False)
if found.returncode != 1 or "peek.cc:1" not in found.stdout:
    sys.exit(f"the check does not find it:\n{found.stdout}{found.stderr}")
