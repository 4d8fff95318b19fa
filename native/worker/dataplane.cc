#include "worker/dataplane.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <future>
#include <iterator>

#include "base/eal.h"
#include "worker/relay_port.h"

namespace weir::worker {

namespace {

constexpr size_t kWordsOfWorker = kCounterCount + size_t{kMaxApps} * sandbox::kAppCounterCount;
/// Packet buffers of one worker take less.
constexpr uint32_t kMemoryOfWorkerMib = 256;

/// What is wrong with the cores, or nothing.
std::string check_cores(const std::vector<int>& cores) {
  if (cores.empty() || cores.size() > kMaxWorkers)
    return "a dataplane has 1 to " + std::to_string(kMaxWorkers) + " workers";
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {};
  for (const int core : cores)
    if (core >= 0 && (core >= CPU_SETSIZE || !CPU_ISSET(core, &allowed)))
      return "there is no core " + std::to_string(core) +
             " that this process may use (nproc and taskset -p tell which there are)";
  return {};
}

/// A card has the port's buffers, not the kernel or DPDK.
bool has_card(const port::PortConfig& port) {
  return port.driver == port::Driver::pci && port::is_card_address(port.device);
}

}  // namespace

bool Dataplane::map_counters(const std::string& path, uint32_t workers, std::string& error) {
  counters_bytes_ = workers * kWordsOfWorker * sizeof(uint64_t);
  int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  void* memory = MAP_FAILED;
  if (descriptor >= 0 && ftruncate(descriptor, static_cast<off_t>(counters_bytes_)) == 0)
    memory = mmap(nullptr, counters_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  int reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (memory == MAP_FAILED) {
    error = "cannot make the counter file " + path + ": " + strerror(reason);
    return false;
  }
  counters_ = static_cast<uint64_t*>(memory);
  return true;
}

uint64_t* Dataplane::app_counters(const Seat& seat, uint32_t app_id) {
  return seat.counters + kCounterCount + size_t{app_id} * sandbox::kAppCounterCount;
}

std::unique_ptr<Dataplane> Dataplane::start(const DataplaneConfig& config, std::string& error) {
  const auto workers = static_cast<uint32_t>(config.cores.size());
  error = check_cores(config.cores);
  if (!error.empty()) return nullptr;
  std::unique_ptr<Dataplane> self(new Dataplane());
  // Installs the second net before any other library of this process can be faulted in.
  self->engine_ = sandbox::Engine::create(error);
  if (!self->engine_ || !self->map_counters(config.counters_path, workers, error)) return nullptr;
  error = start_eal({.memory_mib = kMemoryOfWorkerMib * workers,
                     .card = has_card(config.port) ? config.port.device : std::string()});
  if (!error.empty() || !self->make_seats(config, error) || !self->open_ports(config, error) ||
      !self->make_workers(config, error))
    return nullptr;
  for (auto& seat : self->seats_)
    seat->thread = std::thread([worker = seat->worker.get()] { worker->run(); });
  return self;
}

bool Dataplane::make_seats(const DataplaneConfig& config, std::string& error) {
  const auto workers = static_cast<uint32_t>(config.cores.size());
  if (workers > 1) {
    Random random;
    crossing_ = Crossing::create(workers, random.next(), random.next(), error);
    if (!crossing_) return false;
  }
  for (uint32_t index = 0; index < workers; index++) {
    auto seat = std::make_unique<Seat>();
    // Buffers are taken and given back by the worker's thread; this thread only makes them and,
    // after it, frees them.
    const std::string number = std::to_string(index);
    const bool for_card = has_card(config.port);
    seat->frames = PacketPool::create(
        {.name = "frames" + number, .count = 32767, .for_card = for_card}, error);
    if (!seat->frames) return false;
    seat->headers = PacketPool::create({.name = "headers" + number,
                                        .count = 65535,
                                        .data_bytes = kHeaderDataBytes,
                                        .for_card = for_card},
                                       error);
    if (!seat->headers) return false;
    if (!config.tenant.empty() && port::receives_into_given_buffers(config.port.driver)) {
      seat->window = sandbox::FrameWindow::create("window" + number, error);
      if (!seat->window) return false;
    }
    seat->counters = counters_ + index * kWordsOfWorker;
    seat->port_counters = std::make_unique<Counters>(seat->counters);
    if (crossing_)
      seat->steering =
          std::make_unique<Steering>(*crossing_, index, *seat->port_counters, seat->receive_pool());
    seats_.push_back(std::move(seat));
  }
  return true;
}

bool Dataplane::open_ports(const DataplaneConfig& config, std::string& error) {
  const size_t queues = std::min<size_t>(seats_.size(), port::max_queues(config.port.driver));
  std::vector<port::QueueResources> resources;
  for (size_t i = 0; i < queues; i++)
    resources.push_back({seats_[i]->receive_pool(), seats_[i]->port_counters.get()});
  auto ports = port::open_port(config.port, resources, error);
  if (ports.empty()) return false;
  for (size_t i = 0; i < seats_.size(); i++) {
    if (i < ports.size())
      seats_[i]->port = std::move(ports[i]);
    else
      seats_[i]->port = std::make_unique<RelayPort>(*seats_[i]->steering, *seats_[0]->port);
  }
  return true;
}

bool Dataplane::make_workers(const DataplaneConfig& config, std::string& error) {
  for (uint32_t index = 0; index < seats_.size(); index++) {
    Seat& seat = *seats_[index];
    WorkerConfig worker = config.worker;
    worker.index = index;
    worker.core = config.cores[index];
    worker.tenant = config.tenant;
    if (seat.window)
      worker.stack.max_reorder_segments_total =
          std::min(worker.stack.max_reorder_segments_total, sandbox::FrameWindow::kBuffers / 8);
    worker.stack.speaks_for_addresses = index == 0;
    worker.stack.link_address = seat.port->link_address();
    worker.stack.mtu_bytes = seat.port->mtu_bytes();
    worker.stack.port_completes_checksums = seat.port->completes_checksums();
    worker.stack.large_send_bytes = seat.port->large_send_bytes();
    if (error = net::check(worker.stack); !error.empty()) return false;
    WorkerResources resources{*seat.port,          *engine_,           log_,
                              seat.headers->get(), seat.frames->get(), seat.counters,
                              seat.window.get(),   seat.steering.get()};
    if (index == 0 && seats_.size() > 1)
      resources.tell_link_state = [this](const net::LinkState& state) {
        return tell_link_state(state);
      };
    seat.worker = std::make_unique<Worker>(worker, resources);
  }
  return true;
}

/// On the thread of the worker that speaks for the addresses: the others are told. They may be told
/// the same twice.
bool Dataplane::tell_link_state(const net::LinkState& state) {
  const auto shared = std::make_shared<const net::LinkState>(state);
  bool told = true;
  for (size_t i = 1; i < seats_.size(); i++) {
    Worker& worker = *seats_[i]->worker;
    told &= worker.tasks().push([&worker, shared] { worker.stack().take_link_state(*shared); });
  }
  return told;
}

Dataplane::~Dataplane() {
  stop();
  // Buffers of one worker may lie in the lanes to another.
  for (auto& seat : seats_) seat->worker.reset();
  for (auto& seat : seats_) seat->port.reset();
  crossing_.reset();
  seats_.clear();
  if (counters_ != nullptr) munmap(counters_, counters_bytes_);
}

void Dataplane::stop() {
  for (auto& seat : seats_)
    if (seat->thread.joinable()) seat->worker->stop();
  for (auto& seat : seats_)
    if (seat->thread.joinable()) seat->thread.join();
}

bool Dataplane::on_worker(Seat& seat, const std::function<void()>& task) {
  if (!seat.thread.joinable()) return false;
  std::promise<void> done;
  if (!seat.worker->tasks().push([&] {
        task();
        done.set_value();
      }))
    return false;
  done.get_future().wait();
  return true;
}

bool Dataplane::deploy_on(Seat& seat, const Deployed& app, std::string& error) {
  bool ok = false;
  uint64_t* counters = app_counters(seat, app.config.id);
  const bool ran =
      on_worker(seat, [&] { ok = seat.worker->deploy(app.config, app.module, counters, error); });
  if (!ran) error = "the worker has stopped or is overloaded";
  return ran && ok;
}

bool Dataplane::deploy(sandbox::AppConfig config, const std::string& path, std::string& error) {
  if (config.id == 0 || config.id >= kMaxApps) {
    error = "app ids go from 1 to " + std::to_string(kMaxApps - 1);
    return false;
  }
  std::ifstream file(path, std::ios::binary);
  std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file),
                             std::istreambuf_iterator<char>()};
  if (!file || bytes.empty()) {
    error = "cannot read the compiled module " + path;
    return false;
  }
  const auto workers = static_cast<uint32_t>(seats_.size());
  config.max_connections = (config.max_connections + workers - 1) / workers;
  Deployed app{std::move(config), engine_->load(bytes, error)};
  if (!app.module) return false;
  const uint32_t id = app.config.id;
  for (size_t i = 0; i < seats_.size(); i++) {
    if (deploy_on(*seats_[i], app, error)) continue;
    const auto before = apps_.find(id);
    std::string ignored;
    while (i-- > 0) {
      Seat& seat = *seats_[i];
      if (before != apps_.end())
        deploy_on(seat, before->second, ignored);
      else
        on_worker(seat, [&] { seat.worker->remove(id); });
    }
    return false;
  }
  apps_.insert_or_assign(id, std::move(app));
  return true;
}

bool Dataplane::remove(uint32_t app_id) {
  bool was_there = false;
  for (auto& seat : seats_) on_worker(*seat, [&] { was_there |= seat->worker->remove(app_id); });
  apps_.erase(app_id);
  return was_there;
}

std::vector<std::pair<uint32_t, uint32_t>> Dataplane::connections() {
  std::map<uint32_t, uint32_t> open;
  for (auto& seat : seats_)
    on_worker(*seat, [&] {
      for (const auto& app : seat->worker->apps())
        open[app->config().id] += app->open_connections();
    });
  return {open.begin(), open.end()};
}

}  // namespace weir::worker
