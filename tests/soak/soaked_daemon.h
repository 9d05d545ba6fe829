// SPDX-License-Identifier: Apache-2.0
#ifndef HLBUF_TESTS_SOAK_SOAKED_DAEMON_H_
#define HLBUF_TESTS_SOAK_SOAKED_DAEMON_H_

#include <memory>
#include <string>

#include "tests/soak/soaked_service.h"
#include "tests/support/child.h"
#include "tests/support/daemon_process.h"

namespace hlbuf {

// A supervised DaemonProcess whose device takes drills.
class SoakedDaemon : public SoakedService {
 public:
  explicit SoakedDaemon(DaemonProcess& daemon) : daemon_(daemon) {}

  std::string client_socket() const override { return daemon_.client_socket(); }
  std::string control_socket() const override { return daemon_.control_socket(); }
  gid_t clients_gid() const override { return DaemonProcess::kClientsGid; }
  void Kill() override { daemon_.Crash(); }
  void BeginReset() override;
  void RepeatReset() override;
  void Revoke(std::uint64_t buffer) override;
  std::map<std::string, std::uint64_t> CountDescriptors() override;

 protected:
  DaemonProcess& daemon_;

 private:
  Program Command(const std::vector<std::string>& words) const;

  TemporaryDirectory directory_;
  std::unique_ptr<Child> drill_;
};

// What a soak needs: memory for all that its clients hold, and no limit that they meet.
DaemonOptions SoakedOptions();

}  // namespace hlbuf

#endif  // HLBUF_TESTS_SOAK_SOAKED_DAEMON_H_
