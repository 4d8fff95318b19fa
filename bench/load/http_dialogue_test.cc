#include "http_dialogue.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::load {
namespace {

const std::string kHello =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/plain\r\n"
    "Content-Length: 13\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n\r\nHello, world!";

/// All of it in pieces of so many bytes, as long as the stream is of use.
Taken take(const std::string& text, uint32_t answers, size_t piece_bytes = 1 << 20) {
  HttpAnswers stream;
  stream.expect(answers);
  Taken sum;
  for (size_t at = 0; at < text.size() && !sum.is_lost; at += piece_bytes) {
    const std::string piece = text.substr(at, piece_bytes);
    const Taken taken = stream.take(reinterpret_cast<const uint8_t*>(piece.data()),
                                    static_cast<uint32_t>(piece.size()));
    sum = {taken.is_whole, taken.is_lost, sum.wrong + taken.wrong, sum.answered + taken.answered};
  }
  return sum;
}

void expect_right(const Taken& taken) {
  EXPECT_TRUE(taken.is_whole);
  EXPECT_FALSE(taken.is_lost);
  EXPECT_EQ(taken.wrong, 0u);
}

void expect_lost(const Taken& taken) {
  EXPECT_TRUE(taken.is_lost);
  EXPECT_FALSE(taken.is_whole);
  EXPECT_GE(taken.wrong, 1u);
}

TEST(HttpAnswers, AnAnswerEndsWithItsBody) {
  expect_right(take(kHello, 1));
  const Taken part = take(kHello.substr(0, kHello.size() - 1), 1);
  EXPECT_FALSE(part.is_whole);
  EXPECT_FALSE(part.is_lost);
}

TEST(HttpAnswers, TheEndIsFoundWhereverTheStreamIsCut) {
  for (size_t bytes = 1; bytes <= kHello.size(); bytes++) {
    SCOPED_TRACE(bytes);
    expect_right(take(kHello, 1, bytes));
  }
}

TEST(HttpAnswers, SeveralFollowOneAnother) {
  std::string all;
  for (int i = 0; i < 16; i++) all += kHello;
  for (size_t bytes : {1u, 7u, 100u, 1460u, 100'000u}) {
    SCOPED_TRACE(bytes);
    expect_right(take(all, 16, bytes));
    EXPECT_EQ(take(all, 16, bytes).answered, 16u);
  }
  EXPECT_EQ(take(all.substr(0, all.size() - 1), 16, 100).answered, 15u);
  EXPECT_FALSE(take(all, 17).is_whole);
}

TEST(HttpAnswers, MoreThanWasAskedForIsLost) {
  expect_lost(take(kHello + "x", 1));
  expect_lost(take(kHello + kHello, 1));
}

TEST(HttpAnswers, AnotherStatusIsWrongAndTheStreamGoesOn) {
  const std::string other = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
  for (size_t bytes : {1u, 1000u}) {
    const Taken taken = take(other + kHello, 2, bytes);
    EXPECT_TRUE(taken.is_whole);
    EXPECT_EQ(taken.wrong, 1u);
  }
}

TEST(HttpAnswers, ABodyMayBeEmptyAndNamesAreOfAnyCase) {
  expect_right(take("HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:0\r\n\r\n", 1));
  expect_right(take("HTTP/1.1 200 OK\nContent-length: \t1 \n\nx", 1));
}

TEST(HttpAnswers, WhatHasNoEndIsLost) {
  expect_lost(take("HTTP/1.1 200 OK\r\n\r\n", 1));
  expect_lost(take("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 1));
  expect_lost(take("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", 1));
  expect_lost(take("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", 1));
  expect_lost(take("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n", 1));
  expect_lost(take("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", 1));
  expect_lost(take("HTTP/1.1 200 OK\r\nContent-Length: 4294967295\r\n\r\n", 1));
  expect_lost(take("SSH-2.0-OpenSSH\r\n", 1));
}

TEST(HttpAnswers, AHeadIsBounded) {
  const std::string line = "X: " + std::string(1000, 'x') + "\r\n";
  std::string head = "HTTP/1.1 200 OK\r\n";
  while (head.size() <= HttpAnswers::kMostHeadBytes) head += line;
  expect_lost(take(head, 1));
  expect_lost(take("HTTP/1.1 200 " + std::string(HttpAnswers::kMostHeadBytes, 'x'), 1, 100));
  expect_right(take("HTTP/1.1 200 OK\r\n" + line + kHello.substr(kHello.find("Content-L")), 1, 3));
}

TEST(HttpDialogue, AMessageIsTheRequestSoManyTimes) {
  const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  HttpDialogue dialogue({text.begin(), text.end()}, 3, 2, 1460);
  EXPECT_EQ(dialogue.requests(), 3u);
  ASSERT_EQ(dialogue.begin({1, 0}), 3 * text.size());
  std::string written(3 * text.size(), '\0');
  auto* to = reinterpret_cast<uint8_t*>(written.data());
  const auto sum = dialogue.write({1, 0}, 0, static_cast<uint32_t>(written.size()), to);
  EXPECT_EQ(written, text + text + text);
  EXPECT_EQ(net::checksum_fold(sum), net::checksum_fold(net::checksum_add(0, to, written.size())));
  const auto take = [&](const std::string& bytes) {
    return dialogue.take({1, 0}, 0, reinterpret_cast<const uint8_t*>(bytes.data()),
                         static_cast<uint32_t>(bytes.size()));
  };
  EXPECT_FALSE(take(kHello + kHello).is_whole);
  EXPECT_TRUE(take(kHello).is_whole);
  // The next message begins anew, whatever was missing.
  dialogue.begin({1, 1});
  EXPECT_FALSE(take(kHello.substr(0, 20)).is_whole);
  dialogue.begin({1, 2});
  EXPECT_TRUE(take(kHello + kHello + kHello).is_whole);
}

}  // namespace
}  // namespace weir::load
