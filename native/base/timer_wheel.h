#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace weir {

/// Embedded in what wants to be woken.
struct TimerNode {
  TimerNode* next = nullptr;
  TimerNode* previous = nullptr;
  /// In slots of TimerWheel::kSlotUs; valid while armed.
  uint64_t tick = 0;
  bool armed() const { return next != nullptr; }
};

/// A hierarchical timing wheel (Varghese and Lauck, 1987): three levels of 256 slots, the finest of
/// 16 us, 268 s in all. Nodes are linked into slots; arming and disarming cost a few stores. Owners
/// keep their true deadlines themselves and arm again lazily when a node fires early, so a deadline
/// that moves later costs nothing.
class TimerWheel {
 public:
  static constexpr uint64_t kSlotUs = 16;

  explicit TimerWheel(uint64_t now_us = 0) : current_(now_us / kSlotUs) {
    for (auto& level : slots_)
      for (TimerNode& head : level) head.next = head.previous = &head;
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  /// Fires at the first advance at or after `deadline_us` (rounded up to a slot). Moves a node that
  /// is armed. A deadline beyond the wheel fires early, at its end.
  void arm(TimerNode& node, uint64_t deadline_us) {
    disarm(node);
    uint64_t tick = (deadline_us + kSlotUs - 1) / kSlotUs;
    if (tick < current_) tick = current_;
    if (tick - current_ >= kSpanTicks) tick = current_ + kSpanTicks - 1;
    node.tick = tick;
    insert(node);
  }
  void disarm(TimerNode& node) {
    if (!node.armed()) return;
    node.previous->next = node.next;
    node.next->previous = node.previous;
    node.next = node.previous = nullptr;
    count_--;
  }

  /// Calls fire(node) for up to `bound` nodes that are due, disarmed. Fire may arm and disarm any
  /// node. False when the bound was reached and more may be due.
  template <typename Fire>
  bool advance(uint64_t now_us, uint32_t bound, Fire&& fire) {
    uint64_t now = now_us / kSlotUs;
    while (current_ <= now) {
      if (count_ == 0) {
        current_ = now + 1;
        return true;
      }
      auto slot = static_cast<uint32_t>(current_ & kMask);
      TimerNode& head = slots_[0][slot];
      while (head.next != &head) {
        if (bound-- == 0) return false;
        TimerNode& node = *head.next;
        disarm(node);
        fire(node);
      }
      clear(0, slot);
      // On to the next slot that holds something, at most to the next cascade.
      uint64_t block_end = (current_ | kMask) + 1;
      uint64_t next = current_ + 1;
      uint32_t occupied = next < block_end ? find(0, static_cast<uint32_t>(next & kMask)) : kSlots;
      next = occupied < kSlots ? (next & ~uint64_t{kMask}) + occupied : block_end;
      current_ = next > now + 1 ? now + 1 : next;
      if ((current_ & kMask) == 0) cascade();
    }
    return true;
  }

  /// When advance has something to do next: never later than the earliest deadline. UINT64_MAX when
  /// nothing is armed.
  uint64_t next_us() const {
    if (count_ == 0) return UINT64_MAX;
    auto start = static_cast<uint32_t>(current_ & kMask);
    uint64_t base = current_ & ~uint64_t{kMask};
    uint32_t slot = find(0, start);
    // In this block, or else at its end, where the next one is cascaded down or begins.
    if (slot < kSlots) return (base + slot) * kSlotUs;
    uint32_t wrapped = find(0, 0);
    if (wrapped < start) return (base + kSlots) * kSlotUs;
    // Nothing near: skip to the first occupied slot of the second level.
    uint64_t block = current_ >> 8;
    auto second = static_cast<uint32_t>(block & kMask);
    uint32_t far = second + 1 < kSlots ? find(1, second + 1) : kSlots;
    if (far < kSlots) return ((block & ~uint64_t{kMask}) + far) * kSlots * kSlotUs;
    return ((block | kMask) + 1) * kSlots * kSlotUs;
  }
  uint32_t count() const { return count_; }

 private:
  static constexpr uint32_t kSlots = 256;
  static constexpr uint32_t kMask = kSlots - 1;
  static constexpr uint32_t kLevels = 3;
  static constexpr uint64_t kSpanTicks = uint64_t{1} << 24;

  void insert(TimerNode& node) {
    uint64_t delta = node.tick - current_;
    uint32_t level = delta < kSlots ? 0 : delta < kSlots * kSlots ? 1 : 2;
    auto slot = static_cast<uint32_t>(node.tick >> (8 * level)) & kMask;
    TimerNode& head = slots_[level][slot];
    node.previous = head.previous;
    node.next = &head;
    head.previous->next = &node;
    head.previous = &node;
    occupied_[level][slot / 64] |= uint64_t{1} << (slot % 64);
    count_++;
  }
  /// At the start of a block of 256 ticks: moves what is due in it to the finest level.
  void cascade() {
    uint64_t block = current_ >> 8;
    if ((block & kMask) == 0) spill(2, static_cast<uint32_t>(block >> 8) & kMask);
    spill(1, static_cast<uint32_t>(block) & kMask);
  }
  void spill(uint32_t level, uint32_t slot) {
    TimerNode& head = slots_[level][slot];
    TimerNode* node = head.next;
    head.next = head.previous = &head;
    clear(level, slot);
    while (node != &head) {
      TimerNode* next = node->next;
      count_--;
      insert(*node);
      node = next;
    }
  }
  void clear(uint32_t level, uint32_t slot) {
    occupied_[level][slot / 64] &= ~(uint64_t{1} << (slot % 64));
  }
  /// The first occupied slot at or after `from`; kSlots if there is none. A slot may be marked and
  /// yet be empty.
  uint32_t find(uint32_t level, uint32_t from) const {
    for (uint32_t word = from / 64; word < kSlots / 64; word++) {
      uint64_t bits = occupied_[level][word];
      if (word == from / 64) bits &= ~uint64_t{0} << (from % 64);
      if (bits != 0) return word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
    }
    return kSlots;
  }

  std::array<std::array<TimerNode, kSlots>, kLevels> slots_;
  std::array<std::array<uint64_t, kSlots / 64>, kLevels> occupied_{};
  /// The first tick that has not been worked off.
  uint64_t current_;
  uint32_t count_ = 0;
};

}  // namespace weir
