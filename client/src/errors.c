/* SPDX-License-Identifier: Apache-2.0 */
#include "client/src/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int hlbuf_fail(hlbuf_error* error, int code, const char* format, ...) {
  if (error == NULL) return code;
  error->code = code;
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
  va_end(arguments);
  return code;
}

int hlbuf_fail_system(hlbuf_error* error, const char* what, int number) {
  char buffer[96];
  /* The GNU strerror_r(): unlike strerror() it is safe with threads. */
  const char* meaning = strerror_r(number, buffer, sizeof(buffer));
  const bool is_shortage = number == EMFILE || number == ENFILE;
  return hlbuf_fail(error, is_shortage ? HLBUF_E_NO_DESCRIPTORS : HLBUF_E_SYSTEM, "%s: %s", what,
                    meaning);
}

int hlbuf_succeed(hlbuf_error* error) {
  if (error != NULL) {
    error->code = HLBUF_OK;
    error->text[0] = '\0';
  }
  return HLBUF_OK;
}

/* Length without the UTF-8 character that the end of `text` cuts in two, if it does. */
static size_t whole_characters(const unsigned char* text, size_t bytes) {
  size_t start = bytes;
  while (start > 0 && bytes - start < 4 && (text[start - 1] & 0xc0) == 0x80) --start;
  if (start == 0 || text[start - 1] < 0xc0) return bytes;
  const unsigned char lead = text[start - 1];
  const size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  return bytes - (start - 1) >= wanted ? bytes : start - 1;
}

void hlbuf_copy_text(char* into, size_t into_bytes, const void* text, size_t text_bytes) {
  const unsigned char* from = text;
  size_t n = text_bytes;
  if (n > into_bytes - 1) n = whole_characters(from, into_bytes - 1);
  for (size_t i = 0; i < n; ++i)
    into[i] = (from[i] < 0x20 || from[i] == 0x7f) ? '?' : (char)from[i];
  into[n] = '\0';
}
