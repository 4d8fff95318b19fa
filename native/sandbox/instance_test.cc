#include "sandbox/instance.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "sandbox/testing/guest.h"

namespace weir::sandbox {
namespace {

using testing::engine;
using testing::guest_text;
using testing::load_admitted;
using testing::load_raw;

struct Lines final : LogSink {
  void line(abi::LogLevel, std::string_view text) override { lines.emplace_back(text); }
  void lines_dropped(uint32_t count) override { dropped += count; }
  std::vector<std::string> lines;
  uint32_t dropped = 0;
};

class InstanceTest : public ::testing::Test {
 protected:
  std::unique_ptr<Instance> start(std::shared_ptr<Module> module, uint32_t limit_us = 100'000) {
    std::string error;
    auto instance = Instance::create(engine(), std::move(module), *windows_,
                                     {.call_limit_us = limit_us, .seed = 1, .log = &log_}, error);
    EXPECT_TRUE(instance) << error;
    if (instance) {
      instance->log_tokens = 10;
      EXPECT_EQ(instance->start(), Outcome::returned);
    }
    return instance;
  }
  Outcome poll(const std::string& body) {
    auto instance = start(load_admitted(guest_text(body)));
    PollResult result{};
    Outcome outcome = instance->poll(1, result);
    message_ = instance->failure().message;
    return outcome;
  }

