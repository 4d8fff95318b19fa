// The simulator itself: that it is deterministic, that its scenarios are as bad as they are meant
// to be, and that it notices what is wrong. The stack's own properties are looked at in every run.
#include "sim/simulation.h"

#include <gtest/gtest.h>

#include <set>

namespace weir::sim {
namespace {

constexpr uint64_t kSeeds = 120;

class SimulationTest : public ::testing::Test {
 protected:
  static std::unique_ptr<HostPools> make_pools(const char* name) {
    std::string error;
    auto pools = HostPools::create(name, error);
    if (pools == nullptr) {
      ADD_FAILURE() << error;
      std::abort();
    }
    return pools;
  }
  ~SimulationTest() override {
    EXPECT_TRUE(a_->are_full());
    EXPECT_TRUE(b_->are_full());
  }

  Outcome run(uint64_t seed) { return simulate(seed, *a_, *b_); }

  /// Two hosts and a wire, and one connection that brings so much each way.
  static Scenario calm(uint64_t a_bytes, uint64_t b_bytes) {
    Scenario scenario;
    for (uint32_t i = 0; i < 2; i++) {
      HostConfig& host = scenario.hosts[i];
      host.stack.link_address = link_address_of(i);
      host.stack.addresses = {{host_address(i, false), 24}};
      scenario.apps[i].peer = host_address(1 - i, false);
      host.stack.max_connections = 16;
      host.stack.max_time_wait = 16;
      host.stack.time_wait_ms = 1000;
      host.stack_seed = i + 1;
      host.clock_offset_us = 1'000'000'000;
      scenario.links[i].delay_ns = 1'000'000;
    }
    Pair pair;
    pair.port = kFirstPort;
    for (uint32_t i = 0; i < 2; i++) {
      pair.ends[i].sends = Stream(i);
      pair.ends[i].receives = Stream(1 - i);
    }
    pair.ends[0].send_bytes = a_bytes;
    pair.ends[1].send_bytes = b_bytes;
    scenario.pairs.push_back(pair);
    scenario.heal_ns = 10'000'000'000;
    scenario.events.push_back({.at_ns = scenario.heal_ns, .kind = Event::Kind::heal});
    return scenario;
  }
  Outcome run(const Scenario& scenario) { return Simulation(scenario, *a_, *b_).run(); }

 private:
  std::unique_ptr<HostPools> a_ = make_pools("test_a");
  std::unique_ptr<HostPools> b_ = make_pools("test_b");
};

TEST_F(SimulationTest, a_calm_run_brings_everything) {
  const Outcome outcome = run(calm(100'000, 50'000));
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.bytes, 150'000u);
  EXPECT_EQ(outcome.finished, 2u);
}

TEST_F(SimulationTest, a_seed_gives_the_same_frames_again) {
  std::set<uint64_t> digests;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    const Outcome first = run(seed), second = run(seed);
    EXPECT_EQ(first.digest, second.digest) << seed;
    EXPECT_EQ(first.virtual_ns, second.virtual_ns) << seed;
    digests.insert(first.digest);
  }
  EXPECT_EQ(digests.size(), 10u) << "different seeds have different frames";
}

TEST_F(SimulationTest, seeds_pass_and_are_bad_enough) {
  Outcome sum;
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    const Outcome outcome = run(seed);
    ASSERT_EQ(outcome.failure, "") << "seed " << seed;
    sum.add(outcome);
  }
  EXPECT_GT(sum.bytes, 10'000'000u);
  EXPECT_GT(sum.wrapped, kSeeds / 2) << "sequence numbers wrap in most runs";
  EXPECT_GT(sum.cut, 1000u) << "long packets";
  EXPECT_GT(sum.forged, 1000u);
  EXPECT_GT(sum.finished, sum.connections) << "most connections end well";
  EXPECT_GT(sum.aborted, 5u);
  EXPECT_GT(sum.failed, 5u);
  for (const Counter counter :
       {Counter::tcp_timeouts, Counter::tcp_retransmits, Counter::tcp_out_of_order,
        Counter::tcp_duplicates, Counter::tcp_probes, Counter::tcp_delayed_acks,
        Counter::drop_tcp_checksum, Counter::drop_tcp_reorder_full, Counter::drop_app_full,
        Counter::drop_tcp_paws, Counter::tcp_challenge_acks, Counter::tcp_resets_rx,
        Counter::drop_no_mbuf})
    EXPECT_GT(sum.counters[static_cast<size_t>(counter)], 0u)
        << kCounterDescriptions[static_cast<size_t>(counter)].name;
}

TEST_F(SimulationTest, a_connection_that_is_cut_off_for_good_fails_with_a_cause) {
  Scenario scenario = calm(100'000, 0);
  scenario.heal_ns = 900'000'000'000;
  scenario.events[0].at_ns = scenario.heal_ns;
  scenario.events.insert(scenario.events.begin(),
                         Event{.at_ns = 3'500'000, .kind = Event::Kind::partition});
  const Outcome outcome = run(scenario);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_GT(outcome.failed, 0u);
}

TEST_F(SimulationTest, a_router_tells_of_a_smaller_mtu) {
  Scenario scenario = calm(200'000, 200'000);
  for (LinkConfig& link : scenario.links) link.mtu_bytes = 700;
  const Outcome outcome = run(scenario);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.finished, 2u);
}

TEST_F(SimulationTest, a_router_that_says_nothing_is_a_cause) {
  Scenario scenario = calm(200'000, 0);
  scenario.router_answers = false;
  for (LinkConfig& link : scenario.links) link.mtu_bytes = 700;
  EXPECT_EQ(run(scenario).failure, "");
}

TEST_F(SimulationTest, nobody_listens_and_the_opener_is_refused) {
  Scenario scenario = calm(1000, 0);
  scenario.pairs[0].listens = false;
  const Outcome outcome = run(scenario);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.failed, 1u);
}

TEST_F(SimulationTest, a_stream_that_arrives_damaged_is_a_failure) {
  Scenario scenario = calm(1000, 0);
  // What the server expects is not what the client means to send.
  scenario.pairs[0].ends[1].receives = Stream(9);
  EXPECT_NE(run(scenario).failure.find("wrong bytes"), std::string::npos);
}

TEST_F(SimulationTest, an_end_without_a_cause_is_a_failure) {
  Scenario scenario = calm(1000, 0);
  // The server's handler waits for the client's FIN and the client's for the server's: for ever.
  scenario.pairs[0].ends[0].closes_last = scenario.pairs[0].ends[1].closes_last = true;
  EXPECT_NE(run(scenario).failure.find("neither ended nor failed"), std::string::npos);
}

TEST_F(SimulationTest, a_right_reset_ends_connections_in_every_state) {
  for (const char* state : {"SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
                            "CLOSE-WAIT", "LAST-ACK"}) {
    uint64_t resets = 0;
    for (uint32_t host = 0; host < 2; host++) {
      for (uint32_t last = 0; last < 2; last++) {
        Scenario scenario = calm(60'000, 60'000);
        scenario.meddling[host].reset_in_state = state;
        scenario.pairs[0].ends[last].closes_last = true;
        const Outcome outcome = run(scenario);
        EXPECT_EQ(outcome.failure, "") << state;
        resets += outcome.forged;
      }
    }
    EXPECT_GT(resets, 0u) << state;
  }
}

}  // namespace
}  // namespace weir::sim
