/// Connections that an app opens: to addresses, and to names whose addresses are tried in turn.
#include <algorithm>
#include <cstring>

#include "net/tcp/connection.h"
#include "sandbox/app.h"

namespace weir::sandbox {

void App::command_connect(const abi::CommandRecord& command) {
  Flow* flow = around_.flows.find(command.handle());
  if (flow == nullptr || flow->app != config_.id || flow->state != FlowState::ticket)
    return refuse(abi::Refusal::bad_ticket);
  uint32_t index = around_.flows.index_of(*flow);
  std::erase(tickets_, index);
  tickets_changed_ = true;
  flow->cookie = command.cookie();
  // From here on the handle is the guest's, so whatever goes wrong is told by a closed event.
  flow->state = FlowState::connecting;
  open_++;
  counters_.set(AppCounter::connections_open, open_);
  const auto& connects = config_.connects;
  auto listed = connects.end();
  if ((command.flags() & static_cast<uint8_t>(abi::ConnectFlag::entry)) != 0) {
    uint32_t entry;
    std::memcpy(&entry, command.address(), sizeof entry);
    if (entry < connects.size()) listed = connects.begin() + entry;
  } else {
    net::Endpoint remote;
    std::memcpy(remote.address.bytes.data(), command.address(), 16);
    remote.port = command.port();
    listed = std::find_if(connects.begin(), connects.end(), [&](const Connect& connect) {
      return connect.host.empty() && connect.remote == remote;
    });
  }
  if (listed == connects.end()) {
    refuse(abi::Refusal::forbidden);
    return close_flow(*flow, net::CloseReason::forbidden);
  }
  if (open_ > config_.max_connections) {
    refuse(abi::Refusal::limit);
    return close_flow(*flow, net::CloseReason::limit);
  }
  if (!listed->host.empty())
    return connect_by_name(*flow, static_cast<uint32_t>(listed - connects.begin()));
  flow->connection = around_.stack.tcp_connect(listed->remote, *this, index);
  if (flow->connection == nullptr) return close_flow(*flow, net::CloseReason::unreachable);
}

/// Opens a connection that can be sent to at once, while the name is looked up.
void App::connect_by_name(Flow& flow, uint32_t entry) {
  const Connect& connect = config_.connects[entry];
  const bool is_awaited = is_name_awaited(entry);
  const uint32_t slot = name_connects_.take();
  if (slot == Flow::kNone) {
    refuse(abi::Refusal::limit);
    return close_flow(flow, net::CloseReason::limit);
  }
  flow.connection = around_.stack.tcp_prepare(*this, around_.flows.index_of(flow));
  if (flow.connection == nullptr) return close_flow(flow, net::CloseReason::limit);
  flow.name_connect = slot;
  name_connects_[slot] = {.flow = around_.flows.index_of(flow),
                          .entry = entry,
                          .port = connect.remote.port,
                          .is_waiting = true};
  if (is_awaited) return;
  if (names_awaited_ < NameConnects::kMaxNames) {
    names_awaited_++;
    // It may be known, and told before this returns.
    if (around_.stack.resolve(connect.host, *this, entry)) return;
    names_awaited_--;
  }
  name_connects_[slot].is_waiting = false;
  refuse(abi::Refusal::limit);
  fail_connect(flow, net::CloseReason::limit);
}

/// Somebody waits for the addresses of an entry's name.
bool App::is_name_awaited(uint32_t entry) const {
  return std::any_of(name_connects_.begin(), name_connects_.end(), [&](const NameConnect& each) {
    return each.flow != Flow::kNone && each.is_waiting && each.entry == entry;
  });
}

void App::on_resolved(uint32_t tag, std::span<const net::Address> addresses) {
  names_awaited_--;
  for (NameConnect& attempt : name_connects_) {
    if (attempt.flow == Flow::kNone || !attempt.is_waiting || attempt.entry != tag) continue;
    attempt.is_waiting = false;
    attempt.count =
        static_cast<uint8_t>(std::min<size_t>(addresses.size(), NameConnect::kMaxAddresses));
    std::copy_n(addresses.begin(), attempt.count, attempt.addresses.begin());
    if (attempt.count == 0) counters_.add(AppCounter::names_unresolved);
    if (try_next_address(attempt)) continue;
    fail_connect(around_.flows[attempt.flow],
                 attempt.count == 0 ? net::CloseReason::unresolved : net::CloseReason::unreachable);
  }
}

/// False when there is none left that a connection can be opened to.
bool App::try_next_address(NameConnect& attempt) {
  net::Connection& connection = *around_.flows[attempt.flow].connection;
  while (attempt.next < attempt.count)
    if (around_.stack.tcp_aim(connection, {attempt.addresses[attempt.next++], attempt.port}))
      return true;
  return false;
}

bool App::on_address_failed(net::Connection& connection) {
  const Flow& flow = around_.flows[connection.user];
  return flow.name_connect != Flow::kNone && try_next_address(name_connects_[flow.name_connect]);
}

void App::fail_connect(Flow& flow, net::CloseReason reason) {
  net::Connection* connection = flow.connection;
  close_flow(flow, reason);
  around_.stack.abort(*connection);
}

/// The connection is open, or over: its name is not its business any more.
void App::forget_name(Flow& flow) {
  if (flow.name_connect == Flow::kNone) return;
  NameConnect& attempt = name_connects_[flow.name_connect];
  const uint32_t entry = attempt.entry;
  const bool was_waiting = attempt.is_waiting;
  attempt.flow = flow.name_connect = Flow::kNone;
  if (!was_waiting || is_name_awaited(entry)) return;
  around_.stack.cancel_resolve(*this, entry);
  names_awaited_--;
}

}  // namespace weir::sandbox
