/// Load for a server over a port of weir's: many clients from one core, in a closed or an open
/// loop. Prints one JSON object a window. bench/load/README.md has the options.
#include <arpa/inet.h>
#include <fcntl.h>
#include <rte_cycles.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "base/counters.h"
#include "base/eal.h"
#include "base/packet_pool.h"
#include "fixed_dialogue.h"
#include "http_dialogue.h"
#include "memcached_dialogue.h"
#include "port/open_port.h"
#include "tcp_load.h"
#include "udp_load.h"

namespace {

using namespace weir;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "weir_load: %s\n", message.c_str());
  std::exit(1);
}

uint32_t address_of(const std::string& text) {
  in_addr address;
  if (inet_pton(AF_INET, text.c_str(), &address) != 1) fail("no IPv4 address: " + text);
  return ntohl(address.s_addr);
}

class Options {
 public:
  Options(int argc, char** argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
      if (std::strncmp(argv[i], "--", 2) != 0) fail(std::string("unexpected: ") + argv[i]);
      values_[argv[i] + 2] = argv[i + 1];
    }
    if (argc % 2 == 0) fail(std::string("a value is missing behind ") + argv[argc - 1]);
  }
  std::string text(const std::string& name, const std::string& otherwise) {
    const auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    std::string value = found->second;
    values_.erase(found);
    return value;
  }
  double number(const std::string& name, double otherwise) {
    const std::string value = text(name, "");
    if (value.empty()) return otherwise;
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    if (*end != '\0' || number < 0) fail("--" + name + " " + value + " is no number");
    return number;
  }
  uint32_t count(const std::string& name, uint32_t otherwise) {
    return static_cast<uint32_t>(number(name, otherwise));
  }
  void finish() const {
    if (!values_.empty()) fail("unknown option --" + values_.begin()->first);
  }

 private:
  std::map<std::string, std::string> values_;
};

std::vector<uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read " + path);
  std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file),
                             std::istreambuf_iterator<char>()};
  if (bytes.empty()) fail(path + " is empty");
  return bytes;
}

/// What the clients say, by the options.
std::unique_ptr<load::Dialogue> dialogue_of(Options& options, const load::LoadConfig& config) {
  const uint32_t bytes = options.count("bytes", 64);
  const std::string request = options.text("request", "");
  const uint32_t response_bytes = options.count("response-bytes", bytes);
  const std::string http = options.text("http", "");
  const uint32_t pipeline = options.count("pipeline", 1);
  const std::string memcached = options.text("memcached", "");
  const uint32_t keys = options.count("keys", 100'000);
  const bool is_stored = options.count("stored", 0) != 0;
  const auto seed = static_cast<uint64_t>(options.number("seed", 1));
  if (!request.empty() + !http.empty() + !memcached.empty() > 1)
    fail("one of --request, --http and --memcached is possible");
  if (bytes == 0 || response_bytes == 0) fail("messages have at least one byte");
  if (!memcached.empty()) {
    if (memcached != "etc" && memcached != "usr") fail("write --memcached etc or usr");
    if (keys == 0) fail("--keys must be at least 1");
    const auto kind = memcached == "etc" ? load::MemcachedKind::etc : load::MemcachedKind::usr;
    return std::make_unique<load::MemcachedDialogue>(load::MemcachedMix(kind, keys, seed),
                                                     config.connections, is_stored);
  }
  if (!http.empty()) {
    if (pipeline == 0) fail("--pipeline must be at least 1");
    return std::make_unique<load::HttpDialogue>(read_file(http), pipeline, config.connections,
                                                config.segment_bytes);
  }
  if (!request.empty())
    return std::make_unique<load::FixedDialogue>(read_file(request), false, response_bytes,
                                                 config.segment_bytes);
  std::vector<uint8_t> message;
  for (uint32_t i = 0; i < bytes; i++) message.push_back(static_cast<uint8_t>('a' + i % 26));
  return std::make_unique<load::FixedDialogue>(std::move(message), true, bytes,
                                               config.segment_bytes);
}

/// The counters of a dataplane's first worker, from the file that it keeps them in.
const uint64_t* map_counters(const std::string& path) {
  constexpr size_t kBytes = kCounterCount * sizeof(uint64_t);
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat found;
  if (descriptor < 0 || fstat(descriptor, &found) != 0 ||
      static_cast<size_t>(found.st_size) < kBytes)
    fail("no counters of a dataplane: " + path);
  void* memory = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) fail("cannot map " + path);
  close(descriptor);
  return static_cast<const uint64_t*>(memory);
}

