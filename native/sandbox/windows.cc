#include "sandbox/windows.h"

namespace weir::sandbox {

std::unique_ptr<Windows> Windows::create(FrameWindow* frames) {
  auto windows = std::unique_ptr<Windows>(new Windows());
  windows->rx_ = SharedRegion::create(abi::kRxWindowBytes);
  auto rw = SharedRegion::create(abi::kRwWindowBytes);
  if (!windows->rx_ || !rw) return nullptr;
  windows->rw_ = std::make_unique<TxRegion>(std::move(rw));
  windows->frames_ = frames;
  if (frames != nullptr) windows->chunk_count_ = chunk_of(FrameWindow::kAddress);
  windows->free_.reserve(windows->chunk_count_);
  for (uint32_t chunk = windows->chunk_count_; chunk-- > 0;) windows->free_.push_back(chunk);
  return windows;
}

uint32_t Windows::allocate(uint32_t bytes) {
  constexpr uint32_t kGranule = abi::kPacketGranuleBytes;
  uint32_t rounded = (bytes + kGranule - 1) & ~(kGranule - 1);
  if (bytes == 0 || rounded > abi::kPacketChunkBytes) return 0;
  if (current_ != kNoChunk) {
    // Everything in it was given back: its lines are still in the cache, so it is the best chunk to
    // go on with.
    if (chunks_[current_].references == 0) used_bytes_ = 0;
    if (used_bytes_ + rounded > abi::kPacketChunkBytes) current_ = kNoChunk;
  }
  if (current_ == kNoChunk) {
    if (free_.empty()) return 0;
    uint32_t chunk = free_.back();
    if (!grant(chunk)) return 0;
    free_.pop_back();
    current_ = chunk;
    used_bytes_ = 0;
  }
  uint32_t address = abi::kPackets + current_ * abi::kPacketChunkBytes + used_bytes_;
  used_bytes_ += rounded;
  chunks_[current_].references++;
  return address;
}

void Windows::release(uint32_t address) {
  if (is_frame(address)) {
    frames_held_--;
    return frames_->release(address);
  }
  uint32_t index = chunk_of(address);
  if (--chunks_[index].references == 0 && index != current_) free_.push_back(index);
}

bool Windows::grant(uint32_t chunk) {
  Chunk& entry = chunks_[chunk];
  if (entry.granted) return true;
  size_t offset = size_t{kFirstChunk + chunk} * abi::kPacketChunkBytes;
  if (memory_ != nullptr &&
      !memory_->map_shared(static_cast<uint32_t>(abi::kRxWindow + offset), rx_->descriptor(),
                           offset, abi::kPacketChunkBytes, false))
    return false;
  entry.granted = true;
  return true;
}

bool Windows::granted(uint32_t address, uint32_t bytes) const {
  uint64_t end = uint64_t{address} + bytes;
  if (address < abi::kRxWindow || end > abi::kRxWindow + abi::kRxWindowBytes) return false;
  if (end <= abi::kPackets ||
      (is_frame(address) && end <= FrameWindow::kAddress + FrameWindow::kBytes))
    return true;
  uint32_t first = address < abi::kPackets ? 0 : chunk_of(address);
  uint32_t last = chunk_of(static_cast<uint32_t>(end - (bytes != 0 ? 1 : 0)));
  for (uint32_t chunk = first; chunk <= last && chunk < kChunkCount; chunk++)
    if (!chunks_[chunk].granted) return false;
  return true;
}

bool Windows::attach(GuestMemory& memory) {
  constexpr size_t kRecords = abi::kPackets - abi::kRxWindow;
  if (!memory.map_shared(abi::kRxWindow, rx_->descriptor(), 0, kRecords, false)) return false;
  if (!memory.map_shared(abi::kRwWindow, rw_->memory().descriptor(), 0, abi::kRwWindowBytes, true))
    return false;
  for (uint32_t chunk = 0; chunk < kChunkCount; chunk++) {
    if (!chunks_[chunk].granted) continue;
    size_t offset = size_t{kFirstChunk + chunk} * abi::kPacketChunkBytes;
    if (!memory.map_shared(static_cast<uint32_t>(abi::kRxWindow + offset), rx_->descriptor(),
                           offset, abi::kPacketChunkBytes, false))
      return false;
  }
  if (frames_ != nullptr &&
      !memory.map_shared(FrameWindow::kAddress, frames_->memory().descriptor(), 0,
                         FrameWindow::kBytes, false))
    return false;
  memory_ = &memory;
  return true;
}

bool Windows::renew_rw_window() {
  std::erase_if(retired_, [](const auto& region) { return !region->in_use(); });
  if (!rw_->in_use()) return true;
  auto fresh = SharedRegion::create(abi::kRwWindowBytes);
  if (!fresh) return false;
  retired_.push_back(std::move(rw_));
  rw_ = std::make_unique<TxRegion>(std::move(fresh));
  return true;
}

bool Windows::in_use() const {
  for (const auto& region : retired_)
    if (region->in_use()) return true;
  if (rw_->in_use() || frames_held_ != 0) return true;
  for (const Chunk& chunk : chunks_)
    if (chunk.references != 0) return true;
  return false;
}

}  // namespace weir::sandbox
