#include "sim/app.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <string>

#include "net/tcp/connection.h"

namespace weir::sim {
namespace {

constexpr uint64_t kRetryConnectNs = 50'000'000;
constexpr uint64_t kBreathNs = 5'000'000;
constexpr uint8_t kSpoiled = 0xdd;

}  // namespace

HeldBytes::~HeldBytes() {
  if (outstanding_ != 0)
    watcher_.fail(std::to_string(outstanding_) + " buffers were never given back to the handler");
}

net::HeldBuffer HeldBytes::hold(std::span<const uint8_t> bytes) {
  uint64_t tag = buffers_.size();
  if (free_.empty()) {
    buffers_.emplace_back();
    held_.push_back(false);
  } else {
    tag = free_.back();
    free_.pop_back();
  }
  buffers_[tag].assign(bytes.begin(), bytes.end());
  held_[tag] = true;
  outstanding_++;
  return {buffers_[tag].data(), static_cast<uint32_t>(bytes.size()), this, tag};
}

void HeldBytes::take_back(const net::HeldBuffer& buffer) { release(buffer); }

void HeldBytes::release(const net::HeldBuffer& buffer) {
  if (buffer.tag >= held_.size() || !held_[buffer.tag])
    return watcher_.fail("a buffer was given back twice");
  held_[buffer.tag] = false;
  std::vector<uint8_t>& bytes = buffers_[buffer.tag];
  if (buffer.data != bytes.data() || buffer.length_bytes != bytes.size())
    return watcher_.fail("another buffer was given back than was held");
  std::fill(bytes.begin(), bytes.end(), kSpoiled);
  free_.push_back(buffer.tag);
  outstanding_--;
}

App::App(Host& host, std::deque<Pair>& pairs, const AppConfig& config, Watcher& watcher,
         Random random)
    : host_(host),
      pairs_(pairs),
      config_(config),
      watcher_(watcher),
      random_(random),
      held_(watcher) {}

void App::open(Pair& pair) {
  const net::Endpoint remote{config_.peer, pair.port};
  net::Connection* connection = host_.stack().tcp_connect(remote, *this, pair.port);
  if (connection == nullptr) {
    // All connections are in use; later, perhaps.
    pair.opens_at_ns = now_ns_ + kRetryConnectNs;
    return;
  }
  pair.tried = true;
  pair.opener_port = connection->local.port;
  pair.client().connection = connection;
}

End* App::end_of(net::Connection& connection) {
  const uint16_t port = connection.local.port >= kFirstPort + pairs_.size() ? connection.remote.port
                                                                            : connection.local.port;
  if (port < kFirstPort || port >= kFirstPort + pairs_.size()) {
    watcher_.fail("an event of a connection that nobody opened");
    return nullptr;
  }
  End& end = pairs_[port - kFirstPort].ends[host_.index()];
  if (end.is_over()) {
    watcher_.fail("an event after the end of a connection");
    return nullptr;
  }
  return &end;
}

bool App::on_opened(net::Connection& connection, uint32_t, bool outbound) {
  End* end = end_of(connection);
  if (end == nullptr) return false;
  if (end->opened) watcher_.fail("a connection was opened twice");
  if (outbound != (end->connection != nullptr)) watcher_.fail("a connection's direction is wrong");
  connection.wants_acknowledged = random_.one_in(2);
  end->connection = &connection;
  end->opened = true;
  if (!end->refuses) return true;
  end->aborted = true;
  end->connection = nullptr;
  return false;
}

void App::abort(End& end) {
  end.aborted = true;
  host_.stack().abort(*end.connection);
  end.connection = nullptr;
}

bool App::on_data(net::Connection& connection, const net::Payload& payload) {
  End* found = end_of(connection);
  if (found == nullptr) return true;
  End& end = *found;
  if (!end.opened) watcher_.fail("data before the connection was opened");
  if (end.ended) watcher_.fail("data after the peer's FIN");
  if (payload.length_bytes == 0) watcher_.fail("an event of no data");
  if (config_.refuses_one_in != 0 && random_.one_in(config_.refuses_one_in)) return false;
  buffer_.resize(payload.length_bytes);
  const auto* bytes = static_cast<const uint8_t*>(
      rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, buffer_.data()));
  if (bytes == nullptr || !end.receives.matches(end.received_bytes, {bytes, payload.length_bytes}))
    watcher_.fail("wrong bytes at place " + std::to_string(end.received_bytes) + " of the stream");
  end.received_bytes += payload.length_bytes;
  if (end.received_bytes >= end.aborts_at_bytes) {
    abort(end);
    return random_.one_in(2);
  }
  if (config_.idles_one_in != 0 && random_.one_in(config_.idles_one_in))
    idles_until_ns_ = now_ns_ + random_.below(config_.idle_ns);
  if (now_ns_ >= idles_until_ns_ && random_.one_in(config_.consumes_at_once_one_in))
    host_.stack().consume(connection, payload.length_bytes);
  else
    later_.push_back(
        {now_ns_ + random_.below(config_.consume_delay_ns + 1), found, payload.length_bytes});
  return true;
}

