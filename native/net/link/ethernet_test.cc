#include "net/link/ethernet.h"

#include "net/testing.h"

namespace weir::net::link {
namespace {

using namespace weir::net::testing;

class EthernetTest : public LayerTest {
 protected:
  bool receive(std::span<const uint8_t> bytes, std::initializer_list<size_t> segments = {}) {
    rte_mbuf* packet = frame(bytes, segments);
    const bool taken = ethernet_.receive(packet, incoming_);
    if (taken) rte_pktmbuf_free(packet);
    return taken;
  }
  Ethernet ethernet_{kOwnLink, environment_};
  Ethernet::Incoming incoming_{};
};

TEST_F(EthernetTest, TakesAHeaderThatIsSpreadOverSegments) {
  EXPECT_TRUE(receive(ethernet(pattern(20), 0x0806), {5, 6}));
  EXPECT_EQ(incoming_.type, 0x0806);
}

TEST_F(EthernetTest, TakesFramesForUsAndForGroups) {
  EXPECT_TRUE(receive(ethernet({}, 0x0806)));
  EXPECT_EQ(incoming_.type, 0x0806);
  EXPECT_FALSE(incoming_.to_group);
  EXPECT_TRUE(receive(ethernet({}, 0x0800, kBroadcast)));
  EXPECT_TRUE(incoming_.to_group);
  EXPECT_TRUE(receive(ethernet({}, 0x0800, {0x01, 0, 0x5e, 0, 0, 1})));
  EXPECT_TRUE(incoming_.to_group);
}

TEST_F(EthernetTest, DropsFramesForOthers) {
  EXPECT_FALSE(receive(ethernet(pattern(50), 0x0800, {0x02, 0, 0, 0, 0, 0x07})));
  EXPECT_EQ(count(Counter::drop_link_foreign), 1u);
}

TEST_F(EthernetTest, DropsWhatIsShorterThanAHeader) {
  const Bytes bytes = ethernet({});
  for (size_t length = 0; length < kHeaderBytes; length++)
    EXPECT_FALSE(receive(std::span(bytes).first(length)));
  EXPECT_EQ(count(Counter::drop_link_short), kHeaderBytes);
}

TEST_F(EthernetTest, TransmitsWithAHeader) {
  ethernet_.transmit(frame(pattern(30)), kPeerLink, 0x0800);
  ASSERT_EQ(sink_.sent.size(), 1u);
  EXPECT_EQ(sink_.sent[0], ethernet(pattern(30), 0x0800, kPeerLink, kOwnLink));
}

TEST_F(EthernetTest, CountsPacketsWithoutRoomForAHeader) {
  rte_mbuf* packet = frame(pattern(30));
  rte_pktmbuf_prepend(packet, RTE_PKTMBUF_HEADROOM);
  ethernet_.transmit(packet, kPeerLink, 0x0800);
  EXPECT_TRUE(sink_.sent.empty());
  EXPECT_EQ(count(Counter::drop_no_headroom), 1u);
}

}  // namespace
}  // namespace weir::net::link
