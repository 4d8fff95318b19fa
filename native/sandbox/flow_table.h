#pragma once
#include <cstdint>
#include <new>

#include "base/page_array.h"
#include "net/flow_events.h"

namespace weir::sandbox {

enum class FlowState : uint8_t {
  free,
  /// Reserved for a connect that the guest may ask for.
  ticket,
  connecting,
  open,
  /// TCP is done with it; the guest has not been told yet, or may still give bytes back.
  closed,
};

/// What the sandbox keeps for one connection of a guest: a cache line that every event touches, and
/// one that few do.
struct alignas(64) Flow {
  static constexpr uint32_t kNone = UINT32_MAX;
  /// Bits of `pending`: events that found the event ring full, or that a new instance must be told
  /// again.
  static constexpr uint8_t kOpened = 1;
  static constexpr uint8_t kReceived = 2;
  static constexpr uint8_t kEnded = 4;
  static constexpr uint8_t kSent = 8;
  static constexpr uint8_t kClosed = 16;

  net::Connection* connection = nullptr;
  uint32_t generation = 1;
  uint32_t cookie = 0;
  uint16_t app = 0;
  FlowState state = FlowState::free;
  uint8_t pending = 0;
  bool outbound : 1 = false;
  bool inherited : 1 = false;
  bool accepted : 1 = false;
  /// The peer has sent FIN.
  bool ended : 1 = false;
  /// The guest has said close.
  bool half_closed : 1 = false;
  bool in_pending_list : 1 = false;
  /// Received views that the guest has not given back, oldest first, and their bytes.
  uint32_t view_head = kNone;
  uint32_t view_tail = kNone;
  uint32_t held_bytes = 0;
  /// Bytes that the guest has sent and that the peer has acknowledged.
  uint64_t sent_bytes = 0;
  uint64_t acknowledged_bytes = 0;

  /// The guest wants to know when this many bytes are acknowledged; 0 for never.
  alignas(64) uint64_t notify_at_bytes = 0;
  /// And again at this many; a notice that is asked for does not push another one back.
  uint64_t notify_last_bytes = 0;
  /// Bytes that a former instance sent and that are still to be acknowledged: not the present one's
  /// business.
  uint64_t inherited_bytes = 0;
  /// The first view that the guest has not been shown (while kReceived is pending).
  uint32_t view_unseen = kNone;
  uint32_t next_pending = kNone;
  /// Links of the app's list of flows; `next` also links free ones.
  uint32_t next = kNone;
  uint32_t previous = kNone;
  /// Which of the app's connects by name it is, until it is open; kNone for none.
  uint32_t name_connect = kNone;
  net::CloseReason reason = net::CloseReason::finished;
};
static_assert(sizeof(Flow) == 128);

/// The handles of one worker: index + generation, for all apps on it.
class FlowTable {
 public:
  explicit FlowTable(uint32_t capacity) : capacity_(capacity), flows_(capacity) {}

  /// A fresh flow of `app`, or Flow::kNone when all are in use.
  uint32_t take(uint16_t app) {
    uint32_t generation = 1;
    uint32_t index = free_head_;
    if (index != Flow::kNone) {
      free_head_ = flows_[index].next;
      generation = flows_[index].generation;
    } else if (touched_ < capacity_) {
      index = touched_++;
    } else {
      return Flow::kNone;
    }
    Flow& flow = *new (&flows_[index]) Flow;
    flow.generation = generation;
    flow.app = app;
    return index;
  }
  /// The handle is stale from here on.
  void give_back(uint32_t index) {
    Flow& flow = flows_[index];
    flow.state = FlowState::free;
    flow.connection = nullptr;
    flow.generation++;
    flow.next = free_head_;
    free_head_ = index;
  }

  Flow& operator[](uint32_t index) { return flows_[index]; }
  uint64_t handle(uint32_t index) const { return uint64_t{flows_[index].generation} << 32 | index; }
  /// The flow of a handle; nullptr when it is over, or never was.
  Flow* find(uint64_t handle) {
    auto index = static_cast<uint32_t>(handle);
    if (index >= touched_) return nullptr;
    Flow& flow = flows_[index];
    if (flow.generation != static_cast<uint32_t>(handle >> 32) || flow.state == FlowState::free)
      return nullptr;
    return &flow;
  }
  uint32_t index_of(const Flow& flow) const { return static_cast<uint32_t>(&flow - flows_.data()); }

 private:
  uint32_t capacity_;
  PageArray<Flow> flows_;
  /// Flows that were ever taken lie below this index.
  uint32_t touched_ = 0;
  uint32_t free_head_ = Flow::kNone;
};

}  // namespace weir::sandbox
