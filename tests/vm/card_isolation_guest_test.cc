// SPDX-License-Identifier: Apache-2.0
// What one domain wrote into a card's memory, another never sees; and who is refused for that
// reason is told so, and how to get the memory back. Without memory_scrub, which is the driver's
// default.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <ostream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kWindowBytes = 2 << 20;
constexpr const char* kSecret = "a secret";
// Two chunks of 8 MiB for users.
constexpr const char* kSmallCard = "watchdog_ms=30000 retries_max=600 page_mib=8 dram_mib=24 ";

// A control group that is named as a container's. Ends with this object; its processes have ended.
class Container {
 public:
  explicit Container(char digit)
      : path_(absl::StrCat("/sys/fs/cgroup/docker-", std::string(64, digit), ".scope")) {
    EXPECT_EQ(mkdir(path_.c_str(), 0755), 0) << path_ << ": " << std::strerror(errno);
  }
  ~Container() {
    EXPECT_TRUE(Eventually([this] { return rmdir(path_.c_str()) == 0; })) << std::strerror(errno);
  }
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  void Take(pid_t process) const {
    std::ofstream procs(path_ + "/cgroup.procs");
    procs << process << std::flush;
    EXPECT_TRUE(procs.good()) << path_;
  }

 private:
  std::string path_;
};

class Isolation : public CardTest {
 protected:
  // A client that says who it is once it is in `container`.
  void MoveTo(const Container& container, LibraryClient& client) {
    client.process().Must("library-close");
    container.Take(client.process().pid());
    EXPECT_EQ(client.Connect(daemon().client_socket()), "");
  }
  std::string FirstBytes(LibraryClient& client, const HeldBuffer& buffer) {
    const Outcome made =
        importer_->Register(client.process().Give(buffer.fd).get(), 0, buffer.size_bytes);
    EXPECT_EQ(made.error, 0);
    std::string bytes = importer_->Read(made.value, 0, std::strlen(kSecret));
    importer_->Deregister(made.value);
    return bytes;
  }
  void WriteSecret(LibraryClient& client, const HeldBuffer& buffer) {
    const Outcome made =
        importer_->Register(client.process().Give(buffer.fd).get(), 0, buffer.size_bytes);
    EXPECT_EQ(made.error, 0);
    EXPECT_EQ(importer_->Write(made.value, 0, kSecret), 0);
    importer_->Deregister(made.value);
  }
  // Fills `count` windows and frees them.
  void LeaveSecrets(LibraryClient& client, int count) {
    for (int i = 0; i < count; ++i) WriteSecret(client, client.Allocate(kWindowBytes));
    client.ReleaseAll();
    daemon().ExpectNothingInUse();
  }
  // Everything that `client` can get, with the secret in none of it; why it gets no more.
  std::string TakeAll(LibraryClient& client, std::uint64_t* windows) {
    for (*windows = 0;; ++*windows) {
      const Reply reply =
          client.process().Do(absl::StrCat("library-allocate ", kWindowBytes, " -"));
      if (!reply.ok) return reply.Text();
      EXPECT_NE(FirstBytes(client, {.fd = reply.Int(1), .size_bytes = kWindowBytes}), kSecret);
    }
  }
  void StartOnSmallCard(const std::string& device_keys = "") {
    StartOnCard({.parameters = kSmallCard, .device_keys = device_keys});
    importer_.emplace();
  }
  void TearDown() override {
    CardTest::TearDown();
    importer_.reset();
  }
  Importer& importer() { return *importer_; }

 private:
  std::optional<Importer> importer_;
};

struct Pair {
  const char* name;
  User first;
  User second;
  char first_container;  // 0: none
  char second_container;
};
void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.name; }

class IsolationOf : public Isolation, public testing::WithParamInterface<Pair> {};

