#include "worker/steering.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "net/ip/frame_flow.h"

namespace weir::worker {

namespace {

/// The worker that speaks for our addresses.
constexpr uint32_t kSpeaker = 0;
constexpr uint32_t kBurst = 64;
/// Of a worker's buffers others may have this part.
constexpr uint32_t kLentPart = 4;
constexpr uint32_t kPrefetchAhead = 4;

}  // namespace

std::unique_ptr<Crossing> Crossing::create(uint32_t workers, uint64_t first_key,
                                           uint64_t second_key, std::string& error) {
  std::unique_ptr<Crossing> crossing(
      new Crossing(workers, net::FlowGroups(first_key, second_key, workers)));
  for (uint32_t from = 0; from < workers; from++)
    for (uint32_t to = 0; to < workers; to++) {
      if (from == to) continue;
      for (Lane* lane : {&crossing->inward(from, to), &crossing->outward(from, to)}) {
        lane->frames = FrameRing::make(kLaneFrames - 1);
        lane->back = FrameRing::make(kLaneFrames - 1);
        if (lane->frames == nullptr || lane->back == nullptr) {
          error = "no memory for the lanes between " + std::to_string(workers) + " workers";
          return nullptr;
        }
      }
    }
  for (uint32_t worker = 0; worker < workers; worker++) {
    crossing->bell(worker).descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (crossing->bell(worker).descriptor >= 0) continue;
    error = "no descriptor to wake a worker by is free (raise the limit of open files)";
    return nullptr;
  }
  return crossing;
}

Crossing::~Crossing() {
  for (Bell& bell : bells_)
    if (bell.descriptor >= 0) ::close(bell.descriptor);
}

Steering::Steering(Crossing& crossing, uint32_t index, Counters counters, rte_mempool* frame_pool)
    : crossing_(crossing),
      index_(index),
      counters_(counters),
      frame_pool_(frame_pool),
      most_lent_(std::clamp(frame_pool->size / kLentPart / (crossing.workers() - 1), 1u,
                            Crossing::kLaneFrames - 1)),
      lent_inward_(crossing.workers()),
      lent_outward_(crossing.workers()),
      was_given_(crossing.workers()) {}

/// Frees what the other side has copied.
void Steering::collect(Lane& lane, uint32_t& lent) {
  std::array<void*, kBurst> buffers;
  while (lent != 0) {
    const uint32_t count =
        rte_ring_sc_dequeue_burst(lane.back->get(), buffers.data(), kBurst, nullptr);
    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) rte_pktmbuf_free(static_cast<rte_mbuf*>(buffers[i]));
    lent -= count;
    lent_ -= count;
  }
}

void Steering::collect_all() {
  for (uint32_t to = 0; to < crossing_.workers() && lent_ != 0; to++) {
    if (to == index_) continue;
    collect(crossing_.inward(index_, to), lent_inward_[to]);
    collect(crossing_.outward(index_, to), lent_outward_[to]);
  }
}

bool Steering::push(Lane& lane, uint32_t& lent, rte_mbuf* frame) {
  // The way back is as long: it is never full.
  if (lent >= most_lent_) collect(lane, lent);
  if (lent >= most_lent_ || rte_ring_sp_enqueue(lane.frames->get(), frame) != 0) return false;
  lent++;
  lent_++;
  return true;
}

/// A frame of ours becomes one of `to`'s.
void Steering::give(uint32_t to, rte_mbuf* frame) {
  if (!push(crossing_.inward(index_, to), lent_inward_[to], frame)) {
    counters_.add(Counter::drop_steer_full);
    return rte_pktmbuf_free(frame);
  }
  counters_.add(Counter::steered_out);
  was_given_[to] = gave_ = true;
}

