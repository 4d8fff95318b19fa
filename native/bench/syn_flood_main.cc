/// Opens connections that it never completes, as fast as it is told: SYNs with random source
/// addresses and ports, laid on an interface from the kernel's side. Prints one JSON object.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "sim/packet.h"
#include "sim/random.h"

namespace {

using Clock = std::chrono::steady_clock;
using weir::net::Address;
using weir::sim::Frame;
using weir::sim::LinkAddress;

constexpr uint32_t kBatch = 32;
/// The machine may stall this program: what was not sent for longer than this is not made up for.
constexpr double kLongestDebtSeconds = 0.05;

constexpr const char* kUsage =
    "usage: syn_flood --device NAME --link-address AA:BB:CC:DD:EE:FF --to ADDRESS --port PORT\n"
    "  --rate SYNS_PER_SECOND (--seconds S | --count SYNS) [--sources ADDRESS/BITS] [--seed S]\n"
    "Without --sources, addresses come from all of the family's unicast space.\n";

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "syn_flood: %s\n", message.c_str());
  std::exit(2);
}

[[noreturn]] void fail_call(const char* what) {
  fail(std::string("cannot ") + what + ": " + std::strerror(errno));
}

Address read_address(const std::string& text) {
  in6_addr v6;
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return Address::v6(v6.s6_addr);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return Address::v4(ntohl(v4.s_addr));
  fail("\"" + text + "\" is no address");
}

/// The addresses that senders pretend to have.
struct Sources {
  Address prefix;
  /// Of the 128 bits in which both families are kept.
  uint32_t fixed_bits;

  static Sources all_unicast(bool v4) {
    // 2000::/3 is what is assigned (RFC 4291 section 2.4).
    return v4 ? Sources{Address::v4(0), 96} : Sources{Address::v6(0x2000, 0, 0, 0, 0, 0, 0, 0), 3};
  }

  static Sources parse(const std::string& text) {
    const size_t slash = text.find('/');
    if (slash == std::string::npos) fail("--sources needs ADDRESS/BITS");
    const Address prefix = read_address(text.substr(0, slash));
    const uint32_t bits = static_cast<uint32_t>(std::atoi(text.c_str() + slash + 1));
    return {prefix, std::min(bits + (prefix.is_v4() ? 96u : 0u), 128u)};
  }

  Address draw(weir::sim::Random& random) const {
    for (;;) {
      Address address = prefix;
      const uint64_t words[2] = {random.next(), random.next()};
      for (uint32_t bit = fixed_bits; bit < 128; bit++)
        if ((words[bit / 64] >> (bit % 64) & 1) != 0)
          address.bytes[bit / 8] = static_cast<uint8_t>(address.bytes[bit / 8] ^ 0x80 >> bit % 8);
      const uint8_t first = address.bytes[12];
      // No station has one of these (RFC 1122 section 3.2.1.3).
      if (address.is_v4() && (first == 0 || first == 127 || first >= 224)) continue;
      return address;
    }
  }
};

struct Options {
  std::string device;
  LinkAddress link_address{};
  Address to;
  uint16_t port = 0;
  double per_second = 0;
  /// It ends after so long, or when so many were taken by the interface.
  double seconds = 0;
  uint64_t count = 0;
  std::string sources;
  uint64_t seed = 1;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) fail("nothing follows " + name + "\n" + kUsage);
    const std::string value = argv[i + 1];
    if (name == "--device") {
      options.device = value;
    } else if (name == "--link-address") {
      auto& a = options.link_address;
      if (std::sscanf(value.c_str(), "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &a[0], &a[1], &a[2],
                      &a[3], &a[4], &a[5]) != 6)
        fail("\"" + value + "\" is no link address");
    } else if (name == "--to") {
      options.to = read_address(value);
    } else if (name == "--port") {
      options.port = static_cast<uint16_t>(std::atoi(value.c_str()));
    } else if (name == "--rate") {
      options.per_second = std::atof(value.c_str());
    } else if (name == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (name == "--count") {
      options.count = std::strtoull(value.c_str(), nullptr, 10);
    } else if (name == "--sources") {
      options.sources = value;
    } else if (name == "--seed") {
      options.seed = std::strtoull(value.c_str(), nullptr, 10);
    } else {
      fail("unknown option " + name + "\n" + kUsage);
    }
  }
  if (options.device.empty() || options.port == 0 || options.per_second <= 0 ||
      (options.seconds <= 0) == (options.count == 0) || options.to.is_unspecified())
    fail(kUsage);
  return options;
}

