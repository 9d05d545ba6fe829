// SPDX-License-Identifier: Apache-2.0
//
// libhlbuf for C++17: owners for clients, buffers and mappings, and nothing that hlbuf.h does not
// say. Header-only.
//
//   hlbuf::Client client;
//   hlbuf::Buffer weights = client.OpenName("weights");
//   hlbuf::Mapping bytes = weights.Map();
//
// Functions named Try... return a Result; those without throw hlbuf::Error instead. Without
// exceptions (-fno-exceptions) the latter abort. Threads, fork() and deadlines are as in hlbuf.h.
#ifndef HLBUF_HLBUF_HPP_
#define HLBUF_HLBUF_HPP_

#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "hlbuf/hlbuf.h"

namespace hlbuf {

class Error : public std::runtime_error {
 public:
  explicit Error(const hlbuf_error& error)
      : std::runtime_error(std::string(hlbuf_error_name(error.code)) + ": " + error.text),
        code_(error.code) {}
  int code() const { return code_; }  // enum hlbuf_code

 private:
  int code_;
};

[[noreturn]] inline void Raise(const hlbuf_error& error) {
#ifdef __cpp_exceptions
  throw Error(error);
#else
  static_cast<void>(error);
  std::abort();
#endif
}

// A value, or why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : outcome_(std::move(value)) {}        // NOLINT(google-explicit-constructor)
  Result(const hlbuf_error& error) : outcome_(error) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return outcome_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Throws hlbuf::Error when there is none.
  T& value() & { return ok() ? *std::get_if<0>(&outcome_) : Fail(); }
  T value() && { return std::move(ok() ? *std::get_if<0>(&outcome_) : Fail()); }
  T& operator*() { return value(); }
  T* operator->() { return &value(); }
  // Only when !ok().
  const hlbuf_error& error() const { return *std::get_if<1>(&outcome_); }

 private:
  [[noreturn]] T& Fail() const { Raise(error()); }

  std::variant<T, hlbuf_error> outcome_;
};

// Memory of a buffer, in this process. Unmapped by the destructor; it may outlive the Buffer, but
// not its lease: after a revocation it has to go before the buffer is released.
class Mapping {
 public:
  Mapping(void* address, std::size_t size_bytes) : address_(address), size_bytes_(size_bytes) {}
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(size_bytes_, other.size_bytes_);
    return *this;
  }
  ~Mapping() {
    if (address_ != nullptr) ::munmap(address_, size_bytes_);
  }

  void* data() const { return address_; }
  std::size_t size_bytes() const { return size_bytes_; }

 private:
  void* address_;
  std::size_t size_bytes_;
};

// One lease. The destructor releases it.
class Buffer {
 public:
  explicit Buffer(hlbuf_buffer* owned) : handle_(owned) {}

  int fd() const { return hlbuf_buffer_fd(get()); }  // borrowed
  int TakeFd() { return hlbuf_buffer_take_fd(get()); }
  std::uint64_t id() const { return hlbuf_buffer_id(get()); }
  std::uint64_t lease_id() const { return hlbuf_buffer_lease_id(get()); }
  std::uint64_t size_bytes() const { return hlbuf_buffer_size_bytes(get()); }
  std::uint64_t epoch() const { return hlbuf_buffer_epoch(get()); }
  bool is_revoked() const { return hlbuf_buffer_is_revoked(get()); }
  // As hlbuf_buffer_is_current(): whether a cache may still use what it made of the buffer.
  bool is_current() const { return hlbuf_buffer_is_current(get()); }
  hlbuf_buffer* get() const { return handle_.get(); }
  void Release() { handle_.reset(); }

  // Only for devices with HLBUF_DEVICE_CPU_MAP. Errors: SYSTEM.
  Result<Mapping> TryMap(int protection = PROT_READ | PROT_WRITE) const {
    void* address = ::mmap(nullptr, size_bytes(), protection, MAP_SHARED, fd(), 0);
    if (address != MAP_FAILED) return Mapping(address, size_bytes());
    hlbuf_error error = {};
    error.code = HLBUF_E_SYSTEM;
    const std::string text = std::string("mmap: ") + std::strerror(errno);
    text.copy(error.text, sizeof(error.text) - 1);
    return error;
  }
  Mapping Map(int protection = PROT_READ | PROT_WRITE) const { return TryMap(protection).value(); }

 private:
  struct Releaser {
    void operator()(hlbuf_buffer* buffer) const { hlbuf_buffer_release(buffer); }
  };
  std::unique_ptr<hlbuf_buffer, Releaser> handle_;
};

