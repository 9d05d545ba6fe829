// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/certificate.h"

#include <grpcpp/security/auth_context.h>
#include <gtest/gtest.h>

#include <map>

namespace hlbuf {
namespace {

constexpr const char* kOperatorUri = "spiffe://example.org/operator";

struct Nothing : grpc::AuthPropertyIterator {
  Nothing() = default;
};

// What gRPC says of a connection.
class FakeContext final : public grpc::AuthContext {
 public:
  FakeContext(bool authenticated, std::multimap<std::string, std::string> properties)
      : authenticated_(authenticated), properties_(std::move(properties)) {}

  bool IsPeerAuthenticated() const override { return authenticated_; }
  std::vector<grpc::string_ref> GetPeerIdentity() const override { return {}; }
  std::string GetPeerIdentityPropertyName() const override { return ""; }
  std::vector<grpc::string_ref> FindPropertyValues(const std::string& name) const override {
    std::vector<grpc::string_ref> values;
    for (auto [it, end] = properties_.equal_range(name); it != end; ++it)
      values.emplace_back(it->second.data(), it->second.size());
    return values;
  }
  grpc::AuthPropertyIterator begin() const override { return Nothing(); }
  grpc::AuthPropertyIterator end() const override { return Nothing(); }
  void AddProperty(const std::string&, const grpc::string_ref&) override {}
  bool SetPeerIdentityPropertyName(const std::string&) override { return false; }

 private:
  bool authenticated_;
  std::multimap<std::string, std::string> properties_;
};

TEST(Certificate, IsReadFromAConnectionByTls) {
  const auto certificate = CertificateIn(FakeContext(true, {{"transport_security_type", "ssl"},
                                                            {"x509_common_name", "alice"},
                                                            {"peer_uri", kOperatorUri}}));
  ASSERT_TRUE(certificate.has_value());
  EXPECT_EQ(certificate->common_name, "alice");
  EXPECT_EQ(certificate->uris, std::vector<std::string>{kOperatorUri});
  EXPECT_EQ(certificate->Text(), "certificate \"alice\" (spiffe://example.org/operator)");
}

TEST(Certificate, IsNotThereWithoutTlsOrWithoutAVerifiedClient) {
  EXPECT_FALSE(CertificateIn(
      FakeContext(false, {{"transport_security_type", "ssl"}, {"x509_common_name", "alice"}})));
  EXPECT_FALSE(CertificateIn(
      FakeContext(true, {{"transport_security_type", "insecure"}, {"x509_common_name", "alice"}})));
  EXPECT_FALSE(CertificateIn(FakeContext(true, {{"x509_common_name", "alice"}})));
  EXPECT_FALSE(CertificateIn(FakeContext(true, {{"transport_security_type", "ssl"}})))
      << "it names nobody";
}

TEST(Certificate, IsShownInPrintableText) {
  EXPECT_EQ((Certificate{.common_name = "a\nb"}).Text(), "certificate \"a?b\"");
  EXPECT_EQ((Certificate{.others = {"node7"}}).Text(), "certificate \"node7\"");
}

TEST(CertificateRoles, MakeEverybodyAViewerUnlessTheyNameViewers) {
  EXPECT_EQ(RoleOf({.common_name = "alice"}, {}), Role::kViewer);
  EXPECT_EQ(RoleOf({.common_name = "alice"}, {.viewer = {"bob"}}), Role::kNone);
  EXPECT_EQ(RoleOf({.common_name = "bob"}, {.viewer = {"bob"}}), Role::kViewer);
}

TEST(CertificateRoles, GiveTheHighestThatACertificateHas) {
  const CertificateRoles roles = {
      .viewer = {"alice"}, .operators = {"alice", kOperatorUri}, .admin = {"boss"}};
  EXPECT_EQ(RoleOf({.common_name = "alice"}, roles), Role::kOperator);
  EXPECT_EQ(RoleOf({.common_name = "x", .uris = {kOperatorUri}}, roles), Role::kOperator);
  EXPECT_EQ(RoleOf({.common_name = "boss", .uris = {kOperatorUri}}, roles), Role::kAdmin);
}

TEST(CertificateRoles, TakeNoCommonNameForAUri) {
  const CertificateRoles roles = {.admin = {kOperatorUri, "boss"}};
  EXPECT_EQ(RoleOf({.common_name = kOperatorUri}, roles), Role::kViewer);
  EXPECT_EQ(RoleOf({.uris = {"boss"}}, roles), Role::kViewer);
  EXPECT_EQ(RoleOf({.common_name = "x", .others = {"boss", kOperatorUri}}, roles), Role::kViewer);
}

TEST(CertificateRoles, AreForTheWholeName) {
  const CertificateRoles roles = {.admin = {"boss"}};
  for (const std::string& name : {std::string("bos"), std::string("Boss"), std::string("boss "),
                                  std::string("boss\0", 5), std::string()})
    EXPECT_EQ(RoleOf({.common_name = name, .others = {"x"}}, roles), Role::kViewer) << name;
}

}  // namespace
}  // namespace hlbuf
