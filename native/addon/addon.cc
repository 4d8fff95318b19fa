/// The binding: turns JavaScript values into the dataplane's types and back.
/// runtime/process/native.ts is its interface.
#include <napi.h>
#include <weir_engine.h>

#include <charconv>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "addon/testbed_object.h"
#include "addon/values.h"
#include "sandbox/app_counters.h"
#include "worker/dataplane.h"

namespace {

using weir::addon::app_config;
using weir::addon::events_value;
using weir::addon::number_of;
using weir::addon::parse_address;
using weir::addon::text_of;
using weir::worker::Dataplane;

/// "10.44.0.2/24" or "fd44::2/64".
weir::net::InterfaceAddress parse_network(const Napi::Env& env, const std::string& text) {
  const size_t slash = text.find('/');
  unsigned bits = 0;
  const char* end = text.data() + text.size();
  if (slash == std::string::npos ||
      std::from_chars(text.data() + slash + 1, end, bits).ptr != end || bits > 128)
    throw Napi::Error::New(env, "not an address with prefix: " + text);
  return {parse_address(env, text.substr(0, slash)), static_cast<uint8_t>(bits)};
}

/// Runs `work` off the JavaScript thread; the promise resolves with what `result` makes of it.
class Task final : public Napi::AsyncWorker {
 public:
  using Work = std::function<std::string()>;
  using Result = std::function<Napi::Value(Napi::Env)>;

  static Napi::Value run(const Napi::Env& env, Work work, Result result) {
    auto* task = new Task(env, std::move(work), std::move(result));
    task->Queue();
    return task->deferred_.Promise();
  }

 private:
  Task(const Napi::Env& env, Work work, Result result)
      : AsyncWorker(env), deferred_(env), work_(std::move(work)), result_(std::move(result)) {}
  void Execute() override {
    std::string error = work_();
    if (!error.empty()) SetError(error);
  }
  void OnOK() override { deferred_.Resolve(result_(Env())); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

  Napi::Promise::Deferred deferred_;
  Work work_;
  Result result_;
};

Napi::Value undefined(Napi::Env env) { return env.Undefined(); }

/// The JavaScript side of a running dataplane.
class DataplaneObject final : public Napi::ObjectWrap<DataplaneObject> {
 public:
  static Napi::Function define(const Napi::Env& env) {
    return DefineClass(env, "Dataplane",
                       {InstanceMethod<&DataplaneObject::deploy>("deploy"),
                        InstanceMethod<&DataplaneObject::remove>("remove"),
                        InstanceMethod<&DataplaneObject::drain_events>("drainEvents"),
                        InstanceMethod<&DataplaneObject::port_state>("portState"),
                        InstanceMethod<&DataplaneObject::connections>("connections"),
                        InstanceMethod<&DataplaneObject::stop>("stop")});
  }

  explicit DataplaneObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {}

  void hold(std::shared_ptr<Dataplane> dataplane) { dataplane_ = std::move(dataplane); }

 private:
  Dataplane& running(const Napi::Env& env) {
    if (!dataplane_) throw Napi::Error::New(env, "the dataplane has been stopped");
    return *dataplane_;
  }

  Napi::Value deploy(const Napi::CallbackInfo& info) {
    running(info.Env());
    auto spec = info[0].As<Napi::Object>();
    auto config = app_config(info.Env(), spec);
    std::string path = text_of(spec, "compiledPath");
    return Task::run(
        info.Env(),
        [dataplane = dataplane_, lock = lock_, config = std::move(config), path] {
          std::lock_guard guard(*lock);
          std::string error;
          dataplane->deploy(config, path, error);
          return error;
        },
        undefined);
  }

  Napi::Value remove(const Napi::CallbackInfo& info) {
    running(info.Env());
    uint32_t app_id = info[0].As<Napi::Number>().Uint32Value();
    return Task::run(
        info.Env(),
        [dataplane = dataplane_, lock = lock_, app_id] {
          std::lock_guard guard(*lock);
          return dataplane->remove(app_id) ? std::string() : std::string("there is no such app");
        },
        undefined);
  }

  Napi::Value drain_events(const Napi::CallbackInfo& info) {
    return events_value(info.Env(), running(info.Env()).drain_events());
  }

