#include "fifo.h"

#include <gtest/gtest.h>

namespace weir::load {
namespace {

TEST(Fifo, TheOldestComesFirstAroundItsEnd) {
  Fifo<int> fifo(3);
  EXPECT_TRUE(fifo.is_empty());
  int next_in = 0, next_out = 0;
  for (int round = 0; round < 5; round++) {
    while (!fifo.is_full()) fifo.push(next_in++);
    EXPECT_EQ(next_in - next_out, 3);
    EXPECT_EQ(fifo.front(), next_out);
    EXPECT_EQ(fifo.pop(), next_out++);
    EXPECT_EQ(fifo.pop(), next_out++);
  }
  EXPECT_EQ(fifo.pop(), next_out);
  EXPECT_TRUE(fifo.is_empty());
}

}  // namespace
}  // namespace weir::load
