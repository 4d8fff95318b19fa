// Pools whose buffers lie in given memory (rte_pktmbuf_pool_create_extbuf).
#define ALLOW_EXPERIMENTAL_API
#include "sandbox/frame_window.h"

#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

namespace weir::sandbox {

namespace {
/// Buffers that the worker keeps at hand, most recently used first.
constexpr uint32_t kCacheBuffers = 256;
}  // namespace

std::unique_ptr<FrameWindow> FrameWindow::create(const std::string& name, std::string& error) {
  std::unique_ptr<FrameWindow> window(new FrameWindow());
  window->memory_ = SharedRegion::create(kBytes);
  if (!window->memory_) {
    error = "no memory for the receive buffers of " + name;
    return nullptr;
  }
  // One thread takes and gives back. There is no other way to tell the function below.
  rte_mbuf_set_user_mempool_ops("ring_sp_sc");
  rte_pktmbuf_extmem memory{.buf_ptr = window->memory_->host(),
                            .buf_iova = reinterpret_cast<rte_iova_t>(window->memory_->host()),
                            .buf_len = size_t{kBuffers} * kStrideBytes,
                            .elt_size = kStrideBytes};
  window->pool_ = rte_pktmbuf_pool_create_extbuf(name.c_str(), kBuffers, kCacheBuffers, 0,
                                                 kStrideBytes, SOCKET_ID_ANY, &memory, 1);
  if (window->pool_ == nullptr) {
    error = "cannot create the packet pool " + name + ": " + rte_strerror(rte_errno);
    return nullptr;
  }
  window->buffers_.resize(kBuffers);
  rte_mempool_obj_iter(
      window->pool_,
      [](rte_mempool*, void* self, void* object, unsigned) {
        auto* window = static_cast<FrameWindow*>(self);
        auto* segment = static_cast<rte_mbuf*>(object);
        const uint32_t address =
            window->guest_address(static_cast<const uint8_t*>(segment->buf_addr));
        window->buffers_[index_of(address)].segment = segment;
      },
      window.get());
  return window;
}

FrameWindow::~FrameWindow() { rte_mempool_free(pool_); }

}  // namespace weir::sandbox
