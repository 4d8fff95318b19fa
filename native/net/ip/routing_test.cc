#include "net/ip/routing.h"

#include "net/testing.h"

namespace weir::net::ip {
namespace {

using namespace weir::net::testing;
using State = LocalAddress::State;

TEST(RoutingTest, FindsTheNextHop) {
  StackConfig config;
  config.addresses = {{Address::v4(kOwn), 24}};
  Address hop;
  {
    const Routing routing(config);
    EXPECT_TRUE(routing.next_hop(Address::v4(kPeer), hop));
    EXPECT_EQ(hop, Address::v4(kPeer));
    EXPECT_FALSE(routing.next_hop(Address::v4(kFar), hop)) << "there is no gateway";
  }
  config.routes = {Route::default_through(Address::v4(kGateway))};
  const Routing routing(config);
  EXPECT_TRUE(routing.next_hop(Address::v4(kFar), hop));
  EXPECT_EQ(hop, Address::v4(kGateway));
  for (const uint32_t destination :
       {kOwn, 0u, 0x7f000001u, 0xe0000001u, 0xffffffffu, 0x0a0000ffu, 0x0a000000u})
    EXPECT_FALSE(routing.next_hop(Address::v4(destination), hop)) << destination;
  EXPECT_FALSE(routing.next_hop(Address{}, hop));
}

TEST(RoutingTest, ShortAndLongPrefixes) {
  StackConfig config;
  config.addresses = {{Address::v4(kOwn), 31}};
  const Routing pair(config);
  EXPECT_TRUE(pair.is_neighbor(Address::v4(0x0a000000)));
  EXPECT_FALSE(pair.is_broadcast(Address::v4(kOwn)));
  EXPECT_FALSE(pair.is_on_link(Address::v4(kPeer)));
  config.addresses[0].prefix_bits = 32;
  config.routes = {Route::default_through(Address::v4(kGateway))};
  const Routing single(config);
  EXPECT_TRUE(single.is_neighbor(Address::v4(kGateway))) << "a gateway outside of the prefix";
  EXPECT_FALSE(single.is_neighbor(Address::v4(kPeer)));
  config.addresses[0].prefix_bits = 0;
  const Routing all(config);
  EXPECT_TRUE(all.is_neighbor(Address::v4(kFar)));
  EXPECT_TRUE(all.is_broadcast(Address::v4(0xffffffff)));
}

TEST(RoutingTest, TheLongestPrefixCounts) {
  const auto v4 = [](uint32_t address) { return Address::v4(address); };
  StackConfig config;
  config.addresses = {{v4(kOwn), 24}, {v4(0xc0a80001), 16}};
  config.routes = {Route::default_through(v4(kGateway)),
                   {v4(0xc0000200), 24, v4(0x0a000010)},
                   {v4(0xc0000280), 25, v4(0xc0a80002)},
                   {v4(0xc0000205), 32, v4(0x0a000011)}};
  const Routing routing(config);
  const auto hop_to = [&](uint32_t destination) {
    Address hop;
    EXPECT_TRUE(routing.next_hop(v4(destination), hop));
    return hop;
  };
  EXPECT_EQ(hop_to(0xc0000205), v4(0x0a000011));
  EXPECT_EQ(hop_to(0xc0000206), v4(0x0a000010));
  EXPECT_EQ(hop_to(0xc0000281), v4(0xc0a80002));
  EXPECT_EQ(hop_to(0xc0a8ff01), v4(0xc0a8ff01)) << "on the link of the second address";
  EXPECT_EQ(hop_to(0x08080808), v4(kGateway));
  EXPECT_EQ(routing.source_for(v4(0xc0000281)), v4(0xc0a80001)) << "of the gateway's network";
  EXPECT_EQ(routing.source_for(v4(0x08080808)), v4(kOwn));
  EXPECT_TRUE(routing.is_local(v4(0xc0a80001)));
  EXPECT_TRUE(routing.is_broadcast(v4(0xc0a8ffff)));
  EXPECT_FALSE(routing.is_broadcast(v4(0x0a00ffff)));
}

/// 2001:db8:`net`::`host`.
Address v6(uint16_t net, uint16_t host) {
  return Address::v6(0x2001, 0xdb8, net, 0, 0, 0, 0, host);
}

StackConfig config_v6() {
  StackConfig config;
  config.link_address = kOwnLink;
  config.duplicate_address_probes = 0;
  config.addresses = {{Address::v4(kOwn), 24}, {v6(1, 1), 64}};
  return config;
}

TEST(RoutingTest, FindsNextHopsOfIpv6) {
  StackConfig config = config_v6();
  const Address router = Address::v6(0xfe80, 0, 0, 0, 0, 0, 0, 9);
  Address hop;
  {
    const Routing routing(config);
    EXPECT_TRUE(routing.speaks_v6());
    EXPECT_TRUE(routing.next_hop(v6(1, 2), hop));
    EXPECT_EQ(hop, v6(1, 2));
    EXPECT_TRUE(routing.next_hop(router, hop));
    EXPECT_FALSE(routing.next_hop(v6(2, 2), hop));
  }
  config.routes = {Route::default_through(router), {v6(3, 0), 48, v6(1, 7)}};
  const Routing routing(config);
  EXPECT_TRUE(routing.next_hop(v6(2, 2), hop));
  EXPECT_EQ(hop, router);
  EXPECT_TRUE(routing.next_hop(v6(3, 2), hop));
  EXPECT_EQ(hop, v6(1, 7));
  EXPECT_FALSE(routing.next_hop(Address::v4(kFar), hop)) << "a default route of IPv6 is for IPv6";
  for (const Address& nobody : {v6(1, 1), Address{}, Address::v6(0, 0, 0, 0, 0, 0, 0, 1),
                                Address::v6(0xff02, 0, 0, 0, 0, 0, 0, 1)})
    EXPECT_FALSE(routing.next_hop(nobody, hop));
}

TEST(RoutingTest, MakesALinkLocalAddressAndKnowsItsGroups) {
  const Routing routing(config_v6());
  const Address link_local = Address::v6(0xfe80, 0, 0, 0, 0, 0x00ff, 0xfe00, 0x0001);
  EXPECT_EQ(routing.link_local(), link_local);  // of 02:00:00:00:00:01
  EXPECT_TRUE(routing.is_member(kAllNodes));
  EXPECT_TRUE(routing.is_member(Address::v6(0xff02, 0, 0, 0, 0, 1, 0xff00, 1)));
  EXPECT_FALSE(routing.is_member(Address::v6(0xff02, 0, 0, 0, 0, 1, 0xff00, 2)));
  EXPECT_FALSE(routing.is_member(kAllRouters));
  EXPECT_FALSE(routing.is_member(link_local));
  EXPECT_EQ(routing.source_for(Address::v6(0xfe80, 0, 0, 0, 0, 0, 0, 9)), link_local);
  EXPECT_EQ(routing.source_for(v6(1, 9)), v6(1, 1));
  StackConfig config;
  config.addresses = {{Address::v4(kOwn), 24}};
  EXPECT_FALSE(Routing(config).speaks_v6());
  EXPECT_FALSE(Routing(config).is_member(kAllNodes));
}

TEST(RoutingTest, TentativeAndDuplicateAddressesAreNotUsed) {
  StackConfig config = config_v6();
  config.duplicate_address_probes = 1;
  Routing routing(config);
  EXPECT_FALSE(routing.is_local(v6(1, 1)));
  EXPECT_TRUE(routing.source_for(v6(1, 2)).is_unspecified());
  LocalAddress* own = routing.find(v6(1, 1));
  ASSERT_NE(own, nullptr);
  EXPECT_EQ(own->state, State::tentative);
  EXPECT_TRUE(routing.is_member(solicited_node_group(v6(1, 1))));
  own->state = State::assigned;
  routing.commit();
  EXPECT_TRUE(routing.is_local(v6(1, 1)));
  EXPECT_EQ(routing.source_for(v6(1, 2)), v6(1, 1));
  own->state = State::duplicate;
  routing.commit();
  EXPECT_FALSE(routing.is_local(v6(1, 1)));
}

TEST(RoutingTest, PrefersTheNearestAddress) {
  StackConfig config = config_v6();
  config.addresses.push_back({v6(2, 1), 64});
  Routing routing(config);
  EXPECT_EQ(routing.source_near(v6(2, 9)), v6(2, 1));
  EXPECT_EQ(routing.source_near(v6(1, 9)), v6(1, 1));
  routing.find(v6(2, 1))->state = State::deprecated;
  routing.commit();
  EXPECT_EQ(routing.source_near(v6(2, 9)), v6(1, 1)) << "RFC 6724 section 5, rule 3";
  EXPECT_TRUE(routing.is_local(v6(2, 1)));
}

TEST(RoutingTest, AddressesAndRoutesHaveTheirTime) {
  Routing routing(config_v6());
  LocalAddress* own = routing.add_address(v6(5, 1), 64, Origin::router, State::assigned, false);
  ASSERT_NE(own, nullptr);
  own->preferred_until_us = 100;
  own->valid_until_us = 200;
  ASSERT_TRUE(routing.add_route(v6(5, 0), 64, {}, Origin::router, 300));
  routing.commit();
  EXPECT_EQ(routing.next_deadline_us(), 100u);
  routing.run_timers(100);
  EXPECT_EQ(own->state, State::deprecated);
  EXPECT_EQ(routing.next_deadline_us(), 200u);
  routing.run_timers(200);
  EXPECT_FALSE(routing.is_local(v6(5, 1)));
  EXPECT_TRUE(routing.is_on_link(v6(5, 1)));
  routing.run_timers(300);
  EXPECT_FALSE(routing.is_on_link(v6(5, 1)));
  EXPECT_EQ(routing.next_deadline_us(), UINT64_MAX);
}

TEST(RoutingTest, RemovesWhatAnAddressBrought) {
  Routing routing(config_v6());
  LocalAddress* first = routing.add_address(v6(5, 1), 64, Origin::dhcp, State::assigned);
  LocalAddress* second = routing.add_address(v6(5, 2), 64, Origin::dhcp, State::assigned);
  EXPECT_EQ(routing.add_address(v6(5, 2), 64, Origin::dhcp, State::assigned), nullptr);
  routing.remove_address(*first);
  EXPECT_TRUE(routing.is_on_link(v6(5, 9)));
  routing.remove_address(*second);
  EXPECT_FALSE(routing.is_on_link(v6(5, 9)));
}

TEST(RoutingTest, IsBounded) {
  Routing routing(config_v6());
  uint32_t added = 0;
  while (routing.add_address(v6(9, 1 + added), 64, Origin::router, State::assigned, false) !=
         nullptr)
    added++;
  EXPECT_EQ(added, Routing::kMaxAddresses - 3);
  added = 0;
  while (routing.add_route(v6(100 + added, 0), 64, v6(1, 9), Origin::router)) added++;
  EXPECT_EQ(added, Routing::kMaxRoutes - 3);
  EXPECT_TRUE(routing.add_route(v6(100, 0), 64, v6(1, 9), Origin::router, 5)) << "renewed";
  routing.remove_routes(v6(1, 9), Origin::router);
  EXPECT_FALSE(routing.is_gateway(v6(1, 9)));
}

TEST(CheckTest, SaysWhatIsWrong) {
  const auto with = [](auto change) {
    StackConfig config = config_v6();
    change(config);
    return check(config);
  };
  EXPECT_EQ(check(config_v6()), "");
  EXPECT_EQ(check(StackConfig{}), "");
  EXPECT_NE(with([](StackConfig& c) { c.mtu_bytes = 1279; }), "");
  EXPECT_EQ(with([](StackConfig& c) { c.mtu_bytes = 1280; }), "");
  EXPECT_EQ(with([](StackConfig& c) { c.mtu_bytes = 2048; }), "");
  EXPECT_NE(with([](StackConfig& c) { c.mtu_bytes = 2049; }).find("2048"), std::string::npos);
  EXPECT_EQ(with([](StackConfig& c) { c.addresses.pop_back(), c.mtu_bytes = 576; }), "");
  EXPECT_NE(with([](StackConfig& c) { c.addresses.pop_back(), c.mtu_bytes = 575; }), "");
  EXPECT_NE(with([](StackConfig& c) { c.vlan_id = 4095; }), "");
  EXPECT_NE(with([](StackConfig& c) { c.addresses[0].prefix_bits = 33; }), "");
  EXPECT_NE(with([](StackConfig& c) { c.addresses[1].prefix_bits = 129; }), "");
  EXPECT_NE(with([](StackConfig& c) { c.addresses.push_back(c.addresses[0]); }), "");
  EXPECT_NE(with([](StackConfig& c) { c.addresses[0].address = Address::v4(0xe0000001); }), "");
  EXPECT_NE(with([](StackConfig& c) {
              for (uint16_t i = 0; i < 15; i++) c.addresses.push_back({v6(1, 10 + i), 64});
            }).find("16"),
            std::string::npos);
  EXPECT_NE(with([](StackConfig& c) { c.routes = {Route::default_through(Address::v4(kOwn))}; }),
            "");
  EXPECT_NE(with([](StackConfig& c) { c.routes = {{v6(2, 0), 64, Address::v4(kPeer)}}; }), "");
  EXPECT_NE(
      with([](StackConfig& c) { c.routes.assign(33, Route::default_through(Address::v4(kPeer))); }),
      "");
}

}  // namespace
}  // namespace weir::net::ip
