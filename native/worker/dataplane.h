#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/packet_pool.h"
#include "port/open_port.h"
#include "sandbox/engine.h"
#include "sandbox/event_log.h"
#include "worker/worker.h"

namespace weir::worker {

/// How many app ids there are: 1 to kMaxApps - 1.
inline constexpr uint32_t kMaxApps = 256;

struct DataplaneConfig {
  port::PortConfig port;
  WorkerConfig worker;
  /// A file that is created and holds the counters: kCounterCount words of the worker, then
  /// kAppCounterCount words for each app id from 0 on.
  std::string counters_path;
};

/// Packet buffers, port, engine and worker thread of one process, put together. Its methods may be
/// called from any one thread at a time.
class Dataplane {
 public:
  /// nullptr with what is wrong and what to do.
  static std::unique_ptr<Dataplane> start(const DataplaneConfig& config, std::string& error);
  ~Dataplane();
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  /// Loads the compiled module at `path` and puts the app on the worker. False with what is wrong.
  bool deploy(sandbox::AppConfig config, const std::string& path, std::string& error);
  bool remove(uint32_t app_id);
  std::deque<sandbox::AppEvent> drain_events() { return log_.drain(); }
  /// App id and open connections.
  std::vector<std::pair<uint32_t, uint32_t>> connections();
  const port::Port& port() const { return *port_; }
  /// Ends the worker; idempotent.
  void stop();

 private:
  Dataplane() = default;
  bool map_counters(const std::string& path, std::string& error);
  /// Runs `task` between two cycles and waits for it. False when the worker is gone or has too much
  /// to do.
  bool on_worker(std::function<void()> task);
  uint64_t* app_counters(uint32_t app_id) const;

  std::unique_ptr<PacketPool> frames_;
  std::unique_ptr<PacketPool> headers_;
  std::unique_ptr<port::Port> port_;
  std::unique_ptr<sandbox::Engine> engine_;
  sandbox::EventLog log_;
  uint64_t* counters_ = nullptr;
  size_t counters_bytes_ = 0;
  std::unique_ptr<Counters> port_counters_;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

}  // namespace weir::worker
