#include "sim/link.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace weir::sim {
namespace {

constexpr uint64_t kMs = 1'000'000;

/// An IPv4 TCP segment with so much payload.
Frame frame_of(size_t payload_bytes, uint8_t ecn = kNotEct) {
  const std::vector<uint8_t> payload(payload_bytes, 7);
  Segment segment;
  segment.source = net::Address::v4(0x0a000001);
  segment.destination = net::Address::v4(0x0a000002);
  segment.flags = kAck;
  segment.ecn = ecn;
  segment.payload = payload;
  return encode(segment);
}

struct Received {
  uint64_t at_ns;
  Frame frame;
  bool corrupted;
};

std::vector<Received> drain(Link& link) {
  std::vector<Received> all;
  Link::Arrival arrival;
  while (link.next_ns() != UINT64_MAX) {
    const uint64_t at_ns = link.next_ns();
    EXPECT_FALSE(at_ns > 0 && link.receive(at_ns - 1, arrival));
    EXPECT_TRUE(link.receive(at_ns, arrival));
    all.push_back({at_ns, std::move(arrival.frame), arrival.corrupted});
  }
  return all;
}

TEST(LinkTest, rate_and_delay_add_up) {
  // 1,000 bytes at 8 Mbit/s take a millisecond.
  Link link({.rate_bits_per_second = 8'000'000, .delay_ns = 5 * kMs}, 1);
  const Frame frame(1000);
  for (int i = 0; i < 3; i++) EXPECT_EQ(link.send(frame, 2 * kMs), Fate::passed);
  EXPECT_EQ(link.queued_packets(), 3u);
  EXPECT_EQ(link.queued_bytes(), 3000u);
  const std::vector<Received> all = drain(link);
  ASSERT_EQ(all.size(), 3u);
  for (uint64_t i = 0; i < 3; i++) EXPECT_EQ(all[i].at_ns, (2 + 1 + i + 5) * kMs);
  // After a pause the rate begins anew.
  EXPECT_EQ(link.send(frame, 100 * kMs), Fate::passed);
  EXPECT_EQ(drain(link)[0].at_ns, 106 * kMs);
}

TEST(LinkTest, what_the_queue_has_no_room_for_is_lost) {
  Link by_packets({.rate_bits_per_second = 8'000'000, .queue_packets = 2}, 1);
  const Frame frame(1000);
  EXPECT_EQ(by_packets.send(frame, 0), Fate::passed);
  EXPECT_EQ(by_packets.send(frame, 0), Fate::passed);
  EXPECT_EQ(by_packets.send(frame, 0), Fate::queue_full);
  EXPECT_EQ(by_packets.send(frame, kMs), Fate::passed) << "the first has left";

  Link by_bytes({.rate_bits_per_second = 8'000'000, .queue_bytes = 2500}, 1);
  EXPECT_EQ(by_bytes.send(frame, 0), Fate::passed);
  EXPECT_EQ(by_bytes.send(frame, 0), Fate::passed);
  EXPECT_EQ(by_bytes.send(frame, 0), Fate::queue_full);
  EXPECT_EQ(by_bytes.send(Frame(400), 0), Fate::passed);
  EXPECT_EQ(by_bytes.counts().fates[static_cast<uint32_t>(Fate::queue_full)], 1u);
}

TEST(LinkTest, loss_is_as_frequent_as_asked_for) {
  Link link({.loss = 0.1}, 3);
  const Frame frame(100);
  int lost = 0;
  for (int i = 0; i < 10'000; i++) lost += link.send(frame, 0) == Fate::lost;
  EXPECT_NEAR(lost, 1000, 100);
}

TEST(LinkTest, bursts_are_as_long_as_asked_for) {
  Link link({.burst_begins = 0.01, .burst_ends = 0.25}, 3);
  const Frame frame(100);
  int bursts = 0, lost = 0;
  bool in_burst = false;
  for (int i = 0; i < 100'000; i++) {
    const bool now = link.send(frame, 0) == Fate::burst;
    bursts += now && !in_burst;
    lost += now;
    in_burst = now;
  }
  EXPECT_NEAR(static_cast<double>(lost) / bursts, 4, 0.5);
  EXPECT_NEAR(bursts, 1000, 150);
}

TEST(LinkTest, jitter_keeps_the_order_and_reordering_does_not) {
  Link jitter({.delay_ns = 10 * kMs, .jitter_ns = 5 * kMs}, 5);
  Link reordering({.delay_ns = 10 * kMs, .reordering = 0.3, .reordering_ns = 5 * kMs}, 5);
  for (uint8_t i = 0; i < 200; i++) {
    jitter.send(Frame(60, i), i * kMs / 10);
    reordering.send(Frame(60, i), i * kMs / 10);
  }
  const auto is_sorted = [](const std::vector<Received>& all) {
    return std::is_sorted(all.begin(), all.end(), [](const Received& a, const Received& b) {
      return a.frame[0] < b.frame[0];
    });
  };
  const auto with_jitter = drain(jitter);
  EXPECT_TRUE(is_sorted(with_jitter));
  EXPECT_GT(with_jitter[0].at_ns + with_jitter[9].at_ns, 20 * kMs + 100'000);
  EXPECT_FALSE(is_sorted(drain(reordering)));
  EXPECT_GT(reordering.counts().reordered, 30u);
}

TEST(LinkTest, duplicates_arrive_twice) {
  Link link({.duplication = 1}, 1);
  link.send(Frame(60), 0);
  EXPECT_EQ(drain(link).size(), 2u);
}

TEST(LinkTest, every_corruption_is_one_that_checksums_find) {
  Link link({.corruption = 1}, 9);
  for (size_t i = 0; i < 2000; i++) link.send(frame_of(i % 700), 0);
  for (const Received& received : drain(link)) {
    EXPECT_TRUE(received.corrupted);
    Segment segment;
    // Either it is no TCP segment any more, or its checksums are wrong.
    if (parse(received.frame, segment) == FrameKind::tcp) {
      EXPECT_FALSE(has_right_checksums(received.frame));
    }
    EXPECT_TRUE(std::equal(received.frame.begin(), received.frame.begin() + 12, Frame(12).begin()))
        << "the link's own header has a checksum of its own";
  }
}

TEST(LinkTest, frames_without_a_checksum_are_not_corrupted) {
  Link link({.corruption = 1}, 9);
  Frame arp(60);
  arp[12] = 0x08;
  arp[13] = 0x06;
  link.send(arp, 0);
  EXPECT_EQ(drain(link)[0].frame, arp);
}

TEST(LinkTest, a_long_packet_is_too_big_for_the_mtu) {
  Link link({.mtu_bytes = 600}, 1);
  EXPECT_EQ(link.send(frame_of(560), 0), Fate::passed);
  EXPECT_EQ(link.send(frame_of(561), 0), Fate::too_big);
}

TEST(LinkTest, a_partition_stops_what_is_sent_and_not_what_is_under_way) {
  Link link({.delay_ns = kMs}, 1);
  link.send(Frame(60), 0);
  LinkConfig config = link.config();
  config.partitioned = true;
  link.configure(config);
  EXPECT_EQ(link.send(Frame(60), 1), Fate::partitioned);
  EXPECT_EQ(drain(link).size(), 1u);
}

TEST(LinkTest, a_full_queue_marks_what_is_ecn_capable) {
  Link link({.rate_bits_per_second = 8'000'000, .mark_at_bytes = 500}, 1);
  for (const uint8_t ecn : {uint8_t{2}, uint8_t{2}, kNotEct}) link.send(frame_of(600, ecn), 0);
  Segment segment;
  std::vector<uint8_t> seen;
  for (const Received& received : drain(link)) {
    EXPECT_EQ(parse(received.frame, segment), FrameKind::tcp);
    EXPECT_TRUE(has_right_checksums(received.frame));
    seen.push_back(segment.ecn);
  }
  EXPECT_EQ(seen, (std::vector<uint8_t>{2, kCongestionExperienced, kNotEct}));
}

TEST(LinkTest, the_same_seed_has_the_same_fates) {
  const LinkConfig config = {.rate_bits_per_second = 50'000'000,
                             .delay_ns = kMs,
                             .jitter_ns = kMs,
                             .queue_packets = 20,
                             .loss = 0.05,
                             .burst_begins = 0.01,
                             .burst_ends = 0.5,
                             .duplication = 0.1,
                             .corruption = 0.1,
                             .reordering = 0.1,
                             .reordering_ns = kMs};
  const auto run = [&](uint64_t seed) {
    Link link(config, seed);
    for (uint64_t i = 0; i < 500; i++) link.send(frame_of(i), i * 100'000);
    std::vector<uint64_t> times;
    for (const Received& received : drain(link)) times.push_back(received.at_ns);
    return times;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace weir::sim
