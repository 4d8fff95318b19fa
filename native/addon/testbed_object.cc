#include "addon/testbed_object.h"

#include <algorithm>

#include "base/eal.h"

namespace weir::addon {
namespace {

using testbed::Direction;
using testbed::Testbed;

/// Room for the buffers of several testbeds.
constexpr uint32_t kMemoryMib = 256;

uint32_t id_of(const Napi::CallbackInfo& info) { return info[0].As<Napi::Number>().Uint32Value(); }
double real_of(const Napi::Object& object, const char* key) {
  return object.Get(key).As<Napi::Number>().DoubleValue();
}
std::span<const uint8_t> bytes_of(const Napi::Value& value) {
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}
Napi::Value bytes_value(const Napi::Env& env, std::span<const uint8_t> bytes) {
  auto copy = Napi::Uint8Array::New(env, bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.Data());
  return copy;
}
const char* name_of(net::CloseReason reason) {
  static constexpr const char* kNames[] = {"finished",   "reset",       "aborted",   "timed out",
                                           "refused",    "unreachable", "limit",     "forbidden",
                                           "send limit", "shutdown",    "no memory", "unresolved"};
  return kNames[static_cast<size_t>(reason)];
}
uint64_t ns_of_ms(double milliseconds) { return static_cast<uint64_t>(milliseconds * 1e6); }

sim::LinkConfig link_config(const Napi::Object& spec) {
  sim::LinkConfig config;
  config.rate_bits_per_second = static_cast<uint64_t>(real_of(spec, "rateMbitS") * 1e6);
  config.delay_ns = ns_of_ms(real_of(spec, "delayMs"));
  config.jitter_ns = ns_of_ms(real_of(spec, "jitterMs"));
  config.queue_packets = number_of(spec, "queueFrames");
  config.loss = real_of(spec, "loss");
  config.duplication = real_of(spec, "duplication");
  config.corruption = real_of(spec, "corruption");
  config.reordering = real_of(spec, "reordering");
  config.reordering_ns = ns_of_ms(real_of(spec, "reorderingMs"));
  config.partitioned = spec.Get("partitioned").As<Napi::Boolean>().Value();
  return config;
}

Napi::Object counts_value(const Napi::Env& env, const sim::Link& link) {
  const auto& counts = link.counts();
  const auto fate = [&](sim::Fate which) {
    return static_cast<double>(counts.fates[static_cast<uint32_t>(which)]);
  };
  auto value = Napi::Object::New(env);
  value.Set("delivered", static_cast<double>(counts.delivered));
  value.Set("lost", fate(sim::Fate::lost));
  value.Set("queueFull", fate(sim::Fate::queue_full));
  value.Set("partitioned", fate(sim::Fate::partitioned));
  value.Set("duplicated", static_cast<double>(counts.duplicated));
  value.Set("corrupted", static_cast<double>(counts.corrupted));
  value.Set("reordered", static_cast<double>(counts.reordered));
  return value;
}

template <typename Descriptions>
Napi::Object counters_value(const Napi::Env& env, const Descriptions& descriptions,
                            std::span<const uint64_t> values) {
  auto object = Napi::Object::New(env);
  for (size_t i = 0; i < descriptions.size(); i++)
    object.Set(descriptions[i].name, static_cast<double>(values[i]));
  return object;
}

}  // namespace

Napi::Function TestbedObject::define(const Napi::Env& env) {
  return DefineClass(env, "Testbed",
                     {InstanceMethod<&TestbedObject::deploy>("deploy"),
                      InstanceMethod<&TestbedObject::set_link>("setLink"),
                      InstanceMethod<&TestbedObject::run>("run"),
                      InstanceMethod<&TestbedObject::now_us>("nowUs"),
                      InstanceMethod<&TestbedObject::connect>("connect"),
                      InstanceMethod<&TestbedObject::listen>("listen"),
                      InstanceMethod<&TestbedObject::bind>("bind"),
                      InstanceMethod<&TestbedObject::write>("write"),
                      InstanceMethod<&TestbedObject::take>("take"),
                      InstanceMethod<&TestbedObject::consume>("consume"),
                      InstanceMethod<&TestbedObject::end>("end"),
                      InstanceMethod<&TestbedObject::abort>("abort"),
                      InstanceMethod<&TestbedObject::accept>("accept"),
                      InstanceMethod<&TestbedObject::state>("state"),
                      InstanceMethod<&TestbedObject::send_datagram>("sendDatagram"),
                      InstanceMethod<&TestbedObject::receive_datagram>("receiveDatagram"),
                      InstanceMethod<&TestbedObject::close>("close"),
                      InstanceMethod<&TestbedObject::drain_events>("drainEvents"),
                      InstanceMethod<&TestbedObject::counters>("counters"),
                      InstanceMethod<&TestbedObject::link_counts>("linkCounts"),
                      InstanceMethod<&TestbedObject::shut_down>("shutDown")});
}

Testbed& TestbedObject::open(const Napi::Env& env) {
  if (!bed_) throw Napi::Error::New(env, "the test host has been closed");
  return *bed_;
}

Napi::Value TestbedObject::deploy(const Napi::CallbackInfo& info) {
  std::string error;
  if (!open(info.Env())
           .deploy(app_config(info.Env(), info[0].As<Napi::Object>()), bytes_of(info[1]), error))
    throw Napi::Error::New(info.Env(), error);
  return info.Env().Undefined();
}

Napi::Value TestbedObject::set_link(const Napi::CallbackInfo& info) {
  open(info.Env()).configure(Direction::to_host, link_config(info[0].As<Napi::Object>()));
  open(info.Env()).configure(Direction::from_host, link_config(info[1].As<Napi::Object>()));
  return info.Env().Undefined();
}

Napi::Value TestbedObject::run(const Napi::CallbackInfo& info) {
  static constexpr const char* kNames[] = {"stirred", "reached", "paused"};
  const auto until_us = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
  return Napi::String::New(info.Env(), kNames[static_cast<size_t>(open(info.Env()).run(until_us))]);
}

Napi::Value TestbedObject::now_us(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(open(info.Env()).now_us()));
}

