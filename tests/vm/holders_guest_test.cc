// SPDX-License-Identifier: Apache-2.0
// Every way to hold real device memory, found and named: on the stand-in for a card, and on udmabuf
// where a mapping is needed.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>

#include "absl/strings/str_format.h"
#include "hlbuf/v1/holders.pb.h"
#include "proto/wire/packet.h"
#include "tests/support/control_client.h"
#include "tests/support/ctl_command.h"
#include "tests/support/daemon_process.h"
#include "tests/support/holders_service.h"
#include "tests/support/library_client.h"
#include "tests/support/texts.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

std::string IdText(std::uint64_t id) { return absl::StrFormat("%x", id); }

// Each test tells its report whether the holder was found and named.
class Holding : public DaemonTest {
 protected:
  void StartOn(const std::string& kind) {
    Start({.kind = kind,
           .device_keys = kind == "udmabuf" ? "size = \"64MiB\"" : "",
           .config = "[timing]\nreset_grace = \"4s\"\n[log]\nlevel = \"debug\"\n"});
    alice = std::make_unique<LibraryClient>(Alice(), daemon().client_socket());
    ctl = std::make_unique<CtlCommand>(daemon().control_socket());
  }
  // The daemon has to be as it was when nobody is left.
  void TearDown() override {
    alice.reset();
    DaemonTest::TearDown();
  }
  v1::BufferHolders HoldersOf(const HeldBuffer& buffer) {
    const auto report = ctl->Json<v1::HoldersReport>({"holders", IdText(buffer.id)});
    EXPECT_EQ(report.scope().importers_failure(), "") << "debugfs is there";
    return report.buffers_size() == 1 ? report.buffers(0) : v1::BufferHolders();
  }
  static const v1::OutsideHolder* Find(const v1::BufferHolders& holders, pid_t pid) {
    for (const v1::OutsideHolder& process : holders.processes())
      if (process.pid() == pid) return &process;
    return nullptr;
  }
  void Conclude(bool named, const v1::BufferHolders& holders) {
    Record(named);
    EXPECT_TRUE(named) << holders.DebugString() << ReadAll("/sys/kernel/debug/dma_buf/bufinfo");
  }
  void ConcludeFromTheLog(const std::string& text) {
    const bool named = Logged(text);
    Record(named);
    EXPECT_TRUE(named) << daemon().Log();
  }
  void PassOn(const HeldBuffer& buffer, ClientProcess& process) {
    const UniqueFd copy = alice->process().Give(buffer.fd);
    process.Take(copy.get());
  }
  bool Logged(const std::string& text) {
    return Eventually([&] { return bool{Contains(daemon().Log(), text)}; });
  }

  std::unique_ptr<LibraryClient> alice;
  std::unique_ptr<CtlCommand> ctl;

 private:
  static void Record(bool named) {
    RecordProperty("holders_tried", 1);
    RecordProperty("holders_found", named ? 1 : 0);
  }
};

class HoldingCard : public Holding {
 protected:
  HoldingCard() { StartOn("habanalabs"); }
  void Graceful() { sim_.Trigger(absl::StrFormat("%s %d", HLSIM_GRACEFUL, kEventReset)); }
  Hlsim sim_ = Hlsim("memory_scrub=1 watchdog_ms=30000");
};
class HoldingUdmabuf : public Holding {
 protected:
  HoldingUdmabuf() { StartOn("udmabuf"); }
};

TEST_F(HoldingCard, ALesseeByItsDescriptor) {
  const HeldBuffer made = alice->Allocate(kBytes);
  const v1::BufferHolders holders = HoldersOf(made);
  const v1::OutsideHolder* const lessee = Find(holders, alice->process().pid());
  Conclude(lessee != nullptr && lessee->descriptors() == 1 && lessee->has_lease() &&
               holders.processes_size() == 1 && holders.has_unexplained() &&
               holders.unexplained() == 0,
           holders);
  EXPECT_EQ(holders.own_references(), 2u) << "the service's, and its keeper's";
  EXPECT_EQ(holders.count(), 3u);
}

