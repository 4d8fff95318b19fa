#pragma once
// A handler that writes down what it is told, checks the promises of FlowEvents, and does more
// where a test wants it to.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "net/tcp/connection.h"
#include "net/tcp/tcp.h"
#include "net/tcp/testing/segment.h"

namespace weir::net::tcp::testing {

/// What a handler knows of a connection. Its place in RecordingEvents::flows is connection.user.
struct Flow {
  Connection* connection = nullptr;
  uint32_t tag = 0;
  bool outbound = false;
  uint32_t opened = 0;
  Bytes received = {};
  bool ended = false;
  uint64_t acknowledged_bytes = 0;
  std::optional<CloseReason> closed = {};
  /// It aborted or refused the connection and must hear nothing more of it.
  bool gone = false;
};

class RecordingEvents final : public FlowEvents {
 public:
  /// To be set before the first event.
  Tcp* tcp = nullptr;
  bool accepts_knocks = true;
  /// What on_opened returns where no hook says otherwise.
  bool accepts_connections = true;
  bool wants_acknowledged = false;
  /// Gives received bytes back at once.
  bool consumes = true;
  uint32_t room_bytes = UINT32_MAX;
  std::deque<Flow> flows;
  uint32_t knocks = 0;
  uint32_t data_calls = 0;

  std::function<bool(Flow&)> opened_hook;
  /// Bytes of this call, before they are counted as received; false refuses them.
  std::function<bool(Flow&, const Bytes&)> data_hook;
  std::function<void(Flow&)> end_hook;
  std::function<void(Flow&, uint32_t)> acknowledged_hook;
  std::function<void(Flow&)> closed_hook;
  std::function<bool(Flow&)> address_failed_hook;

  Flow& back() { return flows.back(); }
  /// A place for a connection that is about to be opened; its number is the `user` of connect.
  uint32_t add_outbound() {
    flows.push_back({.outbound = true});
    return static_cast<uint32_t>(flows.size() - 1);
  }
  void abort(Flow& flow) {
    flow.gone = true;
    tcp->abort(*flow.connection);
  }

  bool on_knock(uint32_t, const Endpoint&) override {
    knocks++;
    return accepts_knocks;
  }

  bool on_opened(Connection& connection, uint32_t listener_tag, bool outbound) override {
    if (!outbound) {
      connection.user = static_cast<uint32_t>(flows.size());
      flows.push_back({.connection = &connection, .tag = listener_tag});
    }
    Flow& flow = at(connection);
    EXPECT_EQ(flow.outbound, outbound);
    EXPECT_EQ(flow.opened++, 0u);
    connection.wants_acknowledged = wants_acknowledged;
    const bool accepted = opened_hook ? opened_hook(flow) : accepts_connections;
    if (!accepted) flow.gone = true;
    return accepted;
  }

  uint32_t receive_room_bytes() const override { return room_bytes; }
  bool on_data(Connection& connection, const Payload& payload) override {
    Flow& flow = at(connection);
    EXPECT_EQ(flow.opened, 1u);
    EXPECT_FALSE(flow.ended) << "data after the end";
    EXPECT_GT(payload.length_bytes, 0u);
    EXPECT_LE(payload.offset_bytes + payload.length_bytes, payload.head->pkt_len);
    data_calls++;
    Bytes bytes(payload.length_bytes);
    const void* at_bytes =
        rte_pktmbuf_read(payload.head, payload.offset_bytes, payload.length_bytes, bytes.data());
    if (at_bytes == nullptr) {
      ADD_FAILURE() << "payload outside its packet";
      return false;
    }
    if (at_bytes != bytes.data()) std::memcpy(bytes.data(), at_bytes, bytes.size());
    if (data_hook && !data_hook(flow, bytes)) return false;
    flow.received = flow.received + bytes;
    if (consumes && !flow.gone) tcp->consume(connection, payload.length_bytes);
    return true;
  }

  void on_end(Connection& connection) override {
    Flow& flow = at(connection);
    EXPECT_FALSE(flow.ended) << "a second end";
    flow.ended = true;
    if (end_hook) end_hook(flow);
  }

  void on_acknowledged(Connection& connection, uint32_t bytes) override {
    EXPECT_TRUE(connection.wants_acknowledged);
    EXPECT_GT(bytes, 0u);
    Flow& flow = at(connection);
    flow.acknowledged_bytes += bytes;
    if (acknowledged_hook) acknowledged_hook(flow, bytes);
  }

  void on_closed(Connection& connection, CloseReason reason) override {
    Flow& flow = at(connection);
    flow.closed = reason;
    if (closed_hook) closed_hook(flow);
    flow.connection = nullptr;
  }

  bool on_address_failed(Connection& connection) override {
    Flow& flow = at(connection);
    EXPECT_TRUE(flow.outbound);
    EXPECT_EQ(flow.opened, 0u);
    return address_failed_hook && address_failed_hook(flow);
  }

  bool on_datagram(uint32_t, const Endpoint&, const Endpoint&, const Payload&) override {
    ADD_FAILURE() << "a datagram from TCP";
    return false;
  }

 private:
  Flow& at(Connection& connection) {
    if (connection.user >= flows.size()) {
      ADD_FAILURE() << "an event of an unknown connection";
      std::abort();
    }
    Flow& flow = flows[connection.user];
    EXPECT_FALSE(flow.closed.has_value()) << "an event after on_closed";
    EXPECT_FALSE(flow.gone) << "an event after abort";
    flow.connection = &connection;
    return flow;
  }
};

/// Owner of what is sent by reference: counts what comes back, and checks that it comes back once.
class CountingOwner final : public BufferOwner {
 public:
  /// A buffer over bytes that stay as they are until it is released, and are garbage thereafter.
  HeldBuffer hold(Bytes bytes) {
    buffers_.push_back(std::move(bytes));
    released_.push_back(false);
    Bytes& kept = buffers_.back();
    return {kept.data(), static_cast<uint32_t>(kept.size()), this, buffers_.size() - 1};
  }
  void release(const HeldBuffer& buffer) override {
    ASSERT_LT(buffer.tag, buffers_.size());
    EXPECT_FALSE(released_[buffer.tag]) << "released twice";
    EXPECT_EQ(buffer.data, buffers_[buffer.tag].data());
    EXPECT_EQ(buffer.length_bytes, buffers_[buffer.tag].size());
    released_[buffer.tag] = true;
    released_count++;
    std::fill(buffers_[buffer.tag].begin(), buffers_[buffer.tag].end(), 0xdd);
    if (release_hook) release_hook();
  }
  bool is_released(uint64_t tag) const { return released_[tag]; }
  uint32_t released_count = 0;
  std::function<void()> release_hook;

 private:
  std::deque<Bytes> buffers_;
  std::vector<bool> released_;
};

}  // namespace weir::net::tcp::testing
