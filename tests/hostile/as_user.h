// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_HOSTILE_AS_USER_H_
#define HLBUF_TESTS_HOSTILE_AS_USER_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/client_process.h"

namespace hlbuf {

// Connections made while this lives are that user's: the kernel notes effective ids at connect().
// Needs root.
class AsUser {
 public:
  explicit AsUser(const User& user) {
    EXPECT_EQ(::setegid(user.gids.front()), 0) << "run the tests as root";
    EXPECT_EQ(::seteuid(*user.uid), 0) << "run the tests as root";
  }
  ~AsUser() {
    EXPECT_EQ(::seteuid(0), 0);
    EXPECT_EQ(::setegid(0), 0);
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_HOSTILE_AS_USER_H_