Napi::Value TestbedObject::connect(const Napi::CallbackInfo& info) {
  std::string error;
  const auto from = parse_address(info.Env(), info[1].As<Napi::String>().Utf8Value());
  const auto port = static_cast<uint16_t>(info[2].As<Napi::Number>().Uint32Value());
  if (!open(info.Env()).connect(id_of(info), from, port, error))
    throw Napi::Error::New(info.Env(), error);
  return info.Env().Undefined();
}

Napi::Value TestbedObject::listen(const Napi::CallbackInfo& info) {
  std::string error;
  const auto address = parse_address(info.Env(), info[1].As<Napi::String>().Utf8Value());
  const auto port = static_cast<uint16_t>(info[2].As<Napi::Number>().Uint32Value());
  if (!open(info.Env()).listen(id_of(info), address, port, error))
    throw Napi::Error::New(info.Env(), error);
  return info.Env().Undefined();
}

Napi::Value TestbedObject::bind(const Napi::CallbackInfo& info) {
  std::string error;
  const auto address = parse_address(info.Env(), info[1].As<Napi::String>().Utf8Value());
  const auto port = static_cast<uint16_t>(info[2].As<Napi::Number>().Uint32Value());
  if (!open(info.Env()).bind(id_of(info), address, port, error))
    throw Napi::Error::New(info.Env(), error);
  return info.Env().Undefined();
}

Napi::Value TestbedObject::write(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), open(info.Env()).write(id_of(info), bytes_of(info[1])));
}

Napi::Value TestbedObject::take(const Napi::CallbackInfo& info) {
  return bytes_value(info.Env(), open(info.Env()).take(id_of(info)));
}

Napi::Value TestbedObject::consume(const Napi::CallbackInfo& info) {
  open(info.Env()).consume(id_of(info), info[1].As<Napi::Number>().Uint32Value());
  return info.Env().Undefined();
}

Napi::Value TestbedObject::end(const Napi::CallbackInfo& info) {
  open(info.Env()).end(id_of(info));
  return info.Env().Undefined();
}

Napi::Value TestbedObject::abort(const Napi::CallbackInfo& info) {
  open(info.Env()).abort(id_of(info));
  return info.Env().Undefined();
}

Napi::Value TestbedObject::accept(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), open(info.Env()).accept(id_of(info)));
}

