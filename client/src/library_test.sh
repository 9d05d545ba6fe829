#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks what libhlbuf.so asks of the processes it is loaded into: libc alone, and no name that
# could clash with theirs.
set -euo pipefail

if [[ $# -ne 2 || $1 == --help ]]; then
  echo "usage: $0 libhlbuf.so libhlbuf.map" >&2
  [[ ${1:-} == --help ]] && exit 0
  exit 2
fi
library=$1
map=$2
failed=0

complain() {
  echo "$1" >&2
  failed=1
}

dynamic=$(readelf --dynamic --wide "$library")
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
for name in $needed; do
  case $name in
    libc.so.6 | ld-linux*) ;;
    *) complain "needs $name; only libc is allowed" ;;
  esac
done
[[ -n $needed ]] || complain "needs not even libc: this is not the library"

soname=$(sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p' <<<"$dynamic")
[[ $soname == libhlbuf.so.0 ]] || complain "soname is '$soname', not libhlbuf.so.0"

exported=$(nm --dynamic --defined-only --with-symbol-versions "$library" |
  awk '$2 != "A" {print $3}' | sort)
published=$(awk '/^HLBUF_/ {node = $1} /^ *hlbuf_[a-z0-9_]*;$/ {sub(";", ""); print $1 "@@" node}' "$map" |
  sort)
if [[ $exported != "$published" ]]; then
  diff <(echo "$published") <(echo "$exported") >&2 || true # diff's status says that they differ
  complain "exports (>) something else than $map publishes (<)"
fi
exit "$failed"
