// SPDX-License-Identifier: Apache-2.0
// Proof of release through the real daemon, on real dma-bufs, against everything that can hold one;
// and that nobody reads the bytes of the next owner. Needs root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/support/control_client.h"
#include "tests/support/daemon_process.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;
constexpr int kLongMs = 15'000;
constexpr int kShortMs = 200;

// Of drm/drm.h, which not every machine has.
struct PrimeHandle {
  std::uint32_t handle;
  std::uint32_t flags;
  std::int32_t fd;
};
constexpr unsigned long kPrimeFdToHandle = _IOWR('d', 0x2e, PrimeHandle);

// Takes hold of what `fd` refers to; what it returns lets go when it is called.
using LetGo = std::function<void()>;
struct Holder {
  const char* name;
  LetGo (*hold)(ClientProcess& somebody, UniqueFd fd);
};

LetGo HoldInAnotherProcess(ClientProcess& somebody, UniqueFd fd) {
  const int there = somebody.Take(fd.get());
  return [&somebody, there] { somebody.Close(there); };
}

LetGo HoldByAMapping(ClientProcess& somebody, UniqueFd fd) {
  const int there = somebody.Take(fd.get());
  const std::uint64_t address = somebody.Map(there, kBytes);
  somebody.Close(there);
  return [&somebody, address] { somebody.Unmap(address, kBytes); };
}

// The second process has closed its own when the third holds it.
LetGo HoldInAThirdProcess(ClientProcess& somebody, UniqueFd fd) {
  const int original = somebody.Take(fd.get());
  const int copy = somebody.Duplicate(original);
  const auto third = std::make_shared<ClientProcess>(Stranger());
  third->Take(somebody.Give(copy).get());
  somebody.Close(copy);
  somebody.Close(original);
  return [third] { third->Kill(); };
}

LetGo HoldInAnUnreadMessage(ClientProcess&, UniqueFd fd) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  auto receiver = std::make_shared<UniqueFd>(ends[1]);
  RawClient sender{UniqueFd(ends[0])};
  EXPECT_EQ(sender.Send({std::byte{0}}, {fd.get()}), 0);
  return [receiver] { receiver->Reset(); };
}

