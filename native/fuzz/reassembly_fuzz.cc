/// Fragments of both address families, with time passing. Every four bytes of a fragment say which
/// one it is, so what is delivered tells what it was made of: whole fragments of one packet, each
/// once, none too old, and nothing that overlapped them was there.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "fuzz/harness.h"
#include "net/checksum.h"
#include "net/stack.h"

namespace weir::fuzz {
namespace {

constexpr int kMostSteps = 256;
constexpr uint32_t kLongestPacketBytes = 65'535;
constexpr uint8_t kUdp = 17, kFragment = 44;
constexpr uint32_t kUdpBytes = 8, kMarkBytes = 4;
/// RFC 791 section 3.2 as Linux has it, and RFC 8200 section 4.5; a second for late timers.
constexpr uint64_t kLongestWaitV4Ns = 31'000'000'000, kLongestWaitV6Ns = 61'000'000'000;

struct SentFragment {
  uint32_t source;
  uint16_t identification;
  uint32_t offset_bytes;
  uint32_t length_bytes;
  bool more;
  bool is_delivered = false;
  uint64_t sent_ns;

  uint32_t end_bytes() const { return offset_bytes + length_bytes; }
  /// One that is all of a packet has nothing to do with others (RFC 6946 section 4).
  bool is_whole() const { return offset_bytes == 0 && !more; }
  bool is_same_packet(const SentFragment& other) const {
    return source == other.source && identification == other.identification;
  }
  bool is_acceptable() const {
    return length_bytes > 0 && end_bytes() <= kLongestPacketBytes &&
           (!more || length_bytes % 8 == 0);
  }
};

sim::HostConfig config(bool is_small) {
  sim::HostConfig config = default_config();
  config.stack.max_fragmented_packets = is_small ? 4 : 32;
  config.stack.max_fragment_bytes = is_small ? 65'536 : 1024 * 1024;
  return config;
}

class Fragments final : public Harness {
 public:
  explicit Fragments(bool is_small) : Harness(config(is_small)) {}

