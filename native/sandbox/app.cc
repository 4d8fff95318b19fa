#include "sandbox/app.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "net/tcp/connection.h"

namespace weir::sandbox {
namespace {

void copy_payload(uint8_t* to, const net::Payload& payload) {
  const void* bytes =
      rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, to);
  // rte_pktmbuf_read copies only when the bytes lie in several segments.
  if (bytes != to) std::memcpy(to, bytes, payload.length_bytes);
}

}  // namespace

App::App(AppConfig config, std::shared_ptr<Module> module, const Surroundings& surroundings,
         uint64_t* counter_values, std::unique_ptr<Windows> windows)
    : config_(std::move(config)),
      module_(std::move(module)),
      around_(surroundings),
      counters_(counter_values),
      windows_(std::move(windows)),
      command_copy_(abi::kCommandCapacity) {
  tickets_.reserve(abi::kTicketCapacity);
}

App::~App() { shut_down(); }

std::unique_ptr<App> App::create(AppConfig config, std::shared_ptr<Module> module,
                                 Surroundings surroundings, uint64_t* counter_values,
                                 std::string& error) {
  auto windows = Windows::create(surroundings.frames);
  if (!windows) {
    error = "no memory for the app's windows";
    return nullptr;
  }
  std::unique_ptr<App> app(new App(std::move(config), std::move(module), surroundings,
                                   counter_values, std::move(windows)));
  if (!app->fits_info(app->config_, error)) return nullptr;
  app->counters_.clear();
  return app;
}

void App::become_ready() {
  if (ready_) return;
  ready_ = true;
  around_.ready.push_back(this);
}

/// An instance is there, or may be started now.
bool App::accepting() const { return !shut_down_ && around_.time.mono_us >= restart_at_us_; }

// ---- flows ----

Flow* App::take_flow() {
  uint32_t index = around_.flows.take(static_cast<uint16_t>(config_.id));
  if (index == Flow::kNone) return nullptr;
  Flow& flow = around_.flows[index];
  flow.next = flows_head_;
  if (flows_head_ != Flow::kNone) around_.flows[flows_head_].previous = index;
  flows_head_ = index;
  return &flow;
}

void App::drop_views(Flow& flow) {
  for (uint32_t index = flow.view_head; index != Flow::kNone;) {
    const View view = views_[index];
    if (!view.given_back) windows_->release(view.address);
    views_.give_back(index);
    index = view.next;
  }
  flow.view_head = flow.view_tail = flow.view_unseen = Flow::kNone;
  flow.held_bytes = 0;
}

/// Frees a flow that is not in the pending list. Its handle is stale from here on.
void App::free_flow(Flow& flow) {
  forget_name(flow);
  drop_views(flow);
  if (flow.state == FlowState::open || flow.state == FlowState::connecting) {
    open_--;
    counters_.set(AppCounter::connections_open, open_);
  }
  if (flow.previous != Flow::kNone)
    around_.flows[flow.previous].next = flow.next;
  else
    flows_head_ = flow.next;
  if (flow.next != Flow::kNone) around_.flows[flow.next].previous = flow.previous;
  around_.flows.give_back(around_.flows.index_of(flow));
}

/// TCP is done with the connection: the guest will be told why.
void App::close_flow(Flow& flow, net::CloseReason reason) {
  forget_name(flow);
  if (flow.state == FlowState::open || flow.state == FlowState::connecting) {
    open_--;
    counters_.set(AppCounter::connections_open, open_);
  }
  flow.connection = nullptr;
  flow.state = FlowState::closed;
  flow.reason = reason;
  tell(flow, Flow::kClosed);
}

// ---- events ----

abi::EventRecord* App::next_record() {
  if (event_count_ == abi::kEventCapacity) return nullptr;
  stalled_ = false;
  return &record(event_count_++);
}

/// Shows the guest one event of `flow` in its next call: at once, or behind those that wait
/// already.
void App::tell(Flow& flow, uint8_t what) {
  if (flow.pending != 0 || !emit(flow, what)) postpone(flow, what);
  become_ready();
}

void App::postpone(Flow& flow, uint8_t what) {
  flow.pending |= what;
  if (flow.in_pending_list) return;
  flow.in_pending_list = true;
  flow.next_pending = Flow::kNone;
  uint32_t index = around_.flows.index_of(flow);
  if (pending_tail_ == Flow::kNone)
    pending_head_ = index;
  else
    around_.flows[pending_tail_].next_pending = index;
  pending_tail_ = index;
}

