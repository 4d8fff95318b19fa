#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/counters.h"
#include "net/environment.h"
#include "net/flow_events.h"
#include "net/held_buffer.h"
#include "net/resolve_listener.h"
#include "net/stack.h"
#include "sandbox/app_counters.h"
#include "sandbox/event_log.h"
#include "sandbox/flow_table.h"
#include "sandbox/instance.h"
#include "sandbox/name_connects.h"
#include "sandbox/views.h"
#include "sandbox/windows.h"

namespace weir::sandbox {

enum class Protocol : uint8_t { tcp, udp };

/// A [[listen]] entry.
struct Listen {
  std::string name;
  /// As weir.toml says it: "http", "tcp", "udp"; http is tcp for the host.
  std::string kind;
  Protocol protocol;
  uint16_t port;
};

/// A [[connect]] entry.
struct Connect {
  std::string text;
  /// Without an address where `host` is the name of a host.
  net::Endpoint remote;
  std::string host = {};
};

/// What an app is and may do on this worker.
struct AppConfig {
  uint32_t id = 0;
  std::string name;
  std::string tenant;
  std::vector<Listen> listens;
  std::vector<Connect> connects;
  std::vector<std::pair<std::string, std::string>> variables;
  uint32_t max_connections = 1000;
  uint32_t call_limit_us = 1000;
  /// Bytes one connection may have unacknowledged.
  uint32_t send_limit_bytes = 4 * 1024 * 1024;
};

/// The time of the present cycle, microseconds. The worker keeps it.
struct CycleTime {
  uint64_t mono_us = 0;
  uint64_t wall_us = 0;
};

/// What the apps of one worker share.
struct Surroundings {
  Engine& engine;
  net::Stack& stack;
  FlowTable& flows;
  Counters& counters;
  net::RandomSource& random;
  EventLog& log;
  const CycleTime& time;
  /// Apps with something to do in this cycle; each is in it at most once.
  std::vector<class App*>& ready;
  uint32_t worker_index;
  /// The receive buffers of a queue that is this tenant's; nullptr where tenants share it.
  FrameWindow* frames = nullptr;
};

/// One app on one worker: its windows, its flows, and the instance that handles them. It turns what
/// the stack tells into event records, calls the instance once a cycle, and executes the commands.
///
/// An instance that traps, overruns or breaks the contract is thrown away with its commands; its
/// connections are reset and the next flow starts another one, after a delay that grows while this
/// keeps happening.
class App final : public net::FlowEvents,
                  public net::ResolveListener,
                  public net::BufferOwner,
                  public LogSink {
 public:
  /// nullptr with a message when the windows cannot be made or the configuration does not fit the
  /// info block.
  static std::unique_ptr<App> create(AppConfig config, std::shared_ptr<Module> module,
                                     Surroundings surroundings, uint64_t* counter_values,
                                     std::string& error);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  const AppConfig& config() const { return config_; }
  /// Starts the instance in the next cycle, without waiting for a flow, and calls it once without
  /// events.
  void start();
  /// Calls the instance once if there are events, and executes its commands. Starts the instance if
  /// there is none.
  void run();
  /// When run has something to do without an event from the stack; UINT64_MAX for never.
  uint64_t deadline_us() const { return deadline_us_; }
  /// Puts the timer event into the ring if the deadline has passed.
  void run_timers();

  /// Takes a new module and configuration. Accepted connections whose port is still listed stay,
  /// and bytes that were not given back are shown to the new instance; connections that the old
  /// instance opened are reset. False with a message (and nothing changed) when the configuration
  /// does not fit.
  bool replace(AppConfig config, std::shared_ptr<Module> module, std::string& error);
  /// Resets all connections. The object must stay until releasable().
  void shut_down();
  /// No buffer of a send points into this app's windows any more.
  bool releasable() const { return !windows_->in_use(); }

  AppCounters& counters() { return counters_; }
  uint32_t open_connections() const { return open_; }
  Windows& windows() { return *windows_; }

  // net::FlowEvents
  bool on_knock(uint32_t listener_tag, const net::Endpoint& remote) override;
  bool on_opened(net::Connection& connection, uint32_t listener_tag, bool outbound) override;
  void prefetch(const net::Connection& connection) const override;
  bool on_data(net::Connection& connection, const net::Payload& payload) override;
  uint32_t receive_room_bytes() const override { return windows_->free_bytes(); }
  void on_end(net::Connection& connection) override;
  void on_acknowledged(net::Connection& connection, uint32_t bytes) override;
  void on_closed(net::Connection& connection, net::CloseReason reason) override;
  bool on_address_failed(net::Connection& connection) override;
  bool on_datagram(uint32_t listener_tag, const net::Endpoint& remote, const net::Endpoint& local,
                   const net::Payload& payload) override;
  // net::ResolveListener; the tag is the index of a [[connect]] entry.
  void on_resolved(uint32_t tag, std::span<const net::Address> addresses) override;
  // net::BufferOwner: a held view of the read-only window; the tag is the handle to give the bytes
  // back to, or 0.
  void release(const net::HeldBuffer& buffer) override;
  // LogSink
  void line(abi::LogLevel level, std::string_view text) override;
  void lines_dropped(uint32_t count) override;

  /// Executes commands in order. The records are the host's own copy: nothing that happens while
  /// they are executed changes them. Public for tests.
  void execute(const abi::CommandRecord* commands, uint32_t count);

 private:
  App(AppConfig config, std::shared_ptr<Module> module, const Surroundings& surroundings,
      uint64_t* counter_values, std::unique_ptr<Windows> windows);

  // Events (app.cc)
  void become_ready();
  bool accepting() const;
  abi::EventRecord* next_record();
  abi::EventRecord& record(uint32_t index) {
    return reinterpret_cast<abi::EventRecord*>(windows_->host(abi::kEvents))[index];
  }
  void tell(Flow& flow, uint8_t what);
  void postpone(Flow& flow, uint8_t what);
  void emit_postponed();
  bool emit(Flow& flow, uint8_t what);
  bool emit_received(Flow& flow, uint32_t view);
  /// Received bytes in the window, with a reference of their own.
  struct Placed {
    uint32_t address;
    uint32_t length_bytes;
  };
  /// The longest packet that a port receives lies in fewer buffers.
  static constexpr uint32_t kMaxPieces = 40;
  uint32_t place(const net::Payload& payload);
  uint32_t keep_whole(const net::Payload& payload);
  uint32_t place_pieces(const net::Payload& payload, std::span<Placed> placed);
  void show(Flow& flow, const Placed& placed);
  void consume_events(uint32_t count);
  void discard_events();

  // Flows (app.cc)
  Flow* take_flow();
  void free_flow(Flow& flow);
  void drop_views(Flow& flow);
  void close_flow(Flow& flow, net::CloseReason reason);

  // Instances (app_instance.cc)
  bool start_instance();
  void end_instance(AppEventKind kind, const Failure& failure);
  void write_info();
  bool fits_info(const AppConfig& config, std::string& error) const;
  void refill_tickets();
  void note(AppEventKind kind, abi::LogLevel level, std::string text,
            std::vector<Frame> frames = {});

  // Connections that the app opens (outbound.cc)
  void command_connect(const abi::CommandRecord& command);
  void connect_by_name(Flow& flow, uint32_t entry);
  bool try_next_address(NameConnect& attempt);
  void fail_connect(Flow& flow, net::CloseReason reason);
  void forget_name(Flow& flow);
  bool is_name_awaited(uint32_t entry) const;

  // Commands (commands.cc)
  void execute_one(const abi::CommandRecord& command);
  Flow* flow_of(uint64_t handle);
  Flow* sendable_flow(uint64_t handle);
  void command_accept(const abi::CommandRecord& command);
  void command_notify(const abi::CommandRecord& command);
  void command_send(const abi::CommandRecord& command);
  void command_sendv(const abi::CommandRecord& command);
  void command_forward(const abi::CommandRecord& command);
  void command_recv_done(const abi::CommandRecord& command);
  void command_close(const abi::CommandRecord& command);
  void command_abort(const abi::CommandRecord& command);
  void command_udp_send(const abi::CommandRecord& command);
  bool send_bytes(Flow& flow, uint32_t address, uint32_t bytes);
  bool after_send(Flow& flow, net::SendResult result, uint32_t bytes, bool referenced);
  void ask_notice(Flow& flow, uint32_t remaining_bytes);
  void ask_if_wanted(Flow& flow, const abi::CommandRecord& command);
  void give_back_front(Flow& flow, uint32_t bytes);
  void refuse(abi::Refusal why);
  bool readable(uint32_t address, uint32_t bytes) const {
    return bytes == 0 || (instance_ != nullptr && instance_->readable(address, bytes));
  }

  AppConfig config_;
  std::shared_ptr<Module> module_;
  Surroundings around_;
  AppCounters counters_;
  std::unique_ptr<Windows> windows_;
  std::unique_ptr<Instance> instance_;
  std::vector<abi::CommandRecord> command_copy_;

  uint64_t deadline_us_ = UINT64_MAX;
  /// The guest's wake-up; deadline_us_ is this or the end of the restart delay.
  uint64_t timer_us_ = UINT64_MAX;

  uint32_t event_count_ = 0;
  /// Events in the ring whose consumption frees something: datagrams and closed.
  uint32_t special_events_ = 0;
  uint32_t pending_head_ = Flow::kNone;
  uint32_t pending_tail_ = Flow::kNone;
  uint32_t flows_head_ = Flow::kNone;
  uint32_t open_ = 0;
  bool ready_ = false;
  bool shut_down_ = false;
  bool start_wanted_ = false;
  /// The last call consumed nothing and wrote nothing: it is not called again until something new
  /// happens.
  bool stalled_ = false;

  ViewPool views_;

  NameConnects name_connects_;
  /// Names that are being looked up.
  uint32_t names_awaited_ = 0;

  std::vector<uint32_t> tickets_;
  bool tickets_changed_ = true;
  uint32_t generation_ = 0;
  uint32_t failures_in_a_row_ = 0;
  uint64_t last_failure_us_ = 0;
  uint64_t restart_at_us_ = 0;
};

}  // namespace weir::sandbox
