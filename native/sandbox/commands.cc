#include <algorithm>
#include <cstring>

#include "net/tcp/connection.h"
#include "sandbox/app.h"

namespace weir::sandbox {
namespace {
/// How far into the views of a connection a forward may reach; beyond it the view counts as not
/// held.
constexpr int kForwardReach = 64;
/// A timer is due this long after it was set at the earliest.
constexpr uint64_t kShortestTimerUs = 500;
}  // namespace

void App::refuse(abi::Refusal why) {
  counters_.refused(why);
  around_.counters.add(Counter::guest_refusals);
}

/// The guest's own flow of a handle, or nullptr with the refusal counted.
Flow* App::flow_of(uint64_t handle) {
  Flow* flow = around_.flows.find(handle);
  if (flow == nullptr) {
    refuse(abi::Refusal::stale_handle);
    return nullptr;
  }
  if (flow->app != config_.id) {
    refuse(abi::Refusal::foreign_handle);
    return nullptr;
  }
  return flow;
}

/// The same, if bytes can be sent on it.
Flow* App::sendable_flow(uint64_t handle) {
  Flow* flow = flow_of(handle);
  if (flow == nullptr) return nullptr;
  if (flow->connection == nullptr) {
    refuse(flow->state == FlowState::ticket ? abi::Refusal::bad_state : abi::Refusal::stale_handle);
    return nullptr;
  }
  if (flow->half_closed) {
    refuse(abi::Refusal::bad_state);
    return nullptr;
  }
  return flow;
}

void App::execute(const abi::CommandRecord* commands, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) execute_one(commands[i]);
}

void App::execute_one(const abi::CommandRecord& command) {
  switch (static_cast<abi::CommandKind>(command.kind())) {
    case abi::CommandKind::accept:
      return command_accept(command);
    case abi::CommandKind::connect:
      return command_connect(command);
    case abi::CommandKind::send:
      return command_send(command);
    case abi::CommandKind::sendv:
      return command_sendv(command);
    case abi::CommandKind::forward:
      return command_forward(command);
    case abi::CommandKind::recv_done:
      return command_recv_done(command);
    case abi::CommandKind::close:
      return command_close(command);
    case abi::CommandKind::abort:
      return command_abort(command);
    case abi::CommandKind::udp_send:
      return command_udp_send(command);
    case abi::CommandKind::timer_set:
      // Not at once, or a guest could keep its worker from ever sleeping.
      timer_us_ = command.deadline_us() == 0
                      ? UINT64_MAX
                      : std::max(command.deadline_us(), around_.time.mono_us + kShortestTimerUs);
      deadline_us_ = timer_us_;
      return;
    case abi::CommandKind::notify:
      return command_notify(command);
    case abi::CommandKind::reject:
    case abi::CommandKind::verdict:
      break;
  }
  refuse(abi::Refusal::bad_kind);
}

void App::command_accept(const abi::CommandRecord& command) {
  Flow* flow = flow_of(command.handle());
  if (flow == nullptr) return;
  if (flow->outbound || flow->accepted || flow->state == FlowState::ticket)
    return refuse(abi::Refusal::bad_state);
  flow->accepted = true;
  flow->cookie = command.cookie();
}

/// Bookkeeping of a send. When the stack did not take the bytes the stream would have a hole: the
/// connection ends.
bool App::after_send(Flow& flow, net::SendResult result, uint32_t bytes, bool referenced) {
  if (result == net::SendResult::ok) {
    flow.sent_bytes += bytes;
    counters_.add(AppCounter::sent_bytes, bytes);
    if (referenced) {
      around_.counters.add(Counter::referenced_tx_bytes, bytes);
      counters_.add(AppCounter::sent_referenced_bytes, bytes);
    } else {
      around_.counters.add(Counter::copied_tx_bytes, bytes);
      if (bytes <= abi::kCopyLimitBytes)
        around_.counters.add(Counter::copied_tx_small_bytes, bytes);
    }
    return true;
  }
  if (result == net::SendResult::closing) {
    refuse(abi::Refusal::bad_state);
    return false;
  }
  refuse(abi::Refusal::limit);
  net::Connection* connection = flow.connection;
  close_flow(flow, result == net::SendResult::limit ? net::CloseReason::send_limit
                                                    : net::CloseReason::no_memory);
  around_.stack.abort(*connection);
  return false;
}

