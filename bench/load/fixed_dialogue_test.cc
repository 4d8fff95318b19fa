#include "fixed_dialogue.h"

#include <gtest/gtest.h>

namespace weir::load {
namespace {

std::vector<uint8_t> letters(uint32_t bytes) {
  std::vector<uint8_t> all;
  for (uint32_t i = 0; i < bytes; i++) all.push_back(static_cast<uint8_t>('a' + i % 26));
  return all;
}

std::vector<uint8_t> written(FixedDialogue& dialogue, MessageId message, uint32_t segment_bytes) {
  std::vector<uint8_t> all(dialogue.begin(message));
  for (uint32_t at = 0; at < all.size(); at += segment_bytes) {
    const auto bytes = std::min(segment_bytes, static_cast<uint32_t>(all.size()) - at);
    const auto sum = dialogue.write(message, at, bytes, all.data() + at);
    EXPECT_EQ(net::checksum_fold(sum),
              net::checksum_fold(net::checksum_add(0, all.data() + at, bytes)));
  }
  return all;
}

TEST(FixedDialogue, EachMessageNamesItself) {
  FixedDialogue dialogue(letters(100), true, 100, 40);
  const auto one = written(dialogue, {7, 1}, 40);
  const auto other = written(dialogue, {7, 2}, 40);
  EXPECT_NE(one, other);
  EXPECT_TRUE(std::equal(one.begin() + 8, one.end(), other.begin() + 8));
  const Taken right = dialogue.take({7, 1}, 0, one.data(), 100);
  EXPECT_TRUE(right.is_whole);
  EXPECT_EQ(right.wrong, 0u);
  EXPECT_EQ(dialogue.take({7, 1}, 0, other.data(), 100).wrong, 1u);
  EXPECT_EQ(dialogue.take({8, 1}, 0, one.data(), 100).wrong, 1u);
}

TEST(FixedDialogue, AnEchoIsCheckedWhereverItIsCut) {
  FixedDialogue dialogue(letters(30), true, 30, 1460);
  auto echo = written(dialogue, {1, 2}, 1460);
  for (uint32_t cut = 1; cut < 30; cut++) {
    EXPECT_FALSE(dialogue.take({1, 2}, 0, echo.data(), cut).is_whole);
    const Taken rest = dialogue.take({1, 2}, cut, echo.data() + cut, 30 - cut);
    EXPECT_TRUE(rest.is_whole);
    EXPECT_EQ(rest.wrong, 0u);
  }
  for (auto& byte : echo) {
    byte ^= 1;
    EXPECT_EQ(dialogue.take({1, 2}, 0, echo.data(), 30).wrong, 1u);
    byte ^= 1;
  }
  echo.push_back('x');
  EXPECT_EQ(dialogue.take({1, 2}, 0, echo.data(), 31).wrong, 1u);
}

TEST(FixedDialogue, AnyBytesAnswerAnotherRequest) {
  FixedDialogue dialogue(letters(10), false, 20, 1460);
  EXPECT_EQ(written(dialogue, {1, 2}, 1460), letters(10));
  const std::vector<uint8_t> answer(20);
  const Taken taken = dialogue.take({1, 2}, 0, answer.data(), 20);
  EXPECT_TRUE(taken.is_whole);
  EXPECT_EQ(taken.wrong, 0u);
}

}  // namespace
}  // namespace weir::load
