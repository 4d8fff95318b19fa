#include <rte_cycles.h>

#include <algorithm>
#include <cstring>

#include "net/tcp/connection.h"
#include "sandbox/app.h"

namespace weir::sandbox {
namespace {

constexpr uint32_t kConfigOffset = 2048;
/// A failure later than this after the one before is the first of a new row.
constexpr uint64_t kFailureMemoryUs = 10'000'000;
constexpr uint64_t kFirstRestartDelayUs = 10'000;
constexpr uint64_t kLongestRestartDelayUs = 10'000'000;

size_t config_bytes(const AppConfig& config) {
  size_t strings = 0;
  size_t records = config.listens.size() + config.connects.size() + config.variables.size();
  for (const Listen& listen : config.listens)
    strings += listen.name.size() + listen.kind.size() + 8;
  for (const Connect& connect : config.connects) strings += connect.text.size();
  for (const auto& [name, value] : config.variables) strings += name.size() + value.size();
  return records * abi::kConfigRecordBytes + strings;
}

AppEventKind kind_of(Outcome failed) {
  switch (failed) {
    case Outcome::overran:
      return AppEventKind::overran;
    case Outcome::poisoned:
      return AppEventKind::poisoned;
    default:
      return AppEventKind::trapped;
  }
}

}  // namespace

bool App::fits_info(const AppConfig& config, std::string& error) const {
  size_t records = config.listens.size() + config.connects.size() + config.variables.size();
  if (records > abi::kConfigCapacity) {
    error = "the app has more than " + std::to_string(abi::kConfigCapacity) +
            " listen, connect and vars entries";
    return false;
  }
  if (kConfigOffset + config_bytes(config) > abi::kInfoBytes) {
    error = "the app's names and vars take more than " +
            std::to_string(abi::kInfoBytes - kConfigOffset) + " bytes";
    return false;
  }
  return true;
}

void App::note(AppEventKind kind, abi::LogLevel level, std::string text,
               std::vector<Frame> frames) {
  AppEvent event;
  event.time_us = around_.time.wall_us;
  event.app_id = config_.id;
  event.kind = kind;
  event.level = level;
  event.text = std::move(text);
  event.frames = std::move(frames);
  around_.log.push(std::move(event));
}

void App::line(abi::LogLevel level, std::string_view text) {
  counters_.add(AppCounter::log_lines);
  note(AppEventKind::log, level, std::string(text.substr(0, abi::kLogLineBytes)));
}

void App::lines_dropped(uint32_t count) { counters_.add(AppCounter::log_lines_dropped, count); }

/// Fills the info block for a new instance.
void App::write_info() {
  uint8_t* info = windows_->host(abi::kInfo);
  std::memset(info, 0, abi::kInfoBytes);
  auto put32 = [&](uint32_t offset, uint32_t value) { std::memcpy(info + offset, &value, 4); };
  auto put64 = [&](uint32_t offset, uint64_t value) { std::memcpy(info + offset, &value, 8); };
  put32(abi::kInfoAbiOffset, abi::kAbiVersion);
  put32(abi::kInfoWorkerOffset, around_.worker_index);
  put64(abi::kInfoMonoUsOffset, around_.time.mono_us);
  put64(abi::kInfoWallUsOffset, around_.time.wall_us);
  put64(abi::kInfoSeedOffset, around_.random.next());
  put32(abi::kInfoGenerationOffset, generation_);
  put32(abi::kInfoSendLimitBytesOffset, config_.send_limit_bytes);
  put32(abi::kInfoConnectionsLimitOffset, config_.max_connections);

  size_t records = config_.listens.size() + config_.connects.size() + config_.variables.size();
  uint32_t at = kConfigOffset;
  auto text_at = static_cast<uint32_t>(kConfigOffset + records * abi::kConfigRecordBytes);
  auto put_text = [&](std::string_view text) {
    std::memcpy(info + text_at, text.data(), text.size());
    uint32_t address = abi::kInfo + text_at;
    text_at += static_cast<uint32_t>(text.size());
    return address;
  };
  auto put_record = [&](abi::ConfigKind kind, uint32_t index, std::string_view name,
                        std::string_view value) {
    abi::ConfigRecord record{};
    record.set_kind(static_cast<uint32_t>(kind));
    record.set_index(index);
    record.set_name_bytes(static_cast<uint32_t>(name.size()));
    record.set_name(put_text(name));
    record.set_value_bytes(static_cast<uint32_t>(value.size()));
    record.set_value(put_text(value));
    std::memcpy(info + at, record.bytes, sizeof record.bytes);
    at += abi::kConfigRecordBytes;
  };
  for (uint32_t i = 0; i < config_.listens.size(); i++) {
    const Listen& listen = config_.listens[i];
    put_record(abi::ConfigKind::listen, i, listen.name,
               listen.kind + ":" + std::to_string(listen.port));
  }
  for (uint32_t i = 0; i < config_.connects.size(); i++)
    put_record(abi::ConfigKind::connect, i, "", config_.connects[i].text);
  for (uint32_t i = 0; i < config_.variables.size(); i++)
    put_record(abi::ConfigKind::variable, i, config_.variables[i].first,
               config_.variables[i].second);
  put32(abi::kInfoConfigOffset, abi::kInfo + kConfigOffset);
  put32(abi::kInfoConfigCountOffset, static_cast<uint32_t>(records));
}

/// Reserves handles for the connects of the next call and shows them in the info block.
void App::refill_tickets() {
  if (config_.connects.empty() || !tickets_changed_) return;
  tickets_changed_ = false;
  uint32_t wanted = std::min(abi::kTicketCapacity, config_.max_connections);
  while (tickets_.size() < wanted) {
    Flow* flow = take_flow();
    if (flow == nullptr) break;
    flow->state = FlowState::ticket;
    flow->outbound = true;
    tickets_.push_back(around_.flows.index_of(*flow));
  }
  uint8_t* info = windows_->host(abi::kInfo);
  auto count = static_cast<uint32_t>(std::min<size_t>(tickets_.size(), wanted));
  for (uint32_t i = 0; i < count; i++) {
    uint64_t handle = around_.flows.handle(tickets_[i]);
    std::memcpy(info + abi::kInfoTicketsOffset + size_t{i} * 8, &handle, 8);
  }
  std::memcpy(info + abi::kInfoTicketCountOffset, &count, 4);
}

bool App::start_instance() {
  // What an instance before this one sent by reference from its transmit buffers must not change
  // any more.
  std::string error;
  if (!windows_->renew_rw_window()) {
    error = "no memory for a window";
  } else {
    write_info();
    refill_tickets();
    instance_ = Instance::create(
        around_.engine, module_, *windows_,
        {.call_limit_us = config_.call_limit_us, .seed = around_.random.next(), .log = this},
        error);
  }
  if (instance_ == nullptr) {
    end_instance(AppEventKind::start_failed, {.message = error, .frames = {}});
    return false;
  }
  auto memory_bytes =
      static_cast<uint32_t>(std::min<size_t>(instance_->memory().size_bytes(), UINT32_MAX));
  std::memcpy(windows_->host(abi::kInfo) + abi::kInfoMemoryBytesOffset, &memory_bytes, 4);
  generation_++;
  around_.counters.add(Counter::guest_starts);
  counters_.add(AppCounter::starts);
  instance_->mono_us = instance_->log_refill_us = around_.time.mono_us;
  instance_->wall_us = around_.time.wall_us;
  Outcome outcome = instance_->start();
  if (outcome != Outcome::returned) {
    end_instance(kind_of(outcome), Failure(instance_->failure()));
    return false;
  }
  note(AppEventKind::started, abi::LogLevel::debug, "instance started");
  return true;
}

/// The instance is gone, with its commands and connections. The next one starts with the next flow,
/// at once after a first failure and later and later after each that follows soon.
void App::end_instance(AppEventKind kind, const Failure& failure) {
  struct {
    AppEventKind kind;
    Counter counter;
    AppCounter app_counter;
  } constexpr kKinds[] = {
      {AppEventKind::trapped, Counter::guest_traps, AppCounter::traps},
      {AppEventKind::start_failed, Counter::guest_traps, AppCounter::traps},
      {AppEventKind::overran, Counter::guest_overruns, AppCounter::overruns},
      {AppEventKind::violated, Counter::guest_violations, AppCounter::violations},
      {AppEventKind::poisoned, Counter::guest_poisoned, AppCounter::poisonings},
  };
  for (const auto& entry : kKinds) {
    if (entry.kind != kind) continue;
    around_.counters.add(entry.counter);
    counters_.add(entry.app_counter);
  }
  note(kind, abi::LogLevel::error, failure.message, failure.frames);

  if (failures_in_a_row_ != 0 && around_.time.mono_us - last_failure_us_ > kFailureMemoryUs)
    failures_in_a_row_ = 0;
  last_failure_us_ = around_.time.mono_us;
  uint64_t delay_us = 0;
  if (failures_in_a_row_ > 0)
    delay_us = std::min(kLongestRestartDelayUs,
                        kFirstRestartDelayUs << std::min<uint32_t>(failures_in_a_row_ - 1, 20));
  failures_in_a_row_++;
  restart_at_us_ = around_.time.mono_us + delay_us;

  instance_.reset();
  discard_events();
  tickets_.clear();
  tickets_changed_ = true;
  while (flows_head_ != Flow::kNone) {
    Flow& flow = around_.flows[flows_head_];
    if (flow.connection != nullptr) around_.stack.abort(*flow.connection);
    free_flow(flow);
  }
  timer_us_ = deadline_us_ = UINT64_MAX;
  counters_.set(AppCounter::window_chunks, windows_->chunks_in_use());
}

void App::run() {
  ready_ = false;
  if (shut_down_) return;
  bool first_call = false;
  if (instance_ == nullptr) {
    if (!start_wanted_ && event_count_ == 0 && pending_head_ == Flow::kNone) return;
    start_wanted_ = false;
    if (!start_instance()) return;
    first_call = true;
  }
  emit_postponed();
  if ((event_count_ == 0 && !first_call) || stalled_) return;

  uint8_t* info = windows_->host(abi::kInfo);
  std::memcpy(info + abi::kInfoMonoUsOffset, &around_.time.mono_us, 8);
  std::memcpy(info + abi::kInfoWallUsOffset, &around_.time.wall_us, 8);
  instance_->mono_us = around_.time.mono_us;
  instance_->wall_us = around_.time.wall_us;

  uint32_t shown = event_count_;
  uint64_t before = rte_rdtsc();
  PollResult result{};
  Outcome outcome = instance_->poll(shown, result);
  uint64_t after = rte_rdtsc();
  counters_.add(AppCounter::tsc_guest, after - before);
  around_.counters.add(Counter::tsc_guest, after - before);
  counters_.add(AppCounter::calls);
  around_.counters.add(Counter::guest_calls);

  if (outcome != Outcome::returned) {
    end_instance(kind_of(outcome), Failure(instance_->failure()));
    return;
  }
  if (result.consumed > shown || result.commands > abi::kCommandCapacity) {
    end_instance(AppEventKind::violated,
                 {.message = "weir_poll returned {" + std::to_string(result.consumed) + " of " +
                             std::to_string(shown) + " events, " + std::to_string(result.commands) +
                             " commands}",
                  .frames = {}});
    return;
  }
  counters_.add(AppCounter::events, result.consumed);
  counters_.add(AppCounter::commands, result.commands);
  around_.counters.add(Counter::guest_events, result.consumed);
  around_.counters.add(Counter::guest_commands, result.commands);
  // Copied once: what the guest's memory says later does not matter any more.
  std::memcpy(command_copy_.data(), windows_->host(abi::kCommands),
              size_t{result.commands} * sizeof(abi::CommandRecord));
  execute(command_copy_.data(), result.commands);
  around_.counters.add(Counter::tsc_commands, rte_rdtsc() - after);
  stalled_ = shown != 0 && result.consumed == 0 && result.commands == 0;
  consume_events(result.consumed);
  if (event_count_ != 0 && !stalled_) become_ready();
  refill_tickets();
  counters_.set(AppCounter::window_chunks, windows_->chunks_in_use());
}

bool App::replace(AppConfig config, std::shared_ptr<Module> module, std::string& error) {
  if (!fits_info(config, error)) return false;
  instance_.reset();
  discard_events();
  tickets_.clear();
  tickets_changed_ = true;
  config_ = std::move(config);
  module_ = std::move(module);
  failures_in_a_row_ = 0;
  restart_at_us_ = 0;
  timer_us_ = deadline_us_ = UINT64_MAX;
  stalled_ = false;
  counters_.add(AppCounter::swaps);
  for (uint32_t index = flows_head_; index != Flow::kNone;) {
    Flow& flow = around_.flows[index];
    index = flow.next;
    bool listed = flow.connection != nullptr &&
                  std::any_of(config_.listens.begin(), config_.listens.end(), [&](const Listen& l) {
                    return l.protocol == Protocol::tcp && l.port == flow.connection->local.port;
                  });
    if (flow.outbound || !listed || flow.state != FlowState::open) {
      if (flow.connection != nullptr) around_.stack.abort(*flow.connection);
      free_flow(flow);
      continue;
    }
    flow.inherited = true;
    flow.accepted = false;
    flow.cookie = 0;
    flow.notify_at_bytes = flow.notify_last_bytes = 0;
    flow.inherited_bytes += flow.sent_bytes - flow.acknowledged_bytes;
    flow.sent_bytes = flow.acknowledged_bytes = 0;
    flow.view_unseen = flow.view_head;
    postpone(flow, Flow::kOpened);
    if (flow.view_head != Flow::kNone) postpone(flow, Flow::kReceived);
    if (flow.ended) postpone(flow, Flow::kEnded);
  }
  start();
  return true;
}

void App::start() {
  start_wanted_ = true;
  become_ready();
}

void App::shut_down() {
  shut_down_ = true;
  instance_.reset();
  discard_events();
  while (flows_head_ != Flow::kNone) {
    Flow& flow = around_.flows[flows_head_];
    if (flow.connection != nullptr) around_.stack.abort(*flow.connection);
    free_flow(flow);
  }
  deadline_us_ = UINT64_MAX;
}

}  // namespace weir::sandbox
