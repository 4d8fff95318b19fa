#include "sandbox/guest_memory.h"

#include <sys/mman.h>
#include <weir_engine.h>

#include "base/large_pages.h"
#include "sandbox/abi.h"

namespace weir::sandbox {
namespace {
constexpr size_t kMappedBytes = WEIR_MEMORY_RESERVATION_BYTES + WEIR_MEMORY_GUARD_BYTES;
/// Behind so much memory a guest has large pages. Most guests never come that far, and a page of
/// theirs is to be a small one: there may be thousands of them.
constexpr size_t kSmallPagesBytes = 16 << 20;
}  // namespace

std::unique_ptr<GuestMemory> GuestMemory::reserve() {
  void* base =
      mmap(nullptr, kMappedBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  return std::unique_ptr<GuestMemory>(new GuestMemory(static_cast<uint8_t*>(base)));
}

GuestMemory::~GuestMemory() { munmap(base_, kMappedBytes); }

bool GuestMemory::open(size_t bytes) {
  if (bytes < abi::kModuleBase || bytes > WEIR_MEMORY_RESERVATION_BYTES) return false;
  if (bytes > abi::kModuleBase &&
      mprotect(base_ + abi::kModuleBase, bytes - abi::kModuleBase, PROT_READ | PROT_WRITE) != 0)
    return false;
  if (bytes > abi::kModuleBase + kSmallPagesBytes)
    prefer_large_pages(base_ + abi::kModuleBase + kSmallPagesBytes,
                       bytes - abi::kModuleBase - kSmallPagesBytes);
  size_bytes_ = bytes;
  return true;
}

void GuestMemory::close() {
  // One call drops windows, heap pages and whatever the second net put there.
  mmap(base_, size_bytes_ > abi::kModuleBase ? size_bytes_ : abi::kModuleBase, PROT_NONE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  size_bytes_ = 0;
  poisoned_ = false;
}

bool GuestMemory::map_shared(uint32_t address, int descriptor, size_t offset_bytes,
                             size_t length_bytes, bool writable) {
  return mmap(base_ + address, length_bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
              MAP_SHARED | MAP_FIXED, descriptor, static_cast<off_t>(offset_bytes)) != MAP_FAILED;
}

bool GuestMemory::absorb_fault(const void* address) {
  const auto* at = static_cast<const uint8_t*>(address);
  if (at < base_ || at >= base_ + abi::kModuleBase || poisoned_) return false;
  if (mmap(base_, abi::kModuleBase, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
    return false;
  poisoned_ = true;
  return true;
}

std::unique_ptr<GuestMemory> GuestMemoryPool::take() {
  std::lock_guard lock(mutex_);
  std::unique_ptr<GuestMemory> memory;
  if (unused_.empty()) {
    memory = GuestMemory::reserve();
    if (!memory) return nullptr;
  } else {
    memory = std::move(unused_.back());
    unused_.pop_back();
  }
  used_.emplace(memory->base(), memory.get());
  return memory;
}

GuestMemory* GuestMemoryPool::find(const uint8_t* base) {
  std::lock_guard lock(mutex_);
  auto found = used_.find(base);
  return found == used_.end() ? nullptr : found->second;
}

void GuestMemoryPool::give_back(std::unique_ptr<GuestMemory> memory) {
  memory->close();
  std::lock_guard lock(mutex_);
  used_.erase(memory->base());
  if (unused_.size() < keep_) unused_.push_back(std::move(memory));
}

}  // namespace weir::sandbox
