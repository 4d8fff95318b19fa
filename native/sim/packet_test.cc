#include "sim/packet.h"

#include <gtest/gtest.h>

#include "sim/sequence_ranges.h"
#include "sim/stream.h"

namespace weir::sim {
namespace {

const net::Address kRouter = net::Address::v4(0x0a0000fe);

net::Address v6(uint8_t last) {
  net::Address address;
  address.bytes[0] = 0xfd;
  address.bytes[15] = last;
  return address;
}

Segment full(std::span<const uint8_t> payload, bool is_v6 = false) {
  Segment segment;
  segment.source_link = {2, 0, 0, 0, 0, 1};
  segment.destination_link = {2, 0, 0, 0, 0, 2};
  segment.source = is_v6 ? v6(1) : net::Address::v4(0x0a000001);
  segment.destination = is_v6 ? v6(2) : net::Address::v4(0x0a000002);
  segment.ecn = 2;
  segment.source_port = 1234;
  segment.destination_port = 80;
  segment.sequence = 0xfffffff0;
  segment.acknowledgement = 77;
  segment.flags = kAck | kPsh;
  segment.window = 500;
  segment.timestamps = Timestamps{5, 6};
  segment.sacks[0] = {100, 200};
  segment.sacks[1] = {300, 400};
  segment.sack_count = 2;
  segment.payload = payload;
  return segment;
}

TEST(PacketTest, what_is_written_is_read) {
  const std::vector<uint8_t> payload = {1, 2, 3, 4, 5};
  for (const bool is_v6 : {false, true}) {
    const Segment segment = full(payload, is_v6);
    const Frame frame = encode(segment);
    EXPECT_TRUE(has_right_checksums(frame));
    Segment read;
    ASSERT_EQ(parse(frame, read), FrameKind::tcp);
    EXPECT_EQ(describe(read), describe(segment));
    EXPECT_EQ(read.source, segment.source);
    EXPECT_EQ(read.destination, segment.destination);
    EXPECT_EQ(read.source_link, segment.source_link);
    EXPECT_EQ(read.ecn, 2);
    EXPECT_EQ(read.end(), 0xfffffff5);
    EXPECT_EQ(packet_bytes(frame), frame.size() - kEthernetBytes);
  }
}

TEST(PacketTest, options_of_a_syn) {
  Segment syn;
  syn.flags = kSyn;
  syn.mss = 1460;
  syn.window_scale = 7;
  syn.sack_permitted = true;
  syn.timestamps = Timestamps{1, 0};
  syn.source = syn.destination = net::Address::v4(1);
  // A kind that nobody knows is kept as it is.
  syn.other_options = {253, 4, 9, 9};
  const Frame frame = encode(syn);
  Segment read;
  ASSERT_EQ(parse(frame, read), FrameKind::tcp);
  EXPECT_EQ(read.mss, 1460);
  EXPECT_EQ(read.window_scale, 7);
  EXPECT_TRUE(read.sack_permitted);
  EXPECT_EQ(read.timestamps->value, 1u);
  EXPECT_EQ(read.other_options, syn.other_options);
  EXPECT_EQ(read.length(), 1u);
}

TEST(PacketTest, cut_frames_are_no_segments) {
  const std::vector<uint8_t> payload(10);
  const Frame whole = encode(full(payload));
  Segment segment;
  for (size_t bytes = 0; bytes < whole.size(); bytes++)
    EXPECT_NE(parse(std::span(whole).first(bytes), segment), FrameKind::tcp) << bytes;
  Frame long_option = whole;
  long_option[kEthernetBytes + 20 + 20 + 3] = 60;  // the timestamps' length
  EXPECT_EQ(parse(long_option, segment), FrameKind::malformed);
}

TEST(PacketTest, a_router_quotes_what_is_too_big) {
  const std::vector<uint8_t> payload(1400);
  for (const bool is_v6 : {false, true}) {
    const Frame frame = encode(full(payload, is_v6));
    const auto reply = too_big_reply(frame, is_v6 ? v6(9) : kRouter, 1280);
    ASSERT_TRUE(reply.has_value());
    EXPECT_TRUE(has_right_checksums(*reply) || !is_v6);
    const uint8_t* icmp = reply->data() + kEthernetBytes + (is_v6 ? 40 : 20);
    EXPECT_EQ(icmp[0], is_v6 ? 2 : 3);
    EXPECT_EQ(icmp[1], is_v6 ? 0 : 4);
    EXPECT_EQ(icmp[6] << 8 | icmp[7], 1280);
    EXPECT_TRUE(std::equal(icmp + 8, icmp + 8 + 28, frame.begin() + kEthernetBytes));
    // It goes back to where the packet came from, and an error is not answered.
    EXPECT_TRUE(std::equal(reply->begin(), reply->begin() + 6, frame.begin() + 6));
    EXPECT_FALSE(too_big_reply(*reply, kRouter, 20).has_value());
  }
}

TEST(PacketTest, only_capable_packets_are_marked) {
  Segment segment = full({});
  Frame frame = encode(segment);
  EXPECT_TRUE(mark_congestion(frame));
  EXPECT_TRUE(has_right_checksums(frame));
  ASSERT_EQ(parse(frame, segment), FrameKind::tcp);
  EXPECT_EQ(segment.ecn, kCongestionExperienced);
  segment.ecn = kNotEct;
  frame = encode(segment);
  const Frame before = frame;
  EXPECT_FALSE(mark_congestion(frame));
  EXPECT_EQ(frame, before);
}

TEST(SequenceRangesTest, ranges_join_across_the_end_of_the_sequence_space) {
  SequenceRanges ranges;
  ranges.start(0xffffff00);
  ranges.add(0xffffff80, 0x10);
  ranges.add(0x20, 0x30);
  EXPECT_EQ(ranges.next(), 0xffffff00);
  EXPECT_TRUE(ranges.has(0xfffffff0, 0x10));
  EXPECT_FALSE(ranges.has(0xfffffff0, 0x11));
  ranges.add(0xffffff00, 0xffffff90);
  EXPECT_EQ(ranges.next(), 0x10u);
  ranges.add(0x8, 0x28);
  EXPECT_EQ(ranges.next(), 0x30u);
  EXPECT_TRUE(ranges.has(0xffffff00, 0x30));
}

TEST(StreamTest, other_places_and_streams_have_other_bytes) {
  const Stream stream(3);
  const auto bytes = stream.part(1'000'000, 60'000);
  EXPECT_TRUE(stream.matches(1'000'000, bytes));
  EXPECT_FALSE(stream.matches(1'000'001, bytes));
  EXPECT_FALSE(stream.matches(1'000'000 + (1 << 20), bytes));
  EXPECT_FALSE(Stream(4).matches(1'000'000, bytes));
}

TEST(PacketTest, a_long_packet_is_cut) {
  const std::vector<uint8_t> payload(2500, 7);
  Segment segment;
  segment.source = net::Address::v4(0x0a000001);
  segment.destination = net::Address::v4(0x0a000002);
  segment.sequence = 0xfffffff0;
  segment.flags = kAck | kPsh | kFin | kCwr;
  segment.timestamps = Timestamps{1, 2};
  segment.payload = payload;
  const std::vector<Frame> frames = cut(segment, 1000);
  ASSERT_EQ(frames.size(), 3u);
  const uint8_t flags[] = {kAck | kCwr, kAck, kAck | kPsh | kFin};
  for (uint32_t i = 0; i < 3; i++) {
    Segment piece;
    ASSERT_EQ(parse(frames[i], piece), FrameKind::tcp);
    EXPECT_TRUE(has_right_checksums(frames[i]));
    EXPECT_EQ(piece.sequence, segment.sequence + i * 1000);
    EXPECT_EQ(piece.payload.size(), i < 2 ? 1000u : 500u);
    EXPECT_EQ(piece.flags, flags[i]);
    EXPECT_EQ(piece.timestamps->value, 1u);
  }
}

}  // namespace
}  // namespace weir::sim