/// Sends bytes that are readable. Up to the copy limit they are copied; above it bytes in a window
/// are held by reference while the window is below its watermark.
bool App::send_bytes(Flow& flow, uint32_t address, uint32_t bytes) {
  if (bytes == 0) return true;
  if (bytes > abi::kCopyLimitBytes) {
    uint8_t* data = nullptr;
    net::BufferOwner* owner = nullptr;
    if (Windows::in_tx_buffers(address, bytes)) {
      data = windows_->host(address);
      owner = &windows_->tx_region();
      windows_->tx_region().retain();
    } else if (windows_->held(address, bytes)) {
      if (windows_->above_watermark(address)) {
        around_.counters.add(Counter::copied_tx_held_bytes, bytes);
      } else {
        data = windows_->host(address);
        owner = this;
        windows_->retain(address);
      }
    }
    if (owner != nullptr) {
      net::HeldBuffer buffer{data, bytes, owner, 0};
      net::SendResult result = around_.stack.send_held(*flow.connection, buffer);
      if (result != net::SendResult::ok) owner->release(buffer);
      return after_send(flow, result, bytes, true);
    }
  }
  net::SendResult result =
      around_.stack.send_copy(*flow.connection, {instance_->memory().base() + address, bytes});
  return after_send(flow, result, bytes, false);
}

/// The guest wants to hear when all but so much of what was sent so far is acknowledged; perhaps it
/// is already.
void App::ask_notice(Flow& flow, uint32_t remaining_bytes) {
  const uint64_t at_bytes = flow.sent_bytes - std::min<uint64_t>(flow.sent_bytes, remaining_bytes);
  if (flow.acknowledged_bytes >= at_bytes) return tell(flow, Flow::kSent);
  flow.notify_last_bytes = std::max(flow.notify_last_bytes, at_bytes);
  flow.notify_at_bytes =
      flow.notify_at_bytes == 0 ? at_bytes : std::min(flow.notify_at_bytes, at_bytes);
}

void App::ask_if_wanted(Flow& flow, const abi::CommandRecord& command) {
  if ((command.flags() & static_cast<uint8_t>(abi::SendFlag::notify)) != 0) ask_notice(flow, 0);
}

void App::command_notify(const abi::CommandRecord& command) {
  Flow* flow = sendable_flow(command.handle());
  if (flow != nullptr) ask_notice(*flow, command.remaining_bytes());
}

void App::command_send(const abi::CommandRecord& command) {
  Flow* flow = sendable_flow(command.handle());
  if (flow == nullptr) return;
  if (!readable(command.data(), command.data_bytes())) return refuse(abi::Refusal::bad_range);
  if (send_bytes(*flow, command.data(), command.data_bytes())) ask_if_wanted(*flow, command);
}

void App::command_sendv(const abi::CommandRecord& command) {
  Flow* flow = sendable_flow(command.handle());
  if (flow == nullptr) return;
  struct Piece {
    uint32_t address;
    uint32_t bytes;
  } pieces[abi::kSendvCapacity];
  uint32_t count = command.data_bytes();
  if (count > abi::kSendvCapacity) return refuse(abi::Refusal::too_long);
  if (!readable(command.data(), count * sizeof(Piece))) return refuse(abi::Refusal::bad_range);
  // Copied once as well: checked and used are the same pieces.
  std::memcpy(pieces, instance_->memory().base() + command.data(), count * sizeof(Piece));
  for (uint32_t i = 0; i < count; i++)
    if (!readable(pieces[i].address, pieces[i].bytes)) return refuse(abi::Refusal::bad_range);
  for (uint32_t i = 0; i < count; i++)
    if (!send_bytes(*flow, pieces[i].address, pieces[i].bytes)) return;
  ask_if_wanted(*flow, command);
}

