// SPDX-License-Identifier: Apache-2.0
#include "daemon/session/outbox.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

std::string TextOf(const Outbox::Item& item) {
  if (const auto* frame = std::get_if<PendingFrame>(&item))
    return {reinterpret_cast<const char*>(frame->bytes.data()), frame->bytes.size()};
  if (const auto* allocated = std::get_if<PendingAllocated>(&item))
    return absl::StrCat("ALLOCATED ", allocated->cookie);
  return absl::StrCat("OPENED ", std::get<PendingOpened>(item).cookie);
}

std::vector<std::string> Drain(Outbox& outbox) {
  std::vector<std::string> texts;
  for (; !outbox.empty(); outbox.Pop()) texts.push_back(TextOf(outbox.front()));
  return texts;
}

Frame FrameOf(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

using Texts = std::vector<std::string>;

TEST(Outbox, KeepsTheOrderOfEverything) {
  Outbox outbox;
  EXPECT_TRUE(outbox.empty());
  outbox.PushFrame(FrameOf("one"));
  outbox.Push(PendingAllocated{.cookie = 2});
  outbox.Push(PendingOpened{.cookie = 3});
  outbox.PushFrame(FrameOf("four"));
  EXPECT_EQ(Drain(outbox), (Texts{"one", "ALLOCATED 2", "OPENED 3", "four"}));
}

TEST(Outbox, TakesBackWhatCouldNotBeSentInFrontOfTheRest) {
  Outbox outbox;
  outbox.Push(PendingOpened{.cookie = 1});
  outbox.PushFrame(FrameOf("two"));
  Outbox::Item item = std::move(outbox.front());
  outbox.Pop();
  outbox.PushFront(std::move(item));
  EXPECT_EQ(Drain(outbox), (Texts{"OPENED 1", "two"}));
}

TEST(Outbox, KeepsACopyOfAFrame) {
  Outbox outbox;
  std::string scratch = "first";
  outbox.PushFrame(FrameOf(scratch));
  outbox.PushDevice("accel0", FrameOf(scratch));
  scratch = "XXXXX";
  EXPECT_EQ(Drain(outbox), (Texts{"first", "first"}));
}

TEST(Outbox, KeepsTheNewestNoticeOfADeviceBehindWhatCameBefore) {
  Outbox outbox;
  outbox.PushDevice("accel0", FrameOf("accel0 REVOKING"));
  outbox.PushFrame(FrameOf("REVOKE"));
  outbox.PushDevice("accel1", FrameOf("accel1 READY"));
  outbox.PushDevice("accel0", FrameOf("accel0 CLOSING"));
  outbox.PushDevice("accel0", FrameOf("accel0 READY"));
  EXPECT_EQ(Drain(outbox), (Texts{"REVOKE", "accel1 READY", "accel0 READY"}));
}

TEST(Outbox, ManyNoticesOfOneDeviceTakeTheRoomOfOne) {
  Outbox outbox;
  for (int i = 0; i < 1000; ++i) outbox.PushDevice("accel0", FrameOf(absl::StrCat(i)));
  EXPECT_EQ(Drain(outbox), (Texts{"999"}));
}

TEST(Outbox, ForgetsEverything) {
  Outbox outbox;
  outbox.PushFrame(FrameOf("one"));
  outbox.Push(PendingAllocated{});
  outbox.Clear();
  EXPECT_TRUE(outbox.empty());
}

}  // namespace
}  // namespace hlbuf
