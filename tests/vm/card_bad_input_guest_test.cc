// SPDX-License-Identifier: Apache-2.0
// Cards that are not there, or are not what they seem, and sizes that no card has: everybody who
// asks is told why.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/vm/card_rig.h"

namespace hlbuf {
namespace {

namespace fs = std::filesystem;

class BadInput : public CardTest {
 protected:
  // The device is FAILED for a reason that has these words, for operators and for clients.
  void ExpectFailed(const std::vector<std::string>& words) {
    ASSERT_TRUE(Becomes("FAILED")) << daemon().Log();
    const std::string failure = Control().Device("dev0").failure;
    LibraryClient alice = Client(Alice());
    const std::string refusal = alice.RefusalToAllocate(kBytes);
    EXPECT_TRUE(StartsWith(refusal, "DEVICE_UNAVAILABLE dev0 is "));
    for (const std::string& part : words) {
      EXPECT_TRUE(Contains(failure, part));
      EXPECT_TRUE(Contains(refusal, part));
      EXPECT_TRUE(Contains(daemon().Log(), part));
    }
  }
  void ExpectThereByItself() {
    EXPECT_TRUE(Becomes("READY")) << daemon().Log();
    LibraryClient alice = Client(Alice());
    EXPECT_EQ(alice.RefusalToAllocate(kBytes), "");
  }
  // It has other descriptors than at its start, for it had no card then.
  void StopService() { EXPECT_EQ(daemon().Stop(), 0) << daemon().Log(); }
  // A PCI device that some other driver has; its address.
  static std::string PciOfAnotherDriver(std::string* driver) {
    for (const auto& device : fs::directory_iterator("/sys/bus/pci/devices")) {
      std::error_code none;
      *driver = fs::read_symlink(device.path() / "driver", none).filename().string();
      if (!none && *driver == "virtio-pci") return device.path().filename().string();
    }
    ADD_FAILURE() << "the guest has no virtio device";
    return "";
  }
};

// The longer it takes until the card is there, the longer are the pauses in which nobody looks.
TEST_F(BadInput, NoCardAtTheStartIsWaitedFor) {
  EXPECT_EQ(std::system("modprobe drm"), 0);
  StartService({.device_is_there = false});
  ExpectFailed({"there is no Gaudi card", "modprobe habanalabs", "opening it is tried again"});
  LoadCard(CardOptions().parameters);
  ExpectThereByItself();
  StopService();
}

TEST_F(BadInput, AnAddressOfAnotherDriversDeviceIsSaidToBe) {
  LoadCard(CardOptions().parameters);
  std::string driver;
  const std::string pci = PciOfAnotherDriver(&driver);
  StartService({.device_keys = absl::StrCat("pci = \"", pci, "\""), .device_is_there = false});
  ExpectFailed({absl::StrCat("there is no Gaudi card at ", pci),
                absl::StrCat("it belongs to the driver ", driver),
                "there are cards at 0000:a0:00.0"});
  StopService();
}

// The kernel removes its own nodes alone, so that one is put aside, and back.
TEST_F(BadInput, ANodeOfAnotherDeviceIsNotUsed) {
  const std::string node = LoadCard(CardOptions().parameters).Node();
  const std::string aside = node + ".aside";
  ASSERT_EQ(rename(node.c_str(), aside.c_str()), 0) << std::strerror(errno);
  ASSERT_EQ(mknod(node.c_str(), S_IFCHR | 0666, makedev(1, 3)), 0) << std::strerror(errno);
  StartService({.device_is_there = false});
  ExpectFailed({absl::StrCat(node, ": is device 1:3, but sysfs says"), "let udev make it anew"});
  ASSERT_EQ(rename(aside.c_str(), node.c_str()), 0) << std::strerror(errno);
  ExpectThereByItself();
  StopService();
}

TEST_F(BadInput, AControlNodeOfAnotherCardIsNotUsed) {
  LoadCard(absl::StrCat("cards=2 swap_control=1 ", CardOptions().parameters));
  StartService({.device_keys = "pci = \"0000:a0:00.0\"", .device_is_there = false});
  ExpectFailed({"accel_controlD0: belongs to another card: it says module 1",
                "0000:a0:00.0 is module 0", "unload the drivers of other accelerators"});
  StopService();
}

TEST_F(BadInput, SeveralCardsHaveToBeToldApart) {
  LoadCard(absl::StrCat("cards=2 ", CardOptions().parameters));
  StartService({.device_is_there = false});
  ExpectFailed({"there are several Gaudi cards", "0000:a0:00.0, 0000:a1:00.0"});
  StopService();
}

// In use by another program, which opens it before the service does.
TEST_F(BadInput, ACardThatSomebodyElseHasIsWaitedFor) {
  LoadCard(CardOptions().parameters);
  HlNode other(card().Node());
  StartService({.device_is_there = false});
  ExpectFailed({"the card opens once, and another program has it"});
  other.Close();
  ExpectThereByItself();
  StopService();
}

// Pages of 8 MiB; 15 of them for users.
TEST_F(BadInput, SizesThatNoCardHasAreRefusedAndOthersRoundedUp) {
  UseCard();
  const Importer importer;
  LibraryClient alice = Client(Alice());
  EXPECT_TRUE(StartsWith(alice.RefusalToAllocate(0), "INVALID_ARGUMENT size_bytes is 0"));
  for (const std::uint64_t bytes : {std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    const std::string refusal = alice.RefusalToAllocate(bytes);
    EXPECT_TRUE(StartsWith(refusal, "INVALID_ARGUMENT"));
    EXPECT_TRUE(Contains(refusal, absl::StrCat(" has at most ", 15 << 20 << 3)));
  }
  EXPECT_EQ(alice.Allocate(1).size_bytes, 4096U);
  const HeldBuffer large = alice.Allocate((20 << 20) + 1);
  EXPECT_EQ(large.size_bytes, (20U << 20) + 4096);
  const Outcome region =
      importer.Register(alice.process().Give(large.fd).get(), 0, large.size_bytes);
  ASSERT_EQ(region.error, 0);
  EXPECT_EQ(importer.Write(region.value, large.size_bytes - 4, "last"), 0);
  EXPECT_EQ(importer.Read(region.value, large.size_bytes - 4, 4), "last");
  importer.Deregister(region.value);
}

TEST_F(BadInput, ACardWithoutMemoryLeftSaysSo) {
  StartOnCard();
  LibraryClient alice = Client(Alice());
  LibraryClient bob = Client(Bob());
  const HeldBuffer most = alice.Allocate(14 << 20 << 3);
  EXPECT_EQ(bob.RefusalToAllocate(8 << 20), "");
  const std::string refusal = bob.RefusalToAllocate(kBytes);
  EXPECT_TRUE(StartsWith(refusal, "NO_MEMORY"));
  for (const char* part : {"no room for 64 KiB: of 120 MiB, 120 MiB are in use", "release buffers"})
    EXPECT_TRUE(Contains(refusal, part));
  EXPECT_TRUE(Happened({"REQUEST_REFUSED allocate of 65536 bytes on dev0: "}));
  bob.ReleaseAll();
  alice.Release(most);
  daemon().ExpectNothingInUse();
  EXPECT_EQ(alice.RefusalToAllocate(kBytes), "");
}

}  // namespace
}  // namespace hlbuf
