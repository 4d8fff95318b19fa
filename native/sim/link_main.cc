/// A link between two TAP devices in real time: what a kernel would need netem for. Both directions
/// have the same settings and a seed each. Ends on SIGINT or SIGTERM with the counts on stdout.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "sim/link.h"

namespace {

using weir::sim::Fate;
using weir::sim::Link;
using weir::sim::LinkConfig;

constexpr uint64_t kSecondNs = 1'000'000'000;
/// Sooner than this is waited for by looking at the clock: a timer may be late by as much.
constexpr uint64_t kSpinNs = 60'000;
/// Longest frame: jumbo, with room.
constexpr size_t kFrameBytes = 16'384;
/// Frames read from one device before the other has its turn.
constexpr int kFramesPerTurn = 64;

volatile sig_atomic_t stopping = 0;

void on_signal(int) { stopping = 1; }

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "link: %s\n", message.c_str());
  std::exit(2);
}

constexpr const char* kUsage =
    "usage: npm run link -- --a TAP --b TAP [--rate-mbit R] [--delay-ms D] [--jitter-ms J]\n"
    "  [--queue-packets N] [--queue-bytes N] [--loss P] [--burst-begins P] [--burst-ends P]\n"
    "  [--duplication P] [--corruption P] [--reordering P] [--reordering-ms R] [--mtu N]\n"
    "  [--mark-bytes N] [--router ADDRESS] [--seed S]\n"
    "Probabilities are those of one frame, 0 to 1. Each direction has these settings.\n";

struct Options {
  std::string names[2];
  LinkConfig link;
  uint64_t seed = 1;
  std::optional<weir::net::Address> router;
};

double number(const std::string& name, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0))
    fail(name + " needs a number, not \"" + text + "\"");
  return value;
}

double probability(const std::string& name, const std::string& text) {
  const double value = number(name, text);
  if (value > 1) fail(name + " is a probability, from 0 to 1");
  return value;
}

weir::net::Address address(const std::string& text) {
  unsigned part[4];
  char rest = 0;
  if (std::sscanf(text.c_str(), "%u.%u.%u.%u%c", &part[0], &part[1], &part[2], &part[3], &rest) !=
      4)
    fail("--router needs an IPv4 address, not \"" + text + "\"");
  return weir::net::Address::v4(part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3]);
}

Options parse(int argc, char** argv) {
  Options options;
  LinkConfig& link = options.link;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--help" || i + 1 == argc) {
      std::fputs(kUsage, stderr);
      std::exit(2);
    }
    const std::string value = argv[i + 1];
    const auto milliseconds = [&] { return static_cast<uint64_t>(number(name, value) * 1e6); };
    const auto count = [&] { return static_cast<uint32_t>(number(name, value)); };
    if (name == "--a")
      options.names[0] = value;
    else if (name == "--b")
      options.names[1] = value;
    else if (name == "--rate-mbit")
      link.rate_bits_per_second = static_cast<uint64_t>(number(name, value) * 1e6);
    else if (name == "--delay-ms")
      link.delay_ns = milliseconds();
    else if (name == "--jitter-ms")
      link.jitter_ns = milliseconds();
    else if (name == "--queue-packets")
      link.queue_packets = count();
    else if (name == "--queue-bytes")
      link.queue_bytes = count();
    else if (name == "--loss")
      link.loss = probability(name, value);
    else if (name == "--burst-begins")
      link.burst_begins = probability(name, value);
    else if (name == "--burst-ends")
      link.burst_ends = probability(name, value);
    else if (name == "--duplication")
      link.duplication = probability(name, value);
    else if (name == "--corruption")
      link.corruption = probability(name, value);
    else if (name == "--reordering")
      link.reordering = probability(name, value);
    else if (name == "--reordering-ms")
      link.reordering_ns = milliseconds();
    else if (name == "--mtu")
      link.mtu_bytes = count();
    else if (name == "--mark-bytes")
      link.mark_at_bytes = count();
    else if (name == "--router")
      options.router = address(value);
    else if (name == "--seed")
      options.seed = static_cast<uint64_t>(number(name, value));
    else
      fail("unknown option " + name + "\n" + kUsage);
  }
  if (options.names[0].empty() || options.names[1].empty())
    fail(std::string("--a and --b name the TAP devices\n") + kUsage);
  return options;
}

