#include "http_dialogue.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace weir::load {
namespace {

constexpr std::string_view kVersion = "HTTP/1.1 ";
constexpr std::string_view kOk = "HTTP/1.1 200";
constexpr std::string_view kContentLength = "content-length:";
constexpr std::string_view kTransferEncoding = "transfer-encoding:";

bool begins_with(std::string_view line, std::string_view lower_case) {
  return line.size() >= lower_case.size() &&
         strncasecmp(line.data(), lower_case.data(), lower_case.size()) == 0;
}

std::vector<uint8_t> repeated(const std::vector<uint8_t>& bytes, uint32_t times) {
  std::vector<uint8_t> all;
  all.reserve(bytes.size() * times);
  for (uint32_t i = 0; i < times; i++) all.insert(all.end(), bytes.begin(), bytes.end());
  return all;
}

}  // namespace

void HttpAnswers::end_answer(Taken& taken) {
  taken.answered++;
  answers_--;
  head_bytes_ = 0;
  body_bytes_ = kNoLength;
  part_ = Part::status;
}

bool HttpAnswers::take_line(const char* at, uint32_t bytes, Taken& taken) {
  std::string_view line(at, bytes);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (part_ == Part::status) {
    if (!line.starts_with(kVersion)) return false;
    if (!line.starts_with(kOk)) taken.wrong++;
    part_ = Part::fields;
    return true;
  }
  if (line.empty()) {
    if (body_bytes_ == kNoLength) return false;
    part_ = Part::body;
    if (body_bytes_ == 0) end_answer(taken);
    return true;
  }
  if (begins_with(line, kTransferEncoding)) return false;
  if (!begins_with(line, kContentLength)) return true;
  line.remove_prefix(kContentLength.size());
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const char* end = line.data() + line.size();
  const auto [behind, error] = std::from_chars(line.data(), end, body_bytes_);
  return error == std::errc() && std::all_of(behind, end, [](char c) { return c == ' '; }) &&
         body_bytes_ <= kMostBodyBytes;
}

Taken HttpAnswers::take(const uint8_t* at, uint32_t bytes) {
  Taken taken;
  while (bytes != 0 && !taken.is_lost) {
    if (answers_ == 0) {
      taken.is_lost = true;
    } else if (part_ == Part::body) {
      const uint32_t here = std::min(bytes, body_bytes_);
      body_bytes_ -= here;
      at += here;
      bytes -= here;
      if (body_bytes_ == 0) end_answer(taken);
    } else {
      const auto* end = static_cast<const uint8_t*>(std::memchr(at, '\n', bytes));
      const uint32_t here = end == nullptr ? bytes : static_cast<uint32_t>(end - at);
      head_bytes_ += here;
      if (end == nullptr || kept_bytes_ != 0) {
        const uint32_t kept = std::min(here, kKeptBytes - kept_bytes_);
        std::memcpy(kept_ + kept_bytes_, at, kept);
        kept_bytes_ = static_cast<uint8_t>(kept_bytes_ + kept);
      }
      if (head_bytes_ > kMostHeadBytes) taken.is_lost = true;
      if (end == nullptr) break;
      const bool was_split = kept_bytes_ != 0;
      const char* line = was_split ? kept_ : reinterpret_cast<const char*>(at);
      if (!take_line(line, was_split ? kept_bytes_ : here, taken)) taken.is_lost = true;
      kept_bytes_ = 0;
      at += here + 1;
      bytes -= here + 1;
    }
  }
  // What makes a stream lost is a wrong answer too.
  if (taken.is_lost) taken.wrong++;
  taken.is_whole = answers_ == 0 && !taken.is_lost;
  return taken;
}

HttpDialogue::HttpDialogue(const std::vector<uint8_t>& request, uint32_t requests,
                           uint32_t connections, uint32_t segment_bytes)
    : message_(repeated(request, requests), false, 0, segment_bytes),
      requests_(requests),
      answers_(connections) {}

uint32_t HttpDialogue::begin(MessageId message) {
  answers_[message.flow].expect(requests_);
  return message_.begin(message);
}

}  // namespace weir::load
