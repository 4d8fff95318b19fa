#pragma once
#include <gtest/gtest.h>
#include <wasmtime.h>
#include <weir_engine.h>

#include <memory>
#include <string>
#include <vector>

#include "sandbox/engine.h"

namespace weir::sandbox::testing {

/// One engine for all tests of the process.
inline Engine& engine() {
  static std::unique_ptr<Engine> engine = [] {
    std::string error;
    auto made = Engine::create(error);
    EXPECT_TRUE(made) << error;
    made->worker_active();
    return made;
  }();
  return *engine;
}

/// Linear memory of the test guests: windows and 1 MiB of their own, pages.
inline constexpr uint32_t kGuestPages = 320 + 16;

/// A module in text form: the exports that the contract asks for, around `functions`. `poll` is the
/// body of weir_poll with the parameter $events.
inline std::string guest_text(const std::string& poll, const std::string& functions = "",
                              const std::string& imports = "") {
  return "(module " + imports + "(memory (export \"memory\") " + std::to_string(kGuestPages) + " " +
         std::to_string(kGuestPages) + ")(global (export \"weir_abi\") i32 (i32.const 1))" +
         functions +
         "(func (export \"weir_start\"))"
         "(func (export \"weir_poll\") (param $events i32) (result i64)" +
         poll + "))";
}

inline std::vector<uint8_t> assemble(const std::string& text) {
  wasm_byte_vec_t wasm;
  if (auto* error = wasmtime_wat2wasm(text.data(), text.size(), &wasm)) {
    ADD_FAILURE() << take_message(error) << "\n" << text;
    return {};
  }
  std::vector<uint8_t> bytes(wasm.data, wasm.data + wasm.size);
  wasm_byte_vec_delete(&wasm);
  return bytes;
}

/// Compiles a module as it is: without verification and rewriting, as if both had failed.
inline std::shared_ptr<Module> load_raw(const std::string& text) {
  std::string error;
  auto compiled = engine().compile(assemble(text), error);
  EXPECT_EQ(error, "");
  auto module = engine().load(compiled, error);
  EXPECT_TRUE(module) << error;
  return module;
}

/// Compiles a module the way a deployed one is.
inline std::shared_ptr<Module> load_admitted(const std::string& text) {
  auto wasm = assemble(text);
  weir_admit_limits limits{};
  limits.memory_pages = kGuestPages;
  weir_admission* admission = nullptr;
  int verdict = weir_admit(wasm.data(), wasm.size(), &limits, &admission);
  std::unique_ptr<weir_admission, decltype(&weir_admission_delete)> owned(admission,
                                                                          weir_admission_delete);
  size_t bytes = 0;
  if (verdict != WEIR_ADMITTED) {
    ADD_FAILURE() << weir_admission_report(admission, &bytes);
    return nullptr;
  }
  const uint8_t* rewritten = weir_admission_module(admission, &bytes);
  std::string error;
  auto compiled = engine().compile({rewritten, bytes}, error);
  EXPECT_EQ(error, "");
  auto module = engine().load(compiled, error);
  EXPECT_TRUE(module) << error;
  return module;
}

}  // namespace weir::sandbox::testing
