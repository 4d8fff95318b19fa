/// Plays packet scripts against the stack: script [--trace] FILE... Ends with 1 when one failed.
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

}  // namespace

int main(int argc, char** argv) {
  std::string error = weir::start_eal({.memory_mib = 64, .allow_hugepages = false});
  if (!error.empty()) fail(error);
  weir::EalThread registered;
  auto pools = weir::sim::HostPools::create("script", error);
  if (pools == nullptr) fail(error);
  bool trace = false;
  int failures = 0, scripts = 0;
  for (int i = 1; i < argc; i++) {
    const std::string path = argv[i];
    if (path == "--trace") {
      trace = true;
      continue;
    }
    std::ifstream file(path);
    if (!file) fail("cannot read " + path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto steps = weir::sim::script::parse_script(text, error);
    if (!steps) fail(path + ": " + error);
    scripts++;
    const auto result = weir::sim::script::Runner(*pools).run(*steps);
    if (trace || !result.failure.empty()) std::printf("%s", result.trace.c_str());
    if (result.failure.empty()) {
      std::printf("ok %s\n", path.c_str());
      continue;
    }
    std::printf("not ok %s: %s\n", path.c_str(), result.failure.c_str());
    failures++;
    // The next one would be blamed for what this one left behind.
    if (!pools->are_full()) break;
  }
  std::printf("%d of %d scripts passed\n", scripts - failures, scripts);
  std::fflush(stdout);
  std::_Exit(failures == 0 && scripts > 0 ? 0 : 1);
}