  /// One fragment, wherever it may belong.
  void send_any(FuzzedDataProvider& input) {
    SentFragment fragment = of_some_packet(input);
    fragment.offset_bytes =
        8u * (input.ConsumeBool() ? input.ConsumeIntegralInRange<uint32_t>(0, 15)
                                  : input.ConsumeIntegralInRange<uint32_t>(0, 8191));
    fragment.length_bytes = input.ConsumeBool() ? 8 * input.ConsumeIntegralInRange<uint32_t>(1, 8)
                                                : input.ConsumeIntegralInRange<uint32_t>(0, 1480);
    fragment.more = input.ConsumeBool();
    const uint16_t says_words = input.ConsumeBool()
                                    ? input.ConsumeIntegralInRange<uint16_t>(2, 40)
                                    : input.ConsumeIntegralInRange<uint16_t>(2, 16'000);
    send(fragment, static_cast<uint16_t>(kMarkBytes * says_words));
  }

  /// All fragments of a packet in some order; here and there one is not where it should be.
  void send_packet(FuzzedDataProvider& input) {
    const SentFragment common = of_some_packet(input);
    std::vector<SentFragment> pieces;
    uint32_t end_bytes = 0;
    const int count = input.ConsumeIntegralInRange<int>(2, 5);
    for (int i = 0; i < count; i++) {
      SentFragment piece = common;
      piece.offset_bytes = end_bytes;
      piece.length_bytes = 8 * input.ConsumeIntegralInRange<uint32_t>(1, 3);
      piece.more = i + 1 < count;
      end_bytes = piece.end_bytes();
      pieces.push_back(piece);
    }
    while (!pieces.empty()) {
      const auto next =
          pieces.begin() +
          static_cast<ptrdiff_t>(input.ConsumeIntegralInRange<size_t>(0, pieces.size() - 1));
      SentFragment piece = *next;
      switch (input.ConsumeIntegralInRange<int>(0, 15)) {
        case 0:
          piece.offset_bytes += 8;
          break;
        case 1:
          piece.offset_bytes -= std::min(piece.offset_bytes, 8u);
          break;
        case 2:
          piece.length_bytes += 8;
          break;
        case 3:
          piece.more = !piece.more;
          break;
        case 4:
          // Once more, later.
          send(piece, static_cast<uint16_t>(end_bytes));
          continue;
        default:
          break;
      }
      send(piece, static_cast<uint16_t>(end_bytes));
      pieces.erase(next);
    }
  }

  void after_flush(sim::Host& host) override {
    Harness::after_flush(host);
    const net::StackUsage usage = host.stack().usage();
    const net::StackConfig& bounds = host.config().stack;
    if (usage.fragmented_packets > bounds.max_fragmented_packets)
      give_up("more packets wait to be whole than may");
    if (frames_in_use() > bounds.max_fragment_bytes / kFrameDataBytes + usage.waiting_packets)
      give_up("fragments hold more memory than they may");
  }

  bool on_datagram(uint32_t, const net::Endpoint& remote, const net::Endpoint&,
                   const net::Payload& payload) override {
    judge(remote.port, bytes_of(payload));
    return true;
  }

  void wait_until_all_is_over() {
    advance(kLongestWaitV6Ns);
    if (host().stack().usage().fragmented_packets != 0) give_up("a packet waits for ever");
    if (frames_in_use() != host().stack().usage().waiting_packets)
      give_up("fragments are kept for ever");
  }

 private:
  static constexpr uint32_t kSources = 4;

  static SentFragment of_some_packet(FuzzedDataProvider& input) {
    SentFragment fragment{};
    fragment.source = input.ConsumeIntegralInRange<uint32_t>(0, kSources - 1);
    fragment.identification = input.ConsumeIntegralInRange<int>(0, 3) != 0
                                  ? input.ConsumeIntegralInRange<uint16_t>(0, 3)
                                  : input.ConsumeIntegral<uint16_t>();
    return fragment;
  }

  /// `says_bytes` is the length of the datagram by its own header, if this is the first fragment.
  void send(SentFragment fragment, uint16_t says_bytes) {
    fragment.sent_ns = now_ns();
    const auto mark = static_cast<uint16_t>(sent_.size());
    // Four bytes that sum to zero: checksums hold whatever fragments come together.
    const Bytes pattern = number16(mark) + number16(static_cast<uint16_t>(~mark));
    Bytes payload(fragment.length_bytes);
    for (size_t i = 0; i < payload.size(); i++) payload[i] = pattern[i % kMarkBytes];
    const Way way = way_of(fragment.source);
    if (fragment.offset_bytes == 0 && payload.size() >= kUdpBytes) {
      Bytes header = number16(fragment.identification) + number16(kUdpPort) + number16(says_bytes) +
                     Bytes{0, 0};
      const uint16_t checksum = net::checksum_finish(net::checksum_add(
          net::checksum_pseudo_header(way.source, way.destination, kUdp, says_bytes), header.data(),
          header.size()));
      header[6] = static_cast<uint8_t>(checksum);
      header[7] = static_cast<uint8_t>(checksum >> 8);
      std::copy(header.begin(), header.end(), payload.begin());
    }
    sent_.push_back(fragment);
    const auto place =
        static_cast<uint16_t>(fragment.offset_bytes / 8 | (fragment.more ? 0x2000u : 0u));
    if (way.source.is_v4())
      return Harness::input(
          ipv4_frame(way, kUdp, payload,
                     {.identification = fragment.identification, .fragment = place}),
          true);
    Harness::input(ipv6_frame(way, kFragment,
                              fragment_header(kUdp, static_cast<uint16_t>(fragment.offset_bytes),
                                              fragment.more, fragment.identification) +
                                  payload),
                   false);
  }

  static Way way_of(uint32_t source) {
    const auto last = static_cast<uint8_t>(2 + source / 2);
    Way way = {kPeerLink, kOwnLink, kPeer, kOwn};
    if (source % 2 != 0) {
      way.source = kPeerV6;
      way.destination = kOwnV6;
    }
    way.source.bytes[15] = last;
    return way;
  }

  /// `bytes` is what stands behind the UDP header of a packet that was delivered.
  void judge(uint16_t identification, const Bytes& bytes) {
    std::vector<size_t> used;
    const auto end = static_cast<uint32_t>(kUdpBytes + bytes.size());
    for (uint32_t at = kUdpBytes; at + kMarkBytes <= end;) {
      const size_t mark = mark_at(bytes, at);
      if (mark >= sent_.size()) give_up("bytes were delivered that nobody sent");
      SentFragment& fragment = sent_[mark];
      const bool begins_here =
          fragment.offset_bytes == at || (at == kUdpBytes && fragment.offset_bytes == 0);
      if (!begins_here) give_up("a part of a fragment was delivered, or in another place");
      if (fragment.identification != identification ||
          fragment.source != sent_[used.empty() ? mark : used.front()].source)
        give_up("fragments of different packets were put together");
      for (; at + kMarkBytes <= std::min(fragment.end_bytes(), end); at += kMarkBytes)
        if (mark_at(bytes, at) != mark) give_up("a fragment was overwritten");
      at = std::max(at, std::min(fragment.end_bytes(), end));
      if (fragment.is_delivered) give_up("a fragment was delivered twice");
      fragment.is_delivered = true;
      used.push_back(mark);
    }
    if (used.empty() || sent_[used.front()].is_whole()) return;
    const size_t first = *std::min_element(used.begin(), used.end());
    const uint64_t longest_ns = sent_[first].source % 2 == 0 ? kLongestWaitV4Ns : kLongestWaitV6Ns;
    if (now_ns() - sent_[first].sent_ns > longest_ns) give_up("a fragment was kept too long");
    // Whatever came of this packet since its first fragment is in it, is one of those again, or
    // stands where the delivered bytes do not tell.
    for (size_t i = first; i < sent_.size(); i++) {
      const SentFragment& other = sent_[i];
      if (!other.is_same_packet(sent_[first]) || !other.is_acceptable() || other.is_whole() ||
          other.is_delivered || other.offset_bytes >= end || other.end_bytes() <= kUdpBytes)
        continue;
      const bool is_duplicate = std::any_of(used.begin(), used.end(), [&](size_t mark) {
        return sent_[mark].offset_bytes == other.offset_bytes &&
               sent_[mark].length_bytes == other.length_bytes;
      });
      if (!is_duplicate) give_up("a packet was delivered of which fragments overlapped");
    }
  }

  static size_t mark_at(const Bytes& bytes, uint32_t offset_bytes) {
    const uint8_t* at = bytes.data() + (offset_bytes - kUdpBytes);
    const auto mark = static_cast<uint16_t>(at[0] << 8 | at[1]);
    const auto inverse = static_cast<uint16_t>(at[2] << 8 | at[3]);
    if (mark != static_cast<uint16_t>(~inverse)) give_up("a fragment's bytes were altered");
    return mark;
  }

  std::vector<SentFragment> sent_;
};

}  // namespace
}  // namespace weir::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  FuzzedDataProvider input(data, bytes);
  weir::fuzz::Fragments fragments(input.ConsumeBool());
  for (int step = 0; step < weir::fuzz::kMostSteps && input.remaining_bytes() > 0; step++) {
    switch (input.ConsumeIntegralInRange<int>(0, 7)) {
      case 0:
        fragments.advance(uint64_t{1'000'000} << input.ConsumeIntegralInRange<int>(0, 16));
        break;
      case 1:
      case 2:
      case 3:
        fragments.send_packet(input);
        break;
      default:
        fragments.send_any(input);
        break;
    }
  }
  fragments.wait_until_all_is_over();
  return 0;
}
