// SPDX-License-Identifier: Apache-2.0
// What the broker adds to a window of card memory: allocate, export and hand over through it,
// against the bare ioctl on one's own card and a bare hand-over. Two cards of the stand-in, one a
// side. The processor is emulated, so the ratio alone is kept: export_ratio with its quartiles, in
// the XML.
//
// $HLBUF_BENCH_ROUNDS and _SAMPLES: how long; a few without them, to show that it works.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/wire/packet.h"
#include "tests/bench/cores.h"
#include "tests/bench/product.h"
#include "tests/bench/rounds.h"
#include "tests/card/card_nodes.h"
#include "tests/support/daemon_process.h"
#include "tests/support/forked.h"
#include "tests/vm/hlsim_rig.h"

namespace hlbuf {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kChunk = 8 << 20;
constexpr std::size_t kRun = 32;  // operations in a row, before the other side has its turn

std::size_t FromEnvironment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoul(text, nullptr, 10) : otherwise;
}

// Waits for a packet; the descriptor that it brought. False: end of file.
bool BareReceive(int socket, UniqueFd& fd) {
  std::byte word{};
  iovec iov = {.iov_base = &word, .iov_len = sizeof(word)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
  msghdr header = {};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  if (::recvmsg(socket, &header, MSG_CMSG_CLOEXEC) <= 0) return false;
  const cmsghdr* c = CMSG_FIRSTHDR(&header);
  int number = -1;
  if (c != nullptr) std::memcpy(&number, CMSG_DATA(c), sizeof(number));
  fd.Reset(number);
  return true;
}

// Has a card open, exports a window for each packet that it gets, and passes it on.
class BareExporter {
 public:
  explicit BareExporter(const std::string& node)
      : process_([&] {
          ours_.Reset();
          Serve(HlNode(node));
        }) {
    theirs_.Reset();
    bench::Join(process_.pid());
  }
  ~BareExporter() { bench::Leave(process_.pid()); }
  BareExporter(const BareExporter&) = delete;
  BareExporter& operator=(const BareExporter&) = delete;

  UniqueFd Window() {
    const std::byte word{1};
    EXPECT_TRUE(SendPacket(ours_.get(), {&word, 1}).ok());
    UniqueFd window;
    EXPECT_TRUE(BareReceive(ours_.get(), window));
    return window;
  }

 private:
  void Serve(const HlNode& node) {
    const std::uint64_t chunk = node.Chunk(kChunk);
    std::uint64_t offset = 0;
    UniqueFd nothing;
    while (BareReceive(theirs_.get(), nothing)) {
      const UniqueFd made = node.ExportFd(chunk, kPage, offset);
      offset = (offset + kPage) % kChunk;
      const int fd = made.get();
      const std::byte word{1};
      if (!SendPacket(theirs_.get(), {&word, 1}, {&fd, 1}).ok()) return;
    }
  }

  std::array<int, 2> ends_ = [] {
    std::array<int, 2> ends = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    return ends;
  }();
  UniqueFd ours_ = UniqueFd(ends_[0]), theirs_ = UniqueFd(ends_[1]);
  Forked process_;
};

// What the broker is measured by: allocate, take the descriptor, release later.
bench::Side ByBroker(bench::Session& session) {
  return [&session](std::vector<double>& micros) {
    std::array<hlbuf_buffer*, kRun> made = {};
    for (hlbuf_buffer*& buffer : made) {
      const double begin = bench::NowMicros();
      buffer = session.Allocate();
      ::close(hlbuf_buffer_take_fd(buffer));
      micros.push_back(bench::NowMicros() - begin);
    }
    hlbuf_buffers_release(made.data(), made.size());
    session.Settle();
  };
}

bench::Side ByBareExporter(BareExporter& exporter) {
  return [&exporter](std::vector<double>& micros) {
    for (std::size_t i = 0; i < kRun; ++i) {
      const double begin = bench::NowMicros();
      ASSERT_TRUE(exporter.Window());
      micros.push_back(bench::NowMicros() - begin);
    }
  };
}

class ExportRatio : public DaemonTest {
 protected:
  static void Report(const std::vector<bench::Round>& rounds) {
    const bench::Quartiles ratio =
        bench::Over(rounds, [](const bench::Round& r) { return r[0].p50_us / r[1].p50_us; });
    std::printf("export_ratio %.2f [%.2f %.2f] over %zu rounds\n", ratio.median, ratio.q1, ratio.q3,
                rounds.size());
    EXPECT_TRUE(std::isfinite(ratio.median) && ratio.median > 0);
    RecordProperty("export_rounds", static_cast<int>(rounds.size()));
    RecordProperty("export_ratio", absl::StrCat(ratio.median));
    RecordProperty("export_ratio_q1", absl::StrCat(ratio.q1));
    RecordProperty("export_ratio_q3", absl::StrCat(ratio.q3));
  }
  Hlsim sim_ = Hlsim("cards=2 watchdog_ms=30000");
};

TEST_F(ExportRatio, IsMeasuredInTurns) {
  const std::vector<CardNodes> cards = FindCards();
  ASSERT_EQ(cards.size(), 2U);
  Start({.kind = "habanalabs",
         .device_keys = absl::StrCat("pci = \"", cards[0].pci, "\""),
         .config = "[limits.domain]\nbytes = \"1GiB\"\n"});
  ASSERT_FALSE(HasFailure()) << "the service is not there";
  bench::Join(daemon().pid());
  {
    bench::Session session(daemon().client_socket());
    BareExporter exporter(cards[1].compute);
    const bench::Effort effort = {.rounds = FromEnvironment("HLBUF_BENCH_ROUNDS", 3),
                                  .samples = FromEnvironment("HLBUF_BENCH_SAMPLES", 64)};
    bench::RunOn(bench::Cores::kOne);
    const std::vector<bench::Round> rounds =
        bench::Interleave(effort, {ByBroker(session), ByBareExporter(exporter)});
    bench::RunOn(bench::Cores::kAll);
    EXPECT_EQ(rounds.size(), effort.rounds);
    Report(rounds);
  }
  daemon().ExpectNothingInUse();
  bench::Leave(daemon().pid());
}

}  // namespace
}  // namespace hlbuf
