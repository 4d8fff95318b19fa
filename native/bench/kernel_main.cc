/// The kernel's side of the benchmarks: echo servers to compare with, and a closed-loop client for
/// them and weir. `kernel_bench serve PORT [--spin|--uring]`, `kernel_bench serve-udp PORT`;
/// `kernel_bench load ADDRESS PORT CONNECTIONS BYTES SECONDS` prints one JSON object.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernel_servers.h"
#include "kernel_socket.h"

namespace {

using namespace weir::bench;
using Clock = std::chrono::steady_clock;

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
  const std::string role = argc > 1 ? argv[1] : "";
  const std::string way = argc > 3 ? argv[3] : "";
  const auto port = [&](int i) { return static_cast<uint16_t>(std::stoi(argv[i])); };
  if (role == "serve" && (argc == 3 || (argc == 4 && way == "--spin")))
    serve_epoll(port(2), way == "--spin");
  if (role == "serve" && argc == 4 && way == "--uring") serve_uring(port(2));
  if (role == "serve-udp" && argc == 3) serve_udp(port(2));
  if (role == "load" && argc == 7)
    return load(argv[2], port(3), std::stoi(argv[4]), std::stoul(argv[5]), std::stod(argv[6]));
  std::fprintf(stderr,
               "usage: kernel_bench serve PORT [--spin|--uring] | serve-udp PORT\n"
               "       kernel_bench load ADDRESS PORT CONNECTIONS BYTES SECONDS\n");
  return 2;
}
