#pragma once
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace weir::bench {

[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline void no_delay(int descriptor) {
  int one = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/// A socket of this machine's at a port: of SOCK_STREAM or SOCK_DGRAM, with flags.
inline int bound_socket(int type, uint16_t port) {
  const int descriptor = socket(AF_INET, type, 0);
  if (descriptor < 0) fail("socket");
  int one = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  return descriptor;
}

inline int listen_at(uint16_t port, int flags) {
  const int listener = bound_socket(SOCK_STREAM | flags, port);
  if (listen(listener, 1024) != 0) fail("listen");
  return listener;
}

}  // namespace weir::bench
