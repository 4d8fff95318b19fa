/// TCP streams of the kernel's, for comparing with weir's. `stream_bench serve SINK_PORT
/// SOURCE_PORT` takes whatever comes to the one and sends without end from the other;
/// `stream_bench send|receive ADDRESS PORT SECONDS [AFTER_SECONDS [STREAMS]]` prints one JSON
/// object: the bytes that were acknowledged or read in that time, which begins so long after the
/// connections, of which there are as many as streams.
/// All sockets use CUBIC (RFC 9438), whatever the machine's default.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr size_t kPieceBytes = 256 * 1024;
constexpr char kCongestionControl[] = "cubic";

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int tcp_socket() {
  const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
  if (descriptor < 0) fail("socket");
  if (setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, kCongestionControl,
                 sizeof kCongestionControl - 1) != 0)
    fail("TCP_CONGESTION");
  return descriptor;
}

int listen_at(uint16_t port) {
  const int listener = tcp_socket();
  const int one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (listen(listener, 64) != 0) fail("listen");
  return listener;
}

/// A process of its own for each connection.
int serve(uint16_t sink_port, uint16_t source_port) {
  signal(SIGCHLD, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  pollfd listeners[] = {{listen_at(sink_port), POLLIN, 0}, {listen_at(source_port), POLLIN, 0}};
  for (;;) {
    poll(listeners, 2, -1);
    for (int i = 0; i < 2; i++) {
      if ((listeners[i].revents & POLLIN) == 0) continue;
      const int connection = accept(listeners[i].fd, nullptr, nullptr);
      if (connection < 0) continue;
      if (fork() == 0) {
        std::vector<char> piece(kPieceBytes, 'x');
        const bool sink = i == 0;
        while ((sink ? read(connection, piece.data(), piece.size())
                     : write(connection, piece.data(), piece.size())) > 0)
          continue;
        _exit(0);
      }
      close(connection);
    }
  }
}

uint64_t acknowledged_bytes(int connection) {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  if (getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) fail("TCP_INFO");
  return info.tcpi_bytes_acked;
}

/// Connections that bytes are moved on.
class Streams {
 public:
  Streams(bool sending, const sockaddr_in& address, uint32_t count)
      : sending_(sending), piece_(kPieceBytes, 'x') {
    for (uint32_t i = 0; i < count; i++) {
      const int connection = tcp_socket();
      if (connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fail("connect");
      fcntl(connection, F_SETFL, O_NONBLOCK);
      polled_.push_back({connection, static_cast<short>(sending ? POLLOUT : POLLIN), 0});
    }
  }
  ~Streams() {
    // The other side is told at once that nobody wants the rest.
    const linger reset = {1, 0};
    for (const pollfd& each : polled_) {
      setsockopt(each.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      close(each.fd);
    }
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  /// Moves bytes until `end`, and returns how many have been acknowledged or read since the
  /// beginning.
  uint64_t move(Clock::time_point end) {
    for (;;) {
      const double left_ms = Seconds(end - Clock::now()).count() * 1e3;
      if (left_ms <= 0) break;
      if (poll(polled_.data(), polled_.size(), static_cast<int>(left_ms) + 1) <= 0) continue;
      for (const pollfd& each : polled_) {
        if (each.revents == 0) continue;
        const ssize_t moved = sending_ ? write(each.fd, piece_.data(), piece_.size())
                                       : read(each.fd, piece_.data(), piece_.size());
        if (moved > 0)
          moved_ += static_cast<uint64_t>(moved);
        else if (moved == 0 || errno != EAGAIN)
          fail("the connection");
      }
    }
    if (!sending_) return moved_;
    uint64_t acknowledged = 0;
    for (const pollfd& each : polled_) acknowledged += acknowledged_bytes(each.fd);
    return acknowledged;
  }

 private:
  bool sending_;
  std::vector<char> piece_;
  std::vector<pollfd> polled_;
  uint64_t moved_ = 0;
};

int load(bool sending, const char* to, uint16_t port, double seconds, double after_seconds,
         uint32_t streams) {
  signal(SIGPIPE, SIG_IGN);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, to, &address.sin_addr) != 1) fail("address");
  Streams all(sending, address, streams);
  const auto start = Clock::now();
  const auto begin = start + std::chrono::duration_cast<Clock::duration>(Seconds(after_seconds));
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
  const uint64_t before = after_seconds > 0 ? all.move(begin) : 0;
  const uint64_t bytes = all.move(end) - before;
  std::printf("{\"bytes\":%llu,\"seconds\":%.3f}\n", static_cast<unsigned long long>(bytes),
              seconds);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  const auto port = [&](int i) { return static_cast<uint16_t>(std::stoi(argv[i])); };
  if (argc == 4 && role == "serve") return serve(port(2), port(3));
  if (argc >= 5 && argc <= 7 && (role == "send" || role == "receive"))
    return load(role == "send", argv[2], port(3), std::stod(argv[4]),
                argc > 5 ? std::stod(argv[5]) : 0,
                argc > 6 ? static_cast<uint32_t>(std::stoul(argv[6])) : 1);
  std::fprintf(stderr,
               "usage: stream_bench serve SINK_PORT SOURCE_PORT\n"
               "       stream_bench send|receive ADDRESS PORT SECONDS [AFTER_SECONDS [STREAMS]]\n");
  return 2;
}
