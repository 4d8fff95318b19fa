#include "schedule.h"

#include <gtest/gtest.h>

namespace weir::load {
namespace {

TEST(Schedule, MessagesAreDueEvenly) {
  Schedule schedule(10);
  EXPECT_FALSE(schedule.is_due(1'000'000)) << "it has not started";
  schedule.start(100);
  EXPECT_TRUE(schedule.is_due(100));
  EXPECT_EQ(schedule.take(), 100u);
  EXPECT_FALSE(schedule.is_due(109));
  EXPECT_TRUE(schedule.is_due(110));
  EXPECT_EQ(schedule.take(), 110u);
}

TEST(Schedule, WhatIsLateIsNotForgotten) {
  Schedule schedule(10);
  schedule.start(0);
  for (uint64_t due = 0; due <= 1000; due += 10) {
    ASSERT_TRUE(schedule.is_due(1000));
    ASSERT_EQ(schedule.take(), due);
  }
  EXPECT_FALSE(schedule.is_due(1000));
}

TEST(Schedule, ASecondStartChangesNothing) {
  Schedule schedule(10);
  schedule.start(0);
  schedule.take();
  schedule.start(500);
  EXPECT_EQ(schedule.take(), 10u);
}

TEST(Schedule, FractionsOfATickDoNotAddUp) {
  // 2.4 GHz, three messages a microsecond, an hour after the machine's first month.
  const uint64_t start = 2'400'000'000ull * 86'400 * 30;
  Schedule schedule(800.1);
  schedule.start(start);
  constexpr uint64_t kMessages = 10'000'000;
  for (uint64_t i = 0; i < kMessages; i++) schedule.take();
  EXPECT_EQ(schedule.take() - start, 8'001'000'000u);
}

}  // namespace
}  // namespace weir::load
