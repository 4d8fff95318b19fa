// libFuzzer for targets in JavaScript: a Node addon with its driver, and counters that it looks at.
#include <node_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerRunDriver(int* argc, char*** argv,
                                   int (*test_one)(const uint8_t* data, size_t bytes));
extern "C" void __sanitizer_cov_8bit_counters_init(uint8_t* begin, uint8_t* end);
extern "C" void __sanitizer_cov_pcs_init(const uintptr_t* begin, const uintptr_t* end);

namespace {

/// libFuzzer knows one function to call, without an argument of its choice.
napi_env target_env = nullptr;
napi_value target = nullptr;

void expect(napi_status status) {
  if (status == napi_ok) return;
  std::fprintf(stderr, "fuzz addon: a call of Node-API failed (%d)\n", status);
  std::abort();
}

/// Ends the process, with what was thrown in front of it: libFuzzer keeps the input.
[[noreturn]] void give_up(napi_env env) {
  napi_value error, stack, text;
  expect(napi_get_and_clear_last_exception(env, &error));
  if (napi_get_named_property(env, error, "stack", &stack) != napi_ok) stack = error;
  expect(napi_coerce_to_string(env, stack, &text));
  std::vector<char> bytes(65'536);
  expect(napi_get_value_string_utf8(env, text, bytes.data(), bytes.size(), nullptr));
  std::fprintf(stderr, "weir fuzz: %s\n", bytes.data());
  std::abort();
}

int test_one(const uint8_t* data, size_t bytes) {
  const napi_env env = target_env;
  napi_handle_scope scope;
  expect(napi_open_handle_scope(env, &scope));
  napi_value buffer, receiver;
  expect(napi_create_buffer_copy(env, bytes, data, nullptr, &buffer));
  expect(napi_get_undefined(env, &receiver));
  if (napi_call_function(env, receiver, target, 1, &buffer, nullptr) != napi_ok) give_up(env);
  expect(napi_close_handle_scope(env, scope));
  return 0;
}

/// counters(count): a Uint8Array, a byte for each place in the target that an input can reach.
napi_value counters(napi_env env, napi_callback_info info) {
  size_t given = 1;
  napi_value argument, memory, array;
  uint32_t count = 0;
  expect(napi_get_cb_info(env, info, &given, &argument, nullptr, nullptr));
  expect(napi_get_value_uint32(env, argument, &count));
  // libFuzzer goes on looking at them until the process ends. It wants an address for each, and
  // whether a function begins there.
  auto* bytes = static_cast<uint8_t*>(std::calloc(count, 1));
  auto* places = static_cast<uintptr_t*>(std::calloc(count, 2 * sizeof(uintptr_t)));
  if (bytes == nullptr || places == nullptr) std::abort();
  static uintptr_t next_place = 1;
  for (uint32_t i = 0; i < count; i++) places[2 * i] = next_place++;
  __sanitizer_cov_8bit_counters_init(bytes, bytes + count);
  __sanitizer_cov_pcs_init(places, places + 2 * count);
  expect(napi_create_external_arraybuffer(env, bytes, count, nullptr, nullptr, &memory));
  expect(napi_create_typedarray(env, napi_uint8_array, count, memory, 0, &array));
  return array;
}

/// run(arguments, target): libFuzzer with its own command line. Ends the process.
napi_value run(napi_env env, napi_callback_info info) {
  size_t given = 2;
  napi_value values[2];
  expect(napi_get_cb_info(env, info, &given, values, nullptr, nullptr));
  uint32_t count = 0;
  expect(napi_get_array_length(env, values[0], &count));
  std::vector<std::string> texts = {"fuzz"};
  for (uint32_t i = 0; i < count; i++) {
    napi_value element;
    char text[4096];
    expect(napi_get_element(env, values[0], i, &element));
    expect(napi_get_value_string_utf8(env, element, text, sizeof text, nullptr));
    texts.emplace_back(text);
  }
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  int argc = static_cast<int>(texts.size());
  char** argv = pointers.data();
  target_env = env;
  target = values[1];
  LLVMFuzzerRunDriver(&argc, &argv, test_one);
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  napi_value function;
  expect(napi_create_function(env, "counters", NAPI_AUTO_LENGTH, counters, nullptr, &function));
  expect(napi_set_named_property(env, exports, "counters", function));
  expect(napi_create_function(env, "run", NAPI_AUTO_LENGTH, run, nullptr, &function));
  expect(napi_set_named_property(env, exports, "run", function));
  return exports;
}

}  // namespace

NAPI_MODULE(fuzzer, init)
