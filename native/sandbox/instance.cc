#include "sandbox/instance.h"

#include <algorithm>

#include "sandbox/second_net.h"

namespace weir::sandbox {
namespace {

thread_local Instance* current = nullptr;
constexpr size_t kMaxFrames = 16;

std::string message_of(const wasm_trap_t* trap) {
  wasm_message_t text;
  wasm_trap_message(trap, &text);
  // The message ends in a zero byte; below the first line stands a back trace that the frames say
  // better.
  std::string message(text.data, text.size > 0 ? text.size - 1 : 0);
  wasm_byte_vec_delete(&text);
  return message;
}

const char* text_of(wasmtime_trap_code_t code) {
  switch (code) {
    case WASMTIME_TRAP_CODE_STACK_OVERFLOW:
      return "the call stack is exhausted";
    case WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS:
      return "memory access outside of what the handler may touch (null, read-only window or out "
             "of bounds)";
    case WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS:
      return "undefined table element";
    case WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL:
      return "call of an uninitialized table element";
    case WASMTIME_TRAP_CODE_BAD_SIGNATURE:
      return "indirect call with a wrong signature";
    case WASMTIME_TRAP_CODE_INTEGER_OVERFLOW:
      return "integer overflow";
    case WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO:
      return "integer division by zero";
    case WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER:
      return "invalid conversion to integer";
    case WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:
      return "unreachable code was reached";
    default:
      return "trap";
  }
}

}  // namespace

Instance* current_instance() { return current; }

std::unique_ptr<Instance> Instance::create(Engine& engine, std::shared_ptr<Module> module,
                                           Windows& windows, const Settings& settings,
                                           std::string& error) {
  std::unique_ptr<Instance> self(new Instance());
  self->module_ = std::move(module);
  self->settings_ = settings;
  self->seed_ = settings.seed;
  self->store_ = wasmtime_store_new(engine.raw(), nullptr, nullptr);
  self->context_ = wasmtime_store_context(self->store_);
  // One instance, one memory, one small table; nothing of it can grow.
  wasmtime_store_limiter(self->store_, -1, -1, 1, 1, 1);
  wasmtime_store_epoch_deadline_callback(self->store_, on_epoch, self.get(), nullptr);
  wasmtime_context_set_epoch_deadline(self->context_, 1);

  wasmtime_instance_t instance;
  wasm_trap_t* trap = nullptr;
  auto* failure =
      wasmtime_instance_pre_instantiate(self->module_->pre(), self->context_, &instance, &trap);
  if (failure != nullptr) {
    error = take_message(failure);
    return nullptr;
  }
  if (trap != nullptr) {
    error = message_of(trap);
    wasm_trap_delete(trap);
    return nullptr;
  }
  auto find = [&](std::string_view name, wasmtime_extern_kind_t kind, wasmtime_extern_t& item) {
    if (wasmtime_instance_export_get(self->context_, &instance, name.data(), name.size(), &item) &&
        item.kind == kind)
      return true;
    error = "the module does not export " + std::string(name);
    return false;
  };
  wasmtime_extern_t item;
  if (!find("memory", WASMTIME_EXTERN_MEMORY, item)) return nullptr;
  uint8_t* base = wasmtime_memory_data(self->context_, &item.of.memory);
  self->memory_ = engine.memories().find(base);
  if (self->memory_ == nullptr) {
    error = "the module's memory was not made by weir";
    return nullptr;
  }
  if (!find("weir_start", WASMTIME_EXTERN_FUNC, item)) return nullptr;
  self->start_ = item.of.func;
  if (!find("weir_poll", WASMTIME_EXTERN_FUNC, item)) return nullptr;
  self->poll_ = item.of.func;
  if (!windows.attach(*self->memory_)) {
    windows.detach();
    error = "the kernel refused to map the app's windows (raise vm.max_map_count)";
    return nullptr;
  }
  self->windows_ = &windows;
  return self;
}

Instance::~Instance() {
  if (windows_ != nullptr) windows_->detach();
  if (store_ != nullptr) wasmtime_store_delete(store_);
}

Outcome Instance::start() {
  return enter(start_, nullptr, 0, std::max(settings_.call_limit_us, kStartLimitUs));
}

Outcome Instance::poll(uint32_t events, PollResult& result) {
  wasmtime_val_raw_t value;
  value.i32 = static_cast<int32_t>(events);
  Outcome outcome = enter(poll_, &value, 1, settings_.call_limit_us);
  if (outcome == Outcome::returned) {
    auto packed = static_cast<uint64_t>(value.i64);
    result.consumed = static_cast<uint32_t>(packed);
    result.commands = static_cast<uint32_t>(packed >> 32);
  }
  return outcome;
}

Outcome Instance::enter(const wasmtime_func_t& function, wasmtime_val_raw_t* values, size_t count,
                        uint32_t limit_us) {
  wasmtime_context_set_epoch_deadline(context_, 1);
  charged_us_ = 0;
  limit_us_ = limit_us;
  current = this;
  set_current_guest_memory(memory_);
  wasm_trap_t* trap = nullptr;
  auto* error = wasmtime_func_call_unchecked(context_, &function, values, count, &trap);
  set_current_guest_memory(nullptr);
  current = nullptr;
  if (error == nullptr && trap == nullptr && !memory_->poisoned()) [[likely]]
    return Outcome::returned;

  failure_ = {};
  if (trap != nullptr) {
    describe(trap);
    wasm_trap_delete(trap);
  }
  if (error != nullptr) {
    wasm_frame_vec_t frames;
    wasmtime_error_wasm_trace(error, &frames);
    for (size_t i = 0; i < std::min(frames.size, kMaxFrames); i++) append_frame(frames.data[i]);
    wasm_frame_vec_delete(&frames);
    failure_.message = take_message(error);
  }
  if (memory_->poisoned()) {
    failure_.message = "a bulk memory operation reached into the handler's window";
    return Outcome::poisoned;
  }
  if (overran_) {
    failure_.message = "the call took longer than " + std::to_string(limit_us_) + " us";
    return Outcome::overran;
  }
  if (!abort_message_.empty()) failure_.message = std::move(abort_message_);
  return Outcome::trapped;
}

wasmtime_error_t* Instance::on_epoch(wasmtime_context_t*, void* data, uint64_t* delta,
                                     wasmtime_update_deadline_kind_t* kind) {
  auto* self = static_cast<Instance*>(data);
  *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
  *delta = 1;
  // Charged by epochs seen and not by the clock: a virtual CPU that was taken away for milliseconds
  // is not the handler's fault.
  self->charged_us_ += Engine::kEpochPeriodUs;
  if (self->charged_us_ <= self->limit_us_) return nullptr;
  self->overran_ = true;
  return wasmtime_error_new("overrun");
}

void Instance::append_frame(const wasm_frame_t* frame) {
  const wasm_name_t* name = wasmtime_frame_func_name(frame);
  failure_.frames.push_back(
      {.function_index = wasm_frame_func_index(frame),
       .module_offset = static_cast<uint32_t>(wasm_frame_module_offset(frame)),
       .function_name = name == nullptr
                            ? std::string()
                            : std::string(name->data, std::min<size_t>(name->size, 128))});
}

void Instance::describe(wasm_trap_t* trap) {
  wasmtime_trap_code_t code;
  failure_.message = wasmtime_trap_code(trap, &code) ? text_of(code) : message_of(trap);
  wasm_frame_vec_t frames;
  wasm_trap_trace(trap, &frames);
  for (size_t i = 0; i < std::min(frames.size, kMaxFrames); i++) append_frame(frames.data[i]);
  wasm_frame_vec_delete(&frames);
}

}  // namespace weir::sandbox
