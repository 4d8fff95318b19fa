#include <cstdlib>
#include <sstream>

#include "sim/script/script.h"

namespace weir::sim::script {
namespace {

struct Malformed {
  std::string what;
};

uint32_t number(const std::string& text) {
  char* end = nullptr;
  const unsigned long long value = std::strtoull(text.c_str(), &end, 0);
  if (text.empty() || *end != '\0' || text[0] == '-' || value > UINT32_MAX)
    throw Malformed{"\"" + text + "\" is no number"};
  return static_cast<uint32_t>(value);
}

When parse_when(const std::string& text) {
  if (text == "*") return {When::Kind::any, 0};
  const bool relative = text[0] == '+';
  const std::string digits = relative ? text.substr(1) : text;
  char* end = nullptr;
  const double seconds = std::strtod(digits.c_str(), &end);
  if (digits.empty() || *end != '\0' || seconds < 0)
    throw Malformed{"\"" + text + "\" is no time: +0.5 (after the line before), 1.5 or *"};
  return {relative ? When::Kind::relative : When::Kind::absolute,
          static_cast<uint64_t>(seconds * 1e9 + 0.5)};
}

uint8_t parse_flags(const std::string& text) {
  if (text == "-") return 0;
  uint8_t flags = 0;
  for (const char c : text) {
    switch (c) {
      case 'F':
        flags |= kFin;
        break;
      case 'S':
        flags |= kSyn;
        break;
      case 'R':
        flags |= kRst;
        break;
      case 'P':
        flags |= kPsh;
        break;
      case '.':
        flags |= kAck;
        break;
      case 'U':
        flags |= kUrg;
        break;
      case 'E':
        flags |= kEce;
        break;
      case 'W':
        flags |= kCwr;
        break;
      default:
        throw Malformed{"\"" + text + "\" are no flags: letters of FSRP.UEW, or -"};
    }
  }
  return flags;
}

/// 1:101(100), 1(100) or 1.
void parse_sequence(const std::string& text, SegmentPattern& segment) {
  const size_t colon = text.find(':'), bracket = text.find('(');
  segment.sequence = number(text.substr(0, std::min(colon, bracket)));
  if (bracket == std::string::npos) return;
  if (text.back() != ')') throw Malformed{"\"" + text + "\" has no closing bracket"};
  segment.payload_bytes = number(text.substr(bracket + 1, text.size() - bracket - 2));
  if (colon != std::string::npos && number(text.substr(colon + 1, bracket - colon - 1)) !=
                                        *segment.sequence + *segment.payload_bytes)
    throw Malformed{"\"" + text + "\" does not add up"};
}

std::vector<uint8_t> parse_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  if (text.size() % 2 != 0) throw Malformed{"raw bytes need two digits each"};
  for (size_t i = 0; i < text.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(number("0x" + text.substr(i, 2))));
  return bytes;
}

OptionPattern parse_option(const std::string& text) {
  std::istringstream in(text);
  std::string name, word;
  in >> name;
  using Kind = OptionPattern::Kind;
  static const std::pair<const char*, Kind> kKinds[] = {{"mss", Kind::mss},
                                                        {"wscale", Kind::window_scale},
                                                        {"sackOK", Kind::sack_permitted},
                                                        {"sack", Kind::sack},
                                                        {"ts", Kind::timestamps},
                                                        {"nop", Kind::nop},
                                                        {"eol", Kind::end},
                                                        {"raw", Kind::raw}};
  OptionPattern option{};
  bool known = false;
  for (const auto& [each, kind] : kKinds) {
    if (name != each) continue;
    option.kind = kind;
    known = true;
  }
  if (!known) throw Malformed{"there is no option \"" + name + "\""};
  while (in >> word) {
    if (option.kind == Kind::raw) {
      option.bytes = parse_hex(word);
      continue;
    }
    const size_t colon = word.find(':');
    const auto add = [&](const std::string& value) {
      option.values.push_back(value == "*" ? std::nullopt : std::optional<uint32_t>(number(value)));
    };
    add(word.substr(0, colon));
    if (colon != std::string::npos) add(word.substr(colon + 1));
  }
  const size_t count = option.values.size();
  const bool right = option.kind == Kind::mss || option.kind == Kind::window_scale ? count == 1
                     : option.kind == Kind::timestamps                             ? count == 2
                     : option.kind == Kind::sack ? count >= 2 && count % 2 == 0 && count <= 8
                     : option.kind == Kind::raw  ? !option.bytes.empty()
                                                 : count == 0;
  if (!right) throw Malformed{"option \"" + text + "\" has not what it needs"};
  return option;
}

std::vector<OptionPattern> parse_options(const std::string& text) {
  std::vector<OptionPattern> options;
  std::istringstream in(text);
  std::string each;
  while (std::getline(in, each, ','))
    if (each.find_first_not_of(' ') != std::string::npos) options.push_back(parse_option(each));
  return options;
}

/// protocol 99(8): a packet with eight bytes of it.
void parse_protocol(const std::string& text, SegmentPattern& segment) {
  const size_t bracket = text.find('(');
  const uint32_t protocol = number(text.substr(0, bracket));
  if (protocol > UINT8_MAX) throw Malformed{"\"" + text + "\" is no protocol"};
  segment.protocol = static_cast<uint8_t>(protocol);
  if (bracket == std::string::npos || text.back() != ')')
    throw Malformed{"a protocol needs a length: 99(8)"};
  segment.payload_bytes = number(text.substr(bracket + 1, text.size() - bracket - 2));
}

SegmentPattern parse_segment(std::istringstream& in) {
  SegmentPattern segment;
  std::string word;
  if (!(in >> word)) throw Malformed{"flags are missing"};
  if (word == "protocol") {
    if (!(in >> word)) throw Malformed{"the protocol is missing"};
    parse_protocol(word, segment);
  } else {
    segment.flags = parse_flags(word);
    if (!(in >> word)) throw Malformed{"the sequence number is missing"};
    if (word != "*") parse_sequence(word, segment);
  }
  while (in >> word) {
    const auto text_value = [&] {
      std::string text;
      if (!(in >> text)) throw Malformed{"\"" + word + "\" needs a value"};
      return text;
    };
    const auto value = [&] { return number(text_value()); };
    if (word == "ack") {
      segment.acknowledgement = value();
    } else if (word == "win") {
      segment.window = value();
    } else if (word == "urg") {
      segment.urgent = static_cast<uint16_t>(value());
    } else if (word == "reserved") {
      segment.reserved = static_cast<uint8_t>(value() & 15);
    } else if (word == "peer") {
      segment.peer_port = static_cast<uint16_t>(value());
    } else if (word == "own") {
      segment.own_port = static_cast<uint16_t>(value());
    } else if (word == "hopopts") {
      segment.hop_by_hop = parse_hex(text_value());
    } else if (word == "dstopts") {
      segment.destination = parse_hex(text_value());
    } else if (word == "fragments") {
      segment.fragment_bytes = value();
      if (segment.fragment_bytes == 0 || segment.fragment_bytes % 8 != 0)
        throw Malformed{"fragments are multiples of 8 long"};
    } else if (word == "badsum") {
      segment.bad_checksum = true;
    } else if (word[0] == '<') {
      std::string rest;
      std::getline(in, rest, '>');
      if (in.eof() && word.back() != '>') throw Malformed{"options need a closing >"};
      std::string all = word.substr(1) + rest;
      if (!all.empty() && all.back() == '>') all.pop_back();
      segment.options = parse_options(all);
    } else {
      throw Malformed{"nobody knows \"" + word + "\" in a segment"};
    }
  }
  return segment;
}

Step parse_line(const std::string& line) {
  std::istringstream in(line);
  Step step{};
  std::string word;
  in >> word;
  if (word == "config") {
    step.kind = Step::Kind::config;
  } else {
    step.when = parse_when(word);
    if (!(in >> word)) throw Malformed{"there is a time, and nothing after it"};
    if (word == "<" || word == ">") {
      step.kind = word == "<" ? Step::Kind::inject : Step::Kind::expect;
      const auto at = in.tellg();
      std::string next;
      in >> next;
      if (next == "icmp") {
        step.kind = step.kind == Step::Kind::inject ? Step::Kind::icmp : Step::Kind::expect_icmp;
      } else {
        in.clear();
        in.seekg(at);
        step.segment = parse_segment(in);
        return step;
      }
    } else if (word == "!") {
      step.kind = Step::Kind::event;
    } else if (word == "=") {
      step.kind = Step::Kind::check;
    } else {
      step.kind = Step::Kind::call;
      step.words.push_back(word);
    }
  }
  while (in >> word) step.words.push_back(word);
  if (step.words.empty()) throw Malformed{"the line ends too early"};
  return step;
}

}  // namespace

std::optional<std::vector<Step>> parse_script(const std::string& text, std::string& error) {
  std::vector<Step> steps;
  std::istringstream in(text);
  std::string line;
  for (uint32_t number = 1; std::getline(in, line); number++) {
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      Step step = parse_line(line);
      step.line = number;
      if (step.kind == Step::Kind::config && !steps.empty() &&
          steps.back().kind != Step::Kind::config)
        throw Malformed{"settings come before everything else"};
      steps.push_back(std::move(step));
    } catch (const Malformed& malformed) {
      error = "line " + std::to_string(number) + ": " + malformed.what;
      return std::nullopt;
    }
  }
  return steps;
}

}  // namespace weir::sim::script
