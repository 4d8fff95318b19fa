#include "sim/scenario.h"

#include <algorithm>

namespace weir::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1000 * kMs;

/// Half of the links have none of a nuisance, the others up to `most` of it.
double some(Random& random, double most) { return random.one_in(2) ? 0 : most * random.unit(); }

LinkConfig draw_link(Random& random) {
  LinkConfig link;
  link.delay_ns = random.spread(10'000, 100 * kMs);
  link.jitter_ns = random.one_in(2) ? 0 : random.below(link.delay_ns);
  if (!random.one_in(3)) link.rate_bits_per_second = random.spread(300'000, 1'000'000'000);
  link.queue_packets = static_cast<uint32_t>(random.between(8, 300));
  if (random.one_in(3)) link.queue_bytes = static_cast<uint32_t>(random.between(6'000, 300'000));
  if (random.one_in(4)) link.mark_at_bytes = static_cast<uint32_t>(random.between(3'000, 50'000));
  // One link in four is clean.
  if (random.one_in(4)) return link;
  link.loss = some(random, 0.05);
  link.burst_begins = some(random, 0.01);
  link.burst_ends = 0.2 + 0.8 * random.unit();
  link.duplication = some(random, 0.05);
  link.corruption = some(random, 0.03);
  link.reordering = some(random, 0.2);
  link.reordering_ns = random.below(60 * kMs);
  return link;
}

net::StackConfig draw_stack(Random& random, uint32_t host, bool v6) {
  net::StackConfig config;
  config.link_address = link_address_of(host);
  config.addresses = {{host_address(host, v6), static_cast<uint8_t>(v6 ? 64 : 24)}};
  config.duplicate_address_probes = static_cast<uint8_t>(random.below(2));
  config.mtu_bytes = random.pick<uint16_t>({1500, 1500, 1500, 1400, 1280, 576});
  if (v6) config.mtu_bytes = std::max(config.mtu_bytes, net::kMinMtuV6Bytes);
  config.congestion_control =
      random.one_in(3) ? net::CongestionControl::new_reno : net::CongestionControl::cubic;
  if (random.one_in(2)) config.keep_alive_idle_ms = 0;
  config.request_ecn = random.one_in(3);
  if (random.one_in(2)) {
    config.port_completes_checksums = true;
    config.large_send_bytes = random.pick<uint32_t>({0, 3'000, 20'000, 65'535});
  }
  config.syn_cookies = random.one_in(2);
  config.max_connections = random.one_in(20) ? 2 : 64;
  config.max_listeners = 16;
  config.max_half_open = random.one_in(10) ? 1 : 32;
  config.max_time_wait = 64;
  config.max_neighbors = 16;
  config.receive_buffer_bytes = static_cast<uint32_t>(random.spread(4'000, 260'000));
  config.send_buffer_bytes = static_cast<uint32_t>(random.spread(10'000, 260'000));
  config.first_receive_buffer_bytes = static_cast<uint32_t>(
      random.spread(std::min(4'000u, config.receive_buffer_bytes), config.receive_buffer_bytes));
  config.send_copy_bytes = 2 * 1024 * 1024;
  config.max_sent_segments = 8192;
  config.max_reorder_segments = static_cast<uint32_t>(random.between(4, 200));
  config.max_reorder_segments_total = 1024;
  config.time_wait_ms = static_cast<uint32_t>(random.between(1'000, 60'000));
  return config;
}

HostConfig draw_host(Random& random, uint32_t host, bool v6) {
  HostConfig config;
  config.stack = draw_stack(random, host, v6);
  config.stack_seed = random.next();
  // Up to twelve days, where nothing else is wanted of the clock.
  config.clock_offset_us = random.below(uint64_t{1} << 40);
  config.batch = static_cast<uint32_t>(random.between(1, 64));
  config.ring_frames = static_cast<uint32_t>(random.between(32, 512));
  config.cycle_ns = random.between(1'000, 30'000);
  // Machines stall for milliseconds.
  if (random.one_in(2)) config.stall_ns = random.between(1 * kMs, 20 * kMs);
  if (random.one_in(3)) config.transmit_hold_ns = random.below(2 * kMs);
  return config;
}

End draw_end(Random& random, uint32_t sends, uint32_t receives, uint64_t horizon_ns) {
  End end;
  end.sends = Stream(sends);
  end.receives = Stream(receives);
  end.send_bytes = random.pick<uint64_t>(
      {0, random.between(1, 1000), random.spread(1000, 500'000), random.spread(1000, 500'000)});
  if (random.one_in(4)) {
    end.write_bytes = random.spread(1, 50'000);
    end.pause_ns = random.spread(1 * kMs, 3 * kSecond);
    end.send_bytes = std::min(end.send_bytes, end.write_bytes * 40);
  }
  if (random.one_in(10)) end.aborts_at_bytes = random.between(1, 100'000);
  if (random.one_in(10)) end.aborts_at_ns = random.below(horizon_ns);
  return end;
}

void draw_pairs(Random& random, Scenario& scenario, uint64_t horizon_ns) {
  const uint64_t count = random.between(1, 6);
  for (uint32_t i = 0; i < count; i++) {
    Pair pair;
    pair.opener = i == 0 ? 0 : static_cast<uint32_t>(random.below(2));
    pair.port = static_cast<uint16_t>(kFirstPort + i);
    pair.listens = i == 0 || !random.one_in(20);
    pair.opens_at_ns = i == 0 || random.one_in(2) ? 0 : random.below(5 * kSecond);
    pair.ends[0] = draw_end(random, 2 * i, 2 * i + 1, horizon_ns);
    pair.ends[1] = draw_end(random, 2 * i + 1, 2 * i, horizon_ns);
    if (random.one_in(2)) pair.ends[random.below(2)].closes_last = true;
    if (random.one_in(30)) pair.server().refuses = true;
    scenario.pairs.push_back(pair);
  }
}

void draw_events(Random& random, Scenario& scenario) {
  const uint64_t heal_ns = scenario.heal_ns;
  if (random.one_in(3)) {
    const uint64_t partitions = random.between(1, 3);
    for (uint64_t i = 0; i < partitions; i++) {
      const uint64_t from_ns = random.below(heal_ns);
      const uint64_t until_ns = from_ns + random.spread(1 * kMs, heal_ns);
      scenario.events.push_back({.at_ns = from_ns, .kind = Event::Kind::partition});
      if (until_ns < heal_ns)
        scenario.events.push_back({.at_ns = until_ns, .kind = Event::Kind::reunite});
    }
  }
  // The path changes.
  if (random.one_in(4)) {
    for (uint32_t host = 0; host < 2; host++)
      scenario.events.push_back({.at_ns = random.below(heal_ns),
                                 .kind = Event::Kind::configure,
                                 .host = host,
                                 .link = draw_link(random)});
  }
  // A link further on takes less than the hosts' own.
  if (random.one_in(5)) {
    for (uint32_t host = 0; host < 2; host++) {
      LinkConfig link = scenario.links[host];
      link.mtu_bytes = static_cast<uint32_t>(random.between(scenario.v6 ? 1280 : 576, 1450));
      if (random.one_in(3)) continue;
      scenario.events.push_back({.at_ns = random.below(std::min(heal_ns, 3 * kSecond)),
                                 .kind = Event::Kind::configure,
                                 .host = host,
                                 .link = link});
    }
  }
  if (random.one_in(5)) {
    const auto host = static_cast<uint32_t>(random.below(2));
    const uint64_t from_ns = random.spread(1 * kMs, 2 * kSecond);
    scenario.events.push_back({.at_ns = from_ns,
                               .kind = Event::Kind::starve,
                               .host = host,
                               .link = {},
                               .header_buffers = random.one_in(2),
                               .frame_buffers = random.one_in(2)});
    scenario.events.push_back({.at_ns = from_ns + random.spread(1 * kMs, 2 * kSecond),
                               .kind = Event::Kind::feed,
                               .host = host});
  }
  scenario.events.push_back({.at_ns = heal_ns, .kind = Event::Kind::heal});
  std::stable_sort(scenario.events.begin(), scenario.events.end(),
                   [](const Event& a, const Event& b) { return a.at_ns < b.at_ns; });
}

void draw_meddling(Random& random, Meddling& meddling) {
  static constexpr const char* kStates[] = {"SYN-SENT",   "SYN-RECEIVED", "ESTABLISHED",
                                            "FIN-WAIT-1", "FIN-WAIT-2",   "CLOSE-WAIT",
                                            "CLOSING",    "LAST-ACK"};
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      meddling.old_duplicates = true;
      break;
    case 3:
    case 4:
      meddling.blind_attacks = true;
      break;
    case 5:
    case 6:
      meddling.sack_lies = true;
      break;
    case 7:
      meddling.optimistic_acks = true;
      break;
    case 8:
      meddling.ack_division = true;
      break;
    case 9:
      meddling.reset_in_state = kStates[random.below(std::size(kStates))];
      break;
    default:
      break;
  }
  if (meddling.old_duplicates && random.one_in(2)) meddling.sack_lies = true;
}

}  // namespace

LinkAddress link_address_of(uint32_t host) {
  return {0x02, 0, 0, 0, 0, static_cast<uint8_t>(1 + host)};
}

net::Address host_address(uint32_t host, bool v6) {
  if (!v6) return net::Address::v4(0x0a000001 + host);
  net::Address address;
  address.bytes = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(1 + host)};
  return address;
}

net::Address router_address(bool v6) { return host_address(0xfd, v6); }

Scenario Scenario::draw(uint64_t seed) {
  Random random(seed);
  Scenario scenario;
  scenario.seed = seed;
  scenario.v6 = random.one_in(3);
  scenario.heal_ns = random.spread(5 * kSecond, 300 * kSecond);
  for (uint32_t host = 0; host < 2; host++) {
    scenario.hosts[host] = draw_host(random, host, scenario.v6);
    scenario.links[host] = draw_link(random);
    AppConfig& app = scenario.apps[host];
    app.peer = host_address(1 - host, scenario.v6);
    app.refuses_one_in = random.pick<uint64_t>({0, 100, 400});
    app.idles_one_in = random.pick<uint64_t>({0, 200, 1000});
    app.consumes_at_once_one_in = random.between(1, 8);
    app.consume_delay_ns = random.spread(10'000, 100 * kMs);
    app.most_piece_bytes = random.pick<uint64_t>({300, 8'000, 50'000});
  }
  draw_pairs(random, scenario, 20 * kSecond);
  draw_events(random, scenario);
  for (Meddling& meddling : scenario.meddling)
    if (random.one_in(2)) draw_meddling(random, meddling);
  for (uint32_t host = 0; host < 2; host++) {
    const uint64_t kind = random.below(10);
    scenario.aims[host] = kind < 6    ? ClockAim::sequence_wrap
                          : kind == 6 ? ClockAim::timestamp_wrap
                          : kind == 7 ? ClockAim::millisecond_wrap
                          : kind == 8 ? ClockAim::wheel_wrap
                                      : ClockAim::anything;
    const uint64_t bytes = scenario.pairs[0].ends[host].send_bytes;
    scenario.before_wrap[host] = static_cast<uint32_t>(random.below(bytes + 2));
  }
  return scenario;
}

}  // namespace weir::sim
