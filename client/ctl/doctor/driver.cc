// SPDX-License-Identifier: Apache-2.0
#include "client/ctl/doctor/driver.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/ctl/doctor/files.h"

namespace hlbuf::ctl::doctor {
namespace {

constexpr const char* kMaker = "0x1da3";  // Habana Labs

std::vector<Driver::Function> FunctionsOfTheMaker(const Roots& roots) {
  std::vector<Driver::Function> functions;
  const std::string devices = roots.sys + "/bus/pci/devices";
  for (const std::string& address : NamesIn(devices).value_or(std::vector<std::string>())) {
    const std::string device = absl::StrCat(devices, "/", address);
    if (FileText(device + "/vendor").value_or("") == kMaker)
      functions.push_back({address, BaseName(LinkAt(device + "/driver").value_or(""))});
  }
  return functions;
}

std::string TextOf(const std::vector<Driver::Function>& functions) {
  if (functions.empty()) return absl::StrCat("no PCI device of vendor ", kMaker);
  return absl::StrJoin(functions, ", ", [](std::string* out, const Driver::Function& function) {
    absl::StrAppend(out, function.address, " has ",
                    function.driver.empty() ? "no driver" : function.driver);
  });
}

}  // namespace

Driver ReadDriver(const Roots& roots) {
  Driver driver;
  driver.module = roots.sys + "/module/habanalabs";
  driver.loaded = Exists(driver.module) || Exists(roots.sys + "/bus/pci/drivers/habanalabs");
  driver.version = FileText(driver.module + "/version");
  driver.kernel = FileText(roots.proc + "/sys/kernel/osrelease").value_or("");
  driver.memory_scrub = FileText(driver.module + "/parameters/memory_scrub");
  driver.functions = FunctionsOfTheMaker(roots);
  return driver;
}

Finding JudgeDriver(const Driver& driver) {
  Finding finding{.check = "driver"};
  if (!driver.loaded) {
    finding.verdict = Verdict::kProblem;
    finding.evidence = absl::StrCat("habanalabs is not loaded: no ", driver.module, "; ",
                                    TextOf(driver.functions));
    finding.remedy =
        "modprobe habanalabs; where there is no such module, take a kernel with "
        "CONFIG_DRM_ACCEL_HABANALABS";
    return finding;
  }
  if (driver.is_vendors()) {
    finding.verdict = Verdict::kWarning;
    finding.evidence = absl::StrCat("the vendor's, version ", *driver.version, " (", driver.module,
                                    "/version), Linux ", driver.kernel);
    finding.remedy =
        "hl-bufd follows the rules of the kernel's own driver: try a reset (README.md) before "
        "you rely on this one";
    return finding;
  }
  if (!absl::IsNotFound(driver.version.status())) {
    finding.evidence = WhyUnknown(driver.version.status());
    finding.remedy = HowToKnow(driver.version.status());
    return finding;
  }
  finding.verdict = Verdict::kOk;
  finding.evidence =
      absl::StrCat("the kernel's own (no ", driver.module, "/version), Linux ", driver.kernel);
  return finding;
}

Finding JudgeMemoryScrub(const Driver& driver) {
  Finding finding{.check = "memory-scrub"};
  if (!driver.memory_scrub.ok()) {
    finding.evidence = WhyUnknown(driver.memory_scrub.status());
    finding.remedy = HowToKnow(driver.memory_scrub.status());
    return finding;
  }
  const std::string& value = *driver.memory_scrub;
  finding.evidence =
      absl::StrCat(driver.module, "/parameters/memory_scrub is ", value.empty() ? "empty" : value);
  if (!value.empty() && value != "0" && value != "N") {
    finding.verdict = Verdict::kOk;
    return finding;
  }
  finding.verdict = Verdict::kWarning;
  absl::StrAppend(&finding.evidence,
                  ": no reset clears the card, so what one user gave back goes to nobody else");
  finding.remedy =
      "put \"options habanalabs memory_scrub=1\" into /etc/modprobe.d/habanalabs.conf and load the "
      "driver anew; or set isolation = \"none\" where everybody may read everything";
  return finding;
}

}  // namespace hlbuf::ctl::doctor