bool App::emit_received(Flow& flow, uint32_t view) {
  abi::EventRecord* event = next_record();
  if (event == nullptr) return false;
  event->set_kind(static_cast<uint8_t>(abi::EventKind::received));
  event->set_flags(0);
  event->set_port(0);
  event->set_cookie(flow.cookie);
  event->set_handle(around_.flows.handle(around_.flows.index_of(flow)));
  // Where the SDK keeps its connection (docs/abi.md); any other value does no harm.
  if (instance_ != nullptr) {
    const uint8_t* at = instance_->memory().base() + flow.cookie;
    rte_prefetch0(at);
    rte_prefetch0(at + RTE_CACHE_LINE_SIZE);
  }
  event->set_data(views_[view].address);
  event->set_data_bytes(views_[view].length_bytes);
  return true;
}

/// Writes one event of `flow`; false when the ring is full.
bool App::emit(Flow& flow, uint8_t what) {
  abi::EventRecord* event = next_record();
  if (event == nullptr) return false;
  std::memset(event->bytes, 0, sizeof event->bytes);
  event->set_cookie(flow.cookie);
  event->set_handle(around_.flows.handle(around_.flows.index_of(flow)));
  switch (what) {
    case Flow::kOpened: {
      event->set_kind(static_cast<uint8_t>(abi::EventKind::opened));
      const net::Connection& connection = *flow.connection;
      event->set_port(connection.remote.port);
      std::memcpy(event->address(), connection.remote.address.bytes.data(), 16);
      if (flow.outbound) {
        event->set_flags(static_cast<uint8_t>(abi::OpenedFlag::outbound));
      } else {
        if (flow.inherited) event->set_flags(static_cast<uint8_t>(abi::OpenedFlag::inherited));
        for (uint32_t i = 0; i < config_.listens.size(); i++)
          if (config_.listens[i].protocol == Protocol::tcp &&
              config_.listens[i].port == connection.local.port)
            event->set_listen(i);
      }
      break;
    }
    case Flow::kEnded:
      event->set_kind(static_cast<uint8_t>(abi::EventKind::ended));
      break;
    case Flow::kSent:
      event->set_kind(static_cast<uint8_t>(abi::EventKind::sent));
      event->set_acknowledged_bytes(flow.acknowledged_bytes);
      break;
    default:
      event->set_kind(static_cast<uint8_t>(abi::EventKind::closed));
      event->set_reason(static_cast<uint32_t>(flow.reason));
      special_events_++;
      break;
  }
  return true;
}

/// Writes what found the ring full, flow by flow in the order it came, and what a new instance has
/// to be told.
void App::emit_postponed() {
  while (pending_head_ != Flow::kNone) {
    Flow& flow = around_.flows[pending_head_];
    bool untold = (flow.pending & Flow::kOpened) != 0 && flow.connection == nullptr;
    // Over before the guest heard of it: of one that it asked for it still learns the end, of
    // others nothing.
    if (untold) flow.pending = flow.outbound ? Flow::kClosed : 0;
    while (flow.pending != 0) {
      // Within a flow the order is: opened, received, ended, sent, closed.
      auto what = static_cast<uint8_t>(flow.pending & -flow.pending);
      if (what == Flow::kReceived) {
        while (flow.view_unseen != Flow::kNone) {
          const View& view = views_[flow.view_unseen];
          if (!view.given_back && !emit_received(flow, flow.view_unseen)) return;
          flow.view_unseen = view.next;
        }
      } else if (!emit(flow, what)) {
        return;
      }
      flow.pending &= static_cast<uint8_t>(~what);
    }
    pending_head_ = flow.next_pending;
    if (pending_head_ == Flow::kNone) pending_tail_ = Flow::kNone;
    flow.in_pending_list = false;
    if (untold && !flow.outbound) free_flow(flow);
  }
}

/// The guest is done with the first `count` events; the others move to the front of the ring.
void App::consume_events(uint32_t count) {
  if (special_events_ != 0) {
    for (uint32_t i = 0; i < count; i++) {
      const abi::EventRecord& event = record(i);
      auto kind = static_cast<abi::EventKind>(event.kind());
      if (kind == abi::EventKind::datagram) {
        if (event.datagram_bytes() != 0) windows_->release(event.datagram());
        special_events_--;
      } else if (kind == abi::EventKind::closed) {
        if (Flow* flow = around_.flows.find(event.handle())) free_flow(*flow);
        special_events_--;
      }
    }
  }
  uint32_t left = event_count_ - count;
  if (count != 0 && left != 0) {
    std::memmove(&record(0), &record(count), size_t{left} * sizeof(abi::EventRecord));
    // The guest may have set cookies since these were written.
    for (uint32_t i = 0; i < left; i++) {
      abi::EventRecord& event = record(i);
      auto kind = static_cast<abi::EventKind>(event.kind());
      if (kind != abi::EventKind::received && kind != abi::EventKind::ended &&
          kind != abi::EventKind::sent && kind != abi::EventKind::closed)
        continue;
      if (const Flow* flow = around_.flows.find(event.handle())) event.set_cookie(flow->cookie);
    }
  }
  event_count_ = left;
}

