#include "sim/host.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

namespace weir::sim {
namespace {

/// Frames that a port holds on to at most.
constexpr size_t kTransmitRing = 512;
/// One frame in so many is received in several buffers.
constexpr uint64_t kChainedOneIn = 16;
/// A stack that wants to be called so often for nothing keeps its worker from ever sleeping.
constexpr uint32_t kMostIdleCycles = 1000;

Frame bytes_of(const rte_mbuf* packet) {
  Frame bytes;
  bytes.reserve(packet->pkt_len);
  for (const rte_mbuf* segment = packet; segment != nullptr; segment = segment->next) {
    const auto* data = rte_pktmbuf_mtod(segment, const uint8_t*);
    bytes.insert(bytes.end(), data, data + segment->data_len);
  }
  return bytes;
}

}  // namespace

std::unique_ptr<HostPools> HostPools::create(const std::string& name, std::string& error) {
  auto pools = std::make_unique<HostPools>();
  pools->frames = PacketPool::create({.name = name + "_frames", .count = kBuffers}, error);
  if (pools->frames == nullptr) return nullptr;
  pools->headers = PacketPool::create(
      {.name = name + "_headers", .count = kBuffers, .data_bytes = kHeaderDataBytes}, error);
  return pools->headers == nullptr ? nullptr : std::move(pools);
}

Host::Host(uint32_t index, const HostConfig& config, HostPools& pools, Watcher& watcher,
           Random random)
    : index_(index),
      config_(config),
      pools_(pools),
      watcher_(watcher),
      random_(random),
      stack_random_(config.stack_seed) {
  const net::Environment environment{*this,
                                     stack_random_,
                                     counters_,
                                     pools_.headers->get(),
                                     pools_.frames->get(),
                                     config_.address_events};
  stack_ = std::make_unique<net::Stack>(config_.stack, environment);
  stack_->set_now(clock_us(0));
}

Host::~Host() {
  feed();
  // Frames refer to bytes in the stack's own memory: the port is empty before the stack goes.
  release_sent();
  stack_.reset();
}

uint64_t Host::lateness_ns() const {
  // A cycle that has begun, one that is stalled, and the timer wheel's slot.
  return 3 * config_.cycle_ns + 2 * config_.stall_ns + 100'000;
}

void Host::arrive(Link::Arrival arrival, bool first) {
  if (ring_.size() >= config_.ring_frames) {
    watcher_.on_discard(*this, arrival);
    return;
  }
  arrival.alone = first;
  if (first)
    ring_.push_front(std::move(arrival));
  else
    ring_.push_back(std::move(arrival));
}

uint64_t Host::next_ns() const {
  uint64_t next_ns = ring_.empty() ? UINT64_MAX : now_ns_;
  const uint64_t deadline_us = stack_->next_deadline_us();
  if (deadline_us != UINT64_MAX) {
    const uint64_t due_us = deadline_us - std::min(deadline_us, config_.clock_offset_us);
    next_ns = std::min(next_ns, due_us * 1000);
  }
  if (handler_ != nullptr) next_ns = std::min(next_ns, handler_->next_ns());
  return next_ns == UINT64_MAX ? next_ns : std::max(next_ns, busy_until_ns_);
}

void Host::cycle(uint64_t now_ns) {
  now_ns_ = now_ns;
  release_sent(now_ns);
  // What was given back meanwhile is taken as well.
  if (is_starved()) starve(starves_headers_, starves_frames_);
  stack_->set_now(clock_us(now_ns));

  batch_.clear();
  sent_in_cycle_ = 0;
  while (!ring_.empty() && batch_.size() < config_.batch) {
    const Link::Arrival arrival = std::move(ring_.front());
    ring_.pop_front();
    rte_mbuf* buffer = to_buffer(arrival.frame);
    if (buffer == nullptr) {
      watcher_.on_discard(*this, arrival);
      continue;
    }
    watcher_.on_input(*this, arrival);
    batch_.push_back(buffer);
    if (arrival.alone) break;
  }
  const auto received = static_cast<uint32_t>(batch_.size());
  if (received != 0) stack_->input(batch_.data(), received);
  watcher_.after_input(*this, received, sent_in_cycle_);
  const bool handler_due = handler_ != nullptr && handler_->next_ns() <= now_ns;
  if (handler_ != nullptr) handler_->run(now_ns);
  if (clock_us(now_ns) >= stack_->next_deadline_us()) stack_->run_timers();
  watcher_.before_flush(*this);
  stack_->flush();
  watcher_.after_flush(*this);

  idle_cycles_ = received == 0 && sent_in_cycle_ == 0 && !handler_due ? idle_cycles_ + 1 : 0;
  if (idle_cycles_ > kMostIdleCycles)
    watcher_.fail("the stack asks to be called and has nothing to do, " +
                  std::to_string(idle_cycles_) + " times in a row");
  busy_until_ns_ = now_ns + config_.cycle_ns;
  if (config_.stall_ns != 0 && random_.one_in(config_.stall_one_in))
    busy_until_ns_ += random_.below(config_.stall_ns);
}

/// nullptr where the pool is empty, as a port has it.
rte_mbuf* Host::to_buffer(std::span<const uint8_t> frame) {
  rte_mbuf* head = nullptr;
  size_t pieces = random_.one_in(kChainedOneIn) ? random_.between(2, 3) : 1;
  while (head == nullptr || !frame.empty()) {
    size_t here = std::min<size_t>(frame.size(), kFrameDataBytes);
    // Not within the link header: no device does that.
    if (pieces > 1 && frame.size() > 64) here = random_.between(kEthernetBytes, frame.size() - 1);
    here = std::min<size_t>(here, kFrameDataBytes);
    if (pieces > 1) pieces--;
    rte_mbuf* segment = rte_pktmbuf_alloc(pools_.frames->get());
    if (segment == nullptr) {
      if (head != nullptr) rte_pktmbuf_free(head);
      return nullptr;
    }
    std::memcpy(rte_pktmbuf_append(segment, static_cast<uint16_t>(here)), frame.data(), here);
    frame = frame.subspan(here);
    if (head == nullptr)
      head = segment;
    else
      rte_pktmbuf_chain(head, segment);
  }
  return head;
}

/// What the port makes of a frame that leaves work to it: pieces, checksums.
void Host::complete(const rte_mbuf* frame, const Frame& bytes) {
  Segment segment;
  if (parse(bytes, segment) != FrameKind::tcp) {
    watcher_.fail("the port is asked to complete what is not TCP");
    return;
  }
  const bool long_one = (frame->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
  const auto payload = static_cast<uint32_t>(segment.payload.size());
  const size_t headers = bytes.size() - payload;
  if (frame->l2_len != kEthernetBytes ||
      (long_one && headers != frame->l2_len + frame->l3_len + frame->l4_len))
    watcher_.fail("the port is told of headers that are not there");
  cut_packets_ += long_one;
  if (long_one && bytes.size() > kEthernetBytes + config_.stack.large_send_bytes)
    watcher_.fail("a packet is longer than the port takes");
  for (const Frame& piece : cut(segment, long_one ? frame->tso_segsz : std::max(payload, 1u)))
    watcher_.on_transmit(*this, piece);
}

void Host::transmit(rte_mbuf* frame) {
  rte_mbuf_sanity_check(frame, 1);
  sent_in_cycle_++;
  Frame bytes = bytes_of(frame);
  if (bytes.size() != frame->pkt_len) watcher_.fail("a frame's segments do not add up");
  if ((frame->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM)) != 0)
    complete(frame, bytes);
  else
    watcher_.on_transmit(*this, bytes);
  if (config_.transmit_hold_ns == 0) {
    rte_pktmbuf_free(frame);
    return;
  }
  if (sent_.size() == kTransmitRing) release_sent(sent_.front().release_ns);
  sent_.push_back({now_ns_ + config_.transmit_hold_ns, frame, std::move(bytes)});
}

void Host::release_sent(uint64_t until_ns) {
  while (!sent_.empty() && sent_.front().release_ns <= until_ns) {
    // The device reads a frame until it has let go of it.
    if (bytes_of(sent_.front().buffer) != sent_.front().bytes)
      watcher_.fail("a frame was altered while the port was sending it");
    rte_pktmbuf_free(sent_.front().buffer);
    sent_.pop_front();
  }
}

void Host::starve(bool header_buffers, bool frame_buffers) {
  const auto drain = [&](const PacketPool& pool) {
    while (rte_mbuf* buffer = rte_pktmbuf_alloc(pool.get())) starved_.push_back(buffer);
  };
  starves_headers_ = header_buffers;
  starves_frames_ = frame_buffers;
  if (header_buffers) drain(*pools_.headers);
  if (frame_buffers) drain(*pools_.frames);
}

void Host::feed() {
  for (rte_mbuf* buffer : starved_) rte_pktmbuf_free(buffer);
  starved_.clear();
}

}  // namespace weir::sim
