#include "net/checksum.h"

#include "net/testing.h"

namespace weir::net {
namespace {

using namespace weir::net::testing;

class ChecksumTest : public LayerTest {
 protected:
  static uint16_t as_number(uint16_t stored) { return __builtin_bswap16(stored); }
  std::mt19937 random_bytes_{7};
  Bytes random_of(size_t length_bytes) {
    Bytes bytes(length_bytes);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_bytes_());
    return bytes;
  }
};

TEST_F(ChecksumTest, MatchesTheExampleOfRfc1071Section3) {
  const Bytes bytes = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(as_number(checksum_fold(checksum_add(0, bytes.data(), bytes.size()))), 0xddf2);
}

TEST_F(ChecksumTest, MatchesThePlainSumForEveryLength) {
  for (size_t length = 0; length < 200; length++) {
    const Bytes bytes = random_of(length);
    EXPECT_EQ(as_number(checksum_finish(checksum_add(0, bytes.data(), length))),
              plain_checksum(bytes))
        << length;
  }
}

TEST_F(ChecksumTest, CarriesAcrossAllWords) {
  const Bytes ones(64, 0xff);
  EXPECT_EQ(checksum_finish(checksum_add(0, ones.data(), ones.size())), 0);
  EXPECT_EQ(checksum_finish(checksum_add(UINT64_MAX, ones.data(), ones.size())), 0);
  EXPECT_EQ(checksum_finish(0), 0xffff);
}

TEST_F(ChecksumTest, SumsChainsWithOddSegmentsFromAnyOffset) {
  const Bytes bytes = random_of(300);
  rte_mbuf* packet = frame(bytes, {1, 2, 33, 0, 64, 7});
  for (uint32_t offset = 0; offset < 140; offset++)
    for (const uint32_t length : {0u, 1u, 2u, 9u, 64u, 101u, 160u})
      EXPECT_EQ(as_number(checksum_finish(checksum_add_packet(0, packet, offset, length))),
                plain_checksum(std::span(bytes).subspan(offset, length)))
          << offset << " " << length;
  rte_pktmbuf_free(packet);
}

TEST_F(ChecksumTest, PseudoHeaderOfIpv4) {
  const uint16_t ours = checksum_fold(
      checksum_pseudo_header(Address::v4(0xc0a80001), Address::v4(0xfffefdfc), 17, 40000));
  EXPECT_EQ(as_number(ours), plain_pseudo_sum(0xc0a80001, 0xfffefdfc, 17, 40000));
}

TEST_F(ChecksumTest, PseudoHeaderOfIpv6) {
  Address source, destination;
  const Bytes bytes = random_of(32);
  std::copy_n(bytes.begin(), 16, source.bytes.begin());
  std::copy_n(bytes.begin() + 16, 16, destination.bytes.begin());
  const Bytes header = bytes + Bytes{0, 1, 0, 2, 0, 0, 0, 6};
  EXPECT_EQ(as_number(checksum_finish(checksum_pseudo_header(source, destination, 6, 0x00010002))),
            plain_checksum(header));
}

TEST_F(ChecksumTest, UpdateEqualsComputingAnew) {
  for (int i = 0; i < 2000; i++) {
    Bytes bytes = random_of(20);
    const uint16_t before = checksum_finish(checksum_add(0, bytes.data(), bytes.size()));
    uint16_t old_word, new_word = static_cast<uint16_t>(random_bytes_());
    if (i % 5 == 0) new_word = 0;
    std::memcpy(&old_word, bytes.data() + 6, 2);
    std::memcpy(bytes.data() + 6, &new_word, 2);
    EXPECT_EQ(checksum_update(before, old_word, new_word),
              checksum_finish(checksum_add(0, bytes.data(), bytes.size())));
  }
}

}  // namespace
}  // namespace weir::net
