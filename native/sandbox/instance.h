#pragma once
#include <wasmtime.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/engine.h"
#include "sandbox/log_sink.h"
#include "sandbox/windows.h"

namespace weir::sandbox {

/// How a call into a guest ended.
enum class Outcome : uint8_t {
  returned,
  /// The guest trapped or aborted.
  trapped,
  /// The guest used up its time.
  overran,
  /// Host code faulted in the guest's window and the second net caught it.
  poisoned,
};

/// Where in a module a call ended, innermost first.
struct Frame {
  uint32_t function_index;
  uint32_t module_offset;
  std::string function_name;
};

/// Why a call into a guest failed.
struct Failure {
  std::string message;
  std::vector<Frame> frames;
};

/// What a poll returned: {consumed, commands}.
struct PollResult {
  uint32_t consumed;
  uint32_t commands;
};

/// A running module: one store, one linear memory. Used by one thread.
class Instance {
 public:
  /// What an instance needs to know of its app.
  struct Settings {
    uint32_t call_limit_us;
    uint64_t seed;
    LogSink* log;
  };

  /// Instantiates; no guest code runs yet. nullptr with a message on failure.
  static std::unique_ptr<Instance> create(Engine& engine, std::shared_ptr<Module> module,
                                          Windows& windows, const Settings& settings,
                                          std::string& error);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  /// weir_start may take this long, or as long as any call if that is longer: it fills tables, and
  /// runs once.
  static constexpr uint32_t kStartLimitUs = 20'000;

  /// Calls weir_start.
  Outcome start();
  /// Calls weir_poll with `events` event records in place.
  Outcome poll(uint32_t events, PollResult& result);
  /// After an outcome other than returned.
  const Failure& failure() const { return failure_; }

  const GuestMemory& memory() const { return *memory_; }
  /// [address, address + bytes) can be read by the host: mapped now, and the guest's own.
  bool readable(uint32_t address, uint32_t bytes) const {
    uint64_t end = uint64_t{address} + bytes;
    if (address >= abi::kRwWindow) return end <= memory_->size_bytes();
    return windows_->granted(address, bytes);
  }
  /// Random bits for the guest's own generator.
  uint64_t next_seed() {
    seed_ += 0x9e3779b97f4a7c15;  // splitmix64
    uint64_t z = seed_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  const Settings& settings() const { return settings_; }

  /// For host functions: the guest aborts with this message instead of the trap's own.
  void set_abort_message(std::string message) { abort_message_ = std::move(message); }
  /// Times of the present call, for Date.now and the info block's readers.
  uint64_t wall_us = 0;
  uint64_t mono_us = 0;
  /// Log lines an instance may write at once; a rate limit gives them back (imports.cc).
  static constexpr uint32_t kLogBurst = 200;
  uint32_t log_tokens = kLogBurst;
  uint64_t log_refill_us = 0;

 private:
  Instance() = default;
  /// The only way into a guest. Today it runs on the caller's stack until it returns, traps or
  /// overruns; a guest that is to be resumed later (on a fiber) changes this function and nobody
  /// else.
  Outcome enter(const wasmtime_func_t& function, wasmtime_val_raw_t* values, size_t count,
                uint32_t limit_us);
  static wasmtime_error_t* on_epoch(wasmtime_context_t*, void* data, uint64_t* delta,
                                    wasmtime_update_deadline_kind_t* kind);
  void describe(wasm_trap_t* trap);
  void append_frame(const wasm_frame_t* frame);

  std::shared_ptr<Module> module_;
  Windows* windows_ = nullptr;
  Settings settings_{};
  wasmtime_store_t* store_ = nullptr;
  wasmtime_context_t* context_ = nullptr;
  GuestMemory* memory_ = nullptr;
  wasmtime_func_t start_{};
  wasmtime_func_t poll_{};
  uint64_t seed_ = 0;
  uint32_t charged_us_ = 0;
  /// Of the present call; instantiating counts as the start.
  uint32_t limit_us_ = kStartLimitUs;
  bool overran_ = false;
  std::string abort_message_;
  Failure failure_;
};

/// The instance that this thread is inside of; host functions use it.
Instance* current_instance();

}  // namespace weir::sandbox
