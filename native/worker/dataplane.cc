#include "worker/dataplane.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <iterator>

#include "base/eal.h"

namespace weir::worker {

bool Dataplane::map_counters(const std::string& path, std::string& error) {
  counters_bytes_ =
      (kCounterCount + size_t{kMaxApps} * sandbox::kAppCounterCount) * sizeof(uint64_t);
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

uint64_t* Dataplane::app_counters(uint32_t app_id) const {
  return counters_ + kCounterCount + size_t{app_id} * sandbox::kAppCounterCount;
}

std::unique_ptr<Dataplane> Dataplane::start(const DataplaneConfig& config, std::string& error) {
  std::unique_ptr<Dataplane> self(new Dataplane());
  // Installs the second net before any other library of this process can be faulted in.
  self->engine_ = sandbox::Engine::create(error);
  if (!self->engine_ || !self->map_counters(config.counters_path, error)) return nullptr;
  error = start_eal({});
  if (!error.empty()) return nullptr;
  // Buffers are taken and given back by the worker's thread; this thread only makes them and, after
  // it, frees them.
  self->frames_ = PacketPool::create({.name = "frames", .count = 32767}, error);
  if (!self->frames_) return nullptr;
  self->headers_ = PacketPool::create(
      {.name = "headers", .count = 65535, .data_bytes = kHeaderDataBytes}, error);
  if (!self->headers_) return nullptr;
  self->port_counters_ = std::make_unique<Counters>(self->counters_);
  const port::QueueResources queue{self->frames_->get(), self->port_counters_.get()};
  auto ports = port::open_port(config.port, {&queue, 1}, error);
  if (ports.empty()) return nullptr;
  self->port_ = std::move(ports.front());

  WorkerConfig worker = config.worker;
  worker.stack.link_address = self->port_->link_address();
  worker.stack.mtu_bytes = self->port_->mtu_bytes();
  worker.stack.port_completes_checksums = self->port_->completes_checksums();
  worker.stack.large_send_bytes = self->port_->large_send_bytes();
  if (error = net::check(worker.stack); !error.empty()) return nullptr;
  self->worker_ = std::make_unique<Worker>(
      worker, WorkerResources{*self->port_, *self->engine_, self->log_, self->headers_->get(),
                              self->frames_->get(), self->counters_});
  self->thread_ = std::thread([w = self->worker_.get()] { w->run(); });
  return self;
}

Dataplane::~Dataplane() {
  stop();
  worker_.reset();
  port_.reset();
  if (counters_ != nullptr) munmap(counters_, counters_bytes_);
}

void Dataplane::stop() {
  if (!thread_.joinable()) return;
  worker_->stop();
  thread_.join();
}

bool Dataplane::on_worker(std::function<void()> task) {
  if (!thread_.joinable()) return false;
  std::promise<void> done;
  if (!worker_->tasks().push([&] {
        task();
        done.set_value();
      }))
    return false;
  done.get_future().wait();
  return true;
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
  auto module = engine_->load(bytes, error);
  if (!module) return false;
  bool ok = false;
  uint64_t* counters = app_counters(config.id);
  bool ran = on_worker([&] { ok = worker_->deploy(std::move(config), module, counters, error); });
  if (!ran) error = "the worker has stopped or is overloaded";
  return ran && ok;
}

bool Dataplane::remove(uint32_t app_id) {
  bool ok = false;
  return on_worker([&] { ok = worker_->remove(app_id); }) && ok;
}

std::vector<std::pair<uint32_t, uint32_t>> Dataplane::connections() {
  std::vector<std::pair<uint32_t, uint32_t>> open;
  on_worker([&] {
    for (const auto& app : worker_->apps())
      open.emplace_back(app->config().id, app->open_connections());
  });
  return open;
}

}  // namespace weir::worker
