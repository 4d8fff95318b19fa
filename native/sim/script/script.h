#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/packet.h"

namespace weir::sim::script {

/// A TCP option as a script has it.
struct OptionPattern {
  enum class Kind : uint8_t { mss, window_scale, sack_permitted, sack, timestamps, nop, end, raw };
  Kind kind;
  /// By kind; nothing where the script says *.
  std::vector<std::optional<uint32_t>> values;
  /// Of raw ones.
  std::vector<uint8_t> bytes;
};

/// A segment to inject, or what an expected one must be like. What is not given may be anything;
/// injected segments have usual values there.
struct SegmentPattern {
  uint8_t flags = 0;
  std::optional<uint32_t> sequence = {};
  std::optional<uint32_t> payload_bytes = {};
  std::optional<uint32_t> acknowledgement = {};
  std::optional<uint32_t> window = {};
  std::optional<std::vector<OptionPattern>> options = {};
  std::optional<uint16_t> own_port = {};
  std::optional<uint16_t> peer_port = {};
  uint16_t urgent = 0;
  uint8_t reserved = 0;
  bool bad_checksum = false;
  /// Options of IPv6's hop-by-hop and destination headers, as they stand there.
  std::vector<uint8_t> hop_by_hop = {};
  std::vector<uint8_t> destination = {};
  /// The packet comes in fragments of so many bytes; 0 for none.
  uint32_t fragment_bytes = 0;
  /// Not TCP: a packet of this protocol, payload_bytes long.
  std::optional<uint8_t> protocol = {};
};

/// When something happens, or must have happened.
struct When {
  enum class Kind : uint8_t { relative, absolute, any };
  Kind kind = Kind::relative;
  uint64_t ns = 0;
};

/// One line of a script.
struct Step {
  enum class Kind : uint8_t {
    /// A setting of the stack, before everything else.
    config,
    inject,
    expect,
    /// An ICMP error about the last segment that the stack sent.
    icmp,
    /// An ICMP error that the stack must send.
    expect_icmp,
    /// A call of the handler.
    call,
    /// Something that the handler is told.
    event,
    /// A value that must be so now.
    check,
  };
  Kind kind;
  uint32_t line = 0;
  When when;
  SegmentPattern segment;
  /// The words of a config, call, event, check or ICMP line.
  std::vector<std::string> words;
};

/// Reads a script. Nothing, and `error` set to "line N: what is wrong", when it is malformed.
std::optional<std::vector<Step>> parse_script(const std::string& text, std::string& error);

/// What a script did: empty, or "line N: what is wrong", with the segments that passed.
struct ScriptResult {
  std::string failure;
  std::string trace;
};

}  // namespace weir::sim::script