Napi::Value TestbedObject::state(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto* connection = open(env).connection(id_of(info));
  if (connection == nullptr) return env.Null();
  auto state = Napi::Object::New(env);
  state.Set("opened", connection->opened);
  state.Set("ended", connection->ended);
  state.Set("closed",
            connection->closed ? Napi::String::New(env, name_of(*connection->closed)) : env.Null());
  state.Set("remoteAddress", text_of(connection->remote.address));
  state.Set("remotePort", connection->remote.port);
  state.Set("waitingBytes", static_cast<double>(connection->received.size()));
  state.Set("receivedBytes", static_cast<double>(connection->received_bytes));
  state.Set("writtenBytes", static_cast<double>(connection->written_bytes));
  state.Set("acknowledgedBytes", static_cast<double>(connection->acknowledged_bytes));
  const auto tcp = open(env).info(id_of(info));
  state.Set("tcpState", tcp ? Napi::String::New(env, tcp->state) : env.Null());
  state.Set("sendWindowBytes", tcp ? tcp->send_window_bytes : 0);
  state.Set("roundTripUs", tcp ? tcp->round_trip_us : 0);
  return state;
}

Napi::Value TestbedObject::send_datagram(const Napi::CallbackInfo& info) {
  const auto port = static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value());
  return Napi::Boolean::New(info.Env(),
                            open(info.Env()).send_datagram(id_of(info), port, bytes_of(info[2])));
}

Napi::Value TestbedObject::receive_datagram(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  testbed::Datagram datagram;
  if (!open(env).receive_datagram(id_of(info), datagram)) return env.Null();
  auto value = Napi::Object::New(env);
  value.Set("address", text_of(datagram.remote.address));
  value.Set("port", datagram.remote.port);
  value.Set("data", bytes_value(env, datagram.bytes));
  return value;
}

Napi::Value TestbedObject::close(const Napi::CallbackInfo& info) {
  open(info.Env()).close(id_of(info));
  return info.Env().Undefined();
}

Napi::Value TestbedObject::drain_events(const Napi::CallbackInfo& info) {
  return events_value(info.Env(), open(info.Env()).drain_events());
}

Napi::Value TestbedObject::counters(const Napi::CallbackInfo& info) {
  auto value = Napi::Object::New(info.Env());
  value.Set("worker",
            counters_value(info.Env(), kCounterDescriptions, open(info.Env()).counters()));
  value.Set("app", counters_value(info.Env(), sandbox::kAppCounterDescriptions,
                                  open(info.Env()).app_counters()));
  return value;
}

Napi::Value TestbedObject::link_counts(const Napi::CallbackInfo& info) {
  auto value = Napi::Object::New(info.Env());
  value.Set("toHost", counts_value(info.Env(), open(info.Env()).link(Direction::to_host)));
  value.Set("fromHost", counts_value(info.Env(), open(info.Env()).link(Direction::from_host)));
  value.Set("overflowed", static_cast<double>(open(info.Env()).overflowed()));
  return value;
}

Napi::Value TestbedObject::shut_down(const Napi::CallbackInfo& info) {
  const uint32_t left = bed_ == nullptr ? 0 : bed_->shut_down();
  bed_.reset();
  return Napi::Number::New(info.Env(), left);
}

Napi::Value create_testbed(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto spec = info[0].As<Napi::Object>();
  auto* instance = env.GetInstanceData<Instance>();
  std::string error;
  // Installs the second net before any other library of this process can be faulted in.
  if (instance->testbed_engine == nullptr)
    instance->testbed_engine = sandbox::Engine::create(error);
  if (instance->testbed_engine == nullptr) throw Napi::Error::New(env, error);
  error = start_eal({.memory_mib = kMemoryMib, .allow_hugepages = false});
  if (!error.empty()) throw Napi::Error::New(env, error);
  std::vector<net::Address> addresses;
  auto given = spec.Get("addresses").As<Napi::Array>();
  for (uint32_t i = 0; i < given.Length(); i++)
    addresses.push_back(parse_address(env, given.Get(i).As<Napi::String>().Utf8Value()));
  auto bed = Testbed::create(
      {.seed = static_cast<uint64_t>(spec.Get("seed").As<Napi::Number>().Int64Value()),
       .addresses = std::move(addresses),
       .wall_start_us =
           static_cast<uint64_t>(spec.Get("wallStartUs").As<Napi::Number>().Int64Value()),
       .capture_path = text_of(spec, "capturePath")},
      *instance->testbed_engine, error);
  if (bed == nullptr) throw Napi::Error::New(env, error);
  Napi::Object object = instance->testbed.New({});
  TestbedObject::Unwrap(object)->hold(std::move(bed), instance->testbed_engine);
  return object;
}

}  // namespace weir::addon
