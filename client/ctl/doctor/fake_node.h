// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_CLIENT_CTL_DOCTOR_FAKE_NODE_H_
#define HLBUF_CLIENT_CTL_DOCTOR_FAKE_NODE_H_

#include <filesystem>
#include <fstream>
#include <string>

#include "client/ctl/doctor/roots.h"
#include "tests/support/child.h"

namespace hlbuf::ctl::doctor {

// Files as a kernel shows them, in a directory that ends with this object.
class FakeNode {
 public:
  // `path` as on a node: "/sys/class/...".
  std::string At(const std::string& path) const { return directory_.path() + path; }
  void Write(const std::string& path, const std::string& text) const {
    Enclose(path);
    std::ofstream(At(path)) << text;
  }
  // A symbolic link to another place of this node.
  void Link(const std::string& path, const std::string& target) const {
    Enclose(path);
    std::filesystem::create_symlink(At(target), At(path));
  }
  void LinkOutside(const std::string& path, const std::string& target) const {
    Enclose(path);
    std::filesystem::create_symlink(target, At(path));
  }
  void Remove(const std::string& path) const { std::filesystem::remove_all(At(path)); }
  Roots roots() const {
    return {.sys = At("/sys"),
            .proc = At("/proc"),
            .dev = At("/dev"),
            .boot = At("/boot"),
            .debug = At("/sys/kernel/debug"),
            .etc = At("/etc/hl-bufd")};
  }

 private:
  void Enclose(const std::string& path) const {
    std::filesystem::create_directories(std::filesystem::path(At(path)).parent_path());
  }
  TemporaryDirectory directory_;
};

}  // namespace hlbuf::ctl::doctor

#endif  // HLBUF_CLIENT_CTL_DOCTOR_FAKE_NODE_H_
