# shellcheck shell=bash
# What the suites of the guest and of the container do with a gtest program's result. Sourced.

# A program that crashes or hangs leaves no XML: this is its one failed test.
# record_crash NAME XML WHY
record_crash() {
  cat > "$2" << X
<testsuites tests="1" failures="1"><testsuite name="$1">
<testcase name="EndsByItself" status="run"><failure message="$3"/></testcase>
</testsuite></testsuites>
X
}

# The number of tests in gtest's XML.
tests_in() { sed -n 's/^<testsuites tests="\([0-9]*\)".*/\1/p' "$1"; }
