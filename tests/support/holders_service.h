// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_HOLDERS_SERVICE_H_
#define HLBUF_TESTS_SUPPORT_HOLDERS_SERVICE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/child.h"

namespace hlbuf {

// hl-bufd-holders behind a socket, as a socket unit has it: with the rights of this process, one
// for each connection. The socket goes with this object.
class HoldersService {
 public:
  explicit HoldersService(const std::string& socket_path)
      : path_(socket_path),
        child_({.arguments = {BuiltPath("tests/support/accept_each"), path_,
                              BuiltPath("daemon/hl-bufd-holders")}}) {
    EXPECT_TRUE(Eventually([this] { return std::filesystem::exists(path_); }));
  }
  ~HoldersService() { std::filesystem::remove(path_); }

 private:
  std::string path_;
  Child child_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_HOLDERS_SERVICE_H_
