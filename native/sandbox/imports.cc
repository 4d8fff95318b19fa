#include "sandbox/imports.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "sandbox/abi.h"
#include "sandbox/instance.h"

namespace weir::sandbox {
namespace {

using Values = wasmtime_val_raw_t*;

/// Log lines an instance may write once its burst is used up.
constexpr uint32_t kLogLinesPerSecond = 100;

/// Takes a token of the instance's log allowance; false means that the line is to be dropped.
bool may_log(Instance& instance) {
  uint64_t elapsed_us = instance.mono_us - instance.log_refill_us;
  uint64_t refill = elapsed_us * kLogLinesPerSecond / 1'000'000;
  if (refill > 0) {
    instance.log_tokens = static_cast<uint32_t>(
        std::min<uint64_t>(Instance::kLogBurst, instance.log_tokens + refill));
    instance.log_refill_us = instance.mono_us;
  }
  if (instance.log_tokens == 0) {
    instance.settings().log->lines_dropped(1);
    return false;
  }
  instance.log_tokens--;
  return true;
}

void append_utf8(std::string& out, uint32_t code_point) {
  if (code_point < 0x80) {
    out.push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out.push_back(static_cast<char>(0xc0 | code_point >> 6));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3f)));
  } else if (code_point < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | code_point >> 12));
    out.push_back(static_cast<char>(0x80 | (code_point >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | code_point >> 18));
    out.push_back(static_cast<char>(0x80 | (code_point >> 12 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (code_point >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (code_point & 0x3f)));
  }
}

/// An AssemblyScript string as UTF-8: UTF-16 whose length in bytes is the u32 before it. Never
/// reads outside of what the guest may read; cut at the length of a log line.
std::string read_string(const Instance& instance, uint32_t address) {
  if (address < 4 || !instance.readable(address - 4, 4)) return {};
  uint32_t bytes;
  std::memcpy(&bytes, instance.memory().base() + address - 4, 4);
  bytes = std::min(bytes, 2 * abi::kLogLineBytes) & ~1u;
  if (!instance.readable(address, bytes)) return {};
  const uint8_t* text = instance.memory().base() + address;
  auto unit = [&](uint32_t at) { return static_cast<uint32_t>(text[at] | text[at + 1] << 8); };
  std::string out;
  for (uint32_t at = 0; at < bytes && out.size() < abi::kLogLineBytes; at += 2) {
    uint32_t code_point = unit(at);
    if (code_point >= 0xd800 && code_point < 0xdc00 && at + 2 < bytes &&
        (unit(at + 2) & 0xfc00) == 0xdc00) {
      code_point = 0x10000 + ((code_point & 0x3ff) << 10) + (unit(at + 2) & 0x3ff);
      at += 2;
    } else if (code_point >= 0xd800 && code_point < 0xe000) {
      code_point = 0xfffd;
    }
    append_utf8(out, code_point);
  }
  return out;
}

wasm_trap_t* weir_log(void*, wasmtime_caller_t*, Values values, size_t) {
  Instance& instance = *current_instance();
  auto address = static_cast<uint32_t>(values[1].i32);
  uint32_t bytes = std::min(static_cast<uint32_t>(values[2].i32), abi::kLogLineBytes);
  if (!instance.readable(address, bytes) || !may_log(instance)) return nullptr;
  auto level = static_cast<uint32_t>(values[0].i32);
  instance.settings().log->line(
      level < abi::kLogLevelCount ? static_cast<abi::LogLevel>(level) : abi::LogLevel::info,
      {reinterpret_cast<const char*>(instance.memory().base() + address), bytes});
  return nullptr;
}

wasm_trap_t* as_abort(void*, wasmtime_caller_t*, Values values, size_t) {
  Instance& instance = *current_instance();
  std::string message = read_string(instance, static_cast<uint32_t>(values[0].i32));
  std::string file = read_string(instance, static_cast<uint32_t>(values[1].i32));
  if (message.empty()) message = "abort";
  message +=
      " (" + file + ":" + std::to_string(values[2].i32) + ":" + std::to_string(values[3].i32) + ")";
  instance.set_abort_message(message);
  return wasmtime_trap_new(message.data(), message.size());
}

wasm_trap_t* as_trace(void*, wasmtime_caller_t*, Values values, size_t) {
  Instance& instance = *current_instance();
  if (!may_log(instance)) return nullptr;
  std::string text = read_string(instance, static_cast<uint32_t>(values[0].i32));
  int count = std::clamp(values[1].i32, 0, 5);
  for (int i = 0; i < count; i++) {
    char number[32];
    std::snprintf(number, sizeof number, "%s%.17g", i == 0 ? " " : ", ", values[2 + i].f64);
    text += number;
  }
  instance.settings().log->line(abi::LogLevel::debug, text);
  return nullptr;
}

wasm_trap_t* as_seed(void*, wasmtime_caller_t*, Values values, size_t) {
  values[0].f64 = static_cast<double>(current_instance()->next_seed() >> 11) * 0x1p-53;
  return nullptr;
}

wasm_trap_t* as_console(void* env, wasmtime_caller_t*, Values values, size_t) {
  Instance& instance = *current_instance();
  if (!may_log(instance)) return nullptr;
  auto level = static_cast<abi::LogLevel>(reinterpret_cast<uintptr_t>(env));
  instance.settings().log->line(level, read_string(instance, static_cast<uint32_t>(values[0].i32)));
  return nullptr;
}

wasm_trap_t* as_date_now(void*, wasmtime_caller_t*, Values values, size_t) {
  values[0].f64 = std::floor(static_cast<double>(current_instance()->wall_us) / 1000.0);
  return nullptr;
}

wasm_trap_t* as_performance_now(void*, wasmtime_caller_t*, Values values, size_t) {
  values[0].f64 = static_cast<double>(current_instance()->mono_us) / 1000.0;
  return nullptr;
}

struct Import {
  std::string_view module;
  std::string_view name;
  /// Parameters then results, 'i' for i32 and 'd' for f64.
  std::string_view parameters;
  std::string_view results;
  wasmtime_func_unchecked_callback_t function;
  abi::LogLevel level = abi::LogLevel::info;
};

constexpr std::array<Import, 11> kImports = {{
    {"weir", "log", "iii", "", weir_log},
    {"env", "abort", "iiii", "", as_abort},
    {"env", "trace", "iiddddd", "", as_trace},
    {"env", "seed", "", "d", as_seed},
    {"env", "console.log", "i", "", as_console, abi::LogLevel::info},
    {"env", "console.debug", "i", "", as_console, abi::LogLevel::debug},
    {"env", "console.info", "i", "", as_console, abi::LogLevel::info},
    {"env", "console.warn", "i", "", as_console, abi::LogLevel::warn},
    {"env", "console.error", "i", "", as_console, abi::LogLevel::error},
    {"env", "Date.now", "", "d", as_date_now},
    {"env", "performance.now", "", "d", as_performance_now},
}};

wasm_valtype_vec_t value_types(std::string_view text) {
  wasm_valtype_vec_t types;
  wasm_valtype_vec_new_uninitialized(&types, text.size());
  for (size_t i = 0; i < text.size(); i++)
    types.data[i] = wasm_valtype_new(text[i] == 'i' ? WASM_I32 : WASM_F64);
  return types;
}

}  // namespace

wasmtime_error_t* define_imports(wasmtime_linker_t* linker) {
  for (const Import& import : kImports) {
    wasm_valtype_vec_t parameters = value_types(import.parameters);
    wasm_valtype_vec_t results = value_types(import.results);
    wasm_functype_t* type = wasm_functype_new(&parameters, &results);
    auto* error = wasmtime_linker_define_func_unchecked(
        linker, import.module.data(), import.module.size(), import.name.data(), import.name.size(),
        type, import.function, reinterpret_cast<void*>(static_cast<uintptr_t>(import.level)),
        nullptr);
    wasm_functype_delete(type);
    if (error != nullptr) return error;
  }
  return nullptr;
}

}  // namespace weir::sandbox
