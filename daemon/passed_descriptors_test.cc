// SPDX-License-Identifier: Apache-2.0
#include "daemon/passed_descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace hlbuf {
namespace {

UniqueFd Any() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST(PassedDescriptors, AreTakenByName) {
  std::vector<std::pair<std::string, UniqueFd>> named;
  for (const char* name : {"clients", "journal", "clients"}) named.emplace_back(name, Any());
  const int first = named[0].second.get();
  const int third = named[2].second.get();
  PassedDescriptors passed(std::move(named));
  EXPECT_EQ(passed.Take("control"), std::nullopt);
  EXPECT_EQ(passed.Take("clients")->get(), first);
  EXPECT_EQ(passed.Left(), (std::vector<std::string>{"journal", "clients"}));
  EXPECT_EQ(passed.Take("clients")->get(), third);
  EXPECT_EQ(passed.Take("clients"), std::nullopt);
}

// Descriptors from 3 on are this program's; so it asks in a process that can have none.
void AdoptTwo() {
  ::close_range(3, ~0U, 0);
  if (::open("/dev/null", O_RDONLY) != 3 || ::open("/dev/zero", O_RDONLY) != 4) std::_Exit(2);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "2", 1);
  ::setenv("LISTEN_FDNAMES", "clients:control", 1);
  absl::StatusOr<PassedDescriptors> passed = PassedDescriptors::Adopt();
  const bool good = passed.ok() &&
                    passed->Left() == std::vector<std::string>{"clients", "control"} &&
                    passed->Take("control")->get() == 4 &&
                    (::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 && ::getenv("LISTEN_FDS") == nullptr;
  std::_Exit(good ? 0 : 1);
}

TEST(PassedDescriptors, AreAdoptedOnceAndWithTheirNames) {
  EXPECT_EXIT(AdoptTwo(), testing::ExitedWithCode(0), "");
}

TEST(PassedDescriptors, AreNoneWithoutAServiceManager) {
  ::unsetenv("LISTEN_FDS");
  const absl::StatusOr<PassedDescriptors> passed = PassedDescriptors::Adopt();
  ASSERT_TRUE(passed.ok());
  EXPECT_TRUE(passed->Left().empty());
}

TEST(PassedDescriptors, MeantForAnotherProcessAreNotTaken) {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "3", 1);
  const absl::StatusOr<PassedDescriptors> passed = PassedDescriptors::Adopt();
  ASSERT_TRUE(passed.ok());
  EXPECT_TRUE(passed->Left().empty());
}

}  // namespace
}  // namespace hlbuf
