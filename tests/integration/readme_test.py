#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every command of README.md's `sh` blocks against a daemon of its own, has it judge the configurations, and compiles
the C example.

usage: readme_test.py BUILD_DIR SOURCE_DIR
"""
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import textwrap

DEADLINE_S = 120
# Tiers of their own, which run this test: they are only looked for here.
RUN_ELSEWHERE = {"deploy/try.sh": "tests/support/tier_try.sh", "tests/run.sh": "tests/support/tier_unit.sh",
                 "tests/run.sh hardware": "tests/support/tier_hardware.sh"}


def blocks(text, language):
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def start_daemon(build, directory):
    """hl-bufd with its sockets in `directory`, ready; its process."""
    config = directory / "hl-bufd.toml"
    config.write_text(f'[sockets]\nclient = "{directory}/client/buf.sock"\ncontrol = "{directory}/control/control.sock"\n'
                      f'holders = "{directory}/holders.sock"\n')
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ready.bind(str(directory / "notify"))
    ready.settimeout(DEADLINE_S)
    env = dict(os.environ, NOTIFY_SOCKET=str(directory / "notify"))
    daemon = subprocess.Popen([build / "daemon/hl-bufd", "--config", config], env=env)
    while b"READY=1" not in ready.recv(4096):
        pass
    return daemon


def run(command, source, env):
    print(f"$ {command}", flush=True)
    subprocess.run(command, shell=True, check=True, cwd=source, env=env, timeout=DEADLINE_S)


def check_installed(root):
    names = {path.name for path in root.rglob("*") if path.is_file() and os.access(path, os.X_OK)}
    missing = {"hl-bufd", "hl-bufd-keeper", "hl-bufd-holders", "hl-bufd-journal", "hl-bufctl"} - names
    if missing:
        sys.exit(f"cmake --install leaves out {missing}")


def compile_example(example, source, directory):
    head, body = example.split("\n\n", 1)
    file = directory / "example.c"
    file.write_text(f"#include <stdio.h>\n#include <stdlib.h>\n{head}\nint main(void) {{\n{body}return dmabuf; }}\n")
    run(f"cc -O2 -Wall -Wextra -Werror -c -o /dev/null -I client/include {file}", source, os.environ)


def build_job(command, source, installed):
    """The README's command for a job, with what was installed."""
    pkg_config = next(installed.rglob("pkgconfig"))
    (installed / "job.c").write_text("#include <hlbuf/hlbuf.h>\nint main(void) { hlbuf_client* c; return hlbuf_connect(0, &c, 0); }\n")
    env = dict(os.environ, PKG_CONFIG_PATH=str(pkg_config), PKG_CONFIG_SYSROOT_DIR=str(installed))
    run(f"cd {installed} && {command}", source, env)


def main():
    build, source = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
    readme = (source / "README.md").read_text()
    commands = [line for block in blocks(readme, "sh") for line in block.splitlines() if line and not line.startswith("#")]
    if len(commands) < 8:
        sys.exit("README.md lost its commands, or this test cannot find them")
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        daemon = start_daemon(build, directory)
        env = dict(os.environ, DESTDIR=f"{directory}/installed", HLBUF_CONTROL=f"{directory}/control/control.sock", HLBUF_SOCKET=f"{directory}/client/buf.sock",
                   PATH=f"{build}/daemon:{build}/client/ctl:{os.environ['PATH']}")
        try:
            for command in commands:
                if command in RUN_ELSEWHERE:
                    assert os.access(source / command.split()[0], os.X_OK), f"{command} cannot be run"
                    assert (source / RUN_ELSEWHERE[command]).exists(), f"no tier runs {command}"
                    continue
                run(command.replace("build/client", f"{directory}/client-build").replace("build/try", str(build)), source, env)
            check_installed(directory / "installed")
            build_job(re.search(r"`(cc job\.c [^`]*)`", readme)[1], source, directory / "installed")
        finally:
            daemon.terminate()
        if daemon.wait(DEADLINE_S) != 0:
            sys.exit(f"hl-bufd ended with {daemon.returncode}")
        for number, configuration in enumerate(blocks(readme, "toml")):
            file = directory / f"example{number}.toml"
            file.write_text(configuration)
            run(f"hl-bufd --check-config --config {file}", source, env)
        for example in blocks(readme, "c"):
            compile_example(example, source, directory)
    print(f"{len(commands)} commands of README.md work")


if __name__ == "__main__":
    main()
