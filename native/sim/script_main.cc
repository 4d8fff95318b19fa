/// Plays packet scripts against the stack: script [--trace] [--tap] FILE... Ends with 1 when one
/// failed. With --tap they are played in real time behind a TAP of this network namespace, but for
/// those that take long.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "base/eal.h"
#include "sim/script/runner.h"

namespace {

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "script: %s\n", message.c_str());
  std::exit(2);
}

using weir::sim::script::Runner;

/// A script that takes longer is not played in real time.
constexpr uint64_t kLongestOnTapNs = 5'000'000'000;

std::string seconds(uint64_t ns) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f s", static_cast<double>(ns) / 1e9);
  return text;
}

struct Counts {
  int passed = 0, failed = 0, skipped = 0;
};

void play(const std::string& path, bool on_tap, bool trace, weir::sim::HostPools& pools,
          Counts& counts) {
  std::ifstream file(path);
  if (!file) fail("cannot read " + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::string error;
  const auto steps = weir::sim::script::parse_script(text, error);
  if (!steps) fail(path + ": " + error);
  Runner simulated(pools);
  auto result = simulated.run(*steps);
  if (on_tap && result.failure.empty()) {
    if (simulated.duration_ns() > kLongestOnTapNs) {
      counts.skipped++;
      std::printf("skip %s: it takes %s\n", path.c_str(), seconds(simulated.duration_ns()).c_str());
      return;
    }
    result = Runner(pools, Runner::Place::tap).run(*steps);
  }
  if (trace || !result.failure.empty()) std::printf("%s", result.trace.c_str());
  if (result.failure.empty()) {
    counts.passed++;
    std::printf("ok %s\n", path.c_str());
  } else {
    counts.failed++;
    std::printf("not ok %s: %s\n", path.c_str(), result.failure.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string error = weir::start_eal({.memory_mib = 64, .allow_hugepages = false});
  if (!error.empty()) fail(error);
  weir::EalThread registered;
  auto pools = weir::sim::HostPools::create("script", error);
  if (pools == nullptr) fail(error);
  bool trace = false, on_tap = false;
  Counts counts;
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i];
    if (argument == "--trace") {
      trace = true;
    } else if (argument == "--tap") {
      on_tap = true;
    } else {
      play(argument, on_tap, trace, *pools, counts);
      // The next one would be blamed for what this one left behind.
      if (!pools->are_full()) break;
    }
    std::fflush(stdout);
  }
  std::printf("%d of %d scripts passed", counts.passed, counts.passed + counts.failed);
  if (on_tap) std::printf(", %d take too long for real time", counts.skipped);
  std::printf("\n");
  std::fflush(stdout);
  std::_Exit(counts.failed == 0 && counts.passed > 0 ? 0 : 1);
}