void App::on_end(net::Connection& connection) {
  End* end = end_of(connection);
  if (end == nullptr) return;
  if (end->ended) watcher_.fail("the peer's FIN was reported twice");
  end->ended = true;
}

void App::on_acknowledged(net::Connection& connection, uint32_t bytes) {
  End* end = end_of(connection);
  if (end == nullptr) return;
  end->acknowledged_bytes += bytes;
  if (end->acknowledged_bytes > end->sent_bytes)
    watcher_.fail("more bytes were reported as acknowledged than were sent");
}

void App::on_closed(net::Connection& connection, net::CloseReason reason) {
  End* end = end_of(connection);
  if (end == nullptr) return;
  end->closed = reason;
  end->closed_ns = now_ns_;
  end->connection = nullptr;
}

void App::run(uint64_t now_ns) {
  now_ns_ = now_ns;
  for (size_t i = 0; now_ns >= idles_until_ns_ && i < later_.size();) {
    if (later_[i].at_ns > now_ns) {
      i++;
      continue;
    }
    const Later due = later_[i];
    later_[i] = later_.back();
    later_.pop_back();
    if (due.end->connection != nullptr) host_.stack().consume(*due.end->connection, due.bytes);
  }
  for (Pair& pair : pairs_) {
    if (pair.opener == host_.index() && !pair.tried && now_ns >= pair.opens_at_ns) open(pair);
    End& end = pair.ends[host_.index()];
    if (end.connection == nullptr) continue;
    if (now_ns >= end.aborts_at_ns) {
      abort(end);
      continue;
    }
    if (!end.opened || end.is_closing || now_ns < idles_until_ns_) continue;
    send_some(end);
    if (end.sent_bytes == end.send_bytes && (!end.closes_last || end.ended)) {
      end.is_closing = true;
      host_.stack().close(*end.connection);
    }
  }
}

void App::send_some(End& end) {
  while (end.sent_bytes < end.send_bytes && now_ns_ >= end.pauses_until_ns) {
    // What never fits is never taken.
    const size_t most = std::min<uint64_t>(random_.one_in(3) ? config_.most_piece_bytes : 256,
                                           host_.config().stack.send_buffer_bytes);
    const size_t length =
        std::min<uint64_t>(1 + random_.below(most), end.send_bytes - end.sent_bytes);
    const auto bytes = end.sends.part(end.sent_bytes, length);
    net::SendResult result;
    if (length > 256) {
      const net::HeldBuffer buffer = held_.hold(bytes);
      result = host_.stack().send_held(*end.connection, buffer);
      if (result != net::SendResult::ok) held_.take_back(buffer);
    } else {
      result = host_.stack().send_copy(*end.connection, bytes);
    }
    if (result == net::SendResult::closing)
      watcher_.fail("a connection that is open refuses to send");
    if (result != net::SendResult::ok) return;
    end.sent_bytes += length;
    end.written_bytes += length;
    if (end.written_bytes >= end.write_bytes) {
      end.written_bytes = 0;
      end.pauses_until_ns = now_ns_ + random_.below(end.pause_ns + 1);
    }
    // A breath; what is written until then goes out by itself.
    if (random_.one_in(50)) end.pauses_until_ns = now_ns_ + 1 + random_.below(kBreathNs);
  }
}

uint64_t App::next_ns() const {
  uint64_t next_ns = UINT64_MAX;
  for (const Later& later : later_) next_ns = std::min(next_ns, later.at_ns);
  for (const Pair& pair : pairs_) {
    if (pair.opener == host_.index() && !pair.tried) next_ns = std::min(next_ns, pair.opens_at_ns);
    const End& end = pair.ends[host_.index()];
    if (end.connection == nullptr) continue;
    next_ns = std::min(next_ns, end.aborts_at_ns);
    if (end.opened && !end.is_closing && end.pauses_until_ns > now_ns_)
      next_ns = std::min(next_ns, end.pauses_until_ns);
  }
  if (next_ns == UINT64_MAX && idles_until_ns_ <= now_ns_) return UINT64_MAX;
  return std::max(next_ns == UINT64_MAX ? 0 : next_ns, idles_until_ns_);
}

}  // namespace weir::sim
