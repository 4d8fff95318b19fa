#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "net/clock.h"
#include "net/dhcp/message.h"
#include "net/environment.h"
#include "net/ip/routing.h"
#include "net/ip/sender.h"
#include "net/link/arp.h"
#include "net/udp/datagram_receiver.h"
#include "net/udp/udp.h"

namespace weir::net::dhcp {

/// Takes an IPv4 address, its routes and name servers from a DHCP server (RFC 2131 section 4.4),
/// and keeps the lease renewed.
class Client final : public udp::DatagramReceiver {
 public:
  enum class State : uint8_t { off, init, selecting, requesting, bound, renewing, rebinding };

  /// `probes`: the address is asked for on the link before it is used (RFC 5227).
  Client(const Clock& clock, const Environment& environment, ip::Routing& routing, link::Arp& arp,
         ip::Sender& sender, udp::Udp& udp, link::AddressListener& listener,
         const link::LinkAddress& link_address, bool probes);

  /// Begins. False if the port is taken.
  bool start();
  void run_timers();
  uint64_t next_deadline_us() const { return state_ == State::off ? UINT64_MAX : next_us_; }
  /// Another station has the address that was leased (RFC 2131 section 3.1 step 5).
  void on_address_duplicate(const Address& address);

  State state() const { return state_; }
  std::span<const Address> name_servers() const {
    return {name_servers_.data(), name_server_count_};
  }

  bool on_datagram(uint32_t listener_tag, const Endpoint& remote, const Endpoint& local,
                   const Payload& payload) override;

 private:
  void begin(uint64_t delay_us);
  void discover();
  void request();
  void renew();
  void take(const Reply& reply);
  void take_lease(const Reply& reply);
  void lose_lease();
  void send(const Request& request, bool to_server);
  uint64_t back_off_us();
  uint16_t seconds() const;

  const Clock& clock_;
  Environment environment_;
  ip::Routing& routing_;
  link::Arp& arp_;
  ip::Sender& sender_;
  udp::Udp& udp_;
  link::AddressListener& listener_;
  link::LinkAddress link_address_;
  bool probes_;
  State state_ = State::off;
  uint32_t transaction_ = 0;
  uint64_t began_us_ = 0;
  uint64_t next_us_ = UINT64_MAX;
  /// Doubles from 4 to 64 seconds (RFC 2131 section 4.1).
  uint64_t interval_us_ = 0;
  uint8_t requests_ = 0;
  /// The offer that was taken, or the lease.
  Reply lease_;
  uint64_t renew_at_us_ = UINT64_MAX;
  uint64_t rebind_at_us_ = UINT64_MAX;
  uint64_t expires_us_ = UINT64_MAX;
  std::array<Address, kMaxServers> name_servers_{};
  uint32_t name_server_count_ = 0;
};

}  // namespace weir::net::dhcp
