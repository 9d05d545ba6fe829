// SPDX-License-Identifier: Apache-2.0
// The client library and the service's sessions and broker in one process, of which the service
// dies again and again: no call fails, no buffer is lost, nothing stays behind.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "hlbuf/hlbuf.h"
#include "tests/support/restart_rig.h"

namespace hlbuf {
namespace {

constexpr int kThreads = 4;
constexpr int kKills = 40;
constexpr std::uint64_t kStepsBetween = 30;  // of all threads together

void ExpectNumber(const hlbuf_buffer* buffer, std::uint64_t number) {
  std::uint64_t read = 0;
  ASSERT_EQ(::pread(hlbuf_buffer_fd(buffer), &read, sizeof(read), 0),
            static_cast<ssize_t>(sizeof(read)));
  EXPECT_EQ(read, number);
}

// Allocates, writes, opens again, compares, releases, and keeps one buffer all the time.
class Worker {
 public:
  Worker(hlbuf_client* client, std::uint64_t number, std::atomic<std::uint64_t>& steps)
      : client_(client), number_(number << 32), steps_(steps) {
    own_ = Allocate(number_);
  }
  void Step() {
    hlbuf_buffer* const made = Allocate(++number_);
    ASSERT_NE(made, nullptr);
    hlbuf_buffer* opened = nullptr;
    hlbuf_error error = {};
    ASSERT_EQ(hlbuf_open_id(client_, hlbuf_buffer_id(made), &opened, &error), HLBUF_OK)
        << error.text;
    ExpectNumber(opened, number_);
    ExpectNumber(own_, own_number_);
    EXPECT_FALSE(hlbuf_buffer_is_revoked(own_));
    hlbuf_buffer_release(own_);
    own_ = made;
    own_number_ = number_;
    hlbuf_buffer_release(opened);
    ++steps_;
  }
  void Finish() { hlbuf_buffer_release(own_); }

 private:
  hlbuf_buffer* Allocate(std::uint64_t number) {
    hlbuf_allocate_options options = {};
    options.struct_bytes = sizeof(options);
    options.size_bytes = 4096;
    hlbuf_buffer* buffer = nullptr;
    hlbuf_error error = {};
    EXPECT_EQ(hlbuf_allocate(client_, &options, &buffer, &error), HLBUF_OK) << error.text;
    if (buffer != nullptr) {
      EXPECT_EQ(::pwrite(hlbuf_buffer_fd(buffer), &number, sizeof(number), 0),
                static_cast<ssize_t>(sizeof(number)));
      if (own_ == nullptr) own_number_ = number;
    }
    return buffer;
  }

  hlbuf_client* client_;
  std::uint64_t number_;
  std::atomic<std::uint64_t>& steps_;
  hlbuf_buffer* own_ = nullptr;
  std::uint64_t own_number_ = 0;
};

class LibraryRestart : public ::testing::TestWithParam<bool> {
 protected:
  hlbuf_client* Connect(bool with_thread) {
    hlbuf_connect_options options = {};
    options.struct_bytes = sizeof(options);
    const std::string path = rig_.path();
    options.socket_path = path.c_str();
    hlbuf_client* client = nullptr;
    hlbuf_error error = {};
    EXPECT_EQ(hlbuf_connect(&options, &client, &error), HLBUF_OK) << error.text;
    if (with_thread) {
      EXPECT_EQ(hlbuf_client_start_thread(client, &error), HLBUF_OK) << error.text;
    }
    return client;
  }
  void AwaitSteps(std::uint64_t more) {
    const std::uint64_t until = steps_ + more;
    while (steps_ < until && !::testing::Test::HasFailure()) std::this_thread::yield();
  }

  RestartRig rig_;
  std::atomic<std::uint64_t> steps_ = 0;
};

TEST_P(LibraryRestart, CostsNobodyAnything) {
  std::atomic<bool> done = false;
  std::vector<hlbuf_client*> clients = {Connect(GetParam()), Connect(false)};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Worker worker(clients[static_cast<std::size_t>(i) % clients.size()],
                    static_cast<std::uint64_t>(i) + 1, steps_);
      while (!done && !::testing::Test::HasFailure()) worker.Step();
      worker.Finish();
    });
  }
  for (int i = 0; i < kKills; ++i) {
    AwaitSteps(kStepsBetween);
    if (i % 4 == 3) {
      rig_.Stop();
      rig_.Start();
    } else {
      rig_.Restart();
    }
  }
  AwaitSteps(kStepsBetween);
  done = true;
  for (std::thread& thread : threads) thread.join();
  for (hlbuf_client* client : clients) hlbuf_client_close(client);
  rig_.Until([](Broker& broker) {
    return broker.ledger().registry.size() == 0 && broker.ledger().sessions.empty() &&
           broker.ledger().accounts.size() == 0;
  });
  EXPECT_EQ(rig_.kept(), 0U);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutAThread, LibraryRestart, ::testing::Bool());

}  // namespace
}  // namespace hlbuf
