// The congestion window, and how much goes out while losses are repaired.
#include "net/tcp/congestion.h"

#include <gtest/gtest.h>

#include "net/tcp/prr.h"

namespace weir::net::tcp {
namespace {

constexpr uint32_t kMss = 1000;
constexpr uint64_t kNowUs = 1'000'000;
constexpr uint32_t kRttUs = 100'000;

Congestion started(CongestionControl control = CongestionControl::cubic) {
  Congestion congestion;
  congestion.start(control, kMss, 0);
  return congestion;
}

/// An acknowledgement of so many bytes that measures nothing.
void acknowledge(Congestion& congestion, uint32_t bytes, bool limited = true) {
  congestion.on_ack(kNowUs, bytes, 100, 5000, 0, kRttUs, limited);
}

// RFC 6928 section 2.
TEST(CongestionTest, ten_segments_to_begin_with) {
  const uint32_t cases[][2] = {
      {536, 5360}, {1000, 10'000}, {1460, 14'600}, {2000, 14'600}, {9000, 18'000}};
  for (const auto& [mss_bytes, window_bytes] : cases) {
    Congestion congestion;
    congestion.start(CongestionControl::cubic, mss_bytes, 0);
    EXPECT_EQ(congestion.window_bytes(), window_bytes) << mss_bytes;
  }
}

// RFC 9406 section 4.2.
TEST(CongestionTest, slow_start_counts_bytes_up_to_eight_segments) {
  Congestion congestion = started();
  acknowledge(congestion, 3000);
  EXPECT_EQ(congestion.window_bytes(), 13'000u);
  acknowledge(congestion, 20'000);
  EXPECT_EQ(congestion.window_bytes(), 21'000u);
}

// RFC 9438 section 5.8, RFC 7661 section 4.3.
TEST(CongestionTest, a_window_that_is_not_used_does_not_grow) {
  for (const CongestionControl control : {CongestionControl::cubic, CongestionControl::new_reno}) {
    Congestion congestion = started(control);
    acknowledge(congestion, 5000, false);
    EXPECT_EQ(congestion.window_bytes(), 10'000u);
    congestion.on_congestion(10'000);
    congestion.set_window(congestion.threshold_bytes());
    const uint32_t reduced = congestion.window_bytes();
    for (int i = 0; i < 20; i++) acknowledge(congestion, 5000, false);
    EXPECT_EQ(congestion.window_bytes(), reduced);
    EXPECT_FALSE(congestion.in_slow_start());
  }
}

// RFC 9438 section 4.6.
TEST(CongestionTest, a_loss_leaves_seven_tenths) {
  Congestion congestion = started();
  congestion.set_window(100'000);
  congestion.on_congestion(100'000);
  EXPECT_NEAR(congestion.threshold_bytes(), 70'000, 10);
  // Little was under way: half of the window counts.
  congestion = started();
  congestion.set_window(100'000);
  congestion.on_congestion(20'000);
  EXPECT_NEAR(congestion.threshold_bytes(), 35'000, 10);
  congestion = started();
  congestion.set_window(kMss);
  congestion.on_congestion(kMss);
  EXPECT_EQ(congestion.threshold_bytes(), 2 * kMss);
}

// RFC 5681 section 3.1, RFC 9438 section 4.8.
TEST(CongestionTest, a_timeout_begins_with_one_segment) {
  Congestion congestion = started();
  congestion.set_window(100'000);
  congestion.on_timeout(100'000, false);
  EXPECT_EQ(congestion.window_bytes(), kMss);
  const uint32_t threshold = congestion.threshold_bytes();
  EXPECT_NEAR(threshold, 70'000, 10);
  congestion.on_timeout(kMss, true);
  EXPECT_EQ(congestion.threshold_bytes(), threshold) << "reduced once for the same loss";
  EXPECT_TRUE(congestion.in_slow_start());
}

// RFC 4015 section 3.2.
TEST(CongestionTest, undo_gives_the_former_window_back) {
  Congestion congestion = started();
  congestion.set_window(50'000);
  congestion.on_congestion(50'000);
  congestion.set_window(congestion.threshold_bytes());
  EXPECT_LT(congestion.window_bytes(), 50'000u);
  congestion.undo();
  EXPECT_EQ(congestion.window_bytes(), 50'000u);
  EXPECT_EQ(congestion.threshold_bytes(), UINT32_MAX);
}

// RFC 7661 section 4.4.3, sooner.
TEST(CongestionTest, an_idle_window_shrinks_by_half_for_each_timeout) {
  Congestion congestion = started();
  congestion.set_window(80'000);
  congestion.on_idle(300'000, 300'000);
  EXPECT_EQ(congestion.window_bytes(), 80'000u);
  congestion.on_idle(700'000, 300'000);
  EXPECT_EQ(congestion.window_bytes(), 20'000u);
  congestion.on_idle(60'000'000, 300'000);
  EXPECT_EQ(congestion.window_bytes(), 10'000u) << "down to the initial window";
  // What is known of the path is kept.
  congestion = started();
  congestion.set_window(80'000);
  congestion.on_congestion(80'000);
  congestion.set_window(80'000);
  congestion.on_idle(400'000, 300'000);
  EXPECT_EQ(congestion.window_bytes(), 40'000u);
  EXPECT_EQ(congestion.threshold_bytes(), 60'000u);
}

// RFC 5681 section 3.1.
TEST(CongestionTest, new_reno_grows_by_one_segment_a_round_trip) {
  Congestion congestion = started(CongestionControl::new_reno);
  congestion.set_window(20'000);
  congestion.on_congestion(20'000);
  EXPECT_EQ(congestion.threshold_bytes(), 10'000u);
  congestion.set_window(congestion.threshold_bytes());
  acknowledge(congestion, 9000);
  EXPECT_EQ(congestion.window_bytes(), 10'000u);
  acknowledge(congestion, 1000);
  EXPECT_EQ(congestion.window_bytes(), 11'000u);
}

/// A reduction from 100 segments to 70; the curve is back at 100 after K = cbrt(30 / 0.4) seconds.
class CubicTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kBackUs = 4'217'163;

  CubicTest() {
    past_.on_congestion(100);
    epoch_.grow(kNowUs, kRttUs, past_, 70, 1);
  }
  /// The window after one segment more, so that the target is the curve's value at `at_us`.
  float grow(uint64_t at_us, float window) {
    return epoch_.grow(kNowUs + at_us - kRttUs, kRttUs, past_, window, 1);
  }
  CubicEpoch::Past past_;
  CubicEpoch epoch_;
};

// RFC 9438 sections 4.2 and 4.4.
TEST_F(CubicTest, the_window_grows_slowly_around_the_last_one) {
  EXPECT_NEAR(grow(1'000'000, 70), 70.2383, 1e-3);
  EXPECT_NEAR(grow(kBackUs, 70), 70 + 30.0 / 70, 1e-3);
  EXPECT_NEAR(grow(kBackUs, 99), 99 + 1.0 / 99, 1e-3);
}

// Sections 4.2 and 4.5.
TEST_F(CubicTest, and_faster_beyond_it) {
  EXPECT_NEAR(grow(2 * kBackUs, 100), 100 + 30.0 / 100, 1e-3);
  EXPECT_NEAR(grow(10 * kBackUs, 100), 100.5, 1e-3) << "at most half as much again a round trip";
}

// Section 4.3.
TEST_F(CubicTest, on_short_paths_it_is_as_fast_as_reno) {
  CubicEpoch::Past past;
  past.on_congestion(10);
  CubicEpoch epoch;
  float window = epoch.grow(kNowUs, 1000, past, 7, 1);
  EXPECT_NEAR(window, 7 + CubicEpoch::kAlpha / 7, 1e-3);
  float before = 0;
  for (uint64_t i = 1; i <= 200; i++) {
    before = window;
    window = epoch.grow(kNowUs + i * 100, 1000, past, window, 1);
  }
  EXPECT_GT(before, 10);
  EXPECT_NEAR(window - before, 1 / before, 1e-3) << "by one segment a round trip";
}

// Section 4.7.
TEST_F(CubicTest, it_makes_room_for_others) {
  CubicEpoch::Past past;
  past.on_congestion(100);
  EXPECT_FLOAT_EQ(past.w_max, 100);
  past.on_congestion(80);
  EXPECT_FLOAT_EQ(past.w_max, 68);
  past.on_congestion(90);
  EXPECT_FLOAT_EQ(past.w_max, 90);
}

/// A round of 1,000 bytes has a round trip of 20 ms, the next begins with one of 24 ms.
class HyStartTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kShortUs = 20'000;
  static constexpr uint32_t kLongUs = 24'000;

  HyStartTest() {
    slow_start_.start(0);
    EXPECT_FALSE(round(0, HyStart::kRttSamples, kShortUs));
    EXPECT_FALSE(round(1000, HyStart::kRttSamples - 1, kLongUs));
    EXPECT_FALSE(slow_start_.conservative()) << "seven samples are too few";
    EXPECT_FALSE(slow_start_.on_ack(1500, 2000, kLongUs));
  }
  /// Acknowledgements of the round that begins at `from`; whether slow start is over.
  bool round(uint32_t from, uint32_t acknowledgements, uint32_t rtt_us) {
    bool over = false;
    for (uint32_t i = 0; i < acknowledgements; i++)
      over |= slow_start_.on_ack(from + i, from + 1000, rtt_us);
    return over;
  }
  HyStart slow_start_;
};

// RFC 9406 section 4.2.
TEST_F(HyStartTest, a_round_trip_that_grows_makes_it_careful) {
  EXPECT_TRUE(slow_start_.conservative());
}

TEST_F(HyStartTest, and_bold_again_when_it_was_none_of_ours) {
  EXPECT_FALSE(round(2000, HyStart::kRttSamples, kShortUs));
  EXPECT_FALSE(slow_start_.conservative());
}

TEST_F(HyStartTest, five_rounds_later_slow_start_is_over) {
  for (uint32_t from : {2000u, 3000u, 4000u, 5000u}) EXPECT_FALSE(round(from, 8, kLongUs)) << from;
  EXPECT_TRUE(round(6000, 1, kLongUs));
}

// RFC 9937 section 6.
TEST(RateReductionTest, sending_is_in_proportion_to_what_arrives) {
  RateReduction reduction;
  reduction.start(10'000);
  EXPECT_EQ(reduction.window(1000, 9000, 7000, kMss, false), 10'000u) << "the fast retransmit";
  reduction.on_sent(1000);
  EXPECT_EQ(reduction.window(1000, 9000, 7000, kMss, false), 9400u);
  reduction.on_sent(1000);
  EXPECT_EQ(reduction.window(1000, 9000, 7000, kMss, false), 9100u);
}

TEST(RateReductionTest, below_the_threshold_it_catches_up) {
  RateReduction reduction;
  reduction.start(10'000);
  reduction.window(1000, 9000, 7000, kMss, false);
  reduction.on_sent(1000);
  EXPECT_EQ(reduction.window(1000, 5000, 7000, kMss, false), 6000u);
  reduction.on_sent(1000);
  EXPECT_EQ(reduction.window(1000, 5000, 7000, kMss, true), 7000u);
  EXPECT_EQ(reduction.window(1000, 6500, 7000, kMss, true), 7000u) << "never beyond it";
}

}  // namespace
}  // namespace weir::net::tcp
