// SPDX-License-Identifier: Apache-2.0
// toml++ as the configuration reader uses it: without exceptions, compiled once in config_toml.cc.
// The library that Debian ships is another one: it was built with exceptions.
#ifndef HLBUF_DAEMON_CONFIG_TOML_H_
#define HLBUF_DAEMON_CONFIG_TOML_H_

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#endif  // HLBUF_DAEMON_CONFIG_TOML_H_