void App::command_forward(const abi::CommandRecord& command) {
  Flow* source = flow_of(command.source());
  if (source == nullptr) return;
  uint32_t index = source->view_head;
  for (int reach = 0; index != Flow::kNone && reach < kForwardReach; reach++) {
    const View& view = views_[index];
    if (!view.given_back && view.address == command.data()) break;
    index = view.next;
  }
  if (index == Flow::kNone || views_[index].given_back || views_[index].address != command.data() ||
      views_[index].length_bytes != command.data_bytes())
    return refuse(abi::Refusal::not_held);

  // The view leaves the guest's hands whether or not the destination takes it.
  View& view = views_[index];
  uint32_t address = view.address;
  uint32_t bytes = view.length_bytes;
  view.given_back = true;
  source->held_bytes -= bytes;
  while (source->view_head != Flow::kNone && views_[source->view_head].given_back) {
    uint32_t first = source->view_head;
    source->view_head = views_[first].next;
    if (source->view_unseen == first) source->view_unseen = source->view_head;
    views_.give_back(first);
  }
  if (source->view_head == Flow::kNone) source->view_tail = Flow::kNone;

  Flow* flow = sendable_flow(command.handle());
  bool sent = false;
  if (flow != nullptr && bytes > abi::kCopyLimitBytes && !windows_->above_watermark(address)) {
    net::HeldBuffer buffer{windows_->host(address), bytes, this, command.source()};
    net::SendResult result = around_.stack.send_held(*flow->connection, buffer);
    if (result == net::SendResult::ok) {
      after_send(*flow, result, bytes, true);
      return ask_if_wanted(*flow, command);
    }
    after_send(*flow, result, bytes, true);
  } else if (flow != nullptr) {
    if (bytes > abi::kCopyLimitBytes) around_.counters.add(Counter::copied_tx_held_bytes, bytes);
    net::SendResult result =
        around_.stack.send_copy(*flow->connection, {windows_->host(address), bytes});
    sent = after_send(*flow, result, bytes, false);
  }
  windows_->release(address);
  if (source->connection != nullptr) around_.stack.consume(*source->connection, bytes);
  if (sent) ask_if_wanted(*flow, command);
}

/// Takes the oldest `bytes` of the views that were not forwarded away.
void App::give_back_front(Flow& flow, uint32_t bytes) {
  flow.held_bytes -= bytes;
  while (flow.view_head != Flow::kNone) {
    uint32_t index = flow.view_head;
    View& view = views_[index];
    if (!view.given_back) {
      if (bytes == 0) break;
      if (bytes < view.length_bytes) {
        // The chunk is the same, so the reference stays with what is left.
        view.address += bytes;
        view.length_bytes -= bytes;
        break;
      }
      bytes -= view.length_bytes;
      windows_->release(view.address);
    }
    flow.view_head = view.next;
    if (flow.view_unseen == index) flow.view_unseen = view.next;
    views_.give_back(index);
  }
  if (flow.view_head == Flow::kNone) flow.view_tail = Flow::kNone;
}

void App::command_recv_done(const abi::CommandRecord& command) {
  Flow* flow = flow_of(command.handle());
  if (flow == nullptr) return;
  uint32_t bytes = command.data_bytes();
  if (bytes > flow->held_bytes) return refuse(abi::Refusal::not_held);
  if (bytes == 0) return;
  give_back_front(*flow, bytes);
  if (flow->connection != nullptr) around_.stack.consume(*flow->connection, bytes);
}

void App::command_close(const abi::CommandRecord& command) {
  Flow* flow = sendable_flow(command.handle());
  if (flow == nullptr) return;
  flow->half_closed = true;
  around_.stack.close(*flow->connection);
}

void App::command_abort(const abi::CommandRecord& command) {
  Flow* flow = flow_of(command.handle());
  if (flow == nullptr) return;
  if (flow->connection == nullptr) return refuse(abi::Refusal::stale_handle);
  net::Connection* connection = flow->connection;
  close_flow(*flow, net::CloseReason::aborted);
  around_.stack.abort(*connection);
}

void App::command_udp_send(const abi::CommandRecord& command) {
  if (command.listen() >= config_.listens.size() ||
      config_.listens[command.listen()].protocol != Protocol::udp)
    return refuse(abi::Refusal::forbidden);
  if (!readable(command.datagram(), command.datagram_bytes()))
    return refuse(abi::Refusal::bad_range);
  net::Endpoint remote;
  std::memcpy(remote.address.bytes.data(), command.address(), 16);
  remote.port = command.port();
  if (!around_.stack.udp_send(
          config_.listens[command.listen()].port, remote,
          {instance_->memory().base() + command.datagram(), command.datagram_bytes()}))
    return refuse(abi::Refusal::too_long);
  counters_.add(AppCounter::datagrams_sent);
  around_.counters.add(Counter::copied_tx_bytes, command.datagram_bytes());
}

}  // namespace weir::sandbox
