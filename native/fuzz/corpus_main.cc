/// Writes the inputs that fuzzing begins with: fuzz_corpus TARGET FOLDER.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "sim/packet.h"

namespace {

using Bytes = std::vector<uint8_t>;
using weir::sim::Segment;

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// A frame as the target reads it.
Bytes record(const Bytes& frame, uint8_t flags = 1) {
  return Bytes{flags, static_cast<uint8_t>(frame.size() >> 8), static_cast<uint8_t>(frame.size())} +
         frame;
}

Segment segment(uint8_t flags, bool v6 = false) {
  Segment result;
  result.source_link = {2, 0, 0, 0, 0, 2};
  result.destination_link = {2, 0, 0, 0, 0, 1};
  result.source = weir::net::Address::v4(0x0a000002);
  result.destination = weir::net::Address::v4(0x0a000001);
  if (v6) {
    result.source = result.destination = {};
    result.source.bytes[0] = result.destination.bytes[0] = 0xfe;
    result.source.bytes[1] = result.destination.bytes[1] = 0x80;
    result.source.bytes[15] = 2;
    result.destination.bytes[15] = 1;
  }
  result.source_port = 40000;
  result.destination_port = 80;
  result.sequence = 1000;
  result.window = 5000;
  result.flags = flags;
  return result;
}

/// An IPv4 packet of another protocol in a frame.
Bytes ipv4(uint8_t protocol, const Bytes& payload, uint16_t fragment = 0) {
  const auto total = static_cast<uint16_t>(20 + payload.size());
  return Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0} +
         Bytes{0x45,
               0,
               static_cast<uint8_t>(total >> 8),
               static_cast<uint8_t>(total),
               1,
               2,
               static_cast<uint8_t>(fragment >> 8),
               static_cast<uint8_t>(fragment),
               64,
               protocol,
               0,
               0,
               10,
               0,
               0,
               2,
               10,
               0,
               0,
               1} +
         payload;
}

/// An IPv6 packet between link-local addresses.
Bytes ipv6(uint8_t next_header, const Bytes& payload, uint8_t hop_limit = 255) {
  Bytes source(16), destination(16);
  source[0] = destination[0] = 0xfe;
  source[1] = destination[1] = 0x80;
  source[15] = 2;
  destination[15] = 1;
  return Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd} +
         Bytes{0x60,
               0,
               0,
               0,
               static_cast<uint8_t>(payload.size() >> 8),
               static_cast<uint8_t>(payload.size()),
               next_header,
               hop_limit} +
         source + destination + payload;
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
  if (target == "segments") {
    std::vector<Bytes> all;
    for (int i = 0; i < 8; i++) {
      Bytes bytes;
      for (int byte = 0; byte < 200; byte++)
        bytes.push_back(static_cast<uint8_t>(byte * (2 * i + 1) * 37 + (byte >> 3) * 11));
      all.push_back(bytes);
    }
    return all;
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Bytes> all = argc == 3 ? inputs(argv[1]) : std::vector<Bytes>();
  if (all.empty()) {
    std::fprintf(stderr, "usage: fuzz_corpus frame|segments|options FOLDER\n");
    return 2;
  }
  std::filesystem::create_directories(argv[2]);
  for (size_t i = 0; i < all.size(); i++) {
    std::ofstream file(std::string(argv[2]) + "/seed-" + std::to_string(i), std::ios::binary);
    file.write(reinterpret_cast<const char*>(all[i].data()),
               static_cast<std::streamsize>(all[i].size()));
  }
  return 0;
}
