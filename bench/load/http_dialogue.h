#pragma once
#include <vector>

#include "fixed_dialogue.h"

namespace weir::load {

/// Finds the ends of HTTP/1.1 answers in a stream, as far as load needs it: a head of lines and as
/// many bytes as its Content-Length says. An answer with another status than 200 is wrong; one
/// whose end cannot be told leaves the stream lost.
class HttpAnswers {
 public:
  static constexpr uint32_t kMostHeadBytes = 16'384;
  /// The longest body that is waited for.
  static constexpr uint32_t kMostBodyBytes = 1 << 30;

  /// So many answers are to come, and no more.
  void expect(uint32_t answers) { *this = {}, answers_ = answers; }
  Taken take(const uint8_t* at, uint32_t bytes);

 private:
  enum class Part : uint8_t { status, fields, body };
  /// Of a line that came in pieces: more than this of its beginning does not matter.
  static constexpr uint32_t kKeptBytes = 40;
  static constexpr uint32_t kNoLength = UINT32_MAX;

  /// False: the stream is lost.
  bool take_line(const char* at, uint32_t bytes, Taken& taken);
  void end_answer(Taken& taken);

  uint32_t answers_ = 0;
  uint32_t head_bytes_ = 0;
  /// What the head says, and then what is left.
  uint32_t body_bytes_ = kNoLength;
  Part part_ = Part::status;
  uint8_t kept_bytes_ = 0;
  char kept_[kKeptBytes];
};

/// The same requests in every message, answered by an HTTP server in order.
class HttpDialogue final : public Dialogue {
 public:
  /// `requests`: so many of them are sent at once, before the first answer.
  HttpDialogue(const std::vector<uint8_t>& request, uint32_t requests, uint32_t connections,
               uint32_t segment_bytes);

  uint32_t requests() const override { return requests_; }
  uint32_t begin(MessageId message) override;
  net::ChecksumSum write(MessageId message, uint32_t offset, uint32_t bytes, uint8_t* to) override {
    return message_.write(message, offset, bytes, to);
  }
  Taken take(MessageId message, uint32_t offset, const uint8_t* at, uint32_t bytes) override {
    return answers_[message.flow].take(at, bytes);
  }

 private:
  FixedDialogue message_;
  uint32_t requests_;
  std::vector<HttpAnswers> answers_;
};

}  // namespace weir::load
