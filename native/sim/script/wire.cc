#include "sim/script/wire.h"

#include <algorithm>

namespace weir::sim::script {
namespace {

constexpr uint32_t kIpv4Bytes = 20, kIpv6Bytes = 40, kFragmentHeaderBytes = 8, kIcmpBytes = 8;
constexpr uint8_t kHopByHop = 0, kIcmp = 1, kFragment = 44, kIcmpV6 = 58, kDestinationOptions = 60;
constexpr uint8_t kSolicitation = 135, kAdvertisement = 136;
constexpr uint8_t kOnLinkHopLimit = 255;
/// What the fragments of scripts have in common; one packet at a time is in pieces.
constexpr uint16_t kIdentification = 0x5a5a;

bool is_v4(std::span<const uint8_t> frame) { return frame[12] == 0x08 && frame[13] == 0x00; }
bool is_v6(std::span<const uint8_t> frame) { return frame[12] == 0x86 && frame[13] == 0xdd; }

void put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}
uint32_t get16(const uint8_t* at) { return static_cast<uint32_t>(at[0] << 8 | at[1]); }
uint32_t get32(const uint8_t* at) { return get16(at) << 16 | get16(at + 2); }

/// Next header, length in units of eight beyond the first, options, padding (RFC 8200 section 4.2).
Frame options_header(uint8_t next_header, std::span<const uint8_t> options) {
  const size_t used = 2 + options.size();
  Frame header((used + 7) / 8 * 8);
  header[0] = next_header;
  header[1] = static_cast<uint8_t>(header.size() / 8 - 1);
  std::copy(options.begin(), options.end(), header.begin() + 2);
  // Pad1 is a zero; PadN has a type and a length.
  if (const size_t padding = header.size() - used; padding > 1) {
    header[used] = 1;
    header[used + 1] = static_cast<uint8_t>(padding - 2);
  }
  return header;
}

/// Puts a header between the IPv6 header and what follows.
void insert_header(Frame& frame, uint8_t type, const Frame& header) {
  uint8_t* ip = frame.data() + kEthernetBytes;
  put16(ip + 4, get16(ip + 4) + static_cast<uint32_t>(header.size()));
  ip[6] = type;
  frame.insert(frame.begin() + kEthernetBytes + kIpv6Bytes, header.begin(), header.end());
}

}  // namespace

Frame with_options(Frame frame, std::span<const uint8_t> hop_by_hop,
                   std::span<const uint8_t> destination) {
  if (!is_v6(frame)) return frame;
  const auto next = [&] { return frame[kEthernetBytes + 6]; };
  if (!destination.empty())
    insert_header(frame, kDestinationOptions, options_header(next(), destination));
  if (!hop_by_hop.empty()) insert_header(frame, kHopByHop, options_header(next(), hop_by_hop));
  return frame;
}

std::vector<Frame> in_fragments(const Frame& frame, uint32_t payload_bytes) {
  const bool v4 = is_v4(frame);
  const size_t begin = kEthernetBytes + (v4 ? kIpv4Bytes : kIpv6Bytes);
  const size_t end = kEthernetBytes + packet_bytes(frame);
  std::vector<Frame> fragments;
  for (size_t at = begin; at < end; at += payload_bytes) {
    const size_t here = std::min<size_t>(payload_bytes, end - at);
    const bool more = at + here < end;
    const auto offset = static_cast<uint32_t>(at - begin);
    Frame fragment(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(begin));
    fragment.insert(fragment.end(), frame.begin() + static_cast<ptrdiff_t>(at),
                    frame.begin() + static_cast<ptrdiff_t>(at + here));
    uint8_t* ip = fragment.data() + kEthernetBytes;
    if (v4) {
      put16(ip + 2, static_cast<uint32_t>(kIpv4Bytes + here));
      put16(ip + 4, kIdentification);
      put16(ip + 6, offset / 8 | (more ? 0x2000u : 0u));
      write_checksums(fragment);
    } else {
      put16(ip + 4, static_cast<uint32_t>(here));
      Frame header(kFragmentHeaderBytes);
      header[0] = ip[6];
      put16(&header[2], offset | (more ? 1u : 0u));
      put32(&header[4], kIdentification);
      insert_header(fragment, kFragment, header);
    }
    fragments.push_back(std::move(fragment));
  }
  return fragments;
}

Frame plain_packet(const Segment& way, uint8_t protocol, uint32_t payload_bytes) {
  return encode_packet(way, protocol, Frame(payload_bytes));
}

std::optional<IcmpError> icmp_error(const std::string& name, bool is_v4, uint32_t value) {
  // RFC 792, RFC 1191 section 4; RFC 4443 section 3.
  static constexpr struct {
    const char* name;
    uint8_t type_v4, code_v4, type_v6, code_v6;
  } kErrors[] = {{"host", 3, 1, 1, 3},       {"port", 3, 3, 1, 4},        {"toobig", 3, 4, 2, 0},
                 {"fragneed", 3, 4, 2, 0},   {"prohibited", 3, 13, 1, 1}, {"hops", 11, 0, 3, 0},
                 {"reassembly", 11, 1, 3, 1}};
  for (const auto& each : kErrors)
    if (name == each.name)
      return IcmpError{is_v4 ? each.type_v4 : each.type_v6, is_v4 ? each.code_v4 : each.code_v6,
                       value};
  // RFC 4443 section 3.4, RFC 7112 section 5.
  static constexpr const char* kProblems[] = {"field", "header", "option", "chain"};
  for (uint8_t code = 0; code < std::size(kProblems); code++)
    if (!is_v4 && name == kProblems[code]) return IcmpError{4, code, value};
  return std::nullopt;
}

