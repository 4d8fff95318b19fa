#pragma once
#include <memory>

#include "load.h"

namespace weir::load {

/// Clients of a UDP server, whose answer to a datagram is one datagram. What is lost is sent again.
class UdpLoad final : public Load {
 public:
  /// Of a message: what a frame of Ethernet's takes.
  static constexpr uint32_t kMostBytes = 1'472;

  UdpLoad(const LoadConfig& config, Dialogue& dialogue, port::Port& port, rte_mempool* pool);

 private:
  struct Flow {
    uint64_t due = 0;
    uint64_t sent = 0;
    uint32_t count = 0;
    uint32_t message_bytes = 0;
    bool is_busy = false;
  };

  void on_route(const Route& route) override;
  void take(uint32_t index, const uint8_t* frame, uint32_t bytes, uint64_t now) override;
  void begin(uint32_t index, uint64_t due, uint64_t now) override;
  bool tend(uint64_t now) override;
  uint32_t open_count() const override { return template_ == nullptr ? 0 : config_.connections; }

  void send(uint32_t index, Flow& flow, uint64_t now);

  std::unique_ptr<DatagramTemplate> template_;
  std::vector<Flow> flows_;
  uint32_t looked_at_ = 0;
};

}  // namespace weir::load
