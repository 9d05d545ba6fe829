// SPDX-License-Identifier: Apache-2.0
#include "daemon/device/dma_heap_exporter.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "daemon/core/error.h"
#include "daemon/device/fake_syscalls.h"

namespace hlbuf {
namespace {

const AllocationSpec kOnePage{.size_bytes = 4096, .domain = {.uid = 1000, .container = ""}};

TEST(DmaHeapExporter, AllocatesFromTheHeapThatItWasGiven) {
  FakeSyscalls kernel;
  DmaHeapExporter exporter({.name = "cma", .kind = "dma-heap", .path = "/dev/dma_heap/reserved"},
                           kernel);
  ASSERT_TRUE(exporter.Open().ok());
  EXPECT_EQ(kernel.opened, std::vector<std::string>{"/dev/dma_heap/reserved"});
  const auto first = exporter.Export(kOnePage);
  const auto second = exporter.Export(kOnePage);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->window, second->window);
  EXPECT_EQ(kernel.dmabuf_names,
            (std::vector<std::string>{"hlbuf-dma-heap-1", "hlbuf-dma-heap-2"}));
}

TEST(DmaHeapExporter, UsesTheSystemHeapUnlessTold) {
  FakeSyscalls kernel;
  DmaHeapExporter exporter({.name = "heap", .kind = "dma-heap"}, kernel);
  ASSERT_TRUE(exporter.Open().ok());
  EXPECT_EQ(kernel.opened, std::vector<std::string>{"/dev/dma_heap/system"});
  EXPECT_EQ(exporter.traits().total_bytes, 0u);
  EXPECT_EQ(exporter.traits().buffer_bytes_max, PhysicalMemoryBytes());
}

TEST(DmaHeapExporter, SaysWhyItCannotOpenAndWhatToDo) {
  FakeSyscalls kernel;
  DmaHeapExporter exporter({.name = "heap", .kind = "dma-heap"}, kernel);
  kernel.Fail(Call::kOpen, ENOENT);
  const absl::Status missing = exporter.Open();
  EXPECT_EQ(ErrorCodeOf(missing), ErrorCode::kDeviceUnavailable);
  EXPECT_TRUE(absl::StrContains(missing.message(), "`ls /dev/dma_heap`")) << missing;
  kernel.Fail(Call::kOpen, EACCES);
  EXPECT_TRUE(absl::StrContains(exporter.Open().message(), "permission denied"));
}

TEST(DmaHeapExporter, PassesTheKernelsRefusalOnInWords) {
  FakeSyscalls kernel;
  DmaHeapExporter exporter({.name = "heap", .kind = "dma-heap"}, kernel);
  ASSERT_TRUE(exporter.Open().ok());
  const std::size_t before = OpenFdCount();
  kernel.Fail(Call::kAllocateFromHeap, ENOMEM);
  EXPECT_EQ(ErrorCodeOf(exporter.Export(kOnePage).status()), ErrorCode::kNoMemory);
  kernel.Fail(Call::kAllocateFromHeap, EMFILE);
  const absl::Status full = exporter.Export(kOnePage).status();
  EXPECT_EQ(ErrorCodeOf(full), ErrorCode::kDeviceError);
  EXPECT_TRUE(absl::StrContains(full.message(), "DMA_HEAP_IOCTL_ALLOC of 4 KiB")) << full;
  EXPECT_TRUE(absl::StrContains(full.message(), "LimitNOFILE=")) << full;
  kernel.Fail(Call::kSetName, ENOTTY);
  EXPECT_TRUE(exporter.Export(kOnePage).ok());
  EXPECT_EQ(OpenFdCount(), before);
}

}  // namespace
}  // namespace hlbuf
