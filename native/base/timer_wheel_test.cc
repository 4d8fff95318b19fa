#include "base/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace weir {
namespace {

TEST(TimerWheelTest, FiresOnceAndNotEarly) {
  TimerWheel wheel(1'000'000);
  TimerNode node;
  wheel.arm(node, 1'005'000);
  int fired = 0;
  auto fire = [&](TimerNode&) { fired++; };
  wheel.advance(1'004'990, 100, fire);
  EXPECT_EQ(fired, 0);
  wheel.advance(1'005'016, 100, fire);
  EXPECT_EQ(fired, 1);
  wheel.advance(9'000'000, 100, fire);
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(wheel.next_us(), UINT64_MAX);
}

TEST(TimerWheelTest, ADisarmedNodeDoesNotFire) {
  TimerWheel wheel(0);
  TimerNode node;
  wheel.arm(node, 5000);
  wheel.disarm(node);
  wheel.advance(10'000, 100, [](TimerNode&) { FAIL(); });
}

TEST(TimerWheelTest, TheBoundLeavesTheRestForNextTime) {
  TimerWheel wheel(0);
  std::vector<TimerNode> nodes(10);
  for (auto& node : nodes) wheel.arm(node, 1000);
  int fired = 0;
  EXPECT_FALSE(wheel.advance(2000, 4, [&](TimerNode&) { fired++; }));
  EXPECT_EQ(fired, 4);
  EXPECT_LE(wheel.next_us(), 2000u);
  EXPECT_TRUE(wheel.advance(2000, 100, [&](TimerNode&) { fired++; }));
  EXPECT_EQ(fired, 10);
}

// Against a sorted map: random deadlines up to beyond the wheel's span, random steps, nodes armed
// again when they fire.
TEST(TimerWheelTest, AgreesWithAReferenceOverAllLevels) {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    std::mt19937_64 random(seed);
    uint64_t now = random() % 1'000'000'000;
    TimerWheel wheel(now);
    std::vector<TimerNode> nodes(200);
    std::map<TimerNode*, uint64_t> due;
    for (int step = 0; step < 3000; step++) {
      for (int i = 0; i < 3; i++) {
        TimerNode& node = nodes[random() % nodes.size()];
        uint64_t reach = uint64_t{1} << (random() % 29);
        uint64_t deadline = now + random() % reach;
        if (random() % 8 == 0) {
          wheel.disarm(node);
          due.erase(&node);
        } else {
          wheel.arm(node, deadline);
          due[&node] = deadline;
        }
      }
      uint64_t earliest = UINT64_MAX;
      for (auto& [node, at] : due) earliest = std::min(earliest, at);
      if (!due.empty()) {
        ASSERT_LE(wheel.next_us(),
                  std::max(earliest + TimerWheel::kSlotUs, now + 2 * TimerWheel::kSlotUs))
            << "seed " << seed;
      }
      now += random() % (uint64_t{1} << (random() % 24));
      wheel.advance(now, 1'000'000, [&](TimerNode& node) {
        ASSERT_TRUE(due.count(&node)) << "seed " << seed;
        ASSERT_LE(due[&node], now) << "seed " << seed;
        due.erase(&node);
      });
      for (auto& [node, at] : due) ASSERT_GT(at + TimerWheel::kSlotUs, now) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace weir
