#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks for what this code base does not do, each with its reason, and for files that grew too long.

usage: check_patterns.py [ROOT]    exit 0: clean, 1: findings, each on a line of its own
"""
import pathlib
import re
import subprocess
import sys

LONGEST = 400
CODE = (".h", ".hpp", ".c", ".cc")

# (pattern, where it is looked for, where it is allowed, why not)
BANNED = [
    (r"\bstd::sto[iul]", CODE, ("tests/", "_test."), "throws; use absl::SimpleAtoi or std::from_chars"),
    (r"\batoi\(", CODE, (), "cannot tell an error; use std::from_chars or strtoul"),
    (r"while\s*\(.*\bclose\(", CODE, (), "close() is never retried: the number may be somebody else's already"),
    (r"\bsleep_for\b|\bSleepFor\b|\busleep\(|\bnanosleep\(|[^_a-z]sleep\(\d", CODE, (), "wait for the event, with a deadline"),
    (r"\bstd::thread\b|\bstd::jthread\b|pthread_create", CODE,
     ("daemon/base/", "daemon/device/", "daemon/control/", "client/src/", "tests/", "_test."), "threads belong to the loop's edges"),
    (r"\brecvmsg\(", CODE, ("proto/wire/", "client/src/", "tests/", "_test."), "use ReceivePacket(): it adopts before it judges"),
    (r"[^_:a-z]dup2?\(", CODE, ("tests/", "_test.", "client/"), "not close-on-exec; use fcntl(F_DUPFD_CLOEXEC)"),
    (r"MSG_PEEK", CODE, ("_test.",), "peeking at a message with descriptors installs them"),
    (r"\bstrcpy\(|\bstrcat\(|\bsprintf\(|\bgets\(", CODE, ("_test.",), "no bound"),
    (r"\bmktemp\(|\btmpnam\(", CODE, (), "a race; use mkdtemp"),
    (r"\bsystem\(|\bpopen\(", CODE, ("tests/", "_test."), "a shell between us and the program"),
    (r"\bgetenv\(", CODE, ("client/", "main.cc", "daemon/base/log.cc", "daemon/notify_socket.cc", "tests/", "_test."), "configuration arrives as values"),
    (r"\bconst_cast<", CODE, ("proto/wire/packet.cc", "daemon/base/log.cc", "client/src/fake_daemon.cc", "_test."), "iovec alone needs it"),
    (r"\bFRIEND_TEST\b|#define private", CODE, (), "if a test needs privates, the seam is missing"),
    (r"^\s*//\s*(if|for|while|return|auto|const)\b.*;\s*$", CODE, (), "commented-out code"),
    (r"\b(class|struct)\s+\w*(Manager|Helper|Util|Utils|Handler|Data|Info)\b", CODE, (), "a name that hides what it is"),
    (r"\b(TODO|FIXME|XXX|HACK)\b", CODE + (".py", ".sh"), ("tests/support/check_patterns.py",), "left undone"),
    (r"\bassert\(.*(recv|peer|frame)", CODE, ("_test.",), "peers may lie; assert only what is ours"),
    (r"std::string_view", CODE, ("client/", "tests/", "_test.", "daemon/holders/"), "Debian's absl::string_view is another type"),
    (r"EXPECT_TRUE\(true\)|SUCCEED\(\)", CODE, (), "asserts nothing"),
]


def tracked(root):
    listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"],
                            check=True, capture_output=True, text=True)
    return [pathlib.Path(line) for line in listed.stdout.splitlines() if (root / line).is_file()]


def findings(root, path):
    try:
        lines = (root / path).read_text().splitlines()
    except UnicodeDecodeError:
        return
    if path.suffix in CODE + (".py", ".sh") and len(lines) > LONGEST:
        yield f"{path}: {len(lines)} lines, above {LONGEST}: a noun is missing"
    for pattern, suffixes, allowed, why in BANNED:
        if path.suffix not in suffixes or any(a in str(path) for a in allowed):
            continue
        for number, line in enumerate(lines, 1):
            if re.search(pattern, line):
                yield f"{path}:{number}: {line.strip()[:80]}: {why}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    paths = tracked(root)
    found = [f for path in paths for f in findings(root, path)]
    print("\n".join(found) if found else f"check_patterns: {len(paths)} files, {len(BANNED)} patterns, nothing found")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