/// A socket that lays whole frames on an interface.
class Wire {
 public:
  explicit Wire(const std::string& device) : descriptor_(socket(AF_PACKET, SOCK_RAW, 0)) {
    if (descriptor_ < 0) fail_call("open a packet socket");
    ifreq request{};
    if (device.size() >= IFNAMSIZ) fail("the name " + device + " is too long");
    std::memcpy(request.ifr_name, device.c_str(), device.size() + 1);
    if (ioctl(descriptor_, SIOCGIFHWADDR, &request) != 0) fail_call("read the link address");
    std::memcpy(link_address_.data(), request.ifr_hwaddr.sa_data, link_address_.size());
    if (ioctl(descriptor_, SIOCGIFINDEX, &request) != 0) fail_call("find the interface");
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = request.ifr_ifindex;
    if (bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      fail_call("bind to the interface");
    // Straight to the driver: what it cannot take is lost, as on a wire.
    const int one = 1;
    if (setsockopt(descriptor_, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) != 0)
      fail_call("bypass the queueing discipline");
  }
  ~Wire() { close(descriptor_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  const LinkAddress& link_address() const { return link_address_; }

  /// Returns how many the driver took.
  uint32_t send(std::array<Frame, kBatch>& frames, uint32_t count) {
    std::array<iovec, kBatch> vectors;
    std::array<mmsghdr, kBatch> messages{};
    for (uint32_t i = 0; i < count; i++) {
      vectors[i] = {frames[i].data(), frames[i].size()};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    uint32_t taken = 0;
    for (uint32_t at = 0; at < count;) {
      const int sent = sendmmsg(descriptor_, messages.data() + at, count - at, 0);
      if (sent < 0 && errno != ENOBUFS && errno != EINTR) fail_call("send");
      taken += sent < 0 ? 0 : static_cast<uint32_t>(sent);
      // The one that was refused is lost.
      at += sent < 0 ? 1 : static_cast<uint32_t>(sent);
    }
    return taken;
  }

 private:
  int descriptor_;
  LinkAddress link_address_{};
};

/// As a Linux client would begin.
Frame syn(const Options& options, const LinkAddress& from, const Sources& sources,
          weir::sim::Random& random) {
  weir::sim::Segment segment;
  segment.source_link = from;
  segment.destination_link = options.link_address;
  segment.source = sources.draw(random);
  segment.destination = options.to;
  segment.source_port = static_cast<uint16_t>(random.between(1024, 65535));
  segment.destination_port = options.port;
  segment.sequence = static_cast<uint32_t>(random.next());
  segment.flags = weir::sim::kSyn;
  segment.window = 64240;
  segment.mss = static_cast<uint16_t>(options.to.is_v4() ? 1460 : 1440);
  segment.sack_permitted = true;
  segment.timestamps = {static_cast<uint32_t>(random.next()), 0};
  segment.window_scale = uint8_t{7};
  return weir::sim::encode(segment);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const Sources sources = options.sources.empty() ? Sources::all_unicast(options.to.is_v4())
                                                  : Sources::parse(options.sources);
  if (sources.prefix.is_v4() != options.to.is_v4()) fail("--sources is of the other family");
  Wire wire(options.device);
  weir::sim::Random random(options.seed);
  const auto start = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  uint64_t taken = 0, offered = 0;
  double due = 0, last = 0;
  std::array<Frame, kBatch> frames;
  const auto is_over = [&](double now) {
    return options.count != 0 ? taken >= options.count : now >= options.seconds;
  };
  for (double now = elapsed(); !is_over(now); now = elapsed()) {
    due += std::min(now - last, kLongestDebtSeconds) * options.per_second;
    last = now;
    const auto count = static_cast<uint32_t>(std::min<double>(due, kBatch));
    if (count < kBatch && due < 1 + options.per_second * 0.0002) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    for (uint32_t i = 0; i < count; i++)
      frames[i] = syn(options, wire.link_address(), sources, random);
    taken += wire.send(frames, count);
    offered += count;
    due -= count;
  }
  const double took = elapsed();
  std::printf("{\"offered\":%llu,\"sent\":%llu,\"seconds\":%.3f,\"perSecond\":%.0f}\n",
              static_cast<unsigned long long>(offered), static_cast<unsigned long long>(taken),
              took, static_cast<double>(taken) / took);
}
