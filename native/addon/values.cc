#include "addon/values.h"

#include <arpa/inet.h>

namespace weir::addon {

namespace {

using net::Address;

const char* name_of(weir::sandbox::AppEventKind kind) {
  static constexpr const char* kNames[] = {"log",      "started",  "trapped",      "overran",
                                           "violated", "poisoned", "start_failed", "lines_dropped"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace

std::string text_of(const Napi::Object& object, const char* key) {
  return object.Get(key).As<Napi::String>().Utf8Value();
}
uint32_t number_of(const Napi::Object& object, const char* key) {
  return object.Get(key).As<Napi::Number>().Uint32Value();
}

Address parse_address(const Napi::Env& env, const std::string& text) {
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return Address::v4(ntohl(v4.s_addr));
  in6_addr v6;
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return Address::v6(v6.s6_addr);
  throw Napi::Error::New(env, "not an IP address: " + text);
}

std::string text_of(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  if (!address.is_v4()) return inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
  return inet_ntop(AF_INET, address.bytes.data() + 12, text, sizeof text);
}

weir::sandbox::AppConfig app_config(const Napi::Env& env, const Napi::Object& spec) {
  weir::sandbox::AppConfig config;
  config.id = number_of(spec, "id");
  config.name = text_of(spec, "name");
  config.tenant = text_of(spec, "tenant");
  config.max_connections = number_of(spec, "connections");
  config.call_limit_us = number_of(spec, "pollUs");
  auto listens = spec.Get("listens").As<Napi::Array>();
  for (uint32_t i = 0; i < listens.Length(); i++) {
    auto listen = listens.Get(i).As<Napi::Object>();
    std::string kind = text_of(listen, "protocol");
    config.listens.push_back(
        {.name = text_of(listen, "name"),
         .kind = kind,
         .protocol = kind == "udp" ? weir::sandbox::Protocol::udp : weir::sandbox::Protocol::tcp,
         .port = static_cast<uint16_t>(number_of(listen, "port"))});
  }
  auto connects = spec.Get("connects").As<Napi::Array>();
  for (uint32_t i = 0; i < connects.Length(); i++) {
    auto connect = connects.Get(i).As<Napi::Object>();
    const auto port = static_cast<uint16_t>(number_of(connect, "port"));
    if (connect.Has("host"))
      config.connects.push_back({.text = text_of(connect, "to"),
                                 .remote = {net::Address{}, port},
                                 .host = text_of(connect, "host")});
    else
      config.connects.push_back(
          {.text = text_of(connect, "to"),
           .remote = {parse_address(env, text_of(connect, "address")), port}});
  }
  auto vars = spec.Get("vars").As<Napi::Array>();
  for (uint32_t i = 0; i < vars.Length(); i++) {
    auto pair = vars.Get(i).As<Napi::Array>();
    config.variables.emplace_back(pair.Get(0u).As<Napi::String>().Utf8Value(),
                                  pair.Get(1u).As<Napi::String>().Utf8Value());
  }
  return config;
}

Napi::Array events_value(const Napi::Env& env, const std::deque<sandbox::AppEvent>& taken) {
  auto result = Napi::Array::New(env, taken.size());
  uint32_t at = 0;
  for (const auto& event : taken) {
    auto item = Napi::Object::New(env);
    item.Set("sequence", static_cast<double>(event.sequence));
    item.Set("timeUs", static_cast<double>(event.time_us));
    item.Set("appId", event.app_id);
    item.Set("kind", name_of(event.kind));
    item.Set("level", weir::abi::name_of(event.level));
    item.Set("text", event.text);
    auto frames = Napi::Array::New(env, event.frames.size());
    for (uint32_t i = 0; i < event.frames.size(); i++) {
      auto frame = Napi::Object::New(env);
      frame.Set("functionIndex", event.frames[i].function_index);
      frame.Set("functionName", event.frames[i].function_name);
      frame.Set("moduleOffset", event.frames[i].module_offset);
      frames.Set(i, frame);
    }
    item.Set("frames", frames);
    result.Set(at++, item);
  }
  return result;
}

}  // namespace weir::addon