/// Nobody will consume what is in the ring: frees what it held.
void App::discard_events() {
  for (uint32_t i = 0; i < event_count_ && special_events_ != 0; i++) {
    const abi::EventRecord& event = record(i);
    if (static_cast<abi::EventKind>(event.kind()) == abi::EventKind::datagram &&
        event.datagram_bytes() != 0)
      windows_->release(event.datagram());
  }
  special_events_ = 0;
  event_count_ = 0;
  for (uint32_t index = pending_head_; index != Flow::kNone;) {
    Flow& flow = around_.flows[index];
    index = flow.next_pending;
    flow.in_pending_list = false;
    flow.pending = 0;
  }
  pending_head_ = pending_tail_ = Flow::kNone;
}

void App::run_timers() {
  if (around_.time.mono_us < deadline_us_) return;
  if (timer_us_ <= around_.time.mono_us) {
    if (abi::EventRecord* event = next_record()) {
      std::memset(event->bytes, 0, sizeof event->bytes);
      event->set_kind(static_cast<uint8_t>(abi::EventKind::timer));
      event->set_deadline_us(timer_us_);
      timer_us_ = UINT64_MAX;
    } else {
      // The ring is full: the guest gets a chance to empty it, and the timer waits a little.
      stalled_ = false;
      timer_us_ = around_.time.mono_us + 1000;
    }
  }
  deadline_us_ = timer_us_;
  become_ready();
}

// ---- what the stack tells ----

bool App::on_knock(uint32_t, const net::Endpoint&) {
  if (accepting() && open_ < config_.max_connections) return true;
  counters_.add(AppCounter::connections_refused);
  return false;
}

bool App::on_opened(net::Connection& connection, uint32_t, bool outbound) {
  Flow* flow;
  if (outbound) {
    flow = &around_.flows[connection.user];
    forget_name(*flow);
    counters_.add(AppCounter::connections_outbound);
  } else {
    if (!accepting() || open_ >= config_.max_connections || (flow = take_flow()) == nullptr) {
      counters_.add(AppCounter::connections_refused);
      return false;
    }
    open_++;
    counters_.set(AppCounter::connections_open, open_);
    counters_.add(AppCounter::connections_accepted);
    connection.user = around_.flows.index_of(*flow);
    flow->connection = &connection;
  }
  connection.wants_acknowledged = true;
  flow->state = FlowState::open;
  flow->outbound = outbound;
  tell(*flow, Flow::kOpened);
  return true;
}

/// A place in the window for what was received: a copy, or where it is already. 0 when the window
/// is full.
uint32_t App::place(const net::Payload& payload) {
  if (FrameWindow* frames = windows_->frames(); frames != nullptr) {
    if (payload.length_bytes <= abi::kCopyLimitBytes) {
      around_.counters.add(Counter::copied_rx_small_bytes, payload.length_bytes);
    } else if (uint32_t address = keep_whole(payload); address != 0) {
      around_.counters.add(Counter::kept_rx_bytes, payload.length_bytes);
      return address;
    }
  }
  const uint32_t address = windows_->allocate(payload.length_bytes);
  if (address == 0) return 0;
  copy_payload(windows_->host(address), payload);
  around_.counters.add(Counter::copied_rx_bytes, payload.length_bytes);
  return address;
}

/// Keeps a payload that lies in one segment in place; 0 if it does not, or has to be copied.
uint32_t App::keep_whole(const net::Payload& payload) {
  const rte_mbuf* segment = payload.head;
  uint32_t offset_bytes = payload.offset_bytes;
  while (segment != nullptr && offset_bytes >= segment->data_len) {
    offset_bytes -= segment->data_len;
    segment = segment->next;
  }
  if (segment == nullptr || offset_bytes + payload.length_bytes > segment->data_len) return 0;
  return windows_->keep_in_place(segment,
                                 rte_pktmbuf_mtod_offset(segment, const uint8_t*, offset_bytes));
}

