# shellcheck shell=bash
# To be sourced.

# use_ccache: where ccache is installed, cmake compiles by it from now on; compilations of an earlier
# clone, in another directory, count as well.
use_ccache() {
  if ! command -v ccache > /dev/null; then return 0; fi
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  # Precompiled headers are compared by what is in them. By the compiler's list of dependencies:
  # the preprocessor would take the old precompiled header for what is in the new one.
  export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_DEPEND=1
}
