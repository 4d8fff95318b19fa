#include "sandbox/engine.h"

#include <weir_engine.h>

#include <chrono>

#include "sandbox/imports.h"
#include "sandbox/second_net.h"

namespace weir::sandbox {
namespace {

/// What the engine holds for one linear memory.
struct MemoryLease {
  GuestMemoryPool* pool;
  std::unique_ptr<GuestMemory> memory;
};

uint8_t* get_memory(void* env, size_t* size_bytes, size_t* capacity_bytes) {
  const GuestMemory& memory = *static_cast<MemoryLease*>(env)->memory;
  *size_bytes = memory.size_bytes();
  *capacity_bytes = memory.size_bytes();
  return memory.base();
}

wasmtime_error_t* refuse_growth(void*, size_t) {
  return wasmtime_error_new("a guest's memory does not grow");
}

void return_memory(void* env) {
  auto* lease = static_cast<MemoryLease*>(env);
  lease->pool->give_back(std::move(lease->memory));
  delete lease;
}

wasmtime_error_t* new_memory(void* env, const wasm_memorytype_t*, size_t minimum, size_t maximum,
                             size_t reserved_bytes, size_t guard_bytes,
                             wasmtime_linear_memory_t* out) {
  auto* pool = static_cast<GuestMemoryPool*>(env);
  if (minimum != maximum) return wasmtime_error_new("a guest's memory must have min = max");
  if (reserved_bytes > WEIR_MEMORY_RESERVATION_BYTES || guard_bytes > WEIR_MEMORY_GUARD_BYTES)
    return wasmtime_error_new("the engine asks for a larger reservation than weir makes");
  auto memory = pool->take();
  if (!memory)
    return wasmtime_error_new(
        "no address space for one more guest (raise vm.max_map_count or run fewer apps)");
  if (!memory->open(minimum)) {
    pool->give_back(std::move(memory));
    return wasmtime_error_new("the kernel refused memory for a guest");
  }
  *out = {.env = new MemoryLease{pool, std::move(memory)},
          .get_memory = get_memory,
          .grow_memory = refuse_growth,
          .finalizer = return_memory};
  return nullptr;
}

}  // namespace

std::string take_message(wasmtime_error_t* error) {
  wasm_name_t text;
  wasmtime_error_message(error, &text);
  std::string message(text.data, text.size);
  wasm_byte_vec_delete(&text);
  wasmtime_error_delete(error);
  return message;
}

Module::~Module() {
  if (pre_ != nullptr) wasmtime_instance_pre_delete(pre_);
  if (module_ != nullptr) wasmtime_module_delete(module_);
}

Engine::Engine() {
  install_second_net();
  wasm_config_t* config = weir_config_new();
  wasmtime_memory_creator_t creator{
      .env = &memories_, .new_memory = new_memory, .finalizer = nullptr};
  wasmtime_config_host_memory_creator_set(config, &creator);
  engine_ = wasm_engine_new_with_config(config);
}

std::unique_ptr<Engine> Engine::create(std::string& error) {
  std::unique_ptr<Engine> engine(new Engine());
  if (engine->engine_ == nullptr) {
    error = "the WebAssembly engine does not support this machine";
    return nullptr;
  }
  engine->linker_ = wasmtime_linker_new(engine->engine_);
  if (auto* failure = define_imports(engine->linker_)) {
    error = take_message(failure);
    return nullptr;
  }
  engine->ticker_ = std::thread([e = engine.get()] { e->tick(); });
  return engine;
}

Engine::~Engine() {
  stopping_ = true;
  if (ticker_.joinable()) {
    worker_active();
    ticker_.join();
  }
  if (linker_ != nullptr) wasmtime_linker_delete(linker_);
  if (engine_ != nullptr) wasm_engine_delete(engine_);
}

void Engine::tick() {
  while (!stopping_) {
    active_workers_.wait(0);
    std::this_thread::sleep_for(std::chrono::microseconds(kEpochPeriodUs));
    wasmtime_engine_increment_epoch(engine_);
  }
}

std::vector<uint8_t> Engine::compile(std::span<const uint8_t> wasm, std::string& error) {
  wasmtime_module_t* module = nullptr;
  if (auto* failure = wasmtime_module_new(engine_, wasm.data(), wasm.size(), &module)) {
    error = take_message(failure);
    return {};
  }
  wasm_byte_vec_t bytes;
  auto* failure = wasmtime_module_serialize(module, &bytes);
  wasmtime_module_delete(module);
  if (failure != nullptr) {
    error = take_message(failure);
    return {};
  }
  std::vector<uint8_t> compiled(bytes.data, bytes.data + bytes.size);
  wasm_byte_vec_delete(&bytes);
  return compiled;
}

std::shared_ptr<Module> Engine::load(std::span<const uint8_t> compiled, std::string& error) {
  std::shared_ptr<Module> module(new Module());
  if (auto* failure = wasmtime_module_deserialize(engine_, compiled.data(), compiled.size(),
                                                  &module->module_)) {
    error = take_message(failure);
    return nullptr;
  }
  if (auto* failure = wasmtime_linker_instantiate_pre(linker_, module->module_, &module->pre_)) {
    error = take_message(failure);
    return nullptr;
  }
  return module;
}

}  // namespace weir::sandbox
