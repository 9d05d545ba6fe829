#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom. The table below is the rule; DESIGN.md explains it.

usage: check_layers.py [ROOT]    exit 0: clean, 1: violations, each on a line of its own
"""
import pathlib
import re
import sys

SYSTEM = "<system>"  # std, libc and kernel headers
ABSL = "absl/"
WIRE = "proto/wire/"
LAYOUT = "proto/hlbuf_wire.h"
# What hl-bufd-holders is asked and what it answers.
HOLDERS = ["daemon/holders/holders_wire.h", "daemon/holders/question.h", "daemon/holders/answer.h"]

# directory: (what its shipped files may include, what of the system they may not)
RULES = {
    "proto/wire": ([SYSTEM, ABSL, WIRE, LAYOUT], []),
    "daemon/base": ([SYSTEM, ABSL, "daemon/base/", WIRE], ["google/", "grpc"]),
    "daemon/core": (
        [SYSTEM, ABSL, "daemon/core/", "daemon/base/clock.h", "daemon/base/status_macros.h", "proto/wire/unique_fd.h"],
        # No system calls, threads, protobuf or logs: sys/types.h has only types.
        [r"sys/(?!types\.h)", "unistd", "fcntl", "poll", "signal", "thread", "mutex", "condition_variable", "google/",
         "grpc", "systemd/", "linux/", "iostream", "fstream"],
    ),
    "daemon/device": ([SYSTEM, ABSL, "daemon/device/", "daemon/core/", "daemon/base/", "daemon/keeper/keeper_wire.h", WIRE],
                      ["google/", "grpc"]),
    "daemon/session": ([SYSTEM, ABSL, "daemon/session/", "daemon/core/", "daemon/base/", WIRE, LAYOUT], ["google/", "grpc"]),
    "daemon/control": ([SYSTEM, ABSL, "daemon/control/", "daemon/core/", "daemon/base/", "proto/wire/unique_fd.h", "hlbuf/v1/",
                        "google/"], []),
    "daemon/witness": ([SYSTEM, ABSL, "daemon/witness/", "daemon/core/", "daemon/base/", "proto/wire/unique_fd.h", *HOLDERS],
                       ["google/", "grpc"]),
    "daemon/persist": ([SYSTEM, ABSL, "daemon/persist/", "daemon/core/", "daemon/base/", WIRE], ["google/", "grpc"]),
    "daemon/journal": ([SYSTEM, ABSL, "daemon/journal/", "daemon/persist/", "daemon/core/", "daemon/base/", WIRE],
                       ["google/", "grpc", "systemd/", "thread", "mutex"]),
    "daemon/observe": ([SYSTEM, ABSL, "daemon/observe/", "daemon/core/", "daemon/base/"], ["google/", "grpc"]),
    # The smallest that can be: no library beside what proto/wire itself needs.
    "daemon/keeper": ([SYSTEM, "daemon/keeper/", WIRE], ["google/", "grpc", "absl/", "systemd/", "thread", "mutex", "iostream"]),
    # It runs as root: likewise.
    "daemon/holders": ([SYSTEM, "daemon/holders/", "proto/wire/unique_fd.h"],
                       ["google/", "grpc", "absl/", "systemd/", "thread", "mutex", "iostream"]),
    "client/include": ([SYSTEM, "hlbuf/"], ["absl", "google/", "grpc"]),
    "client/src": ([SYSTEM, "hlbuf/", "client/include/", "client/src/", LAYOUT], ["absl", "google/", "grpc", "systemd/"]),
    "client/ctl": ([SYSTEM, ABSL, "client/ctl/", "hlbuf/v1/", "google/", *HOLDERS], []),
    "client/examples": ([SYSTEM, "hlbuf/", "client/examples/"], []),
}
# Tests may also use these, wherever they stand.
FOR_TESTS = ["tests/support/", "gtest/", "rapidcheck"]

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)


def is_test(path):
    return path.name.endswith(("_test.cc", "_test.c")) or path.name.startswith(("fake_", "test_"))


def judge(path, directory, quote, name):
    """What is wrong with one include of `path`, or None."""
    allowed, banned = RULES[directory]
    if is_test(path):
        return None if not name.startswith("daemon/") or directory.startswith("daemon/") else "client code includes the daemon"
    if any(re.match(pattern, name) for pattern in banned):
        return "not in this layer"
    if quote == "<" and not name.startswith(("absl/", "google/", "grpc")):
        return None if SYSTEM in allowed else "no system headers here"
    if name.startswith("grpc") and directory in ("daemon/control", "client/ctl"):
        return None
    if name.startswith("CLI/") and directory == "client/ctl":
        return None
    if any(name == a or (a.endswith("/") and name.startswith(a)) for a in allowed):
        return None
    # A header beside the file, named without its directory.
    if "/" not in name and (path.parent / name).exists():
        return None
    return "not in this layer"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    checked, violations = 0, []
    for directory in RULES:
        for path in sorted((root / directory).rglob("*")):
            if path.suffix not in (".h", ".hpp", ".c", ".cc"):
                continue
            for quote, name in INCLUDE.findall(path.read_text()):
                checked += 1
                wrong = judge(path, directory, quote, name)
                if wrong:
                    violations.append(f"{path.relative_to(root)}: includes {name}: {wrong}")
    print("\n".join(violations) if violations else f"check_layers: {checked} includes, all in their layers")
    if checked == 0:
        sys.exit("check_layers: nothing to check; is this the root of the project?")
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
