// SPDX-License-Identifier: Apache-2.0
// Compiled as C++17: what programs of that standard may rely on.
#include "hlbuf/hlbuf.hpp"

#include <gtest/gtest.h>

namespace {

TEST(Cxx17, AFailureCanBeCaughtOrLookedAt) {
  hlbuf::Options options;
  options.socket_path = "/nowhere/buf.sock";
  const hlbuf::Result<hlbuf::Client> client = hlbuf::Client::TryConnect(options);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, HLBUF_E_CANNOT_CONNECT);
  try {
    hlbuf::Client thrown(options);
    ADD_FAILURE() << "connected to nowhere";
  } catch (const hlbuf::Error& error) {
    EXPECT_EQ(error.code(), HLBUF_E_CANNOT_CONNECT);
    EXPECT_EQ(std::string(error.what()).substr(0, 16), "CANNOT_CONNECT: ");
  }
}

// Without a warning, for who has those of -Wextra on.
#pragma GCC diagnostic error "-Wmissing-field-initializers"
TEST(Cxx17, ARequestNeedsOnlyWhatItAsksFor) {
  const hlbuf::AllocateOptions request{4096, "weights"};
  EXPECT_TRUE(request.device.empty());
}

static_assert(std::is_nothrow_move_constructible_v<hlbuf::Buffer>);
static_assert(!std::is_copy_constructible_v<hlbuf::Buffer>);
static_assert(std::is_nothrow_move_assignable_v<hlbuf::Client>);
static_assert(!std::is_copy_constructible_v<hlbuf::Mapping>);

}  // namespace