std::optional<Frame> icmp_about(const Frame& frame, const net::Address& router,
                                const IcmpError& error, std::optional<uint32_t> sequence) {
  auto reply = too_big_reply(frame, router, 0);
  if (!reply) return std::nullopt;
  const uint32_t header = is_v4(*reply) ? kIpv4Bytes : kIpv6Bytes;
  uint8_t* icmp = reply->data() + kEthernetBytes + header;
  icmp[0] = error.type;
  icmp[1] = error.code;
  put32(icmp + 4, error.value);
  if (sequence) put32(icmp + kIcmpBytes + header + 4, *sequence);
  write_checksums(*reply);
  return reply;
}

bool read_icmp_error(std::span<const uint8_t> frame, IcmpError& error) {
  const bool v4 = is_v4(frame);
  const size_t at = kEthernetBytes + (v4 ? kIpv4Bytes : kIpv6Bytes);
  if ((!v4 && !is_v6(frame)) || frame.size() < at + kIcmpBytes) return false;
  if (v4 ? frame[kEthernetBytes + 9] != kIcmp : frame[kEthernetBytes + 6] != kIcmpV6) return false;
  const uint8_t type = frame[at];
  // RFC 1122 section 3.2.2, RFC 4443 section 2.1.
  if (v4 ? type != 3 && type != 11 && type != 12 : type >= 128) return false;
  error = {type, frame[at + 1], get32(&frame[at + 4])};
  return true;
}

std::optional<Frame> neighbor_answer(std::span<const uint8_t> frame, const net::Address& neighbor,
                                     const LinkAddress& link_address) {
  if (frame.size() >= 42 && frame[12] == 0x08 && frame[13] == 0x06) {
    // An ARP request (RFC 826).
    if (!neighbor.is_v4() || frame[21] != 1 || get32(&frame[38]) != neighbor.v4_host_order())
      return std::nullopt;
    Frame answer(frame.begin(), frame.begin() + 42);
    std::copy_n(frame.begin() + 6, 6, answer.begin());
    std::copy(link_address.begin(), link_address.end(), answer.begin() + 6);
    answer[21] = 2;
    std::copy(link_address.begin(), link_address.end(), answer.begin() + 22);
    std::copy_n(frame.begin() + 38, 4, answer.begin() + 28);
    std::copy_n(frame.begin() + 22, 10, answer.begin() + 32);
    return answer;
  }
  constexpr size_t kMessage = kEthernetBytes + kIpv6Bytes;
  if (frame.size() < kMessage + 24 || !is_v6(frame) || frame[kEthernetBytes + 6] != kIcmpV6 ||
      frame[kMessage] != kSolicitation || net::Address::v6(&frame[kMessage + 8]) != neighbor)
    return std::nullopt;
  Segment way;
  way.source_link = link_address;
  std::copy_n(frame.begin() + 6, 6, way.destination_link.begin());
  way.source = neighbor;
  way.destination = net::Address::v6(&frame[kEthernetBytes + 8]);
  way.hop_limit = kOnLinkHopLimit;
  // Solicited, override; the target and its link address (RFC 4861 section 4.4).
  Frame message = {kAdvertisement, 0, 0, 0, 0x60, 0, 0, 0};
  message.insert(message.end(), neighbor.bytes.begin(), neighbor.bytes.end());
  message.insert(message.end(), {2, 1});
  message.insert(message.end(), link_address.begin(), link_address.end());
  return encode_packet(way, kIcmpV6, message);
}

Frame neighbor_question(const net::Address& neighbor, const LinkAddress& neighbor_link,
                        const net::Address& own, const LinkAddress& own_link) {
  if (own.is_v4()) {
    Frame request = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    request.insert(request.end(), neighbor_link.begin(), neighbor_link.end());
    request.insert(request.end(), {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1});
    request.insert(request.end(), neighbor_link.begin(), neighbor_link.end());
    request.insert(request.end(), neighbor.bytes.begin() + 12, neighbor.bytes.end());
    request.insert(request.end(), own_link.begin(), own_link.end());
    request.insert(request.end(), own.bytes.begin() + 12, own.bytes.end());
    return request;
  }
  Segment way;
  way.source_link = neighbor_link;
  way.destination_link = own_link;
  way.source = neighbor;
  way.destination = own;
  way.hop_limit = kOnLinkHopLimit;
  Frame message = {kSolicitation, 0, 0, 0, 0, 0, 0, 0};
  message.insert(message.end(), own.bytes.begin(), own.bytes.end());
  message.insert(message.end(), {1, 1});
  message.insert(message.end(), neighbor_link.begin(), neighbor_link.end());
  return encode_packet(way, kIcmpV6, message);
}

}  // namespace weir::sim::script
