// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/support/step_client/steps.h"

namespace hlbuf {
namespace {

void Require(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::exit(1);
}

void Write(const char* path, const std::string& text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  Require(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), path);
}

void ShowOnly(const std::string& directory) {
  const char* const root = "/tmp";  // in this namespace alone
  Require(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make / private");
  const UniqueFd kept(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Require(static_cast<bool>(kept), directory.c_str());
  Require(::mount("tmpfs", root, "tmpfs", 0, nullptr) == 0, "mount a root");
  Require(::mkdir("/tmp/client", 0755) == 0, "mkdir");
  Require(::mount(absl::StrCat("/proc/self/fd/", kept.get()).c_str(), "/tmp/client", nullptr,
                  MS_BIND, nullptr) == 0,
          "bind the clients' directory");
  Require(::chroot(root) == 0 && ::chdir("/") == 0, "chroot");
}

}  // namespace

void EnterNamespaces(const std::string& directory, const std::function<void(pid_t)>& tell) {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  Require(::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) == 0, "unshare");
  Write("/proc/self/setgroups", "deny");
  Write("/proc/self/uid_map", absl::StrCat("0 ", uid, " 1"));
  Write("/proc/self/gid_map", absl::StrCat("0 ", gid, " 1"));
  const pid_t pid = ::fork();
  Require(pid >= 0, "fork");
  if (pid > 0) {
    tell(pid);
    int status = 0;
    ::waitpid(pid, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ShowOnly(directory);
}

}  // namespace hlbuf
