/// Runs seeds of the simulator: sim [--seed S] [--seeds N] [--pcap FILE] [--verbose]. Prints a line
/// of JSON for each seed that failed and one for all of them; ends with 1 when one failed.
#include <sys/prctl.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/eal.h"
#include "sim/simulation.h"

namespace {

using weir::sim::HostPools;
using weir::sim::Outcome;

struct Options {
  uint64_t seed = 1;
  uint64_t seeds = 1;
  uint64_t step = 1;
  std::string pcap;
  bool verbose = false;
  bool stop = false;
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "sim: %s\n", message.c_str());
  std::exit(2);
}

uint64_t number(const std::string& name, const std::string& value) {
  char* end = nullptr;
  const uint64_t result = std::strtoull(value.c_str(), &end, 10);
  if (value.empty() || *end != '\0') fail(name + " needs a number, not \"" + value + "\"");
  return result;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    if (name == "--verbose" || name == "--stop") {
      (name == "--stop" ? options.stop : options.verbose) = true;
      continue;
    }
    if (i + 1 == argc) fail(name + " needs a value");
    const std::string value = argv[++i];
    if (name == "--seed")
      options.seed = number(name, value);
    else if (name == "--seeds")
      options.seeds = number(name, value);
    else if (name == "--step")
      options.step = number(name, value);
    else if (name == "--pcap")
      options.pcap = value;
    else
      fail("unknown option " + name);
  }
  return options;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

void print_seed(uint64_t seed, const Outcome& outcome) {
  std::printf(
      "{\"seed\":%llu,\"digest\":\"%016llx\",\"seconds\":%.3f,\"frames\":%llu,\"bytes\":%llu,"
      "\"finished\":%llu,\"aborted\":%llu,\"failed\":%llu,\"orphaned\":%llu,\"failure\":%s}\n",
      static_cast<unsigned long long>(seed), static_cast<unsigned long long>(outcome.digest),
      static_cast<double>(outcome.virtual_ns) / 1e9,
      static_cast<unsigned long long>(outcome.frames),
      static_cast<unsigned long long>(outcome.bytes),
      static_cast<unsigned long long>(outcome.finished),
      static_cast<unsigned long long>(outcome.aborted),
      static_cast<unsigned long long>(outcome.failed),
      static_cast<unsigned long long>(outcome.orphaned),
      outcome.failure.empty() ? "null" : quoted(outcome.failure).c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  // A stack's tables live for milliseconds here: large pages would be cleared for nothing.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  std::string error = weir::start_eal({.memory_mib = 96, .allow_hugepages = false});
  if (!error.empty()) fail(error);
  weir::EalThread registered;
  auto pools_a = HostPools::create("sim_a", error);
  auto pools_b = HostPools::create("sim_b", error);
  if (pools_a == nullptr || pools_b == nullptr) fail(error);

  Outcome sum;
  uint64_t failures = 0;
  for (uint64_t i = 0; i < options.seeds; i++) {
    const uint64_t seed = options.seed + i * options.step;
    if (options.verbose) std::fputs(describe(weir::sim::Scenario::draw(seed)).c_str(), stderr);
    const Outcome outcome = weir::sim::simulate(seed, *pools_a, *pools_b, options.pcap);
    if (options.verbose || !outcome.failure.empty()) print_seed(seed, outcome);
    sum.add(outcome);
    if (outcome.failure.empty()) continue;
    failures++;
    // A failure may have left buffers behind; the next seed would be blamed for it.
    if (options.stop || !pools_a->are_full() || !pools_b->are_full()) break;
  }
  std::printf(
      "{\"seeds\":%llu,\"failures\":%llu,\"virtualSeconds\":%.0f,\"frames\":%llu,\"bytes\":%llu,"
      "\"connections\":%llu,\"finished\":%llu,\"aborted\":%llu,\"failed\":%llu,\"orphaned\":%llu,"
      "\"wrapped\":%llu,\"cut\":%llu,\"forged\":%llu,\"counters\":{",
      static_cast<unsigned long long>(options.seeds), static_cast<unsigned long long>(failures),
      static_cast<double>(sum.virtual_ns) / 1e9, static_cast<unsigned long long>(sum.frames),
      static_cast<unsigned long long>(sum.bytes), static_cast<unsigned long long>(sum.connections),
      static_cast<unsigned long long>(sum.finished), static_cast<unsigned long long>(sum.aborted),
      static_cast<unsigned long long>(sum.failed), static_cast<unsigned long long>(sum.orphaned),
      static_cast<unsigned long long>(sum.wrapped), static_cast<unsigned long long>(sum.cut),
      static_cast<unsigned long long>(sum.forged));
  const char* separator = "";
  for (size_t c = 0; c < weir::kCounterCount; c++) {
    if (sum.counters[c] == 0) continue;
    std::printf("%s\"%s\":%llu", separator, weir::kCounterDescriptions[c].name,
                static_cast<unsigned long long>(sum.counters[c]));
    separator = ",";
  }
  std::printf("}}\n");
  std::fflush(stdout);
  // Pools with missing buffers cannot be taken down in order.
  std::_Exit(failures == 0 ? 0 : 1);
}
