#include "net/tcp/rack.h"

#include <gtest/gtest.h>

namespace weir::net::tcp {
namespace {

constexpr uint32_t kPathRttUs = 100'000;
constexpr uint32_t kSmoothedUs = 200'000;

// RFC 8985 section 6.2 step 1.
TEST(RackTest, the_least_round_trip_is_forgotten_after_a_while) {
  Rack rack;
  rack.measure(kPathRttUs, 1000);
  rack.measure(2 * kPathRttUs, 2000);
  EXPECT_EQ(rack.min_rtt_us(), kPathRttUs);
  rack.measure(2 * kPathRttUs, 1001 + Rack::kMinRttAgeMs);
  EXPECT_EQ(rack.min_rtt_us(), 2 * kPathRttUs);
}

// Step 2.
TEST(RackTest, a_repetition_that_came_back_too_soon_says_nothing) {
  Rack rack;
  rack.measure(kPathRttUs, 0);
  rack.delivered(1'000'000, 1000, false, false, 1'100'000);
  // Sooner than any round trip, or with the timestamp of the original.
  rack.delivered(1'200'000, 2000, true, false, 1'250'000);
  rack.delivered(1'200'000, 2000, true, true, 1'400'000);
  EXPECT_FALSE(rack.before_delivered(1'100'000, 1500));
  rack.delivered(1'200'000, 2000, true, false, 1'300'000);
  EXPECT_TRUE(rack.before_delivered(1'100'000, 1500));
  EXPECT_EQ(rack.rtt_us(), kPathRttUs);
}

// Steps 3 and 4.
TEST(RackTest, without_reordering_three_segments_are_enough) {
  Rack rack;
  rack.measure(kPathRttUs, 0);
  EXPECT_EQ(rack.window_us(false, 2, kSmoothedUs), kPathRttUs / 4);
  EXPECT_EQ(rack.window_us(false, Rack::kDupThresh, kSmoothedUs), 0u);
  EXPECT_EQ(rack.window_us(true, 0, kSmoothedUs), 0u);
  // A repetition is no sign of it; a segment that was sent once is.
  rack.delivered(1'000'000, 2000, false, false, 1'100'000);
  rack.delivered(1'000'000, 1000, true, false, 1'100'000);
  EXPECT_EQ(rack.window_us(false, Rack::kDupThresh, kSmoothedUs), 0u);
  rack.delivered(1'000'000, 1000, false, false, 1'100'000);
  EXPECT_EQ(rack.window_us(false, Rack::kDupThresh, kSmoothedUs), kPathRttUs / 4);
  EXPECT_EQ(rack.window_us(true, 0, kSmoothedUs), kPathRttUs / 4);
}

// Step 4.
TEST(RackTest, a_duplicate_report_widens_the_window_for_sixteen_recoveries) {
  Rack rack;
  rack.measure(kPathRttUs, 0);
  rack.on_duplicate_sack(1000, 5000);
  EXPECT_EQ(rack.window_us(false, 0, kSmoothedUs), kPathRttUs / 2);
  rack.on_duplicate_sack(4000, 9000);
  EXPECT_EQ(rack.window_us(false, 0, kSmoothedUs), kPathRttUs / 2) << "once a round trip";
  rack.on_duplicate_sack(5000, 9000);
  EXPECT_EQ(rack.window_us(false, 0, kSmoothedUs), kPathRttUs / 4 * 3);
  EXPECT_EQ(rack.window_us(false, 0, kPathRttUs / 2), kPathRttUs / 2) << "at most SRTT";
  for (int i = 0; i < Rack::kPersist; i++) {
    EXPECT_GT(rack.window_us(false, 0, kSmoothedUs), kPathRttUs / 4) << i;
    rack.on_recovery_end();
  }
  EXPECT_EQ(rack.window_us(false, 0, kSmoothedUs), kPathRttUs / 4);
}

}  // namespace
}  // namespace weir::net::tcp
