/// Writes the inputs that fuzzing begins with: fuzz_corpus TARGET FOLDER.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fuzz/harness.h"
#include "sim/packet.h"

namespace {

using weir::fuzz::Bytes;
using weir::fuzz::operator+;
using weir::fuzz::Way;
using weir::sim::Segment;

/// A frame as the target reads it.
Bytes record(const Bytes& frame, uint8_t flags = 1) {
  return Bytes{flags, static_cast<uint8_t>(frame.size() >> 8), static_cast<uint8_t>(frame.size())} +
         frame;
}

Segment segment(uint8_t flags, bool v6 = false) {
  Segment result;
  result.source_link = weir::fuzz::kPeerLink;
  result.destination_link = weir::fuzz::kOwnLink;
  result.source = v6 ? weir::fuzz::kPeerV6 : weir::fuzz::kPeer;
  result.destination = v6 ? weir::fuzz::kOwnV6 : weir::fuzz::kOwn;
  result.source_port = weir::fuzz::kPeerPort;
  result.destination_port = weir::fuzz::kTcpPort;
  result.sequence = 1000;
  result.window = 5000;
  result.flags = flags;
  return result;
}

constexpr Way kWay = {weir::fuzz::kPeerLink, weir::fuzz::kOwnLink, weir::fuzz::kPeer,
                      weir::fuzz::kOwn};
constexpr Way kWayV6 = {weir::fuzz::kPeerLink, weir::fuzz::kOwnLink, weir::fuzz::kPeerV6,
                        weir::fuzz::kOwnV6};

Bytes ipv4(uint8_t protocol, const Bytes& payload, uint16_t fragment = 0) {
  return weir::fuzz::ipv4_frame(kWay, protocol, payload, {.fragment = fragment});
}

Bytes ipv6(uint8_t next_header, const Bytes& payload, uint8_t hop_limit = 255) {
  return weir::fuzz::ipv6_frame(kWayV6, next_header, payload, hop_limit);
}

std::vector<Bytes> frames() {
  Segment syn = segment(weir::sim::kSyn);
  syn.mss = 1460;
  syn.window_scale = 7;
  syn.sack_permitted = true;
  syn.timestamps = weir::sim::Timestamps{1, 0};
  const Bytes arp =
      Bytes{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6} +
      Bytes{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1};
  const Bytes echo = {8, 0, 0, 0, 0, 1, 0, 1, 'p', 'i', 'n', 'g'};
  const Bytes udp = {0x9c, 0x40, 0, 53, 0, 12, 0, 0, 'a', 'b', 'c', 'd'};
  // Neighbor solicitation for fe80::1 with a source link address; router advertisement.
  Bytes target(16);
  target[0] = 0xfe;
  target[1] = 0x80;
  target[15] = 1;
  const Bytes solicitation =
      Bytes{135, 0, 0, 0, 0, 0, 0, 0} + target + Bytes{1, 1, 2, 0, 0, 0, 0, 2};
  const Bytes advertisement =
      Bytes{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0} +
      Bytes{3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0, 0xfd, 0, 0, 0} + Bytes(12);
  const Bytes fragment6 = Bytes{17, 0, 0, 1, 0, 0, 0, 7} + udp;
  std::vector<Bytes> all = {
      record(encode(syn)),
      record(arp),
      record(ipv4(1, echo)),
      record(ipv4(17, udp)),
      record(ipv4(17, udp, 0x2000)) + record(ipv4(17, udp, 0x0001)),
      record(ipv4(17, Bytes(16), 0x2000)) + record(ipv4(17, Bytes(16), 0x2001)) +
          record(ipv4(17, Bytes(8), 0x0004)),
      record(encode(segment(weir::sim::kAck))),
      record(encode(segment(weir::sim::kSyn, true))),
      record(ipv6(58, solicitation)),
      record(ipv6(58, advertisement)),
      record(ipv6(44, fragment6, 64)),
      record(ipv6(0, Bytes{17, 0, 5, 2, 0, 0, 1, 0} + udp, 64)),
      // An error about a segment of the stack's.
      record(ipv4(1, Bytes{3, 4, 0, 0, 0, 0, 5, 0} +
                         Bytes{0x45, 0, 0, 40, 0, 0, 64, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2} +
                         Bytes{0, 80, 0x9c, 0x40, 0, 0, 0, 1})),
  };
  all.push_back(all[1] + all[0] + record(encode(segment(weir::sim::kAck)), 3));
  return all;
}

std::vector<Bytes> inputs(const std::string& target) {
  if (target == "frame") return frames();
  if (target == "options")
    return {{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7},
            {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0},
            Bytes(40, 1) + Bytes{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9},
            {2, 0},
            {3, 255, 1},
            {0, 2, 4, 1, 1}};
  // What the others read are choices: any bytes are some.
  std::vector<Bytes> all;
  for (int i = 0; i < 8; i++) {
    Bytes bytes;
    for (int byte = 0; byte < 200; byte++)
      bytes.push_back(static_cast<uint8_t>(byte * (2 * i + 1) * 37 + (byte >> 3) * 11));
    all.push_back(bytes);
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: fuzz_corpus TARGET FOLDER\n");
    return 2;
  }
  const std::vector<Bytes> all = inputs(argv[1]);
  std::filesystem::create_directories(argv[2]);
  for (size_t i = 0; i < all.size(); i++) {
    std::ofstream file(std::string(argv[2]) + "/seed-" + std::to_string(i), std::ios::binary);
    file.write(reinterpret_cast<const char*>(all[i].data()),
               static_cast<std::streamsize>(all[i].size()));
  }
  return 0;
}
