#pragma once
#include <cstdint>
#include <span>

#include "net/address.h"
#include "net/clock.h"
#include "net/environment.h"
#include "net/icmp/error_limit.h"
#include "net/ip/delivery_error.h"
#include "net/ip/output.h"
#include "net/ip/received.h"
#include "net/ip/routing.h"

namespace weir::net::icmp {

/// Codes of destination unreachable that hosts send (RFC 792, RFC 1122 section 3.2.2.1).
enum class Unreachable : uint8_t { protocol = 2, port = 3 };

/// Told of errors about packets that we sent.
class ErrorListener {
 public:
  /// `quoted` are at least 8 bytes of the transport header that the error is about. False:
  /// it is about no flow of ours.
  virtual bool on_icmp_error(uint8_t protocol, const Address& local, const Address& remote,
                             std::span<const uint8_t> quoted, const ip::DeliveryError& error) = 0;

 protected:
  ~ErrorListener() = default;
};

/// ICMP for IPv4 (RFC 792, RFC 1122 section 3.2.2).
class Icmp {
 public:
  Icmp(const Clock& clock, const Environment& environment, const ip::Routing& routing,
       ip::Output& output, ErrorListener& listener);

  /// Processes a message. Takes ownership of the frame.
  void input(const ip::Received& message);

  /// Answers `cause` with an error, unless the rate limit is reached. `cause` came to our own
  /// address alone; it stays the caller's.
  void send_unreachable(const ip::Received& cause, Unreachable code);
  /// The fragments behind `first` did not come in time (RFC 1122 section 3.3.2).
  void send_reassembly_timeout(const ip::Received& first);

 private:
  void send_error(const ip::Received& cause, uint8_t type, uint8_t code);
  void answer_echo(const ip::Received& message);
  bool process_error(const ip::Received& message, uint8_t type, uint8_t code);

  Environment environment_;
  const ip::Routing& routing_;
  ip::Output& output_;
  ErrorListener& listener_;
  ErrorLimit errors_;
};

}  // namespace weir::net::icmp
