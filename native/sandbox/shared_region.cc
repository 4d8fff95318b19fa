#include "sandbox/shared_region.h"

#include <sys/mman.h>
#include <unistd.h>

namespace weir::sandbox {

std::unique_ptr<SharedRegion> SharedRegion::create(size_t bytes) {
  int descriptor = memfd_create("weir-window", MFD_CLOEXEC);
  if (descriptor < 0) return nullptr;
  void* host = MAP_FAILED;
  if (ftruncate(descriptor, static_cast<off_t>(bytes)) == 0)
    host = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (host == MAP_FAILED) {
    ::close(descriptor);
    return nullptr;
  }
  return std::unique_ptr<SharedRegion>(
      new SharedRegion(descriptor, static_cast<uint8_t*>(host), bytes));
}

SharedRegion::~SharedRegion() {
  munmap(host_, size_bytes_);
  ::close(descriptor_);
}

}  // namespace weir::sandbox