TEST_P(IsolationOf, OutlivesBuffers) {
  StartOnSmallCard();
  const Container one('a');
  const Container two('b');
  LibraryClient first = Client(GetParam().first);
  LibraryClient second = Client(GetParam().second);
  if (GetParam().first_container != 0) MoveTo(one, first);
  if (GetParam().second_container != 0) MoveTo(two, second);

  LeaveSecrets(first, 3);
  std::uint64_t windows = 0;
  const std::string refusal = TakeAll(second, &windows);
  EXPECT_EQ(windows, 5U) << "all that the first one never had";
  EXPECT_TRUE(StartsWith(refusal, "NO_MEMORY"));
  for (const char* part : {"6 MiB are reserved to other domains", "memory_scrub=1"})
    EXPECT_TRUE(Contains(refusal, part));
  EXPECT_TRUE(Happened({"REQUEST_REFUSED allocate of 2097152 bytes on dev0: no room"}));
  // Its own bytes may come back to it.
  EXPECT_EQ(FirstBytes(first, first.Allocate(kWindowBytes)), kSecret);
}

INSTANTIATE_TEST_SUITE_P(Domains, IsolationOf,
                         testing::Values(Pair{"TwoUsers", Alice(), Bob(), 0, 0},
                                         Pair{"AUserAndItsContainer", Alice(), Alice(), 0, 'b'},
                                         Pair{"TwoContainersOfAUser", Alice(), Alice(), 'a', 'b'}),
                         [](const auto& with) { return with.param.name; });

// The driver does not say which memory it gives out, so after a reset all of it is suspected.
TEST_F(Isolation, OutlivesResetsUntilTheDriverClears) {
  StartOnSmallCard();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  LeaveSecrets(alice, 3);
  LeaveSecrets(bob, 1);
  Graceful();
  bob.AwaitNotice("device dev0 REVOKING");
  bob.AwaitNotice("device dev0 READY");
  std::uint64_t windows = 0;
  const std::string refusal = TakeAll(bob, &windows);
  EXPECT_EQ(windows, 0U);
  EXPECT_TRUE(StartsWith(refusal, "NO_MEMORY"));
  for (const char* part : {"bytes of other domains", "memory_scrub=1 and reset the card"})
    EXPECT_TRUE(Contains(refusal, part));

  card().Set("memory_scrub", "1");
  Graceful();
  bob.AwaitNotice("device dev0 READY");
  EXPECT_TRUE(Contains(TakeAll(bob, &windows), "no room"));
  EXPECT_EQ(windows, 8U) << "the whole card";
}

TEST_F(Isolation, IsGivenUpWhereTheAdministratorSaysSo) {
  StartOnSmallCard("isolation = \"none\"");
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  LeaveSecrets(alice, 8);
  std::set<std::string> seen;
  for (int i = 0; i < 8; ++i) seen.insert(FirstBytes(bob, bob.Allocate(kWindowBytes)));
  EXPECT_EQ(seen, std::set<std::string>({kSecret}));
}

TEST_F(Isolation, IsTheDriversAtAResetWithMemoryScrub) {
  StartOnCard({.parameters = absl::StrCat(kSmallCard, "memory_scrub=1")});
  const Importer own;
  LibraryClient alice = Client(Alice());
  const HeldBuffer made = alice.Allocate(kBytes);
  const Outcome hers = own.Register(alice.process().Give(made.fd).get(), 0, kBytes);
  ASSERT_EQ(own.Write(hers.value, 0, kSecret), 0);
  own.Deregister(hers.value);
  Graceful();
  alice.AwaitNotice("revoke ");
  ASSERT_TRUE(ComesBack()) << Story();
  LibraryClient bob = Client(Bob());
  const HeldBuffer his = bob.Allocate(kBytes);
  const Outcome seen = own.Register(bob.process().Give(his.fd).get(), 0, kBytes);
  ASSERT_EQ(seen.error, 0);
  EXPECT_EQ(own.Read(seen.value, 0, 8), std::string(8, '\0'));
  own.Deregister(seen.value);
}

}  // namespace
}  // namespace hlbuf
