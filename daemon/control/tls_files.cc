// SPDX-License-Identifier: Apache-2.0
#include "daemon/control/tls_files.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "daemon/base/status_macros.h"
#include "proto/wire/unique_fd.h"

namespace hlbuf {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;
constexpr mode_t kOthers = 0007;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;
using X509Certificate = std::unique_ptr<X509, Free>;

// One file, and how it is spoken of.
struct File {
  absl::string_view key;  // of the configuration
  const std::string& path;

  absl::Status Fault(absl::string_view why) const {
    return absl::FailedPreconditionError(absl::StrCat(key, ": ", path, ": ", why));
  }
};

absl::StatusOr<UniqueFd> Open(const File& file, mode_t forbidden) {
  // Without waiting for the other end of a pipe.
  UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status = {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return file.Fault(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return file.Fault("it is no regular file");
  if ((status.st_mode & forbidden) != 0)
    return file.Fault("everybody on this machine may use this key; chmod o-rwx it");
  return fd;
}

absl::StatusOr<std::string> Read(const File& file, mode_t forbidden = 0) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(file, forbidden));
  std::string text(kFileBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file.Fault(std::strerror(errno));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > kFileBytesMax) return file.Fault("it is larger than 1 MiB");
  text.resize(size);
  return text;
}

Bio OverText(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Nobody is there to be asked for one.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<std::vector<X509Certificate>> Certificates(const File& file,
                                                          const std::string& text) {
  const Bio bio = OverText(text);
  std::vector<X509Certificate> certificates;
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr))
    certificates.emplace_back(one);
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates.empty()) return file.Fault("there is no certificate in it, in PEM form");
  if (!whole) return file.Fault("there is a certificate in it that is damaged");
  return certificates;
}

absl::Status CheckTime(const File& file, const X509& certificate, absl::Time now) {
  std::time_t time = absl::ToTimeT(now);
  if (X509_cmp_time(X509_get0_notAfter(&certificate), &time) <= 0)
    return file.Fault("this certificate has expired; renew it");
  if (X509_cmp_time(X509_get0_notBefore(&certificate), &time) > 0)
    return file.Fault("this certificate is not valid yet; look at the clock");
  return absl::OkStatus();
}

absl::Status CheckKey(const File& file, const std::string& text, X509& certificate) {
  const Bio bio = OverText(text);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr)
    return file.Fault("there is no private key in it, in PEM form and without a passphrase");
  const bool fits = X509_check_private_key(&certificate, key.get()) == 1;
  ERR_clear_error();
  return fits ? absl::OkStatus()
              : file.Fault("this key is not that of the certificate; write both at once");
}

}  // namespace

absl::StatusOr<TlsTexts> LoadTls(const TlsFiles& files, absl::Time now) {
  const File certificate = {.key = "certificate", .path = files.certificate};
  const File key = {.key = "key", .path = files.key};
  const File client_ca = {.key = "client_ca", .path = files.client_ca};
  TlsTexts texts;
  ASSIGN_OR_RETURN(texts.certificate, Read(certificate));
  ASSIGN_OR_RETURN(const auto own, Certificates(certificate, texts.certificate));
  RETURN_IF_ERROR(CheckTime(certificate, *own.front(), now));
  ASSIGN_OR_RETURN(texts.key, Read(key, kOthers));
  RETURN_IF_ERROR(CheckKey(key, texts.key, *own.front()));
  ASSIGN_OR_RETURN(texts.client_ca, Read(client_ca));
  RETURN_IF_ERROR(Certificates(client_ca, texts.client_ca).status());
  return texts;
}

}  // namespace hlbuf
