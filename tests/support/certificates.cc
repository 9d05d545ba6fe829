// SPDX-License-Identifier: Apache-2.0
#include "tests/support/certificates.h"

#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"

namespace hlbuf {
namespace {

void OpenSsl(std::vector<std::string> arguments, const std::string& output) {
  arguments.insert(arguments.begin(), "/usr/bin/openssl");
  const Finished finished = RunToEnd({.arguments = arguments, .output = output});
  EXPECT_EQ(finished.exit_status, 0) << finished.output;
}

}  // namespace

CertificateAuthority::CertificateAuthority(const std::string& name) : self_(Name("authority")) {
  OpenSsl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
           "-days", "30", "-subj", absl::StrCat("/CN=", name), "-keyout", self_.key, "-out",
           self_.certificate},
          directory_.path() + "/output");
}

CertificateFiles CertificateAuthority::Name(const std::string& name) const {
  const std::string stem = absl::StrCat(directory_.path(), "/", name);
  return {.certificate = stem + ".crt", .key = stem + ".key"};
}

CertificateFiles CertificateAuthority::Sign(const std::string& common_name,
                                            const std::string& extension) {
  return Sign(common_name, extension, {"-days", "30"});
}

CertificateFiles CertificateAuthority::SignExpired(const std::string& common_name) {
  return Sign(common_name, "", {"-days", "-1"});
}

CertificateFiles CertificateAuthority::Sign(const std::string& common_name,
                                            const std::string& extension,
                                            const std::vector<std::string>& validity) {
  const CertificateFiles files = Name(common_name);
  const std::string request = directory_.path() + "/request",
                    output = directory_.path() + "/output";
  OpenSsl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
           absl::StrCat("/CN=", common_name), "-keyout", files.key, "-out", request},
          output);
  const std::string extensions = directory_.path() + "/extensions";
  std::ofstream(extensions) << "basicConstraints=CA:FALSE\n" << extension << "\n";
  std::vector<std::string> sign = {"x509",           "-req",     "-in",
                                   request,          "-CA",      self_.certificate,
                                   "-CAkey",         self_.key,  "-CAcreateserial",
                                   "-extfile",       extensions, "-out",
                                   files.certificate};
  sign.insert(sign.end(), validity.begin(), validity.end());
  OpenSsl(std::move(sign), output);
  return files;
}

}  // namespace hlbuf
