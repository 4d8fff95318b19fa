#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace weir::sandbox {

/// Shared memory that the host sees read-write and a guest sees through its windows.
class SharedRegion {
 public:
  /// nullptr when the kernel gives no memory.
  static std::unique_ptr<SharedRegion> create(size_t bytes);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  uint8_t* host() const { return host_; }
  int descriptor() const { return descriptor_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  SharedRegion(int descriptor, uint8_t* host, size_t bytes)
      : descriptor_(descriptor), host_(host), size_bytes_(bytes) {}
  int descriptor_;
  uint8_t* host_;
  size_t size_bytes_;
};

}  // namespace weir::sandbox