  std::unique_ptr<Windows> windows_ = Windows::create();
  Lines log_;
  std::string message_;
};

TEST_F(InstanceTest, ReturnsConsumedAndCommands) {
  auto instance = start(load_admitted(guest_text("(i64.const 0x0000000300000002)")));
  PollResult result{};
  ASSERT_EQ(instance->poll(2, result), Outcome::returned);
  EXPECT_EQ(result.consumed, 2u);
  EXPECT_EQ(result.commands, 3u);
}

TEST_F(InstanceTest, ReadsWhatTheHostPutsIntoTheWindow) {
  uint32_t at = windows_->allocate(8);
  ASSERT_NE(at, 0u);
  uint64_t value = 0x0000000700000005;
  std::memcpy(windows_->host(at), &value, 8);
  auto instance =
      start(load_admitted(guest_text("(i64.load (i32.const " + std::to_string(at) + "))")));
  PollResult result{};
  ASSERT_EQ(instance->poll(5, result), Outcome::returned);
  EXPECT_EQ(result.consumed, 5u);
  EXPECT_EQ(result.commands, 7u);
}

TEST_F(InstanceTest, SeesChunksThatAreGrantedWhileItRuns) {
  auto instance = start(load_admitted(guest_text("(i64.load8_u (i32.const 0x250000))")));
  PollResult result{};
  // The second chunk has not been granted: it is not mapped.
  EXPECT_EQ(instance->poll(1, result), Outcome::trapped);
  windows_->allocate(abi::kPacketChunkBytes);
  ASSERT_EQ(windows_->allocate(64), 0x250000u);
  *windows_->host(0x250000) = 9;
  ASSERT_EQ(instance->poll(9, result), Outcome::returned);
  EXPECT_EQ(result.consumed, 9u);
}

TEST_F(InstanceTest, StoringIntoTheReadOnlyWindowTraps) {
  uint32_t at = windows_->allocate(64);
  std::string address = std::to_string(at);
  EXPECT_EQ(poll("(i32.store (i32.const " + address + ") (i32.const 1)) (i64.const 1)"),
            Outcome::trapped);
  EXPECT_EQ(poll("(i32.store (i32.const 0x210000) (i32.const 1)) (i64.const 1)"), Outcome::trapped);
  EXPECT_EQ(*windows_->host(at), 0);
}

TEST_F(InstanceTest, NullPointersAndTheEndOfMemoryTrap) {
  EXPECT_EQ(poll("(i64.load (i32.const 0))"), Outcome::trapped);
  EXPECT_EQ(poll("(i64.load (i32.const 0x1fffff))"), Outcome::trapped);
  EXPECT_EQ(poll("(i64.load (i32.const 0xfffffff0))"), Outcome::trapped);
  EXPECT_EQ(poll("(i64.load (i32.const 0x1500000))"), Outcome::trapped);
}

TEST_F(InstanceTest, BulkOperationsIntoTheWindowTrapInTheHelpers) {
  windows_->allocate(64);
  for (const char* body : {
           "(memory.fill (i32.const 0x240000) (i32.const 1) (i32.const 64)) (i64.const 1)",
           "(memory.copy (i32.const 0x240000) (i32.const 0x1400000) (i32.const 64)) (i64.const 1)",
           "(memory.copy (i32.const 0x1400000) (i32.const 0) (i32.const 64)) (i64.const 1)",
           "(memory.copy (i32.const 0x1400000) (i32.const 0x1000000) (i32.const 64)) (i64.const 1)",
       })
    EXPECT_EQ(poll(body), Outcome::trapped) << body;
}

// The second net: what the rewriter would miss ends the instance and not the process.
TEST_F(InstanceTest, BulkOperationsThatWereNotRewrittenPoisonTheInstance) {
  for (const char* body : {
           "(memory.fill (i32.const 0x240000) (i32.const 1) (i32.const 64)) (i64.const 1)",
           "(memory.fill (i32.const 0) (i32.const 1) (i32.const 64)) (i64.const 1)",
           "(memory.copy (i32.const 0x210000) (i32.const 0x1400000) (i32.const 64)) (i64.const 1)",
           "(memory.copy (i32.const 0x1400000) (i32.const 0x1000000) (i32.const 64)) (i64.const 1)",
       }) {
    auto instance = start(load_raw(guest_text(body)));
    PollResult result{};
    EXPECT_EQ(instance->poll(1, result), Outcome::poisoned) << body;
    instance.reset();
    EXPECT_EQ(*windows_->host(0x240000), 0) << "the window itself is untouched";
  }
  // The memory that was poisoned is clean for its next user.
  EXPECT_EQ(poll("(i64.load (i32.const 0))"), Outcome::trapped);
}

TEST_F(InstanceTest, AnEndlessLoopOverruns) {
  auto instance = start(load_admitted(guest_text("(loop $l (br $l)) (i64.const 0)")), 2000);
  PollResult result{};
  EXPECT_EQ(instance->poll(1, result), Outcome::overran);
  EXPECT_NE(instance->failure().message.find("2000 us"), std::string::npos);
}

TEST_F(InstanceTest, FillingForEverOverruns) {
  auto instance =
      start(load_admitted(guest_text("(loop $l (memory.fill (i32.const 0x1400000) (i32.const 1) "
                                     "(i32.const 0x100000)) (br $l)) (i64.const 0)")),
            2000);
  PollResult result{};
  EXPECT_EQ(instance->poll(1, result), Outcome::overran);
}

TEST_F(InstanceTest, EndlessRecursionTraps) {
  auto instance =
      start(load_admitted(guest_text("(call $f) (i64.const 0)", "(func $f (call $f))")));
  PollResult result{};
  EXPECT_EQ(instance->poll(1, result), Outcome::trapped);
  EXPECT_EQ(instance->failure().message, "the call stack is exhausted");
}

TEST_F(InstanceTest, MemoryDoesNotGrow) {
  auto instance =
      start(load_admitted(guest_text("(i64.extend_i32_u (memory.grow (i32.const 1)))")));
  PollResult result{};
  ASSERT_EQ(instance->poll(1, result), Outcome::returned);
  EXPECT_EQ(result.consumed, 0xffffffffu);
}

TEST_F(InstanceTest, ATrapNamesItsFrames) {
  auto instance =
      start(load_admitted(guest_text("(call $inner) (i64.const 0)", "(func $inner unreachable)")));
  PollResult result{};
  ASSERT_EQ(instance->poll(1, result), Outcome::trapped);
  ASSERT_GE(instance->failure().frames.size(), 2u);
  EXPECT_EQ(instance->failure().frames[0].function_name, "inner");
  EXPECT_GT(instance->failure().frames[0].module_offset, 0u);
}

TEST_F(InstanceTest, AbortSaysWhere) {
  // "no" and "a.ts" as AssemblyScript strings: the length in bytes before UTF-16 text.
  auto instance = start(load_admitted(
      guest_text("(call $abort (i32.const 0x1400004) (i32.const 0x1400014) (i32.const 12) "
                 "(i32.const 3)) (i64.const 0)",
                 "(data (i32.const 0x1400000) \"\\04\\00\\00\\00n\\00o\\00\")"
                 "(data (i32.const 0x1400010) \"\\08\\00\\00\\00a\\00.\\00t\\00s\\00\")",
                 "(import \"env\" \"abort\" (func $abort (param i32 i32 i32 i32)))")));
  PollResult result{};
  ASSERT_EQ(instance->poll(1, result), Outcome::trapped);
  EXPECT_EQ(instance->failure().message, "no (a.ts:12:3)");
}

TEST_F(InstanceTest, HostFunctionsNeverReadOutsideOfTheGuest) {
  const char* import = "(import \"weir\" \"log\" (func $log (param i32 i32 i32)))";
  for (const char* arguments : {"(i32.const 1) (i32.const 0) (i32.const 16)",
                                "(i32.const 1) (i32.const 0xfffffff0) (i32.const 64)",
                                "(i32.const 1) (i32.const 0x14fffff) (i32.const 2)",
                                "(i32.const 1) (i32.const 0x1100000) (i32.const 2)"}) {
    auto instance = start(load_admitted(
        guest_text("(call $log " + std::string(arguments) + ") (i64.const 0)", "", import)));
    PollResult result{};
    EXPECT_EQ(instance->poll(1, result), Outcome::returned);
  }
  EXPECT_TRUE(log_.lines.empty());
  const char* console = "(import \"env\" \"console.log\" (func $log (param i32)))";
  for (const char* address : {"0", "3", "4", "0x200000", "0xffffffff", "0x14fffff"}) {
    auto instance = start(load_admitted(guest_text(
        "(call $log (i32.const " + std::string(address) + ")) (i64.const 0)", "", console)));
    PollResult result{};
    EXPECT_EQ(instance->poll(1, result), Outcome::returned);
  }
}

TEST_F(InstanceTest, LogLinesAreLimited) {
  auto instance = start(load_admitted(guest_text(
      "(local $i i32) (loop $l (call $log (i32.const 1) (i32.const 0x1400000) (i32.const 5))"
      "(br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))"
      "(i64.const 0)",
      "(data (i32.const 0x1400000) \"hello\")",
      "(import \"weir\" \"log\" (func $log (param i32 i32 i32)))")));
  PollResult result{};
  ASSERT_EQ(instance->poll(1, result), Outcome::returned);
  EXPECT_EQ(log_.lines.size(), 10u);
  EXPECT_EQ(log_.lines[0], "hello");
  EXPECT_EQ(log_.dropped, 40u);
}

TEST_F(InstanceTest, TheNextGuestFindsNothingOfTheOneBefore) {
  auto module = load_admitted(
      guest_text("(local $old i64) (local.set $old (i64.load (i32.const 0x1400000)))"
                 "(i64.store (i32.const 0x1400000) (i64.const 0x1234)) (local.get $old)"));
  for (int round = 0; round < 3; round++) {
    auto instance = start(module);
    PollResult result{};
    ASSERT_EQ(instance->poll(1, result), Outcome::returned);
    EXPECT_EQ(result.consumed, 0u);
  }
}

}  // namespace
}  // namespace weir::sandbox
