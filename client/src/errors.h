/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HLBUF_CLIENT_SRC_ERRORS_H_
#define HLBUF_CLIENT_SRC_ERRORS_H_

#include <stddef.h>

#include "hlbuf/hlbuf.h"

/* Writes `code` and the text to `error`, which may be NULL, and returns `code`. */
int hlbuf_fail(hlbuf_error* error, int code, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

/* HLBUF_E_SYSTEM: "<what>: <meaning of number>". */
int hlbuf_fail_system(hlbuf_error* error, const char* what, int number);

/* Clears `error` and returns HLBUF_OK. */
int hlbuf_succeed(hlbuf_error* error);

/* Copies what a peer says of itself: control characters become '?', and what does not fit is cut
 * between two UTF-8 characters. Always ends in NUL; `into_bytes` is at least 1. */
void hlbuf_copy_text(char* into, size_t into_bytes, const void* text, size_t text_bytes);

#endif /* HLBUF_CLIENT_SRC_ERRORS_H_ */
