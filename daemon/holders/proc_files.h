// SPDX-License-Identifier: Apache-2.0
// Reading below /proc.
#ifndef HLBUF_DAEMON_HOLDERS_PROC_FILES_H_
#define HLBUF_DAEMON_HOLDERS_PROC_FILES_H_

#include <functional>
#include <string>
#include <string_view>

#include "proto/wire/unique_fd.h"

namespace hlbuf {

// For reading, close-on-exec; `name` below `directory`. No descriptor: errno says why.
UniqueFd OpenBelow(int directory, const char* name, int flags = 0);

// Calls `visit` with each entry of `directory` that is a number, until it says false. 0 or an
// errno.
int VisitNumbers(UniqueFd directory, const std::function<bool(const char*)>& visit);

// Calls `line` with each line, without its end, until it says false. 0 or an errno. A line that is
// longer than a page of the kernel's is cut.
int VisitLines(int directory, const char* name, const std::function<bool(std::string_view)>& line);

// The beginning, as much as the small files of /proc have; empty where it cannot be read.
std::string ReadSmall(int directory, const char* name);

// Where a link leads to; empty likewise.
std::string ReadLink(int directory, const char* name);

// Whether the errno says that the process has ended meanwhile.
bool HasEnded(int error);

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_HOLDERS_PROC_FILES_H_