  Napi::Value port_state(const Napi::CallbackInfo& info) {
    const auto& port = running(info.Env()).port();
    auto address = port.link_address();
    char text[18];
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1],
                  address[2], address[3], address[4], address[5]);
    auto state = Napi::Object::New(info.Env());
    state.Set("linkAddress", text);
    state.Set("mtuBytes", port.mtu_bytes());
    return state;
  }

  Napi::Value connections(const Napi::CallbackInfo& info) {
    auto open = running(info.Env()).connections();
    auto result = Napi::Array::New(info.Env(), open.size());
    for (uint32_t i = 0; i < open.size(); i++) {
      auto item = Napi::Object::New(info.Env());
      item.Set("appId", open[i].first);
      item.Set("open", open[i].second);
      result.Set(i, item);
    }
    return result;
  }

  Napi::Value stop(const Napi::CallbackInfo& info) {
    return Task::run(
        info.Env(),
        [dataplane = std::move(dataplane_), lock = lock_]() mutable {
          std::lock_guard guard(*lock);
          dataplane.reset();
          return std::string();
        },
        undefined);
  }

  std::shared_ptr<Dataplane> dataplane_;
  /// One call at a time reaches the worker; held by the tasks' threads, never by JavaScript's.
  std::shared_ptr<std::mutex> lock_ = std::make_shared<std::mutex>();
};

Napi::Value start_dataplane(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto spec = info[0].As<Napi::Object>();
  auto port = spec.Get("port").As<Napi::Object>();
  auto worker = spec.Get("worker").As<Napi::Object>();

  weir::worker::DataplaneConfig config;
  config.counters_path = text_of(spec, "countersPath");
  const std::string driver = text_of(port, "driver");
  const auto known = weir::port::driver_of(driver);
  if (!known) throw Napi::Error::New(env, "there is no port driver " + driver);
  config.port.driver = *known;
  config.port.device = text_of(port, "device");
  config.tenant = text_of(port, "tenant");
  config.port.mtu_bytes = static_cast<uint16_t>(number_of(port, "mtuBytes"));
  std::string link = text_of(port, "linkAddress");
  if (!link.empty()) {
    std::array<uint8_t, 6> address;
    if (std::sscanf(link.c_str(), "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &address[0], &address[1],
                    &address[2], &address[3], &address[4], &address[5]) != 6)
      throw Napi::Error::New(env, "not a link address: " + link);
    config.port.link_address = address;
  }
  auto& stack = config.worker.stack;
  auto addresses = port.Get("addresses").As<Napi::Array>();
  for (uint32_t i = 0; i < addresses.Length(); i++)
    stack.addresses.push_back(parse_network(env, addresses.Get(i).As<Napi::String>().Utf8Value()));
  auto routes = port.Get("routes").As<Napi::Array>();
  for (uint32_t i = 0; i < routes.Length(); i++) {
    auto route = routes.Get(i).As<Napi::Object>();
    const auto to = parse_network(env, text_of(route, "to"));
    stack.routes.push_back({to.address, to.prefix_bits, parse_address(env, text_of(route, "via"))});
  }
  auto servers = port.Get("nameServers").As<Napi::Array>();
  for (uint32_t i = 0; i < servers.Length(); i++)
    stack.name_servers.push_back(parse_address(env, servers.Get(i).As<Napi::String>().Utf8Value()));
  config.port.offload = port.Get("offload").As<Napi::Boolean>().Value();
  stack.vlan_id = static_cast<uint16_t>(number_of(port, "vlanId"));
  stack.dhcp = port.Get("dhcp").As<Napi::Boolean>().Value();
  stack.accept_router_advertisements = port.Get("acceptRa").As<Napi::Boolean>().Value();
  stack.probe_v4_addresses = port.Get("detectConflicts").As<Napi::Boolean>().Value();
  auto tcp = spec.Get("tcp").As<Napi::Object>();
  stack.congestion_control = text_of(tcp, "congestionControl") == "newreno"
                                 ? weir::net::CongestionControl::new_reno
                                 : weir::net::CongestionControl::cubic;
  stack.request_ecn = tcp.Get("ecn").As<Napi::Boolean>().Value();
  stack.keep_alive_idle_ms = number_of(tcp, "keepAliveMs");
  stack.user_timeout_ms = number_of(tcp, "userTimeoutMs");
  stack.time_wait_ms = number_of(tcp, "timeWaitMs");
  stack.syn_cookies = tcp.Get("synCookies").As<Napi::Boolean>().Value();
  stack.hop_limit_v4 = static_cast<uint8_t>(number_of(tcp, "hopLimit"));
  stack.max_connections = number_of(worker, "maxConnections");
  config.worker.batch = number_of(worker, "batch");
  config.worker.spin_us = number_of(worker, "spinUs");
  auto cores = worker.Get("cores").As<Napi::Array>();
  config.cores.clear();
  for (uint32_t i = 0; i < cores.Length(); i++)
    config.cores.push_back(cores.Get(i).As<Napi::Number>().Int32Value());

  Napi::FunctionReference* constructor = &env.GetInstanceData<weir::addon::Instance>()->dataplane;
  auto made = std::make_shared<std::shared_ptr<Dataplane>>();
  return Task::run(
      env,
      [config, made] {
        std::string error;
        *made = Dataplane::start(config, error);
        return error;
      },
      [made, constructor](Napi::Env) -> Napi::Value {
        Napi::Object object = constructor->New({});
        DataplaneObject::Unwrap(object)->hold(std::move(*made));
        return object;
      });
}

