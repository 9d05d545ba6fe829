// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SUPPORT_LOOP_THREAD_H_
#define HLBUF_TESTS_SUPPORT_LOOP_THREAD_H_

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "absl/functional/function_ref.h"
#include "daemon/base/event_loop.h"

namespace hlbuf {

// An event loop on a thread of its own. What lives on the loop is made and destroyed through
// OnLoop().
class LoopThread {
 public:
  LoopThread() : loop_(*EventLoop::Create()) {}
  ~LoopThread() {
    if (!thread_.joinable()) return;
    OnLoop([this] { loop_->Exit(); });
    Join();
  }

  EventLoop& loop() { return *loop_; }
  // What has to be set up before the loop runs goes before this.
  void Start() {
    thread_ = std::thread([this] { EXPECT_TRUE(loop_->Run().ok()); });
  }

  // After Exit() of the loop.
  void Join() { thread_.join(); }

  // Runs `task` on the loop, and waits for it.
  void OnLoop(absl::FunctionRef<void()> task) {
    std::promise<void> done;
    loop_->Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  // Until `done` is true on the loop; false when it did not come in 30 s.
  bool Until(absl::FunctionRef<bool()> done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    bool is = false;
    while (!is && std::chrono::steady_clock::now() < deadline) {
      OnLoop([&] { is = done(); });
      if (!is) std::this_thread::yield();
    }
    return is;
  }

 private:
  std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
};

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SUPPORT_LOOP_THREAD_H_
