/// The kernel's side of the smoke benchmark: an epoll echo server to compare with, and a
/// closed-loop client for both it and weir. `kernel_bench serve PORT`; `kernel_bench load ADDRESS
/// PORT CONNECTIONS BYTES SECONDS` prints one JSON object.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

void no_delay(int descriptor) {
  int one = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

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

int serve(uint16_t port) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (listen(listener, 1024) != 0) fail("listen");
  int poller = epoll_create1(0);
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener}};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  std::vector<char> buffer(65536);
  epoll_event events[256];
  for (;;) {
    int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int descriptor = events[i].data.fd;
      if (descriptor == listener) {
        int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (accepted < 0) continue;
        no_delay(accepted);
        epoll_event added{.events = EPOLLIN, .data = {.fd = accepted}};
        epoll_ctl(poller, EPOLL_CTL_ADD, accepted, &added);
        continue;
      }
      ssize_t got = read(descriptor, buffer.data(), buffer.size());
      if (got > 0) {
        if (!write_all(descriptor, buffer.data(), static_cast<size_t>(got))) close(descriptor);
      } else if (got == 0 || errno != EAGAIN) {
        close(descriptor);
      }
    }
  }
}

int load(const char* to, uint16_t port, int connections, size_t bytes, double seconds) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, to, &address.sin_addr) != 1) fail("address");
  int poller = epoll_create1(0);
  std::vector<char> message(bytes, 'x'), buffer(65536);
  struct Flow {
    size_t received = 0;
    Clock::time_point sent;
  };
  std::vector<Flow> flows(65536);
  for (int i = 0; i < connections; i++) {
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      fail("connect");
    no_delay(descriptor);
    epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
    epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
    flows[static_cast<size_t>(descriptor)].sent = Clock::now();
    if (write(descriptor, message.data(), bytes) != static_cast<ssize_t>(bytes)) fail("write");
  }
  std::vector<float> round_trips_us;
  round_trips_us.reserve(4'000'000);
  uint64_t messages = 0;
  auto start = Clock::now();
  auto end = start + std::chrono::duration<double>(seconds);
  epoll_event events[256];
  auto now = start;
  while (now < end) {
    int count = epoll_wait(poller, events, 256, 1000);
    now = Clock::now();
    for (int i = 0; i < count; i++) {
      int descriptor = events[i].data.fd;
      Flow& flow = flows[static_cast<size_t>(descriptor)];
      ssize_t got = read(descriptor, buffer.data(), buffer.size());
      if (got <= 0) fail("the server closed a connection");
      flow.received += static_cast<size_t>(got);
      if (flow.received < bytes) continue;
      flow.received = 0;
      messages++;
      auto at = Clock::now();
      if (round_trips_us.size() < round_trips_us.capacity())
        round_trips_us.push_back(std::chrono::duration<float, std::micro>(at - flow.sent).count());
      flow.sent = at;
      if (write(descriptor, message.data(), bytes) != static_cast<ssize_t>(bytes)) fail("write");
    }
  }
  double took = std::chrono::duration<double>(Clock::now() - start).count();
  std::sort(round_trips_us.begin(), round_trips_us.end());
  auto quantile = [&](double q) {
    return round_trips_us.empty() ? 0.0f
                                  : round_trips_us[static_cast<size_t>(
                                        q * static_cast<double>(round_trips_us.size() - 1))];
  };
  std::printf("{\"perSecond\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
              static_cast<double>(messages) / took, quantile(0.5), quantile(0.99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "serve")
    return serve(static_cast<uint16_t>(std::stoi(argv[2])));
  if (argc == 7 && std::string(argv[1]) == "load")
    return load(argv[2], static_cast<uint16_t>(std::stoi(argv[3])), std::stoi(argv[4]),
                std::stoul(argv[5]), std::stod(argv[6]));
  std::fprintf(stderr,
               "usage: kernel_bench serve PORT | load ADDRESS PORT CONNECTIONS BYTES SECONDS\n");
  return 2;
}
