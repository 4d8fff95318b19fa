#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace weir::sandbox {

/// One guest's address space: a reservation of 4 GiB and a guard behind it, laid out by the guest
/// contract (docs/abi.md). Everything is inaccessible until it is mapped.
class GuestMemory {
 public:
  /// Maps the reservation. nullptr when the address space or the kernel's count of mappings is
  /// exhausted.
  static std::unique_ptr<GuestMemory> reserve();
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  /// Makes [abi::kModuleBase, bytes) readable and writable, zero. False when the kernel refuses.
  bool open(size_t bytes);
  /// Throws away all contents and mappings, so that the next user finds nothing of this one.
  void close();

  /// Shows `length_bytes` of the shared memory `descriptor` from `offset_bytes` on at guest address
  /// `address`.
  bool map_shared(uint32_t address, int descriptor, size_t offset_bytes, size_t length_bytes,
                  bool writable);

  uint8_t* base() const { return base_; }
  size_t size_bytes() const { return size_bytes_; }

  /// Set by the second net: host code touched a part of this memory that is not the guest's to
  /// touch.
  bool poisoned() const { return poisoned_; }
  /// For the second net (async-signal-safe): if `address` is in this memory, puts private pages
  /// over everything below the module's data, so that the faulting instruction can finish, and
  /// marks the memory poisoned.
  bool absorb_fault(const void* address);

 private:
  explicit GuestMemory(uint8_t* base) : base_(base) {}

  uint8_t* base_;
  size_t size_bytes_ = 0;
  volatile bool poisoned_ = false;
};

/// Guest memories that wait for their next use. Thread-safe: instances are made on workers, engines
/// anywhere.
class GuestMemoryPool {
 public:
  /// Keeps at most `keep` unused reservations.
  explicit GuestMemoryPool(size_t keep) : keep_(keep) {}
  std::unique_ptr<GuestMemory> take();
  /// The memory in use that starts at `base`; nullptr if there is none.
  GuestMemory* find(const uint8_t* base);
  void give_back(std::unique_ptr<GuestMemory> memory);

 private:
  const size_t keep_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<GuestMemory>> unused_;
  std::unordered_map<const uint8_t*, GuestMemory*> used_;
};

}  // namespace weir::sandbox
