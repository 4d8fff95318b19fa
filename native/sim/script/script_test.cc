#include "sim/script/script.h"

#include <gtest/gtest.h>

#include "sim/script/runner.h"

namespace weir::sim::script {
namespace {

std::string error_of(const std::string& text) {
  std::string error;
  EXPECT_FALSE(parse_script(text, error).has_value()) << text;
  return error;
}

TEST(ParseTest, a_line_has_a_time_and_what_happens) {
  std::string error;
  const auto steps = parse_script(
      "config mtu 1400  # for people\n"
      "\n"
      "+0.25 < S. 0:10(10) ack 1 win 500 peer 4000 <mss 1460, ts 5 *, sack 1:2 3:4, raw fd02>\n"
      "1.5 > F. * <>\n"
      "* ! closed reset\n",
      error);
  ASSERT_TRUE(steps.has_value()) << error;
  ASSERT_EQ(steps->size(), 4u);
  EXPECT_EQ((*steps)[0].words, (std::vector<std::string>{"mtu", "1400"}));
  const Step& inject = (*steps)[1];
  EXPECT_EQ(inject.kind, Step::Kind::inject);
  EXPECT_EQ(inject.line, 3u);
  EXPECT_EQ(inject.when.ns, 250'000'000u);
  EXPECT_EQ(inject.segment.flags, kSyn | kAck);
  EXPECT_EQ(inject.segment.payload_bytes, 10u);
  EXPECT_EQ(inject.segment.peer_port, 4000);
  ASSERT_EQ(inject.segment.options->size(), 4u);
  EXPECT_FALSE((*inject.segment.options)[1].values[1].has_value());
  EXPECT_EQ((*inject.segment.options)[2].values.size(), 4u);
  const Step& expect = (*steps)[2];
  EXPECT_EQ(expect.when.kind, When::Kind::absolute);
  EXPECT_FALSE(expect.segment.sequence.has_value());
  EXPECT_TRUE(expect.segment.options->empty());
  EXPECT_EQ((*steps)[3].when.kind, When::Kind::any);
}

TEST(ParseTest, a_packet_may_have_extension_headers_and_be_in_pieces_or_no_segment_at_all) {
  std::string error;
  const auto steps = parse_script(
      "+0 < S 0(0) win 500 hopopts 1e00 dstopts 5e01ff fragments 16\n"
      "+0 < protocol 200(8)\n"
      "+0 > icmp option 42\n"
      "+0 < icmp toobig 1280\n",
      error);
  ASSERT_TRUE(steps.has_value()) << error;
  ASSERT_EQ(steps->size(), 4u);
  const SegmentPattern& segment = (*steps)[0].segment;
  EXPECT_EQ(segment.hop_by_hop, (std::vector<uint8_t>{0x1e, 0}));
  EXPECT_EQ(segment.destination, (std::vector<uint8_t>{0x5e, 1, 0xff}));
  EXPECT_EQ(segment.fragment_bytes, 16u);
  EXPECT_EQ((*steps)[1].segment.protocol, 200);
  EXPECT_EQ((*steps)[1].segment.payload_bytes, 8u);
  EXPECT_EQ((*steps)[2].kind, Step::Kind::expect_icmp);
  EXPECT_EQ((*steps)[2].words, (std::vector<std::string>{"option", "42"}));
  EXPECT_EQ((*steps)[3].kind, Step::Kind::icmp);
  EXPECT_NE(error_of("+0 < S 0(0) fragments 12").find("multiples of 8"), std::string::npos);
  EXPECT_NE(error_of("+0 < protocol 300(1)").find("no protocol"), std::string::npos);
  EXPECT_NE(error_of("+0 < protocol 17").find("needs a length"), std::string::npos);
}

TEST(ParseTest, what_is_wrong_is_said_with_its_line) {
  EXPECT_EQ(error_of("\nsoon < S 0(0)"),
            "line 2: \"soon\" is no time: +0.5 (after the line before), 1.5 or *");
  EXPECT_NE(error_of("+0 < X 0(0)").find("no flags"), std::string::npos);
  EXPECT_NE(error_of("+0 < S 0:5(4)").find("does not add up"), std::string::npos);
  EXPECT_NE(error_of("+0 < S 0(0) ack").find("needs a value"), std::string::npos);
  EXPECT_NE(error_of("+0 < S 0(0) <mss 1460").find("closing >"), std::string::npos);
  EXPECT_NE(error_of("+0 < S 0(0) <mss>").find("has not what it needs"), std::string::npos);
  EXPECT_NE(error_of("+0 < S 0(0) <magic 1>").find("no option"), std::string::npos);
  EXPECT_NE(error_of("+0 < S 0(0) loud").find("nobody knows"), std::string::npos);
  EXPECT_NE(error_of("+0").find("nothing after it"), std::string::npos);
  EXPECT_NE(error_of("+0 listen 80\nconfig mtu 1400").find("before everything"), std::string::npos);
}

class RunnerTest : public ::testing::Test {
 protected:
  ScriptResult run(const std::string& text) {
    std::string error;
    const auto steps = parse_script(text, error);
    if (!steps) return {error, {}};
    return Runner(*pools_).run(*steps);
  }
  static constexpr const char* kHandshake =
      "0 listen 80\n"
      "+0 < S 0(0) win 65535 <mss 1000>\n"
      "+0 > S. 0(0) ack 1 <mss 1460>\n"
      "+0.01 < . 1(0) ack 1\n"
      "+0 ! opened\n";

