#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "net/clock.h"
#include "net/dns/message.h"
#include "net/environment.h"
#include "net/ip/output.h"
#include "net/resolve_listener.h"
#include "net/udp/datagram_receiver.h"
#include "net/udp/udp.h"

namespace weir::net::dns {

/// Says which name servers there are now.
class ServerList {
 public:
  static constexpr uint32_t kMaxServers = 8;
  /// Fills in the servers, best first, and returns how many there are.
  virtual uint32_t servers(std::span<Address, kMaxServers> into) const = 0;

 protected:
  ~ServerList() = default;
};

/// Asks name servers for the addresses of hosts (RFC 1035, stub): IPv4 and IPv6 at once, three
/// times in all, from a new port and with a new number each time (RFC 5452). What it was told it
/// believes for its lifetime, in a bounded cache.
class Resolver final : public udp::DatagramReceiver {
 public:
  static constexpr uint32_t kMaxLookups = 64;
  static constexpr uint32_t kCacheEntries = 256;
  static constexpr uint8_t kTries = 3;
  static constexpr uint64_t kTryUs = 2'000'000;
  /// No answer is believed longer, whatever it says.
  static constexpr uint32_t kLongestLifetimeS = 3600;

  Resolver(const Clock& clock, const Environment& environment, udp::Udp& udp,
           const ip::Output& output, const ServerList& servers);

  /// Looks `name` up and tells `listener`, at once if the cache knows it. False if it is no name of
  /// a host, or too many are being looked up.
  bool resolve(std::string_view name, ResolveListener& listener, uint32_t tag);
  /// Nobody is told of this any more.
  void cancel(const ResolveListener& listener, uint32_t tag);
  void run_timers();
  uint64_t next_deadline_us() const { return deadline_us_; }

  bool on_datagram(uint32_t listener_tag, const Endpoint& remote, const Endpoint& local,
                   const Payload& payload) override;

 private:
  static constexpr Type kTypes[2] = {Type::a, Type::aaaa};
  struct Lookup {
    Name name;
    ResolveListener* listener = nullptr;
    uint32_t tag = 0;
    uint8_t tries = 0;
    uint16_t port = 0;
    Endpoint server;
    uint64_t deadline_us = 0;
    std::array<uint16_t, 2> ids{};
    std::array<bool, 2> is_answered{};
    std::array<Answer, 2> answers{};
  };
  struct Known {
    Name name;
    uint64_t expires_us = 0;
    std::array<Answer, 2> answers{};
  };

  bool try_again(Lookup& lookup);
  void finish(Lookup& lookup);
  void tell(ResolveListener& listener, uint32_t tag, const std::array<Answer, 2>& answers);
  Known& slot_of(const Name& name);
  void find_deadline();

  const Clock& clock_;
  Environment environment_;
  udp::Udp& udp_;
  const ip::Output& output_;
  const ServerList& servers_;
  uint64_t hash_key_[2];
  std::vector<Lookup> lookups_;
  std::vector<Known> known_;
  uint64_t deadline_us_ = UINT64_MAX;
};

}  // namespace weir::net::dns
