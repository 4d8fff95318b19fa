#pragma once
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "sandbox/abi.h"
#include "sandbox/instance.h"

namespace weir::sandbox {

enum class AppEventKind : uint8_t {
  log,
  started,
  trapped,
  overran,
  violated,
  poisoned,
  start_failed,
  lines_dropped,
};

/// Something that happened to an app, for people to read.
struct AppEvent {
  uint64_t sequence = 0;
  uint64_t time_us = 0;
  uint32_t app_id = 0;
  AppEventKind kind = AppEventKind::log;
  abi::LogLevel level = abi::LogLevel::info;
  std::string text;
  std::vector<Frame> frames;
};

/// What workers tell the control side, bounded: the oldest event gives way and the sequence shows
/// the gap. Guests reach it only through their rate limit, so its lock is not on a packet's way.
class EventLog {
 public:
  static constexpr size_t kCapacity = 4096;

  void push(AppEvent event) {
    std::lock_guard lock(mutex_);
    event.sequence = ++sequence_;
    if (events_.size() == kCapacity) events_.pop_front();
    events_.push_back(std::move(event));
  }
  std::deque<AppEvent> drain() {
    std::deque<AppEvent> taken;
    std::lock_guard lock(mutex_);
    taken.swap(events_);
    return taken;
  }

 private:
  std::mutex mutex_;
  uint64_t sequence_ = 0;
  std::deque<AppEvent> events_;
};

}  // namespace weir::sandbox
