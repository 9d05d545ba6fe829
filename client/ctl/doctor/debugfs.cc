// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/debugfs.h"

#include "absl/strings/str_cat.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {

Debugfs ReadDebugfs(const Roots& roots) {
  Debugfs debugfs{.root = roots.debug, .names = NamesIn(roots.debug)};
  debugfs.bufinfo = roots.debug + "/dma_buf/bufinfo";
  debugfs.bufinfo_read = FileBytes(debugfs.bufinfo).status();
  return debugfs;
}

Finding JudgeDebugfs(const Debugfs& debugfs) {
  Finding finding{.check = "debugfs"};
  const absl::Status& read = debugfs.names.ok() ? debugfs.bufinfo_read : debugfs.names.status();
  if (debugfs.names.ok() && read.ok()) {
    finding.verdict = Verdict::kOk;
    finding.evidence = debugfs.bufinfo + " can be read";
    return finding;
  }
  const bool mounted = debugfs.names.ok() && !debugfs.names->empty();
  if (absl::IsPermissionDenied(read) && !mounted) {
    finding.evidence = WhyUnknown(read);
    finding.remedy = HowToKnow(read);
    return finding;
  }
  finding.verdict = Verdict::kWarning;
  finding.evidence = absl::StrCat(
      mounted ? std::string(read.message()) : debugfs.root + ": debugfs is not mounted",
      "; kernel importers that hold a buffer cannot be named");
  finding.remedy = mounted ? "have debugfs in the kernel (no lockdown, CONFIG_DEBUG_FS)"
                           : absl::StrCat("mount -t debugfs debugfs ", debugfs.root);
  return finding;
}

}  // namespace hlbuf::ctl::doctor
