/// Entry of every native test executable: starts DPDK's environment once, without devices or
/// hugepages.
#include <gtest/gtest.h>
#include <rte_eal.h>

#include <thread>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  char program[] = "weir-test", no_huge[] = "--no-huge", no_shconf[] = "--no-shconf",
       no_pci[] = "--no-pci", no_telemetry[] = "--no-telemetry", iova[] = "--iova-mode=va",
       memory[] = "-m", memory_mib[] = "256", log_level[] = "--log-level=lib.eal:3";
  char* arguments[] = {program, no_huge, no_shconf,  no_pci,   no_telemetry,
                       iova,    memory,  memory_mib, log_level};
  if (rte_eal_init(static_cast<int>(std::size(arguments)), arguments) < 0) return 2;
  return RUN_ALL_TESTS();
}
