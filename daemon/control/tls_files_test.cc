// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/tls_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/certificates.h"

namespace hlbuf {
namespace {

class TlsFilesTest : public testing::Test {
 protected:
  std::string Written(const std::string& text) {
    const std::string path = absl::StrCat(directory_.path(), "/", ++written_, ".pem");
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0600);
    return path;
  }
  std::string Fault() const { return std::string(LoadTls(files_, now_).status().message()); }
  void ExpectFault(const std::string& key, const std::string& path, const std::string& why) {
    EXPECT_EQ(Fault(), absl::StrCat(key, ": ", path, ": ", why));
  }

  CertificateAuthority authority_;
  TemporaryDirectory directory_;
  int written_ = 0;
  CertificateFiles server_ = authority_.Server();
  TlsFiles files_ = {server_.certificate, server_.key, authority_.certificate()};
  absl::Time now_ = absl::Now();
};

TEST_F(TlsFilesTest, AreReadWhole) {
  const absl::StatusOr<TlsTexts> texts = LoadTls(files_, now_);
  ASSERT_TRUE(texts.ok()) << texts.status();
  EXPECT_EQ(texts->certificate, ReadAll(server_.certificate));
  EXPECT_EQ(texts->key, ReadAll(server_.key));
  EXPECT_EQ(texts->client_ca, ReadAll(authority_.certificate()));
}

TEST_F(TlsFilesTest, AreNamedWhenTheyCannotBeRead) {
  files_.key = directory_.path() + "/absent";
  ExpectFault("key", files_.key, "No such file or directory");
  files_.certificate = directory_.path();
  ExpectFault("certificate", files_.certificate, "it is no regular file");
  files_.certificate = directory_.path() + "/pipe";
  ASSERT_EQ(::mkfifo(files_.certificate.c_str(), 0600), 0);
  ExpectFault("certificate", files_.certificate, "it is no regular file");
  files_.certificate = Written(std::string((1 << 20) + 1, 'x'));
  ExpectFault("certificate", files_.certificate, "it is larger than 1 MiB");
}

TEST_F(TlsFilesTest, AreRefusedWhenTheyAreSomethingElse) {
  for (const std::string& garbage : {std::string(), std::string("\0\xff garbage\n", 11),
                                     std::string("-----BEGIN CERTIFICATE-----\n")}) {
    files_ = {server_.certificate, server_.key, authority_.certificate()};
    files_.certificate = Written(garbage);
    ExpectFault("certificate", files_.certificate, "there is no certificate in it, in PEM form");
    files_.certificate = server_.certificate;
    files_.client_ca = Written(garbage);
    ExpectFault("client_ca", files_.client_ca, "there is no certificate in it, in PEM form");
    files_.key = Written(garbage);
    ExpectFault("key", files_.key,
                "there is no private key in it, in PEM form and without a passphrase");
  }
}

TEST_F(TlsFilesTest, AreRefusedWhenOneCertificateOfManyIsDamaged) {
  std::string damaged = ReadAll(server_.certificate);
  damaged[damaged.size() / 2] = '*';
  files_.client_ca = Written(ReadAll(authority_.certificate()) + damaged);
  ExpectFault("client_ca", files_.client_ca, "there is a certificate in it that is damaged");
}

TEST_F(TlsFilesTest, AreRefusedWhenTheKeyIsAnotherOnes) {
  files_.key = authority_.Sign("other").key;
  ExpectFault("key", files_.key, "this key is not that of the certificate; write both at once");
}

TEST_F(TlsFilesTest, AreRefusedWhenEverybodyMayUseTheKey) {
  ASSERT_EQ(::chmod(server_.key.c_str(), 0644), 0);
  ExpectFault("key", server_.key, "everybody on this machine may use this key; chmod o-rwx it");
}

TEST_F(TlsFilesTest, AreRefusedOutsideOfTheTimeOfTheCertificate) {
  now_ += absl::Hours(24 * 31);
  ExpectFault("certificate", server_.certificate, "this certificate has expired; renew it");
  now_ -= absl::Hours(24 * 62);
  ExpectFault("certificate", server_.certificate,
              "this certificate is not valid yet; look at the clock");
}

}  // namespace
}  // namespace hlbuf
