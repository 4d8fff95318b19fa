#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/frame_ring.h"
#include "net/flow_steering.h"

struct rte_mbuf;
struct rte_mempool;

namespace weir::worker {

/// What goes from one worker to another: frames, and their buffers back, each way a ring with one
/// writer and one reader. The receiver copies: buffers are only ever used by the worker whose pool
/// they are from.
struct Lane {
  std::unique_ptr<FrameRing> frames;
  std::unique_ptr<FrameRing> back;
};

/// The lanes between all workers of a dataplane, and which of them has which flows.
class Crossing {
 public:
  /// Places of a ring; one less frame fits.
  static constexpr uint32_t kLaneFrames = 1024;

  /// For 2 workers and more. Nothing and `error` when memory is short.
  static std::unique_ptr<Crossing> create(uint32_t workers, uint64_t first_key, uint64_t second_key,
                                          std::string& error);
  /// What still lies in the lanes is freed: no worker runs any more.
  ~Crossing();
  Crossing(const Crossing&) = delete;
  Crossing& operator=(const Crossing&) = delete;

  uint32_t workers() const { return workers_; }
  const net::FlowGroups& groups() const { return groups_; }
  /// Frames that `to` is to process.
  Lane& inward(uint32_t from, uint32_t to) { return lanes_[from * workers_ + to]; }
  /// Frames that `to` is to send, for one whose port has no queue of its own.
  Lane& outward(uint32_t from, uint32_t to) { return lanes_[(workers_ + from) * workers_ + to]; }

  /// A worker that sleeps, and how to wake it.
  struct alignas(64) Bell {
    std::atomic<bool> asleep{false};
    int descriptor = -1;
  };
  Bell& bell(uint32_t worker) { return bells_[worker]; }

 private:
  Crossing(uint32_t workers, const net::FlowGroups& groups)
      : workers_(workers), groups_(groups), lanes_(2 * workers * workers), bells_(workers) {}

  uint32_t workers_;
  net::FlowGroups groups_;
  std::vector<Lane> lanes_;
  std::vector<Bell> bells_;
};

/// One worker's side of a crossing: gives away frames of other workers' flows, and takes its own
/// from them. Nothing here locks, or writes what two workers write; where a worker sleeps it is
/// woken.
class Steering final : public net::FlowSteering {
 public:
  Steering(Crossing& crossing, uint32_t index, Counters counters, rte_mempool* frame_pool);
  Steering(const Steering&) = delete;
  Steering& operator=(const Steering&) = delete;

  /// Keeps the received frames that are this worker's, at the front of `frames`, and returns how
  /// many. The others go to their workers. Called in every cycle, also without frames: buffers that
  /// others had come back here.
  uint32_t sort(rte_mbuf** frames, uint32_t count);
  /// Frames of ours that others received, at most `capacity`, copied into our buffers.
  uint32_t take(rte_mbuf** frames, uint32_t capacity) {
    return take_from(&Crossing::inward, frames, capacity);
  }
  /// Frames that others want sent.
  uint32_t take_outward(rte_mbuf** frames, uint32_t capacity) {
    return take_from(&Crossing::outward, frames, capacity);
  }
  /// Gives frames to worker `to`, which sends them. Returns how many it has room for.
  uint32_t send_through(uint32_t to, rte_mbuf** frames, uint32_t count);

  bool is_home(const net::Endpoint& local, const net::Endpoint& remote) const override {
    return crossing_.groups().owner_of(local, remote) == index_;
  }
  void send_home(rte_mbuf* frame, const net::Endpoint& local,
                 const net::Endpoint& remote) override {
    give(crossing_.groups().owner_of(local, remote), frame);
    ring_bells();
  }

  /// Readable while this worker has been woken.
  int descriptor() const { return crossing_.bell(index_).descriptor; }
  /// Before sleeping: false when there is something to take after all. wake_up() ends it.
  bool may_sleep();
  void wake_up();

 private:
  using LaneOf = Lane& (Crossing::*)(uint32_t, uint32_t);

  void give(uint32_t to, rte_mbuf* frame);
  bool push(Lane& lane, uint32_t& lent, rte_mbuf* frame);
  void collect(Lane& lane, uint32_t& lent);
  void collect_all();
  uint32_t take_from(LaneOf lane_of, rte_mbuf** frames, uint32_t capacity);
  void ring_bells();
  bool has_waiting() const;

  Crossing& crossing_;
  const uint32_t index_;
  Counters counters_;
  rte_mempool* frame_pool_;
  /// Buffers that one other worker may have at once, so that all of them together leave enough to
  /// receive into.
  const uint32_t most_lent_;
  /// Buffers of ours that others have, in all and by worker.
  uint32_t lent_ = 0;
  std::vector<uint32_t> lent_inward_;
  std::vector<uint32_t> lent_outward_;
  /// Who was given something since the bells were rung.
  std::vector<bool> was_given_;
  bool gave_ = false;
  /// Whose lane is looked into first the next time.
  uint32_t first_ = 0;
};

}  // namespace weir::worker
