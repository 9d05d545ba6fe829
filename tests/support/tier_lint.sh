#!/usr/bin/env bash
# about: format, shell scripts, file sizes and each tests/support/check_*.py
# packages: lint
# shellcheck source=tier.sh
. tests/support/tier.sh

# sources PATTERN...: the files with such names, outside of what is generated.
sources() {
  local names=() pattern
  for pattern; do names+=(-o -name "$pattern"); done
  find . \( -path ./build -o -path ./.git -o -path ./.cache -o -name __pycache__ \) -prune \
    -o -type f \( "${names[@]:1}" \) -print | sort
}

# Also finds scripts that have no ending.
shell_scripts() {
  {
    sources '*.sh'
    sources '*' | xargs -d '\n' awk \
      'FNR == 1 && /^#!.*[\/ ](ba|da)?sh( |$)/ { print FILENAME } { nextfile }'
  } | sort -u
}

too_long() {
  sources '*.c' '*.cc' '*.h' '*.hpp' '*.py' '*.sh' '*.proto' '*.cmake' CMakeLists.txt |
    xargs -d '\n' awk 'FNR == 401 { print FILENAME ": more than 400 lines"; found = 1; nextfile }
      END { exit found }'
}

# Names the files only; clang-format -i shows the rest.
check_format() {
  local said
  if said=$(sources '*.c' '*.cc' '*.h' '*.hpp' |
    xargs -r -d '\n' clang-format --dry-run -Werror 2>&1); then return 0; fi
  sed -E 's/^([^ :]+):[0-9]+:[0-9]+: error: code should be clang-formatted.*/clang-format -i \1/' \
    <<< "$said" | grep -E '^clang-format|rror' | sort -u
  return 1
}

check_shell() { shell_scripts | xargs -d '\n' shellcheck; }

check "clang-format would change nothing" check_format
check "shellcheck finds nothing" check_shell
check "no file is over 400 lines" too_long
check "count_tests_test.py" python3 -B $support/count_tests_test.py
check "recorded_rows_test.py" python3 -B tests/bench/recorded_rows_test.py
check "report_test.py" python3 -B tests/hardware/report_test.py
for script in "$support"/check_*.py; do
  if [ -e "$script" ]; then check "$(basename "$script")" python3 -B "$script"; fi
done
check_all