/// Attaches to a TAP device, which is made if it is not there.
int open_tap(const std::string& name) {
  if (name.size() >= IFNAMSIZ) fail("the name " + name + " is too long");
  const int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) fail(std::string("cannot open /dev/net/tun: ") + std::strerror(errno));
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(descriptor, TUNSETIFF, &request) != 0)
    fail("cannot attach to " + name + ": " + std::strerror(errno));
  return descriptor;
}

uint64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecondNs + static_cast<uint64_t>(now.tv_nsec);
}

/// Both directions: links[i] carries what device i sends to the other one.
class Bridge {
 public:
  explicit Bridge(const Options& options) : options_(options) {
    for (uint32_t i = 0; i < 2; i++) {
      taps_[i] = open_tap(options.names[i]);
      links_[i] = std::make_unique<Link>(options.link, options.seed * 2 + i);
    }
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer_ < 0) fail(std::string("cannot make a timer: ") + std::strerror(errno));
  }
  ~Bridge() {
    for (const int tap : taps_) close(tap);
    close(timer_);
  }

  void run() {
    while (stopping == 0) {
      const bool busy = receive(0) | receive(1);
      const uint64_t now = now_ns();
      deliver(0, now);
      deliver(1, now);
      if (!busy) wait();
    }
  }

  void report() const {
    std::printf("{");
    for (uint32_t i = 0; i < 2; i++) {
      const Link::Counts& counts = links_[i]->counts();
      std::printf("%s\"from %s\":{\"delivered\":%llu,\"bytes\":%llu,\"marked\":%llu", i ? "," : "",
                  options_.names[i].c_str(), static_cast<unsigned long long>(counts.delivered),
                  static_cast<unsigned long long>(counts.delivered_bytes),
                  static_cast<unsigned long long>(counts.marked));
      for (uint32_t fate = 1; fate < weir::sim::kFates; fate++)
        std::printf(",\"%s\":%llu", name_of(static_cast<Fate>(fate)),
                    static_cast<unsigned long long>(counts.fates[fate]));
      std::printf("}");
    }
    std::printf("}\n");
  }

 private:
  bool receive(uint32_t from) {
    bool any = false;
    for (int i = 0; i < kFramesPerTurn; i++) {
      const ssize_t bytes = read(taps_[from], buffer_.data(), buffer_.size());
      if (bytes <= 0) break;
      any = true;
      const std::span<const uint8_t> frame(buffer_.data(), static_cast<size_t>(bytes));
      const Fate fate = links_[from]->send(frame, now_ns());
      if (fate != Fate::too_big || !options_.router) continue;
      const auto reply = weir::sim::too_big_reply(frame, *options_.router,
                                                  static_cast<uint16_t>(options_.link.mtu_bytes));
      if (reply) links_[1 - from]->send(*reply, now_ns());
    }
    return any;
  }
  void deliver(uint32_t from, uint64_t now) {
    Link::Arrival arrival;
    while (links_[from]->receive(now, arrival)) {
      // A device that is full or down loses frames, as devices do.
      [[maybe_unused]] const ssize_t written =
          write(taps_[1 - from], arrival.frame.data(), arrival.frame.size());
    }
  }
  /// Until a frame comes from somewhere, or is to be delivered.
  void wait() {
    const uint64_t next = std::min(links_[0]->next_ns(), links_[1]->next_ns());
    const uint64_t now = now_ns();
    if (next != UINT64_MAX && next <= now + kSpinNs) return;
    itimerspec until{};
    if (next != UINT64_MAX) {
      const uint64_t wake = next - kSpinNs;
      until.it_value = {static_cast<time_t>(wake / kSecondNs), static_cast<long>(wake % kSecondNs)};
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &until, nullptr);
    pollfd polled[] = {{taps_[0], POLLIN, 0}, {taps_[1], POLLIN, 0}, {timer_, POLLIN, 0}};
    poll(polled, 3, -1);
    uint64_t expirations = 0;
    [[maybe_unused]] const ssize_t cleared = read(timer_, &expirations, sizeof expirations);
  }

  const Options& options_;
  int taps_[2];
  int timer_;
  std::unique_ptr<Link> links_[2];
  std::array<uint8_t, kFrameBytes> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  struct sigaction action {};
  // Without SA_RESTART, so that a wait ends.
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // As exact as the kernel's timers allow; memory that is touched stays.
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  mlockall(MCL_CURRENT | MCL_FUTURE);
  Bridge bridge(options);
  std::fprintf(stderr, "link: %s and %s are connected\n", options.names[0].c_str(),
               options.names[1].c_str());
  bridge.run();
  bridge.report();
  return 0;
}