TEST_F(HoldingUdmabuf, ALesseeByItsMappingAlone) {
  const HeldBuffer made = alice->Allocate(kBytes);
  alice->process().Map(made.fd, kBytes);
  alice->process().Close(made.fd);
  const v1::BufferHolders holders = HoldersOf(made);
  const v1::OutsideHolder* const lessee = Find(holders, alice->process().pid());
  Conclude(lessee != nullptr && lessee->descriptors() == 0 && lessee->mappings() == 1 &&
               lessee->has_lease() && holders.unexplained() == 0,
           holders);
}

TEST_F(HoldingCard, AProcessThatItWasPassedOnTo) {
  ClientProcess stranger{Stranger()};
  const HeldBuffer made = alice->Allocate(kBytes);
  PassOn(made, stranger);
  const v1::BufferHolders holders = HoldersOf(made);
  const v1::OutsideHolder* const seen = Find(holders, stranger.pid());
  Conclude(seen != nullptr && seen->descriptors() == 1 && seen->has_has_lease() &&
               !seen->has_lease() && seen->uid() == *Stranger().uid && holders.unexplained() == 0,
           holders);
}

// An application may close its descriptor once a memory region is registered.
TEST_F(HoldingCard, ARegistrationWhoseDescriptorIsClosed) {
  const Importer importer;
  const HeldBuffer made = alice->Allocate(kBytes);
  const Outcome registered = importer.Register(alice->process().Give(made.fd).get(), 0, kBytes);
  ASSERT_EQ(registered.error, 0);
  alice->process().Close(made.fd);
  const v1::BufferHolders holders = HoldersOf(made);
  Conclude(holders.processes_size() == 0 && holders.importers_size() == 1 &&
               Contains(holders.importers(0), "hlimport") && holders.unexplained() == 0,
           holders);
  EXPECT_EQ(importer.Deregister(registered.value), 0);
}

// Nobody has the descriptor, and nobody can be named: that somebody holds it is seen by the count.
TEST_F(HoldingCard, AMessageThatNobodyReads) {
  const HeldBuffer made = alice->Allocate(kBytes);
  ClientProcess sender{Stranger()};
  ClientProcess receiver{Stranger()};
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd sending(ends[0]);
  UniqueFd receiving(ends[1]);
  {
    const UniqueFd copy = alice->process().Give(made.fd);
    const std::byte frame[1] = {};
    ASSERT_TRUE(SendPacket(sending.get(), frame, {copy.get()}).ok());
  }
  sender.Take(sending.get());
  receiver.Take(receiving.get());
  sending.Reset();
  receiving.Reset();
  const v1::BufferHolders holders = HoldersOf(made);
  Conclude(holders.processes_size() == 1 && holders.unexplained() == 1, holders);
  receiver.Kill();
  EXPECT_EQ(HoldersOf(made).unexplained(), 0u);
}

TEST_F(HoldingCard, IsToldByTheDaemonDuringAReset) {
  const HoldersService service(daemon().holders_socket());
  const std::uint64_t epoch = ControlClient(daemon().control_socket()).EpochOf("dev0");
  ClientProcess stranger{Stranger()};
  const HeldBuffer made = alice->Allocate(kBytes);
  PassOn(made, stranger);
  Graceful();
  alice->AwaitNotice("revoke ");
  ConcludeFromTheLog(
      absl::StrFormat("pid %d (step_client, uid %d) has 1 descriptor without a lease",
                      stranger.pid(), *Stranger().uid));
  EXPECT_TRUE(Logged("HELD: 1 reference")) << daemon().Log();
  stranger.Kill();
  EXPECT_TRUE(Eventually([&] {
    return ControlClient(daemon().control_socket()).EpochOf("dev0") == epoch + 1;
  })) << daemon().Log()
      << sim_.State();
}

TEST_F(HoldingCard, IsToldByTheDaemonWhenReferencesOutliveEveryLease) {
  const HoldersService service(daemon().holders_socket());
  ClientProcess stranger{Stranger()};
  const HeldBuffer made = alice->Allocate(kBytes);
  PassOn(made, stranger);
  alice->Release(made);
  EXPECT_TRUE(Logged("REFERENCES_OUTLIVE_LEASES")) << daemon().Log();
  ConcludeFromTheLog(absl::StrFormat("pid %d (step_client", stranger.pid()));
  stranger.Kill();
}

}  // namespace
}  // namespace hlbuf
