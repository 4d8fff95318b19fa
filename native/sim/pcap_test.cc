#include "sim/pcap.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace weir::sim {
namespace {

TEST(PcapTest, header_and_records_lie_as_the_format_says) {
  const std::string path = ::testing::TempDir() + "weir-pcap-test.pcap";
  std::string error;
  {
    auto writer = PcapWriter::create(path, error);
    ASSERT_NE(writer, nullptr) << error;
    writer->write(std::vector<uint8_t>{1, 2, 3}, 5'000'000'007);
    EXPECT_TRUE(writer->flush());
  }
  std::ifstream file(path, std::ios::binary);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  const std::vector<uint8_t> expected = {
      0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0,  //
      5,    0,    0,    0,    7, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3};
  EXPECT_EQ(bytes, expected);
  std::filesystem::remove(path);
}

TEST(PcapTest, a_file_that_cannot_be_written_is_an_error) {
  std::string error;
  EXPECT_EQ(PcapWriter::create("/nowhere/file.pcap", error), nullptr);
  EXPECT_NE(error.find("/nowhere/file.pcap"), std::string::npos);
}

}  // namespace
}  // namespace weir::sim