// Brackets access of the CPU to a mapped dma-buf, which keeps the caches of CPU and device in step.
// Does nothing to memory that is no dma-buf.
class CpuAccess {
 public:
  enum Direction : std::uint64_t {
    kRead = DMA_BUF_SYNC_READ,
    kWrite = DMA_BUF_SYNC_WRITE,
    kReadWrite = DMA_BUF_SYNC_RW
  };
  // `fd` is borrowed until the end of the access.
  CpuAccess(int fd, Direction direction) : fd_(fd), direction_(direction) {
    Sync(DMA_BUF_SYNC_START);
  }
  ~CpuAccess() { Sync(DMA_BUF_SYNC_END); }
  CpuAccess(const CpuAccess&) = delete;
  CpuAccess& operator=(const CpuAccess&) = delete;

 private:
  void Sync(std::uint64_t edge) const {
    dma_buf_sync sync = {};
    sync.flags = direction_ | edge;
    while (::ioctl(fd_, DMA_BUF_IOCTL_SYNC, &sync) != 0 && (errno == EINTR || errno == EAGAIN)) {
    }
  }
  int fd_;
  std::uint64_t direction_;
};

struct Options {
  std::string socket_path;               // empty: as in hlbuf_connect_options
  std::string client_name;               // likewise
  std::chrono::milliseconds timeout{0};  // 0: the default; negative: none
  // For how long the service may be away: 0: the default; negative: as long as it takes.
  std::chrono::milliseconds reconnect_timeout{0};
  bool reconnect = true;  // false: HLBUF_NO_RECONNECT
  // Callbacks run in Dispatch() or on the library's thread; what they throw ends the program.
  // on_revoke comes again for a buffer that was kept when its deadline moves forward.
  std::function<hlbuf_revoke_answer(const hlbuf_revocation&)> on_revoke;
  std::function<void(const hlbuf_device_event&)> on_device;
  std::function<void(const hlbuf_goodbye&)> on_goodbye;
  std::function<void(std::uint32_t)> on_service;  // enum hlbuf_service_state
};

struct AllocateOptions {
  std::uint64_t size_bytes = 0;
  std::string name{};    // empty: none
  std::string device{};  // empty: the default one
  std::vector<std::string> labels{};
  bool wait_for_device = false;  // as in hlbuf_allocate_options
};

// One session. The destructor closes it; buffers may outlive it, as revoked ones.
class Client {
 public:
  explicit Client(Options options = {}) : Client(TryConnect(std::move(options)).value()) {}
  Client(Client&&) noexcept = default;
  // The old session ends before its callbacks do.
  Client& operator=(Client&& other) noexcept {
    handle_ = std::move(other.handle_);
    options_ = std::move(other.options_);
    return *this;
  }
  ~Client() = default;

  static Result<Client> TryConnect(Options options = {}) {
    auto kept = std::make_unique<Options>(std::move(options));
    hlbuf_connect_options plain = {};
    plain.struct_bytes = sizeof(plain);
    plain.socket_path = OrNull(kept->socket_path);
    plain.client_name = OrNull(kept->client_name);
    plain.timeout_ms = Milliseconds(kept->timeout);
    plain.reconnect_timeout_ms =
        kept->reconnect ? Milliseconds(kept->reconnect_timeout) : HLBUF_NO_RECONNECT;
    if (kept->on_revoke) plain.callbacks.on_revoke = OnRevoke;
    if (kept->on_device) plain.callbacks.on_device = OnDevice;
    if (kept->on_goodbye) plain.callbacks.on_goodbye = OnGoodbye;
    if (kept->on_service) plain.callbacks.on_service = OnService;
    plain.callbacks.context = kept.get();
    hlbuf_client* client = nullptr;
    hlbuf_error error;
    if (hlbuf_connect(&plain, &client, &error) != HLBUF_OK) return error;
    return Client(client, std::move(kept));
  }

