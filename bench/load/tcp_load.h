#pragma once
#include <memory>

#include "load.h"

namespace weir::load {

/// Clients of a TCP server: as much of TCP as a path without loss needs, with repetition where
/// something is lost after all.
class TcpLoad final : public Load {
 public:
  TcpLoad(const LoadConfig& config, Dialogue& dialogue, port::Port& port, rte_mempool* pool);

 private:
  enum class State : uint8_t { closed, opening, open };

  struct Flow {
    uint32_t snd_una = 0;
    uint32_t snd_nxt = 0;
    uint32_t rcv_nxt = 0;
    /// Up to here everything has been acknowledged to the server.
    uint32_t acknowledged = 0;
    /// Where the present message begins, and its length.
    uint32_t message_start = 0;
    uint32_t message_bytes = 0;
    /// Bytes of the present answer.
    uint32_t received = 0;
    /// The server's window.
    uint32_t window = 0;
    /// Number of the message.
    uint32_t count = 0;
    State state = State::closed;
    uint8_t window_scale = 0;
    bool is_busy : 1 = false;
    /// Stands in the list of those who wait for a message.
    bool waits : 1 = false;
    /// Stands in the list of those who owe an acknowledgement.
    bool owes : 1 = false;
    /// When the message was due, and when something was last sent.
    uint64_t due = 0;
    uint64_t sent = 0;
  };
  static_assert(sizeof(Flow) <= 56, "there may be millions of them");
  struct Owed {
    uint32_t flow;
    uint64_t since;
  };

  void on_route(const Route& route) override {
    template_ = std::make_unique<SegmentTemplate>(route);
  }
  void take(uint32_t index, const uint8_t* frame, uint32_t bytes, uint64_t now) override;
  void begin(uint32_t index, uint64_t due, uint64_t now) override;
  bool tend(uint64_t now) override;
  uint32_t open_count() const override { return opened_; }
  void end_all(uint64_t deadline) override;

  bool take_answer(uint32_t index, Flow& flow, const uint8_t* payload, uint32_t bytes,
                   uint64_t now);
  void take_reset(Flow& flow, uint32_t ack);
  void take_opening(uint32_t index, Flow& flow, const net::tcp::Header& tcp, uint32_t header_bytes,
                    uint64_t now);
  void open_flow(uint32_t index, uint64_t now);
  /// Forgets the connection.
  void leave(Flow& flow);
  /// Resets the connection; it is opened anew, as long as there is a load.
  void renew(uint32_t index, Flow& flow, uint64_t now);
  void await_message(uint32_t index, Flow& flow);
  void send_syn(uint32_t index, Flow& flow, uint64_t now);
  void pump(uint32_t index, Flow& flow, uint64_t now);
  void send(uint32_t index, Flow& flow, uint8_t flags, uint32_t sequence,
            std::span<const uint8_t> options, uint32_t offset, uint32_t bytes);
  void acknowledge(uint32_t index, Flow& flow);
  void owe(uint32_t index, Flow& flow, uint64_t now);
  void repeat(uint32_t index, uint64_t now);

  std::unique_ptr<SegmentTemplate> template_;
  std::vector<Flow> flows_;
  Fifo<Owed> owed_;
  uint32_t opening_ = 0;
  uint32_t opened_ = 0;
  uint32_t next_to_open_ = 0;
  uint32_t looked_at_ = 0;
};

}  // namespace weir::load