template <typename Descriptions>
Napi::Value describe(const Napi::Env& env, const Descriptions& descriptions) {
  auto result = Napi::Array::New(env, descriptions.size());
  for (uint32_t i = 0; i < descriptions.size(); i++) {
    auto item = Napi::Object::New(env);
    item.Set("name", descriptions[i].name);
    item.Set("group", descriptions[i].group);
    item.Set("meaning", descriptions[i].meaning);
    result.Set(i, item);
  }
  return result;
}

Napi::Value admit(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto module = info[0].As<Napi::Uint8Array>();
  weir_admit_limits limits{};
  limits.memory_pages = number_of(info[1].As<Napi::Object>(), "memoryPages");
  weir_admission* admission = nullptr;
  bool admitted =
      weir_admit(module.Data(), module.ByteLength(), &limits, &admission) == WEIR_ADMITTED;
  std::unique_ptr<weir_admission, decltype(&weir_admission_delete)> owned(admission,
                                                                          weir_admission_delete);
  auto result = Napi::Object::New(env);
  result.Set("admitted", admitted);
  size_t bytes = 0;
  const char* report = weir_admission_report(admission, &bytes);
  result.Set("report", Napi::String::New(env, report, bytes));
  if (!admitted) return result;
  const uint8_t* rewritten = weir_admission_module(admission, &bytes);
  auto copy = Napi::Uint8Array::New(env, bytes);
  std::copy_n(rewritten, bytes, copy.Data());
  result.Set("module", copy);
  size_t pairs = 0;
  const weir_offset_pair* map = weir_admission_offset_map(admission, &pairs);
  auto offsets = Napi::Uint32Array::New(env, pairs * 2);
  for (size_t i = 0; i < pairs; i++) {
    offsets[i * 2] = map[i].rewritten;
    offsets[i * 2 + 1] = map[i].original;
  }
  result.Set("offsets", offsets);
  return result;
}

Napi::Value compile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto module = info[0].As<Napi::Uint8Array>();
  std::string error;
  auto engine = weir::sandbox::Engine::create(error);
  std::vector<uint8_t> compiled;
  if (engine) compiled = engine->compile({module.Data(), module.ByteLength()}, error);
  if (!error.empty()) throw Napi::Error::New(env, error);
  auto copy = Napi::Uint8Array::New(env, compiled.size());
  std::copy(compiled.begin(), compiled.end(), copy.Data());
  return copy;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* instance = new weir::addon::Instance();
  instance->dataplane = Napi::Persistent(DataplaneObject::define(env));
  instance->testbed = Napi::Persistent(weir::addon::TestbedObject::define(env));
  env.SetInstanceData(instance);
  auto method = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  method("engineVersion", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::String::New(info.Env(), weir_engine_version());
  });
  method("counterDescriptions", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return describe(info.Env(), weir::kCounterDescriptions);
  });
  method("appCounterDescriptions", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return describe(info.Env(), weir::sandbox::kAppCounterDescriptions);
  });
  method("admit", admit);
  method("compile", compile);
  method("startDataplane", start_dataplane);
  method("createTestbed", weir::addon::create_testbed);
  return exports;
}

}  // namespace

NODE_API_MODULE(weir, init)
