#pragma once
#include <wasmtime.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "sandbox/guest_memory.h"

namespace weir::sandbox {

/// A compiled module with its imports resolved. Immutable; may be used by several workers.
class Module {
 public:
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  const wasmtime_instance_pre_t* pre() const { return pre_; }

 private:
  friend class Engine;
  Module() = default;
  wasmtime_module_t* module_ = nullptr;
  wasmtime_instance_pre_t* pre_ = nullptr;
};

/// The process's WebAssembly engine: configuration, host functions, guest memories, and the clock
/// that interrupts guests (epochs). Thread-safe.
class Engine {
 public:
  /// How often a running guest can be interrupted.
  static constexpr uint32_t kEpochPeriodUs = 250;

  /// Installs the second net, then makes the engine.
  static std::unique_ptr<Engine> create(std::string& error);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Compiles a WebAssembly module (binary, or text in tests). Empty on failure, with the engine's
  /// message in `error`.
  std::vector<uint8_t> compile(std::span<const uint8_t> wasm, std::string& error);
  /// Loads what compile made. Only for bytes from our own store: the engine trusts them.
  std::shared_ptr<Module> load(std::span<const uint8_t> compiled, std::string& error);

  GuestMemoryPool& memories() { return memories_; }
  wasm_engine_t* raw() const { return engine_; }

  /// Workers say when guests may be running: the epoch clock stands still while none does.
  void worker_active() {
    if (active_workers_.fetch_add(1, std::memory_order_seq_cst) == 0) active_workers_.notify_one();
  }
  void worker_idle() { active_workers_.fetch_sub(1, std::memory_order_seq_cst); }

 private:
  Engine();
  void tick();

  wasm_engine_t* engine_ = nullptr;
  wasmtime_linker_t* linker_ = nullptr;
  GuestMemoryPool memories_{64};
  std::atomic<uint32_t> active_workers_{0};
  std::atomic<bool> stopping_{false};
  std::thread ticker_;
};

/// The text of an engine error; deletes it.
std::string take_message(wasmtime_error_t* error);

}  // namespace weir::sandbox
