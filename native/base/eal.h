#pragma once
#include <cstdint>
#include <string>

namespace weir {

struct EalConfig {
  /// Memory for packet buffers, MiB.
  uint32_t memory_mib = 256;
  /// Uses hugepages where enough of them are free.
  bool allow_hugepages = true;
  /// The address of a card that DPDK's drivers are to take, like "0000:03:00.0"; "" for none.
  std::string card = {};
};

/// Starts DPDK's environment, which a process can do once; in a process that has it already nothing
/// happens. It runs in a thread of its own, because it pins the thread it is called on. Returns
/// what went wrong and what to do, or nothing.
std::string start_eal(const EalConfig& config);

/// Makes the calling thread one that DPDK knows while this object lives: only then do its buffer
/// pools have caches. A thread that DPDK knows already stays as it is.
class EalThread {
 public:
  EalThread();
  ~EalThread();
  EalThread(const EalThread&) = delete;
  EalThread& operator=(const EalThread&) = delete;
  /// False: DPDK has no place for a further thread. Pools work then, but slower.
  bool is_registered() const { return registered_; }

 private:
  bool registered_ = false;
  bool ours_ = false;
};

}  // namespace weir
