#include "base/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_memory.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace weir {

namespace {

/// Whether so much memory is free in hugepages of one size.
bool has_hugepages(uint32_t memory_mib) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", error)) {
    const std::string name = entry.path().filename();  // like hugepages-2048kB
    const size_t dash = name.find('-');
    if (dash == std::string::npos) continue;
    const uint64_t page_kib = std::strtoull(name.c_str() + dash + 1, nullptr, 10);
    uint64_t free_pages = 0;
    std::ifstream(entry.path() / "free_hugepages") >> free_pages;
    if (page_kib > 0 && free_pages * page_kib / 1024 >= memory_mib) return true;
  }
  return false;
}

/// The first processor that this thread may run on.
int first_cpu() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &set)) return cpu;
  return 0;
}

std::string initialize(const EalConfig& config) {
  const bool huge = config.allow_hugepages && has_hugepages(config.memory_mib);
  std::vector<std::string> arguments = {
      "weir", config.card.empty() ? "--no-pci" : "--allow=" + config.card, "--no-telemetry",
      "--iova-mode=va",
      // One lcore, so that no threads are started that nobody uses. Workers register themselves.
      "--lcores=0@" + std::to_string(first_cpu()), "--log-level=*:error", "-m",
      std::to_string(config.memory_mib)};
  if (huge) {
    arguments.emplace_back("--in-memory");
  } else {
    arguments.emplace_back("--no-huge");
    arguments.emplace_back("--no-shconf");
  }
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());

  // What DPDK says while it starts goes into the error, not to the terminal.
  char* log = nullptr;
  size_t log_bytes = 0;
  FILE* stream = open_memstream(&log, &log_bytes);
  if (stream != nullptr) rte_openlog_stream(stream);
  const int result = rte_eal_init(static_cast<int>(pointers.size()), pointers.data());
  const int error = rte_errno;
  rte_openlog_stream(nullptr);
  if (stream != nullptr) std::fclose(stream);
  std::string said = log == nullptr ? "" : log;
  std::free(log);
  if (result >= 0) return {};

  std::string text = "cannot start DPDK's environment with " + std::to_string(config.memory_mib) +
                     " MiB of " + (huge ? "hugepages" : "ordinary memory") + ": " +
                     rte_strerror(error) +
                     " (give it less memory, or free some; it can be tried once in a process)";
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (!said.empty()) text += "\n" + said;
  return text;
}

}  // namespace

std::string start_eal(const EalConfig& config) {
  // An environment that has memory is one that has been started.
  if (rte_eal_get_physmem_size() > 0) return {};
  std::string error;
  std::thread([&] { error = initialize(config); }).join();
  return error;
}

EalThread::EalThread() {
  if (rte_lcore_id() != LCORE_ID_ANY) {
    registered_ = true;
    return;
  }
  registered_ = ours_ = rte_thread_register() == 0;
}

EalThread::~EalThread() {
  if (ours_) rte_thread_unregister();
}

}  // namespace weir
