/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HLBUF_CLIENT_SRC_OPTIONS_H_
#define HLBUF_CLIENT_SRC_OPTIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "hlbuf/hlbuf.h"

/* Copies a struct that starts with its size_t struct_bytes into `into`, which has `known_bytes`:
 * what the program's header did not have is zero, what this library does not know must be. */
int hlbuf_copy_options(void* into, size_t known_bytes, const void* options, hlbuf_error* error);

/* Length of a buffer's or device's name; INVALID_ARGUMENT unless it has 1..63 bytes. Which bytes
 * they are the daemon judges. NULL: 0 bytes. */
int hlbuf_measure_name(const char* what, const char* name, size_t* ret_bytes, hlbuf_error* error);

int32_t hlbuf_normal_timeout(int32_t timeout_ms);
/* 0: not at all. */
int32_t hlbuf_normal_reconnect_timeout(int32_t timeout_ms);

#endif /* HLBUF_CLIENT_SRC_OPTIONS_H_ */
