#include "memcached_dialogue.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace weir::load {
namespace {

constexpr uint32_t kKeys = 500;

std::string key_of(const MemcachedMix& mix, uint32_t number) {
  char key[MemcachedMix::kMostKeyBytes];
  return {key, mix.write_key(number, key)};
}

TEST(MemcachedMix, KeysAreDifferentAndHaveTheirLengths) {
  for (auto kind : {MemcachedKind::etc, MemcachedKind::usr}) {
    const MemcachedMix mix(kind, 20'000, 1);
    std::set<std::string> keys;
    std::map<size_t, uint32_t> lengths;
    for (uint32_t i = 0; i < mix.keys(); i++) {
      keys.insert(key_of(mix, i));
      lengths[key_of(mix, i).size()]++;
    }
    EXPECT_EQ(keys.size(), mix.keys());
    if (kind == MemcachedKind::usr) {
      EXPECT_EQ(lengths.size(), 2u);
      EXPECT_NEAR(lengths[16], 10'000, 500);
      EXPECT_NEAR(lengths[21], 10'000, 500);
    } else {
      EXPECT_EQ(lengths.begin()->first, 20u);
      EXPECT_EQ(lengths.rbegin()->first, 45u);
    }
  }
}

TEST(MemcachedMix, TheKindsHaveNoKeyInCommon) {
  const MemcachedMix etc(MemcachedKind::etc, 10'000, 1), usr(MemcachedKind::usr, 10'000, 1);
  std::set<std::string> keys;
  for (uint32_t i = 0; i < etc.keys(); i++) keys.insert(key_of(etc, i));
  for (uint32_t i = 0; i < usr.keys(); i++) EXPECT_FALSE(keys.contains(key_of(usr, i)));
}

TEST(MemcachedMix, ValuesFollowThePaper) {
  const MemcachedMix mix(MemcachedKind::etc, 100'000, 1);
  std::map<size_t, double> shares;
  double mean = 0;
  for (uint32_t i = 0; i < mix.keys(); i++) {
    ASSERT_LE(mix.value(i).size(), MemcachedMix::kMostValueBytes);
    shares[mix.value(i).size()] += 1e-5;
    mean += static_cast<double>(mix.value(i).size()) * 1e-5;
  }
  EXPECT_NEAR(shares[2], 0.178, 0.01);
  EXPECT_NEAR(shares[11], 0.0899, 0.01);
  // Those that are cut: 1 - F(1024), of the values that are not short.
  EXPECT_NEAR(shares[1024], 0.558 * 0.0632, 0.005);
  EXPECT_NEAR(mean, 152, 15);
  const MemcachedMix other(MemcachedKind::usr, 100, 1);
  for (uint32_t i = 0; i < other.keys(); i++) EXPECT_EQ(other.value(i).size(), 2u);
}

TEST(MemcachedMix, RequestsFollowTheirShares) {
  for (const auto& [kind, share] :
       {std::pair{MemcachedKind::etc, 1.0 / 31}, std::pair{MemcachedKind::usr, 0.002}}) {
    MemcachedMix mix(kind, 1000, 3);
    constexpr int kDraws = 200'000;
    double sets = 0;
    std::map<uint32_t, double> keys;
    for (int i = 0; i < kDraws; i++) {
      const auto request = mix.draw();
      ASSERT_LT(request.key, 1000u);
      sets += request.is_set;
      keys[request.key]++;
    }
    EXPECT_NEAR(sets / kDraws, share, share / 5);
    // The sum of 1 / k^0.99 up to 1,000 is 7.73.
    EXPECT_NEAR(keys[0] / kDraws, 1 / 7.73, 0.005);
    EXPECT_NEAR(keys[9] / kDraws, 1 / 7.73 / 9.77, 0.002);
  }
}

TEST(Popularity, WeightsAreKept) {
  const Popularity popularity({1, 0, 5, 4});
  std::mt19937_64 random(1);
  std::array<double, 4> counts{};
  for (int i = 0; i < 100'000; i++) counts[popularity.draw(random)] += 1e-5;
  EXPECT_NEAR(counts[0], 0.1, 0.005);
  EXPECT_EQ(counts[1], 0);
  EXPECT_NEAR(counts[2], 0.5, 0.005);
  EXPECT_NEAR(counts[3], 0.4, 0.005);
}

class MemcachedDialogueTest : public testing::Test {
 protected:
  const MemcachedMix mix{MemcachedKind::etc, kKeys, 1};
  MemcachedDialogue dialogue{mix, 2};
  MessageId message{1, 0};

  std::string ask() {
    std::string request(dialogue.begin(message), '\0');
    // In two pieces, as after a loss.
    const auto half = static_cast<uint32_t>(request.size() / 4 * 2);
    auto* to = reinterpret_cast<uint8_t*>(request.data());
    dialogue.write(message, 0, half, to);
    const auto rest = static_cast<uint32_t>(request.size()) - half;
    const auto sum = dialogue.write(message, half, rest, to + half);
    EXPECT_EQ(net::checksum_fold(sum), net::checksum_fold(net::checksum_add(0, to + half, rest)));
    return request;
  }
  Taken answer(const std::string& text, size_t piece_bytes = 1 << 20) {
    Taken taken;
    for (size_t at = 0; at < text.size() && !taken.is_lost; at += piece_bytes) {
      const std::string piece = text.substr(at, piece_bytes);
      taken = dialogue.take(message, static_cast<uint32_t>(at),
                            reinterpret_cast<const uint8_t*>(piece.data()),
                            static_cast<uint32_t>(piece.size()));
    }
    return taken;
  }
  void store_all() {
    while (!dialogue.is_ready()) {
      const std::string request = ask();
      ASSERT_TRUE(request.starts_with("set ")) << request;
      answer("STORED\r\n");
    }
  }
  /// Asks until it is a get, and returns its key.
  std::string ask_get() {
    for (;;) {
      const std::string request = ask();
      if (request.starts_with("get ")) return request.substr(4, request.size() - 6);
      EXPECT_TRUE(answer("STORED\r\n").is_whole);
    }
  }
  std::string value_of(const std::string& key) const {
    for (uint32_t i = 0; i < kKeys; i++)
      if (key_of(mix, i) == key) return std::string(mix.value(i));
    ADD_FAILURE() << "no such key: " << key;
    return {};
  }
  static std::string item(const std::string& key, const std::string& value) {
    return "VALUE " + key + " 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\nEND\r\n";
  }
};

TEST_F(MemcachedDialogueTest, AllKeysAreStoredBeforeTheLoad) {
  std::set<std::string> requests;
  for (uint32_t i = 0; i < kKeys; i++) {
    EXPECT_FALSE(dialogue.is_ready());
    requests.insert(ask());
    answer("STORED\r\n");
  }
  EXPECT_TRUE(dialogue.is_ready());
  EXPECT_EQ(requests.size(), kKeys);
  for (uint32_t i = 0; i < kKeys; i++) {
    const std::string value(mix.value(i));
    EXPECT_TRUE(requests.contains("set " + key_of(mix, i) + " 0 0 " + std::to_string(value.size()) +
                                  "\r\n" + value + "\r\n"));
  }
}

TEST_F(MemcachedDialogueTest, WhatIsThereAlreadyIsNotStored) {
  MemcachedDialogue other(mix, 2, true);
  EXPECT_TRUE(other.is_ready());
  // "get ", a key, and the end of the line: a set is longer, as most are.
  uint32_t gets = 0;
  for (uint32_t i = 0; i < 100; i++) gets += other.begin({0, i}) <= 4 + 45 + 2;
  EXPECT_GT(gets, 80u);
}

TEST_F(MemcachedDialogueTest, WhatIsNotStoredIsMissed) {
  ask();
  const Taken taken = answer("SERVER_ERROR out of memory storing object\r\n");
  EXPECT_TRUE(taken.is_whole);
  EXPECT_EQ(taken.wrong, 1u);
  for (uint32_t i = 0; i < 2 * kKeys; i++) {
    ask();
    answer("STORED\r\n");
  }
  EXPECT_FALSE(dialogue.is_ready());
}

TEST_F(MemcachedDialogueTest, AGetBringsBackKeyAndValue) {
  store_all();
  for (size_t bytes : {1u, 2u, 3u, 10u, 10'000u}) {
    const std::string key = ask_get();
    const Taken taken = answer(item(key, value_of(key)), bytes);
    EXPECT_TRUE(taken.is_whole);
    EXPECT_EQ(taken.wrong, 0u);
  }
}

TEST_F(MemcachedDialogueTest, AnotherKeyLengthOrValueIsWrong) {
  store_all();
  const auto expect_lost = [&](auto change) {
    for (size_t bytes : {1u, 10'000u}) {
      std::string key, value;
      do {
        key = ask_get();
        value = value_of(key);
      } while (value.empty());
      change(key, value);
      const Taken taken = answer(item(key, value), bytes);
      EXPECT_TRUE(taken.is_lost);
      EXPECT_EQ(taken.wrong, 1u);
    }
  };
  expect_lost([](std::string& key, std::string&) { key[3] ^= 1; });
  expect_lost([](std::string&, std::string& value) { value += "x"; });
  expect_lost([](std::string&, std::string& value) { value.pop_back(); });
  expect_lost([](std::string&, std::string& value) { value.back() ^= 1; });
  const std::string key = ask_get();
  EXPECT_TRUE(answer(item(key, value_of(key)) + "END\r\n").is_lost);
}

TEST_F(MemcachedDialogueTest, AMissIsWrongAndTheConnectionGoesOn) {
  store_all();
  for (size_t bytes : {1u, 100u}) {
    ask_get();
    const Taken taken = answer("END\r\n", bytes);
    EXPECT_TRUE(taken.is_whole);
    EXPECT_FALSE(taken.is_lost);
    EXPECT_EQ(taken.wrong, 1u);
  }
  ask_get();
  EXPECT_TRUE(answer("END\r\nEND\r\n").is_lost);
  ask_get();
  EXPECT_TRUE(answer(std::string(5'000, 'x'), 1'000).is_lost);
}

}  // namespace
}  // namespace weir::load
