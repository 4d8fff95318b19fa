#pragma once
#include <napi.h>

#include <deque>
#include <memory>
#include <string>

#include "net/address.h"
#include "sandbox/app.h"
#include "sandbox/engine.h"
#include "sandbox/event_log.h"

namespace weir::addon {

/// What one instance of the addon keeps.
struct Instance {
  Napi::FunctionReference dataplane;
  Napi::FunctionReference testbed;
  /// The engine of all testbeds; made with the first. Testbeds that JavaScript forgot are destroyed
  /// later than this, and hold it themselves.
  std::shared_ptr<sandbox::Engine> testbed_engine;
};

std::string text_of(const Napi::Object& object, const char* key);
uint32_t number_of(const Napi::Object& object, const char* key);

/// Throws for what is no address.
net::Address parse_address(const Napi::Env& env, const std::string& text);
std::string text_of(const net::Address& address);

/// AppSpec of runtime/process/native.ts.
sandbox::AppConfig app_config(const Napi::Env& env, const Napi::Object& spec);
/// AppEvent[] of it.
Napi::Array events_value(const Napi::Env& env, const std::deque<sandbox::AppEvent>& events);

}  // namespace weir::addon
