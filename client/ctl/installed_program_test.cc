// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/installed_program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/child.h"

namespace hlbuf::ctl {
namespace {

// Whoever may write above the directory of an installed hl-bufctl would be root.
TEST(FindInstalledProgram, LooksNowhereButBesideHlBufctlAndWhereItIsInstalled) {
  const TemporaryDirectory root;
  const std::string here = root.path() + "/x/y";
  const auto make = [&root](const std::string& directory) {
    std::filesystem::create_directories(root.path() + directory);
    const std::string path = root.path() + directory + "/hl-bufd-holders";
    std::ofstream(path) << "#!/bin/sh\n";
    ::chmod(path.c_str(), 0755);
    return path;
  };
  make("/daemon");
  std::filesystem::create_directories(here);
  EXPECT_EQ(FindInstalledProgram("hl-bufd-holders", here), "");
  const std::string beside = make("/x/y");
  EXPECT_EQ(FindInstalledProgram("hl-bufd-holders", here), beside);
}

}  // namespace
}  // namespace hlbuf::ctl
