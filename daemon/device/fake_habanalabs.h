// SPDX-License-Identifier: Apache-2.0
// For tests: a machine with Gaudi cards. Its sysfs is real files in a directory of their own.
#ifndef HLBUF_DAEMON_DEVICE_FAKE_HABANALABS_H_
#define HLBUF_DAEMON_DEVICE_FAKE_HABANALABS_H_

#include <functional>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "daemon/device/fake_habanalabs_card.h"
#include "daemon/device/habanalabs_nodes.h"
#include "daemon/device/syscalls.h"

namespace hlbuf {

class FakeHabanalabs final : public Syscalls {
 public:
  FakeHabanalabs();
  ~FakeHabanalabs() override;

  // Where `sys` and `dev` are.
  SystemRoots roots() const { return {.sys = directory_ + "/sys", .dev = directory_ + "/dev"}; }
  // Puts a card like this one in: its sysfs, its nodes. It is used from then on.
  FakeHabanalabsCard& Add(const HlCard& card = {});
  // Whether cards are cleared when they are closed or reset.
  void SetMemoryScrub(bool on);
  void WriteSysfs(const std::string& path, const std::string& text);
  std::string SysfsOf(const FakeHabanalabsCard& card) const;  // directory of its attributes

  UniqueFd Open(const std::string& path, int flags) override;
  int Ioctl(int fd, unsigned long request, void* argument) override;
  int DeviceNumber(int fd, dev_t* number) override;
  int Inode(int fd, ino_t* inode) override;
  UniqueFd Eventfd() override;
  std::optional<std::string> ReadText(const std::string& path) override;
  int WriteText(const std::string& path, const std::string& text) override;
  bool MayWrite(const std::string&) override { return may_write; }
  absl::Duration SinceBoot() override { return since_boot; }
  void Pause(absl::Duration time) override;

  // Once each, one with every Pause(). Where there is none, a reset under way ends.
  std::vector<std::function<void()>> at_pause;
  absl::Duration paused = absl::ZeroDuration();
  absl::Duration since_boot = absl::Hours(1);
  std::vector<std::string> opened;  // nodes that it was tried to open
  bool may_write = true;            // hard_reset
  int inode_error = 0;
  int eventfd_error = 0;
  dev_t number_shift = 0;                     // of what the nodes really are
  std::function<void(bool control)> at_node;  // called when it is asked what a node is
  std::string kernel = "6.12.95+deb12-amd64\n";
  std::vector<std::string> dmabuf_names;

 private:
  struct Node {
    FakeHabanalabsCard* card;
    bool control;
    dev_t number;
  };
  void AddNode(const std::string& sysfs_class, const std::string& name, const std::string& devname,
               const Node& node);
  const Node* NodeOf(int fd) const;

  std::string directory_;
  std::list<FakeHabanalabsCard> cards_;
  std::map<std::string, Node> nodes_;  // by path
  std::map<ino_t, Node> open_;         // by the inode of what stands for it
};

}  // namespace hlbuf

#endif  // HLBUF_DAEMON_DEVICE_FAKE_HABANALABS_H_