 private:
  std::unique_ptr<HostPools> make() {
    std::string error;
    auto pools = HostPools::create("script_test", error);
    if (pools == nullptr) {
      ADD_FAILURE() << error;
      std::abort();
    }
    return pools;
  }
  std::unique_ptr<HostPools> pools_ = make();
};

TEST_F(RunnerTest, a_right_script_passes) {
  const ScriptResult result = run(std::string(kHandshake) +
                                  "+0 < P. 1:11(10) ack 1\n"
                                  "+0 ! data 10\n"
                                  "+0.04 > . 1(0) ack 11\n"
                                  "+0 = received 10\n");
  EXPECT_EQ(result.failure, "");
  EXPECT_NE(result.trace.find("seq 1:11(10)"), std::string::npos);
}

TEST_F(RunnerTest, what_is_not_as_the_script_says_is_a_failure) {
  const std::pair<const char*, const char*> wrong[] = {
      {"+0 > . 1(0) ack 1\n", "line 6: the stack sends nothing"},
      {"+0 < P. 1:11(10) ack 1\n+0.1 > . 1(0) ack 11\n", "it comes at"},
      {"+0 < P. 1:11(10) ack 1\n+0.04 > . 1(0) ack 12\n", "another acknowledgement"},
      {"+0 < P. 1:11(10) ack 1\n+0.04 > . 2(0) ack 11\n", "another sequence number"},
      {"+0 < P. 1:11(10) ack 1\n+0.04 > F. 1(0) ack 11\n", "other flags"},
      {"+0 < P. 1:11(10) ack 1\n+0.04 > . 1(0) ack 11 <ts * *>\n", "other timestamps"},
      {"+0 < P. 1:11(10) ack 1\n+0.04 > . 1(0) ack 11 win 7\n", "another window"},
      {"+0 < P. 1:11(10) ack 1\n+0.5 = received 10\n+0 wait\n", "what nobody expects"},
      {"+0 send 10\n", "what nobody expects"},
      {"+0 = state CLOSED\n", "state is ESTABLISHED"},
      {"+0 = counter nothing 1\n", "no such counter"},
      {"+0 ! end\n", "is not told \"end\""},
      {"+0 < R 1(0)\n+0 ! end\n", "is told \"closed reset\""},
      {"+0 dance\n", "the handler has no \"dance\""},
  };
  for (const auto& [lines, what] : wrong)
    EXPECT_NE(run(std::string(kHandshake) + lines).failure.find(what), std::string::npos)
        << lines << run(std::string(kHandshake) + lines).failure;
}

TEST_F(RunnerTest, icmp_errors_are_expected_like_segments) {
  const std::string unknown = "config family 6\n0 < protocol 200(8)\n";
  EXPECT_EQ(run(unknown + "+0 > icmp header 6\n").failure, "");
  EXPECT_NE(run(unknown + "+0 > icmp header 7\n").failure.find("another ICMP error"),
            std::string::npos);
  EXPECT_NE(run(unknown + "+0 > icmp option 6\n").failure.find("another ICMP error"),
            std::string::npos);
  EXPECT_NE(run(unknown + "+0 > R 0(0)\n").failure.find("a segment is expected"),
            std::string::npos);
  EXPECT_NE(run(unknown).failure.find("what nobody expects"), std::string::npos);
  EXPECT_NE(run(unknown + "+0 > icmp magic\n").failure.find("no ICMP error"), std::string::npos);
}

TEST_F(RunnerTest, a_stack_is_configured) {
  EXPECT_EQ(run("config mtu 600\n0 connect 80\n+0 > S 0(0) <mss 560, sackOK, ts * *, wscale *>\n")
                .failure,
            "");
  EXPECT_NE(run("config magic 1\n").failure.find("no setting"), std::string::npos);
}

}  // namespace
}  // namespace weir::sim::script
