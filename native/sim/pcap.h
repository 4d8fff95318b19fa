#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

namespace weir::sim {

/// Writes frames to a file that tcpdump and Wireshark read: classic pcap with nanoseconds, link
/// type Ethernet (draft-ietf-opsawg-pcap section 4).
class PcapWriter {
 public:
  /// Nothing, and `error` set, when the file cannot be written.
  static std::unique_ptr<PcapWriter> create(const std::string& path, std::string& error);
  ~PcapWriter();
  PcapWriter(const PcapWriter&) = delete;
  PcapWriter& operator=(const PcapWriter&) = delete;

  void write(std::span<const uint8_t> frame, uint64_t at_ns);
  /// False when something could not be written.
  bool flush();

 private:
  explicit PcapWriter(std::FILE* file) : file_(file) {}
  std::FILE* file_;
};

}  // namespace weir::sim
