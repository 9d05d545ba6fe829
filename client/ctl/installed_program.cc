// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/installed_program.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace hlbuf::ctl {

std::string FindInstalledProgram(const std::string& name, const std::string& here) {
  for (const char* directory : {".", HLBUF_LIBEXEC}) {
    const std::filesystem::path program =
        (std::filesystem::path(here) / directory / name).lexically_normal();
    if (::access(program.c_str(), X_OK) == 0) return program.string();
  }
  return "";
}

std::string FindInstalledProgram(const std::string& name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "" : FindInstalledProgram(name, self.parent_path().string());
}

}  // namespace hlbuf::ctl