LetGo HoldByAnImport(ClientProcess&, UniqueFd fd) {
  EXPECT_EQ(std::system("modprobe vgem"), 0);
  auto card = std::make_shared<UniqueFd>(::open("/dev/dri/card0", O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(*card) << "/dev/dri/card0: " << std::strerror(errno);
  PrimeHandle import = {.handle = 0, .flags = 0, .fd = fd.get()};
  EXPECT_EQ(::ioctl(card->get(), kPrimeFdToHandle, &import), 0);
  return [card] { card->Reset(); };
}

class Proof : public DaemonTest,
              public testing::WithParamInterface<std::tuple<std::string, Holder>> {};

TEST_P(Proof, ComesWhenTheLastHolderLetsGoAndNotBefore) {
  Start({.kind = std::get<0>(GetParam())});
  LibraryClient alice(Alice(), daemon().client_socket());
  ClientProcess somebody(Bob());
  ControlClient control(daemon().control_socket());
  const HeldBuffer made = alice.Allocate(kBytes);
  const LetGo let_go = std::get<1>(GetParam()).hold(somebody, alice.process().Give(made.fd));
  alice.Release(made);

  const BufferVerdictSeen held = control.Revoke(made.id, kShortMs).only();
  EXPECT_EQ(held.verdict, "HELD");
  EXPECT_GT(held.references, 0U);
  EXPECT_TRUE(held.holders.empty()) << "no lease explains it";
  EXPECT_EQ(control.Find(made.id)->state, "DRAINING");
  auto proving = control.StartToRevoke(made.id, kLongMs);
  EXPECT_EQ(proving.wait_for(std::chrono::milliseconds(kShortMs)), std::future_status::timeout);
  EXPECT_EQ(daemon().UsedBytes(), kBytes);

  let_go();
  EXPECT_EQ(proving.get().only().verdict, "PROVEN");
  // The verdict is told as soon as it is known; the device takes the memory back a little later.
  EXPECT_TRUE(Eventually(
      [&] { return static_cast<bool>(Contains(alice.RefusalToOpen(made.id), "(PROVEN)")); }));
  daemon().ExpectNothingInUse();
}

INSTANTIATE_TEST_SUITE_P(
    OfEachHolder, Proof,
    testing::Combine(testing::Values("udmabuf", "dma-heap"),
                     testing::Values(Holder{"AnotherProcess", HoldInAnotherProcess},
                                     Holder{"Mapping", HoldByAMapping},
                                     Holder{"ThirdProcess", HoldInAThirdProcess},
                                     Holder{"UnreadMessage", HoldInAnUnreadMessage},
                                     Holder{"Import", HoldByAnImport})),
    [](const testing::TestParamInfo<std::tuple<std::string, Holder>>& parameters) {
      const std::string kind = std::get<0>(parameters.param) == "udmabuf" ? "Udmabuf" : "DmaHeap";
      return absl::StrCat(kind, "Held", std::get<1>(parameters.param).name);
    });

// A device with room for four buffers, so that the next owner needs what the last one had. Either
// may take all of it.
class NextOwner : public DaemonTest, public testing::WithParamInterface<std::string> {
 protected:
  static constexpr int kRoom = 4;
  NextOwner() {
    Start({.kind = GetParam(),
           .device_keys = absl::StrCat("size = ", kRoom * kBytes),
           .config = absl::StrCat("[limits.domain]\nbytes = ", kRoom * kBytes, "\n")});
  }
  static std::string All(char byte) { return std::string(kVisible, byte); }
  // Everything that is left is `client`'s, and was empty.
  std::vector<HeldBuffer> TakeAll(LibraryClient& client) {
    std::vector<HeldBuffer> taken;
    while (taken.size() < kRoom) {
      const std::string name = absl::StrCat("all-", taken.size());
      const std::string refusal = client.RefusalToAllocate(kBytes, name);
      if (!refusal.empty()) {
        // What is held by a leaker is charged still.
        EXPECT_TRUE(StartsWith(refusal, "NO_MEMORY") ||
                    StartsWith(refusal, "QUOTA_EXCEEDED the service has"))
            << refusal;
        break;
      }
      taken.push_back(client.OpenNamed(name, HLBUF_WIRE_OWNER_SELF));
      EXPECT_EQ(client.Read(taken.back(), kVisible), All('\0'));
    }
    return taken;
  }
  static constexpr std::uint64_t kVisible = 16 << 10;  // a reply's worth of bytes
};

TEST_P(NextOwner, NeverSharesAWindowWithALeakerNotEvenAfterAReset) {
  LibraryClient alice(Alice(), daemon().client_socket());
  LibraryClient bob(Bob(), daemon().client_socket());
  ClientProcess leaker(Stranger());
  ControlClient control(daemon().control_socket());
  const HeldBuffer hers = alice.Allocate(kBytes);
  alice.Write(hers, All('a'));
  const int leaked = leaker.Take(alice.process().Give(hers.fd).get());
  const std::uint64_t address = leaker.Map(leaked, kBytes);
  leaker.Close(leaked);
  alice.Release(hers);
  EXPECT_EQ(control.SimulateReset("dev0", kShortMs).only().verdict, "HELD");

  const std::vector<HeldBuffer> his = TakeAll(bob);
  EXPECT_EQ(his.size(), kRoom - 1U);
  for (const HeldBuffer& buffer : his) bob.Write(buffer, All('b'));
  EXPECT_EQ(leaker.Peek(address, kVisible), All('a'));
  leaker.Poke(address, All('x'));
  for (const HeldBuffer& buffer : his) EXPECT_EQ(bob.Read(buffer, kVisible), All('b'));

  leaker.Unmap(address, kBytes);
  EXPECT_TRUE(Eventually([this] { return daemon().UsedBytes() == (kRoom - 1) * kBytes; }));
  EXPECT_EQ(bob.Read(bob.Allocate(kBytes), kVisible), All('\0'));
}

// Scenario 9 of the protocol's rules: a window looks clean once nobody has it.
TEST_P(NextOwner, Scenario09_FindsNothingOfTheLastOne) {
  LibraryClient alice(Alice(), daemon().client_socket());
  LibraryClient bob(Bob(), daemon().client_socket());
  for (const HeldBuffer& buffer : TakeAll(alice)) alice.Write(buffer, All('a'));
  alice.process().Kill();
  daemon().ExpectNothingInUse();
  EXPECT_EQ(TakeAll(bob).size(), std::size_t{kRoom});
}

INSTANTIATE_TEST_SUITE_P(OnEachDevice, NextOwner, testing::Values("udmabuf", "dma-heap"),
                         [](const testing::TestParamInfo<std::string>& kind) {
                           return std::string(kind.param == "udmabuf" ? "Udmabuf" : "DmaHeap");
                         });

}  // namespace
}  // namespace hlbuf
