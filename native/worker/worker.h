#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "net/address_events.h"
#include "net/link_state.h"
#include "net/stack.h"
#include "port/port.h"
#include "sandbox/app.h"
#include "worker/random.h"
#include "worker/steering.h"
#include "worker/task_queue.h"

namespace weir::worker {

struct WorkerConfig {
  /// Largest number of frames taken in one cycle, 1 to kMaxBatch.
  uint32_t batch = 64;
  /// How long to look for work before sleeping, microseconds.
  uint32_t spin_us = 50;
  /// CPU to run on, or -1 for any.
  int core = -1;
  uint32_t index = 0;
  /// Whose alone the worker's queue is; "" where tenants share it.
  std::string tenant = {};
  /// 0 for the kernel's randomness.
  uint64_t seed = 0;
  /// Time of day when the monotonic clock was 0, microseconds; 0 to ask the kernel. Where time is
  /// virtual, the time of day is too.
  uint64_t wall_offset_us = 0;
  net::StackConfig stack;
};

/// What a worker is given; all of it outlives the worker.
struct WorkerResources {
  port::Port& port;
  sandbox::Engine& engine;
  sandbox::EventLog& log;
  rte_mempool* header_pool;
  rte_mempool* frame_pool;
  /// kCounterCount words.
  uint64_t* counters;
  /// The buffers that frames are received into, on a tenant's own queue.
  sandbox::FrameWindow* frames = nullptr;
  /// Where the worker is one of several.
  Steering* steering = nullptr;
  /// Of the one that speaks for our addresses: gives the others what it found out about the link.
  /// False when that has to be tried again.
  std::function<bool(const net::LinkState&)> tell_link_state = {};
};

/// One core's dataplane: a port's queue, a stack, and the apps on it, run to completion in cycles.
/// No locks and no shared lines in a cycle, other than the lanes of a crossing; two workers are two
/// objects.
class Worker final : public net::FrameSink, public net::AddressEvents {
 public:
  static constexpr uint32_t kMaxBatch = 256;

  Worker(const WorkerConfig& config, const WorkerResources& resources);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Runs cycles until stop(). Called on the worker's own thread.
  void run();
  /// From any thread.
  void stop();
  /// One cycle at `now_us`: receive, stack, guests, timers, transmit. True if there was anything to
  /// do.
  bool cycle(uint64_t now_us);
  /// A cycle would have something to do although no frame has come and nothing is due.
  bool has_work() const { return !ready_.empty(); }
  /// When the next cycle has something to do if no frame comes; UINT64_MAX for never.
  uint64_t next_deadline_us() const;
  /// Between cycles, on the worker's thread, or from others through here.
  TaskQueue& tasks() { return tasks_; }

  /// On the worker's thread: adds the app or replaces the one of the same id. False with what is
  /// wrong.
  bool deploy(sandbox::AppConfig config, std::shared_ptr<sandbox::Module> module,
              uint64_t* app_counters, std::string& error);
  /// On the worker's thread. False if there is no such app.
  bool remove(uint32_t app_id);
  const std::vector<std::unique_ptr<sandbox::App>>& apps() const { return apps_; }

  net::Stack& stack() { return *stack_; }
  Counters& counters() { return counters_; }

  /// net::FrameSink
  void transmit(rte_mbuf* frame) override;
  /// net::AddressEvents: the operator reads of it in the log.
  void on_address_change(const net::Address& address, net::AddressChange change) override;

 private:
  void flush_port();
  void look_for_link();
  uint32_t exchange(uint32_t received);
  void send_for_others();
  void tell_link_state();
  void note_stall(uint64_t took_us);
  void sleep_until(uint64_t deadline_us, uint64_t idle_since_us);
  bool listen_all(sandbox::App& app, const std::vector<sandbox::Listen>& listens,
                  const std::vector<sandbox::Listen>& before, std::string& error);
  void restore_listens(sandbox::App& app, const std::vector<sandbox::Listen>& added,
                       const std::vector<sandbox::Listen>& before);
  void unlisten_all(const std::vector<sandbox::Listen>& listens,
                    const std::vector<sandbox::Listen>& kept);
  void collect_dying();

  WorkerConfig config_;
  WorkerResources resources_;
  Counters counters_;
  Random random_;
  TaskQueue tasks_;
  std::unique_ptr<net::Stack> stack_;
  sandbox::FlowTable flows_;
  sandbox::CycleTime time_;
  uint64_t wall_offset_us_ = 0;
  uint64_t wall_checked_us_ = 0;
  /// When the port is asked again whether its link is up; never, once it is.
  uint64_t look_for_link_us_ = UINT64_MAX;
  std::vector<std::unique_ptr<sandbox::App>> apps_;
  /// Removed, but sends still refer to their windows.
  std::vector<std::unique_ptr<sandbox::App>> dying_;
  std::vector<sandbox::App*> ready_;
  std::vector<sandbox::App*> running_;
  /// What was received, and what others gave us.
  std::array<rte_mbuf*, 2 * kMaxBatch> rx_{};
  std::array<rte_mbuf*, 512> tx_{};
  uint32_t tx_count_ = 0;
  uint64_t tx_bytes_ = 0;
  /// The link's version that the other workers know.
  uint32_t told_version_ = 0;
  std::atomic<bool> stopping_{false};
};

/// Monotonic time, microseconds.
uint64_t monotonic_us();

}  // namespace weir::worker
