#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "kernel_servers.h"
#include "kernel_socket.h"

namespace weir::bench {
namespace {

/// Waits where the connection takes no more: a client that has sent a long message reads the echo.
bool write_all(int descriptor, const char* at, size_t bytes) {
  while (bytes != 0) {
    const ssize_t written = write(descriptor, at, bytes);
    if (written < 0 && errno != EAGAIN) return false;
    if (written < 0) {
      pollfd room{descriptor, POLLOUT, 0};
      poll(&room, 1, 1000);
      continue;
    }
    at += written;
    bytes -= static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

void serve_epoll(uint16_t port, bool spins) {
  const int listener = listen_at(port, SOCK_NONBLOCK);
  const int poller = epoll_create1(0);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  std::vector<char> buffer(65536);
  epoll_event events[256];
  for (;;) {
    const int count = epoll_wait(poller, events, 256, spins ? 0 : -1);
    for (int i = 0; i < count; i++) {
      const int descriptor = events[i].data.fd;
      if (descriptor == listener) {
        const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (accepted < 0) continue;
        no_delay(accepted);
        epoll_event added{.events = EPOLLIN, .data = {.fd = accepted}};
        epoll_ctl(poller, EPOLL_CTL_ADD, accepted, &added);
        continue;
      }
      const ssize_t got = read(descriptor, buffer.data(), buffer.size());
      if (got > 0) {
        if (!write_all(descriptor, buffer.data(), static_cast<size_t>(got))) close(descriptor);
      } else if (got == 0 || errno != EAGAIN) {
        close(descriptor);
      }
    }
  }
}

}  // namespace weir::bench