  Result<Buffer> TryAllocate(const AllocateOptions& options) {
    std::vector<const char*> labels;
    for (const std::string& label : options.labels) labels.push_back(label.c_str());
    hlbuf_allocate_options plain = {};
    plain.struct_bytes = sizeof(plain);
    plain.size_bytes = options.size_bytes;
    plain.name = OrNull(options.name);
    plain.device = OrNull(options.device);
    plain.labels = labels.data();
    plain.label_count = labels.size();
    plain.wait_for_device = options.wait_for_device ? 1 : 0;
    return Granted([&](hlbuf_buffer** buffer, hlbuf_error* error) {
      return hlbuf_allocate(get(), &plain, buffer, error);
    });
  }
  Result<Buffer> TryOpenId(std::uint64_t buffer_id) {
    return Granted([&](hlbuf_buffer** buffer, hlbuf_error* error) {
      return hlbuf_open_id(get(), buffer_id, buffer, error);
    });
  }
  Result<Buffer> TryOpenName(const std::string& name, std::uint32_t owner_uid = HLBUF_OWNER_SELF) {
    return Granted([&](hlbuf_buffer** buffer, hlbuf_error* error) {
      return hlbuf_open_name(get(), name.c_str(), owner_uid, buffer, error);
    });
  }
  // One outcome for each item.
  Result<std::vector<Result<Buffer>>> TryOpenMany(const std::vector<hlbuf_open_item>& items) {
    std::vector<hlbuf_open_result> plain(items.size());
    hlbuf_error error;
    if (hlbuf_open_many(get(), items.data(), items.size(), plain.data(), &error) != HLBUF_OK)
      return error;
    std::vector<Result<Buffer>> results;
    results.reserve(plain.size());
    for (const hlbuf_open_result& result : plain) {
      if (result.buffer != nullptr)
        results.emplace_back(Buffer(result.buffer));
      else
        results.emplace_back(result.error);
    }
    return results;
  }
  Result<std::vector<hlbuf_device>> TryDevices() {
    std::vector<hlbuf_device> devices(16);
    for (;;) {
      std::size_t count = 0;
      hlbuf_error error;
      if (hlbuf_devices(get(), devices.data(), devices.size(), &count, &error) != HLBUF_OK)
        return error;
      const bool complete = count <= devices.size();
      devices.resize(count);
      if (complete) return devices;
    }
  }

  Buffer Allocate(const AllocateOptions& options) { return TryAllocate(options).value(); }
  Buffer OpenId(std::uint64_t buffer_id) { return TryOpenId(buffer_id).value(); }
  Buffer OpenName(const std::string& name, std::uint32_t owner_uid = HLBUF_OWNER_SELF) {
    return TryOpenName(name, owner_uid).value();
  }
  std::vector<Result<Buffer>> OpenMany(const std::vector<hlbuf_open_item>& items) {
    return TryOpenMany(items).value();
  }
  std::vector<hlbuf_device> Devices() { return TryDevices().value(); }

  // The functions below return HLBUF_OK or a code, and say more in `error`.
  int Share(std::uint64_t buffer_id, hlbuf_grantee_kind kind, std::uint32_t grantee,
            hlbuf_error* error = nullptr) {
    return hlbuf_share(get(), buffer_id, kind, grantee, error);
  }
  int Unshare(std::uint64_t buffer_id, hlbuf_grantee_kind kind, std::uint32_t grantee,
              hlbuf_error* error = nullptr) {
    return hlbuf_unshare(get(), buffer_id, kind, grantee, error);
  }
  int Dispatch(std::chrono::milliseconds timeout, hlbuf_error* error = nullptr) {
    return hlbuf_dispatch(get(), Milliseconds(timeout), error);
  }
  int StartThread(hlbuf_error* error = nullptr) { return hlbuf_client_start_thread(get(), error); }
  int fd(hlbuf_error* error = nullptr) { return hlbuf_client_fd(get(), error); }

  void SetTimeout(std::chrono::milliseconds timeout) {
    hlbuf_client_set_timeout(get(), Milliseconds(timeout));
  }
  std::uint64_t session_id() const { return hlbuf_client_session_id(get()); }
  hlbuf_client* get() const { return handle_.get(); }

 private:
  struct Closer {
    void operator()(hlbuf_client* client) const { hlbuf_client_close(client); }
  };

  Client(hlbuf_client* client, std::unique_ptr<Options> options)
      : options_(std::move(options)), handle_(client) {}

  static const char* OrNull(const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
  }
  static std::int32_t Milliseconds(std::chrono::milliseconds time) {
    if (time.count() < 0) return -1;
    return time.count() > INT32_MAX ? INT32_MAX : static_cast<std::int32_t>(time.count());
  }
  template <class Request>
  static Result<Buffer> Granted(Request request) {
    hlbuf_buffer* buffer = nullptr;
    hlbuf_error error;
    if (request(&buffer, &error) != HLBUF_OK) return error;
    return Buffer(buffer);
  }
  static hlbuf_revoke_answer OnRevoke(void* options, const hlbuf_revocation* r) noexcept {
    return static_cast<Options*>(options)->on_revoke(*r);
  }
  static void OnDevice(void* options, const hlbuf_device_event* event) noexcept {
    static_cast<Options*>(options)->on_device(*event);
  }
  static void OnGoodbye(void* options, const hlbuf_goodbye* goodbye) noexcept {
    static_cast<Options*>(options)->on_goodbye(*goodbye);
  }
  static void OnService(void* options, std::uint32_t state) noexcept {
    static_cast<Options*>(options)->on_service(state);
  }

  std::unique_ptr<Options> options_;  // outlives the session, which calls into it
  std::unique_ptr<hlbuf_client, Closer> handle_;
};

}  // namespace hlbuf

#endif  // HLBUF_HLBUF_HPP_
