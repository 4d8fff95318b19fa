#include "net/link/multicast_listener.h"

#include <rte_byteorder.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "net/ip/ipv6_header.h"
#include "net/link/nd_message.h"

namespace weir::net::link {

namespace {

// RFC 3810 section 9.
constexpr uint8_t kRobustness = 2;
constexpr uint64_t kUnsolicitedIntervalUs = 1'000'000;
// Section 5.2.12: "all sources" are "all but none".
constexpr uint8_t kModeIsExclude = 2;
constexpr uint8_t kChangeToExclude = 4;
/// Where all routers listen that speak version 2 (section 5.2.14).
constexpr Address kReportGroup = Address::v6(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
constexpr uint32_t kQueryBytes = 28;
constexpr uint32_t kShortQueryBytes = 24;

/// One group of a report, without sources (section 5.2).
struct __attribute__((packed)) Record {
  uint8_t type;
  uint8_t auxiliary_words;
  uint16_t sources_be;
  uint8_t group[16];
};
static_assert(sizeof(Record) == 20);

/// A hop-by-hop header with a router alert for MLD (RFC 2711 section 2.1) and padding.
constexpr uint8_t kRouterAlertHeader[8] = {ip::kProtocolIcmpV6, 0, 5, 2, 0, 0, 1, 0};

}  // namespace

MulticastListener::MulticastListener(const Clock& clock, const Environment& environment,
                                     const ip::Routing& routing, ip::Sender& sender)
    : clock_(clock), environment_(environment), routing_(routing), sender_(sender) {
  if (!routing.speaks_v6()) return;
  change_at_us_ = 0;
  changes_left_ = kRobustness;
}

void MulticastListener::groups_changed() {
  change_at_us_ = clock_.now_us;
  changes_left_ = kRobustness;
}

void MulticastListener::input_query(const ip::Incoming& query) {
  const ip::Received& received = query.received;
  uint8_t copy[kQueryBytes] = {};
  const uint32_t bytes = std::min(received.transport_bytes, kQueryBytes);
  // Section 6.2: what came through a router or has another length than the versions know is none. A
  // query of version 1 is answered as one of version 2: all that learn from reports know both.
  if (!received.source.is_v6_link_local() || query.hop_limit != 1 || !query.has_router_alert ||
      received.transport_bytes < kShortQueryBytes ||
      (received.transport_bytes > kShortQueryBytes && received.transport_bytes < kQueryBytes))
    return environment_.counters.add(Counter::drop_nd_malformed);
  const void* read = rte_pktmbuf_read(received.frame, received.transport_offset_bytes, bytes, copy);
  if (read != copy) std::memcpy(copy, read, bytes);
  uint32_t code_ms = uint32_t{copy[4]} << 8 | copy[5];
  // Section 5.1.3: large values are floating-point numbers.
  if (bytes == kQueryBytes && code_ms >= 0x8000)
    code_ms = ((code_ms & 0x0fff) | 0x1000) << ((code_ms >> 12 & 7) + 3);
  const Address group = Address::v6(copy + 8);
  if (group != Address{} && (!routing_.is_member(group) || group == ip::kAllNodes)) return;
  // Section 6.2: after a random part of the time that the router gives. One answer is under way at
  // most: another question while it waits makes it one about all groups.
  const uint64_t at_us = clock_.now_us + 1 + environment_.random.next() % (code_ms * 1000ull + 1);
  answer_for_ = answer_at_us_ == UINT64_MAX || answer_for_ == group ? group : Address{};
  answer_at_us_ = std::min(answer_at_us_, at_us);
}

void MulticastListener::run_timers() {
  if (clock_.now_us >= change_at_us_) {
    report(kChangeToExclude, nullptr);
    changes_left_--;
    change_at_us_ = changes_left_ == 0
                        ? UINT64_MAX
                        : clock_.now_us + 1 + environment_.random.next() % kUnsolicitedIntervalUs;
  }
  if (clock_.now_us >= answer_at_us_) {
    answer_at_us_ = UINT64_MAX;
    report(kModeIsExclude, answer_for_ == Address{} ? nullptr : &answer_for_);
  }
}

void MulticastListener::report(uint8_t record_type, const Address* only) {
  rte_mbuf* packet = rte_pktmbuf_alloc(environment_.frame_pool);
  if (packet == nullptr) return environment_.counters.add(Counter::drop_no_mbuf);
  auto* header =
      reinterpret_cast<icmp::IcmpHeader*>(rte_pktmbuf_append(packet, sizeof(icmp::IcmpHeader)));
  std::array<Address, ip::Routing::kMaxAddresses> groups;
  uint16_t count = 0;
  for (const ip::LocalAddress& own : routing_.addresses()) {
    if (own.state == ip::LocalAddress::State::free || own.address.is_v4()) continue;
    const Address group = ip::solicited_node_group(own.address);
    const auto end = groups.begin() + count;
    if ((only != nullptr && group != *only) || std::find(groups.begin(), end, group) != end)
      continue;
    groups[count++] = group;
    auto* record = reinterpret_cast<Record*>(rte_pktmbuf_append(packet, sizeof(Record)));
    *record = {record_type, 0, 0, {}};
    std::copy(group.bytes.begin(), group.bytes.end(), record->group);
  }
  if (count == 0) return rte_pktmbuf_free(packet);
  *header = {icmp::kListenerReport, 0, 0, rte_cpu_to_be_32(count)};
  // Section 5.2.13: the unspecified address until there is a link-local one.
  const Address source = routing_.link_local();
  finish_icmp_v6(packet, source, kReportGroup);
  std::memcpy(rte_pktmbuf_prepend(packet, sizeof kRouterAlertHeader), kRouterAlertHeader,
              sizeof kRouterAlertHeader);
  environment_.counters.add(Counter::mld_tx);
  sender_.send_on_link(packet, source, kReportGroup, ip::kNextHopByHop, link_group(kReportGroup),
                       1);
}

}  // namespace weir::net::link
