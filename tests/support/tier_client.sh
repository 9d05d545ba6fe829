#!/usr/bin/env bash
# about: the client library alone, with a C compiler and libc
# packages: build test
# shellcheck source=tier.sh
. tests/support/tier.sh
# The C++ compiler is one that always fails: nothing here may call it.
configure build/client -S . -B build/client -G Ninja -DCMAKE_BUILD_TYPE=Debug \
  -DHLBUF_ONLY_CLIENT=ON -DHLBUF_WERROR=ON -DCMAKE_CXX_COMPILER=/bin/false
compile build/client
run_ctest build/client
