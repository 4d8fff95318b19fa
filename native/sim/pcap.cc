#include "sim/pcap.h"

#include <cerrno>
#include <cstring>

namespace weir::sim {
namespace {

constexpr uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr uint32_t kSnapshotBytes = 262'144;
constexpr uint32_t kLinkTypeEthernet = 1;
constexpr uint64_t kSecondNs = 1'000'000'000;

}  // namespace

std::unique_ptr<PcapWriter> PcapWriter::create(const std::string& path, std::string& error) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) {
    error = "cannot write " + path + ": " + std::strerror(errno);
    return nullptr;
  }
  const struct {
    uint32_t magic = kMagicNanoseconds;
    uint16_t major = 2, minor = 4;
    uint32_t reserved[2] = {0, 0};
    uint32_t snapshot_bytes = kSnapshotBytes;
    uint32_t link_type = kLinkTypeEthernet;
  } header;
  static_assert(sizeof header == 24);
  std::fwrite(&header, sizeof header, 1, file);
  return std::unique_ptr<PcapWriter>(new PcapWriter(file));
}

PcapWriter::~PcapWriter() { std::fclose(file_); }

void PcapWriter::write(std::span<const uint8_t> frame, uint64_t at_ns) {
  const auto bytes = static_cast<uint32_t>(frame.size());
  const uint32_t record[4] = {static_cast<uint32_t>(at_ns / kSecondNs),
                              static_cast<uint32_t>(at_ns % kSecondNs), bytes, bytes};
  std::fwrite(record, sizeof record, 1, file_);
  std::fwrite(frame.data(), 1, frame.size(), file_);
}

bool PcapWriter::flush() { return std::fflush(file_) == 0 && std::ferror(file_) == 0; }

}  // namespace weir::sim