/// Finds places for a packet that came in several buffers, each in place if it can be. Returns how
/// many, or 0 when it has to be copied as a whole.
uint32_t App::place_pieces(const net::Payload& payload, std::span<Placed> placed) {
  net::Payload piece = payload;
  uint32_t count = 0;
  for (uint32_t left = payload.length_bytes; left != 0; left -= piece.length_bytes) {
    while (piece.offset_bytes >= piece.head->data_len) {
      piece.offset_bytes -= piece.head->data_len;
      piece.head = piece.head->next;
    }
    piece.length_bytes = std::min(left, piece.head->data_len - piece.offset_bytes);
    const uint32_t address = count == placed.size() ? 0 : place(piece);
    if (address == 0) {
      while (count != 0) windows_->release(placed[--count].address);
      return 0;
    }
    placed[count++] = {address, piece.length_bytes};
    piece.offset_bytes += piece.length_bytes;
  }
  return count;
}

void App::prefetch(const net::Connection& connection) const {
  rte_prefetch0(&around_.flows[connection.user]);
}

bool App::on_data(net::Connection& connection, const net::Payload& payload) {
  Flow& flow = around_.flows[connection.user];
  if (windows_->frames() != nullptr && payload.head->nb_segs > 1) {
    std::array<Placed, kMaxPieces> placed;
    const uint32_t count = views_.has_room(kMaxPieces) ? place_pieces(payload, placed) : 0;
    for (uint32_t i = 0; i < count; i++) show(flow, placed[i]);
    if (count != 0) return true;
  }
  const Placed placed{views_.has_room(1) ? place(payload) : 0, payload.length_bytes};
  if (placed.address == 0) {
    counters_.add(AppCounter::dropped_window_full);
    return false;
  }
  show(flow, placed);
  return true;
}

/// Makes a view of received bytes, for which there is room, and shows it.
void App::show(Flow& flow, const Placed& placed) {
  const uint32_t index = views_.take(placed.address, placed.length_bytes);
  counters_.add(AppCounter::received_bytes, placed.length_bytes);
  if (flow.view_tail == Flow::kNone)
    flow.view_head = index;
  else
    views_[flow.view_tail].next = index;
  flow.view_tail = index;
  flow.held_bytes += placed.length_bytes;
  if (flow.pending != 0 || !emit_received(flow, index)) {
    if (flow.view_unseen == Flow::kNone) flow.view_unseen = index;
    postpone(flow, Flow::kReceived);
  }
  become_ready();
}

void App::on_end(net::Connection& connection) {
  Flow& flow = around_.flows[connection.user];
  flow.ended = true;
  tell(flow, Flow::kEnded);
}

void App::on_acknowledged(net::Connection& connection, uint32_t bytes) {
  Flow& flow = around_.flows[connection.user];
  if (flow.inherited_bytes != 0) [[unlikely]] {
    auto inherited = static_cast<uint32_t>(std::min<uint64_t>(flow.inherited_bytes, bytes));
    flow.inherited_bytes -= inherited;
    bytes -= inherited;
  }
  flow.acknowledged_bytes += bytes;
  if (flow.notify_at_bytes == 0 || flow.acknowledged_bytes < flow.notify_at_bytes) return;
  flow.notify_at_bytes =
      flow.notify_last_bytes > flow.acknowledged_bytes ? flow.notify_last_bytes : 0;
  tell(flow, Flow::kSent);
}

void App::on_closed(net::Connection& connection, net::CloseReason reason) {
  close_flow(around_.flows[connection.user], reason);
}

bool App::on_datagram(uint32_t listener_tag, const net::Endpoint& remote, const net::Endpoint&,
                      const net::Payload& payload) {
  uint32_t address = 0;
  bool room = accepting() && event_count_ < abi::kEventCapacity;
  if (room && payload.length_bytes != 0) room = (address = place(payload)) != 0;
  if (!room) {
    counters_.add(AppCounter::dropped_window_full);
    return false;
  }
  counters_.add(AppCounter::datagrams_received);
  abi::EventRecord* event = next_record();
  event->set_kind(static_cast<uint8_t>(abi::EventKind::datagram));
  event->set_flags(0);
  event->set_port(remote.port);
  event->set_listen(listener_tag);
  event->set_datagram(address);
  event->set_datagram_bytes(payload.length_bytes);
  std::memcpy(event->address(), remote.address.bytes.data(), 16);
  special_events_++;
  become_ready();
  return true;
}

void App::release(const net::HeldBuffer& buffer) {
  windows_->release(windows_->guest_address(buffer.data));
  if (buffer.tag == 0) return;
  // A forwarded view: only now may the peer it came from send more.
  Flow* source = around_.flows.find(buffer.tag);
  if (source != nullptr && source->connection != nullptr)
    around_.stack.consume(*source->connection, buffer.length_bytes);
}

}  // namespace weir::sandbox
