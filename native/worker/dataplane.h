#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/packet_pool.h"
#include "port/open_port.h"
#include "sandbox/engine.h"
#include "sandbox/event_log.h"
#include "worker/steering.h"
#include "worker/worker.h"

namespace weir::worker {

/// How many app ids there are: 1 to kMaxApps - 1.
inline constexpr uint32_t kMaxApps = 256;
inline constexpr uint32_t kMaxWorkers = 64;

struct DataplaneConfig {
  port::PortConfig port;
  /// The tenant that the port belongs to alone; "" where tenants share it.
  std::string tenant = {};
  /// Of each worker; `core` and `index` are set for each.
  WorkerConfig worker;
  /// The core of each worker, -1 for any: 1 to kMaxWorkers of them.
  std::vector<int> cores = {-1};
  /// A file that is created and holds the counters. For each worker: kCounterCount words of its
  /// own, then kAppCounterCount words for each app id from 0 on.
  std::string counters_path;
};

/// Packet buffers, port, engine and worker threads of one process, put together. Its methods may be
/// called from any one thread at a time.
class Dataplane {
 public:
  /// nullptr with what is wrong and what to do.
  static std::unique_ptr<Dataplane> start(const DataplaneConfig& config, std::string& error);
  ~Dataplane();
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  /// Loads the compiled module at `path` and puts the app on every worker, each of which may have
  /// its part of the connections. False with what is wrong; then all workers have what they had
  /// before.
  bool deploy(sandbox::AppConfig config, const std::string& path, std::string& error);
  bool remove(uint32_t app_id);
  std::deque<sandbox::AppEvent> drain_events() { return log_.drain(); }
  /// App id and open connections.
  std::vector<std::pair<uint32_t, uint32_t>> connections();
  const port::Port& port() const { return *seats_.front()->port; }
  /// Ends the workers; idempotent.
  void stop();

 private:
  /// A worker and all that is its own, in the order in which it is made.
  struct Seat {
    std::unique_ptr<PacketPool> frames;
    /// On a tenant's own queue.
    std::unique_ptr<sandbox::FrameWindow> window;
    std::unique_ptr<PacketPool> headers;
    uint64_t* counters = nullptr;
    std::unique_ptr<Counters> port_counters;
    std::unique_ptr<Steering> steering;
    std::unique_ptr<port::Port> port;
    std::unique_ptr<Worker> worker;
    std::thread thread;

    /// What received frames are put into.
    rte_mempool* receive_pool() const { return window ? window->pool() : frames->get(); }
  };
  /// What an app was deployed with.
  struct Deployed {
    sandbox::AppConfig config;
    std::shared_ptr<sandbox::Module> module;
  };

  Dataplane() = default;
  bool map_counters(const std::string& path, uint32_t workers, std::string& error);
  bool make_seats(const DataplaneConfig& config, std::string& error);
  bool open_ports(const DataplaneConfig& config, std::string& error);
  bool make_workers(const DataplaneConfig& config, std::string& error);
  bool tell_link_state(const net::LinkState& state);
  /// Runs `task` between two cycles and waits for it. False when the worker is gone or has too much
  /// to do.
  static bool on_worker(Seat& seat, const std::function<void()>& task);
  static uint64_t* app_counters(const Seat& seat, uint32_t app_id);
  static bool deploy_on(Seat& seat, const Deployed& app, std::string& error);

  std::unique_ptr<sandbox::Engine> engine_;
  sandbox::EventLog log_;
  uint64_t* counters_ = nullptr;
  size_t counters_bytes_ = 0;
  /// Of several workers.
  std::unique_ptr<Crossing> crossing_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::map<uint32_t, Deployed> apps_;
};

}  // namespace weir::worker
