// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/memory.h"

#include <utility>

namespace hlbuf {
namespace {

class MappedMemory final : public Memory {
 public:
  MappedMemory(Mapping mapping, int fd) : mapping_(std::move(mapping)), fd_(fd) {}

  bool Read(std::size_t at, std::span<std::uint64_t> words) const override {
    const CpuAccess access(fd_, CpuAccess::kRead);
    const volatile std::uint64_t* from = Words() + at;
    for (std::uint64_t& word : words) word = *from++;
    return true;
  }
  bool Write(std::size_t at, std::span<const std::uint64_t> words) const override {
    const CpuAccess access(fd_, CpuAccess::kWrite);
    volatile std::uint64_t* to = Words() + at;
    for (const std::uint64_t word : words) *to++ = word;
    return true;
  }

 private:
  // Others write while this one reads.
  volatile std::uint64_t* Words() const {
    return static_cast<volatile std::uint64_t*>(mapping_.data());
  }
  Mapping mapping_;
  int fd_;
};

class RegisteredMemory final : public Memory {
 public:
  RegisteredMemory(const Registrations& registrations, std::uint32_t id)
      : registrations_(registrations), id_(id) {}
  ~RegisteredMemory() override { registrations_.End(id_); }
  RegisteredMemory(const RegisteredMemory&) = delete;
  RegisteredMemory& operator=(const RegisteredMemory&) = delete;

  bool Read(std::size_t at, std::span<std::uint64_t> words) const override {
    return registrations_.Read(id_, words, at);
  }
  bool Write(std::size_t at, std::span<const std::uint64_t> words) const override {
    return registrations_.Write(id_, words, at);
  }

 private:
  const Registrations& registrations_;
  std::uint32_t id_;
};

}  // namespace

std::unique_ptr<Memory> MemoryOf(const Buffer& buffer, const Registrations& registrations) {
  if (registrations.are_possible()) {
    const std::uint32_t id = registrations.Make(buffer.fd(), buffer.size_bytes());
    if (id == 0) return nullptr;
    return std::make_unique<RegisteredMemory>(registrations, id);
  }
  Result<Mapping> mapping = buffer.TryMap();
  if (!mapping.ok()) return nullptr;
  return std::make_unique<MappedMemory>(std::move(mapping).value(), buffer.fd());
}

}  // namespace hlbuf