void print(const load::Load& load, double seconds) {
  const load::LoadCounts& c = load.counts();
  const auto share = [&](uint64_t ticks) {
    return static_cast<double>(ticks) / static_cast<double>(c.ticks);
  };
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "{\"seconds\":%.4f,\"messages\":%llu,\"responseBytes\":%llu,\"opened\":%llu,\"resent\":%llu,"
      "\"wrong\":%llu,\"late\":%llu,\"resets\":%llu,\"framesSent\":%llu,\"framesReceived\":%llu,"
      "\"idleShare\":%."
      "4f,"
      "\"stalledShare\":%.4f,\"stalls\":%llu,\"workerStalls\":%llu,\"excluded\":%llu,"
      "\"latencyNs\":[",
      seconds, number(c.messages), number(c.response_bytes), number(c.opened), number(c.resent),
      number(c.wrong), number(c.late), number(c.resets), number(c.frames_sent),
      number(c.frames_received), share(c.idle_ticks), share(c.stalled_ticks), number(c.stalls),
      number(c.worker_stalls), number(c.excluded));
  const char* between = "";
  load.latency().for_each([&](uint64_t ns, uint64_t count) {
    std::printf("%s[%llu,%llu]", between, number(ns), number(count));
    between = ",";
  });
  std::printf("]}\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options(argc, argv);
  port::PortConfig port_config;
  const std::string port_text = options.text("port", "");
  const size_t colon = port_text.find(':');
  const auto driver = port::driver_of(port_text.substr(0, colon));
  if (!driver || colon == std::string::npos) fail("write --port memif:SOCKET or af_packet:NAME");
  port_config.driver = *driver;
  port_config.device = port_text.substr(colon + 1);
  port_config.connects = true;

  load::LoadConfig config;
  config.server = address_of(options.text("server", "10.45.0.2"));
  const uint32_t udp_port = options.count("udp", 0);
  config.server_port = static_cast<uint16_t>(udp_port != 0 ? udp_port : options.count("tcp", 7));
  config.first_client = address_of(options.text("clients", "10.45.1.0"));
  config.connections = options.count("connections", 64);
  config.outstanding = options.count("outstanding", config.connections);
  config.rate = options.number("rate", 0);
  config.messages_per_connection = options.count("per-connection", 0);
  config.batch = std::min(256u, options.count("batch", 64));
  config.stall_us = options.number("stall-us", 100);
  const std::string counters_path = options.text("worker-counters", "");
  if (!counters_path.empty()) config.worker_counters = map_counters(counters_path);
  if (config.connections == 0) fail("--connections must be at least 1");
  auto dialogue = dialogue_of(options, config);
  load::MessageId first{0, 0};
  if (udp_port != 0 && (!dynamic_cast<load::FixedDialogue*>(dialogue.get()) ||
                        dialogue->begin(first) > load::UdpLoad::kMostBytes))
    fail("over --udp go messages of up to " + std::to_string(load::UdpLoad::kMostBytes) + " bytes");
  const double seconds = options.number("seconds", 1);
  const double warmup_s = options.number("warmup", 0.2);
  const uint32_t windows = options.count("windows", 5);
  const double patience_s = options.number("patience", 30);
  const int core = static_cast<int>(options.number("core", 1));
  options.finish();

  if (std::string error = start_eal({}); !error.empty()) fail(error);
  EalThread registered;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(core, &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
  std::string error;
  auto pool = PacketPool::create({.name = "load", .count = 32767}, error);
  if (!pool) fail(error);
  static uint64_t values[kCounterCount];
  Counters counters(values);
  const port::QueueResources queue{pool->get(), &counters};
  auto ports = port::open_port(port_config, {&queue, 1}, error);
  if (ports.empty()) fail(error);
  for (int i = 0; i < 1000 && !ports[0]->is_up(); i++) usleep(10'000);
  if (!ports[0]->is_up()) fail("nobody is at the other side of the port");

  std::unique_ptr<load::Load> load;
  if (udp_port != 0)
    load = std::make_unique<load::UdpLoad>(config, *dialogue, *ports[0], pool->get());
  else
    load = std::make_unique<load::TcpLoad>(config, *dialogue, *ports[0], pool->get());
  if (error = load->open(patience_s); !error.empty()) fail(error);
  load->run(warmup_s);
  for (uint32_t window = 0; window < windows; window++) {
    load->run(seconds);
    print(*load, seconds);
  }
  load->close();
  // The other side of a memif sees a proper end.
  ports.clear();
  std::_Exit(0);
}