uint32_t Steering::sort(rte_mbuf** frames, uint32_t count) {
  if (lent_ != 0) collect_all();
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (i + kPrefetchAhead < count)
      rte_prefetch0(rte_pktmbuf_mtod(frames[i + kPrefetchAhead], const void*));
    rte_mbuf* frame = frames[i];
    const net::ip::FrameFlow flow = net::ip::flow_of(frame);
    uint32_t owner = index_;
    switch (flow.kind) {
      case net::ip::FrameFlow::Kind::flow:
        owner = crossing_.groups().owner_of(flow.source, flow.destination);
        break;
      case net::ip::FrameFlow::Kind::speaker:
        owner = kSpeaker;
        break;
      case net::ip::FrameFlow::Kind::everyone:
        for (uint32_t to = 0; to < crossing_.workers(); to++) {
          if (to == index_) continue;
          if (rte_mbuf* copy = rte_pktmbuf_copy(frame, frame_pool_, 0, UINT32_MAX); copy != nullptr)
            give(to, copy);
          else
            counters_.add(Counter::drop_no_mbuf);
        }
        break;
    }
    if (owner == index_)
      frames[kept++] = frame;
    else
      give(owner, frame);
  }
  ring_bells();
  return kept;
}

uint32_t Steering::take_from(LaneOf lane_of, rte_mbuf** frames, uint32_t capacity) {
  uint32_t taken = 0;
  for (uint32_t i = 0; i < crossing_.workers() && taken < capacity; i++) {
    const uint32_t from = (first_ + i) % crossing_.workers();
    if (from == index_) continue;
    Lane& lane = (crossing_.*lane_of)(from, index_);
    std::array<void*, kBurst> lent;
    const uint32_t count = rte_ring_sc_dequeue_burst(lane.frames->get(), lent.data(),
                                                     std::min(kBurst, capacity - taken), nullptr);
    for (uint32_t at = 0; at < count; at++) {
      rte_mbuf* copy =
          rte_pktmbuf_copy(static_cast<rte_mbuf*>(lent[at]), frame_pool_, 0, UINT32_MAX);
      if (copy == nullptr) {
        counters_.add(Counter::drop_no_mbuf);
        continue;
      }
      counters_.add(Counter::steered_in);
      counters_.add(Counter::copied_steered_bytes, copy->pkt_len);
      frames[taken++] = copy;
    }
    if (count != 0) rte_ring_sp_enqueue_bulk(lane.back->get(), lent.data(), count, nullptr);
  }
  if (taken != 0) first_++;
  return taken;
}

uint32_t Steering::send_through(uint32_t to, rte_mbuf** frames, uint32_t count) {
  Lane& lane = crossing_.outward(index_, to);
  uint32_t sent = 0;
  while (sent < count && push(lane, lent_outward_[to], frames[sent])) sent++;
  counters_.add(Counter::relayed_out, sent);
  if (sent != 0) was_given_[to] = gave_ = true;
  ring_bells();
  return sent;
}

/// Wakes who sleeps and was given something. Either we see that it sleeps, or it sees what we gave.
void Steering::ring_bells() {
  if (!gave_) return;
  gave_ = false;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (uint32_t to = 0; to < crossing_.workers(); to++) {
    if (!was_given_[to]) continue;
    was_given_[to] = false;
    Crossing::Bell& bell = crossing_.bell(to);
    if (!bell.asleep.load(std::memory_order_relaxed)) continue;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(bell.descriptor, &one, sizeof one);
  }
}

bool Steering::has_waiting() const {
  for (uint32_t from = 0; from < crossing_.workers(); from++) {
    if (from == index_) continue;
    if (rte_ring_empty(crossing_.inward(from, index_).frames->get()) == 0 ||
        rte_ring_empty(crossing_.outward(from, index_).frames->get()) == 0)
      return true;
  }
  return false;
}

bool Steering::may_sleep() {
  crossing_.bell(index_).asleep.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_waiting()) return true;
  crossing_.bell(index_).asleep.store(false, std::memory_order_relaxed);
  return false;
}

void Steering::wake_up() {
  crossing_.bell(index_).asleep.store(false, std::memory_order_relaxed);
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(descriptor(), &count, sizeof count);
}

}  // namespace weir::worker
