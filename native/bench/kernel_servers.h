#pragma once
#include <cstdint>

namespace weir::bench {

/// TCP echo with epoll. `spins`: it asks again and again in place of waiting, as a server that has
/// a core of its own may.
[[noreturn]] void serve_epoll(uint16_t port, bool spins);
/// TCP echo with io_uring: one thread, receives and sends that complete without a call each. For
/// messages that a socket's buffer takes: two sends of one connection do not wait for one another.
/// Ends with a message where this was built without liburing.
[[noreturn]] void serve_uring(uint16_t port);
/// UDP echo, many datagrams a call.
[[noreturn]] void serve_udp(uint16_t port);

}  // namespace weir::bench
