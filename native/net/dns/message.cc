#include "net/dns/message.h"

#include <algorithm>

namespace weir::net::dns {

namespace {

constexpr uint32_t kHeaderBytes = 12;
constexpr uint16_t kClassInternet = 1;
constexpr uint16_t kTypeCname = 5, kTypeOptions = 41;
// Flags (RFC 1035 section 4.1.1).
constexpr uint16_t kResponse = 0x8000, kOpcode = 0x7800, kRecursionDesired = 0x0100;
constexpr uint16_t kNoError = 0, kNameError = 3;
/// Pointers of one name that are followed.
constexpr uint32_t kMaxPointers = 16;
/// Aliases on the way to an address, and records that are looked at.
constexpr uint32_t kMaxAliases = 8;
constexpr uint32_t kMaxRecords = 64;
/// How long it is believed that there is nothing.
constexpr uint32_t kNothingLifetimeS = 30;

uint16_t get16(std::span<const uint8_t> bytes, uint32_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
uint32_t get32(std::span<const uint8_t> bytes, uint32_t at) {
  return uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// Reads a name that may be compressed (RFC 1035 section 4.1.4) and moves `at` behind it. False if
/// it is malformed.
bool read_name(std::span<const uint8_t> message, uint32_t& at, Name& name) {
  uint32_t from = at;
  uint32_t pointers = 0;
  name.length = 0;
  for (;;) {
    if (from >= message.size()) return false;
    const uint8_t length = message[from];
    if ((length & 0xc0) == 0xc0) {
      if (from + 2 > message.size() || ++pointers > kMaxPointers) return false;
      if (pointers == 1) at = from + 2;
      // Only backwards: what points forwards can go in circles.
      const uint32_t to = get16(message, from) & 0x3fffu;
      if (to >= from) return false;
      from = to;
      continue;
    }
    if ((length & 0xc0) != 0) return false;
    if (length == 0) {
      if (pointers == 0) at = from + 1;
      return true;
    }
    const uint32_t dot = name.length > 0 ? 1 : 0;
    if (from + 1 + length > message.size() || name.length + dot + length > kMaxNameBytes)
      return false;
    if (dot != 0) name.text[name.length++] = '.';
    for (uint32_t i = 0; i < length; i++)
      name.text[name.length++] = lower(static_cast<char>(message[from + 1 + i]));
    from += 1u + length;
  }
}

struct Record {
  Name owner;
  uint16_t type;
  uint16_t of_class;
  uint32_t lifetime_s;
  uint32_t data;
  uint16_t data_bytes;
};

bool read_record(std::span<const uint8_t> message, uint32_t& at, Record& record) {
  if (!read_name(message, at, record.owner) || at + 10 > message.size()) return false;
  record.type = get16(message, at);
  record.of_class = get16(message, at + 2);
  record.lifetime_s = get32(message, at + 4);
  record.data_bytes = get16(message, at + 8);
  record.data = at + 10;
  at = record.data + record.data_bytes;
  return at <= message.size();
}

}  // namespace

bool make_name(std::string_view text, Name& name) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  uint32_t label = 0;
  for (const char c : text) {
    // RFC 1123 section 2.1, and the underscore that services use.
    const bool is_letter_or_digit = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
    if (c == '.' ? label == 0 : !(is_letter_or_digit || c == '-' || c == '_')) return false;
    label = c == '.' ? 0 : label + 1;
    if (label > 63) return false;
  }
  if (label == 0) return false;
  std::transform(text.begin(), text.end(), name.text.begin(), lower);
  name.length = static_cast<uint8_t>(text.size());
  return true;
}

uint32_t write_query(uint16_t id, const Name& name, Type type,
                     std::span<uint8_t, kMaxQueryBytes> message) {
  uint32_t at = 0;
  const auto put16 = [&](uint16_t value) {
    message[at++] = static_cast<uint8_t>(value >> 8);
    message[at++] = static_cast<uint8_t>(value);
  };
  put16(id);
  put16(kRecursionDesired);
  for (const uint16_t count : {1, 0, 0, 1}) put16(count);
  const std::string_view text = name.view();
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find('.', from), text.size());
    message[at++] = static_cast<uint8_t>(to - from);
    for (; from < to; from++) message[at++] = static_cast<uint8_t>(text[from]);
    from = to + 1;
  }
  message[at++] = 0;
  put16(static_cast<uint16_t>(type));
  put16(kClassInternet);
  // An OPT record (RFC 6891 section 6.1.2): the root's name, type, size, no flags, no options.
  message[at++] = 0;
  put16(kTypeOptions);
  put16(kMaxMessageBytes);
  for (int i = 0; i < 3; i++) put16(0);
  return at;
}

uint16_t id_of(std::span<const uint8_t> message) {
  return message.size() < kHeaderBytes ? 0 : get16(message, 0);
}

bool parse_answer(std::span<const uint8_t> message, uint16_t id, const Name& name, Type type,
                  Answer& answer) {
  answer = {};
  if (message.size() < kHeaderBytes || get16(message, 0) != id) return false;
  const uint16_t flags = get16(message, 2);
  if ((flags & (kResponse | kOpcode)) != kResponse || get16(message, 4) != 1) return false;
  // The question comes back (RFC 5452 section 9.1).
  uint32_t at = kHeaderBytes;
  Name asked;
  if (!read_name(message, at, asked) || !(asked == name) || at + 4 > message.size() ||
      get16(message, at) != static_cast<uint16_t>(type) || get16(message, at + 2) != kClassInternet)
    return false;
  at += 4;
  const uint16_t code = flags & 0x000f;
  if (code == kNameError) {
    answer.outcome = Answer::Outcome::nothing;
    answer.lifetime_s = kNothingLifetimeS;
    return true;
  }
  if (code != kNoError) return true;

  const uint32_t records = std::min<uint32_t>(get16(message, 6), kMaxRecords);
  const uint32_t first = at;
  const uint16_t address_bytes = type == Type::a ? 4 : 16;
  uint32_t lifetime_s = UINT32_MAX;
  // An alias may stand behind what it leads to: each is looked for from the start.
  for (uint32_t aliases = 0; aliases <= kMaxAliases; aliases++) {
    bool has_alias = false;
    Record record;
    at = first;
    for (uint32_t i = 0; i < records; i++) {
      if (!read_record(message, at, record)) return false;
      if (record.of_class != kClassInternet || !(record.owner == asked)) continue;
      if (record.type == static_cast<uint16_t>(type) && record.data_bytes == address_bytes &&
          answer.count < kMaxAddresses) {
        const Address address = type == Type::a ? Address::v4(get32(message, record.data))
                                                : Address::v6(&message[record.data]);
        // What stands for IPv4 inside is no address of IPv6 (ip/input.cc).
        if (address.is_v4() == (type == Type::a)) answer.addresses[answer.count++] = address;
        lifetime_s = std::min(lifetime_s, record.lifetime_s);
      } else if (record.type == kTypeCname && !has_alias) {
        uint32_t target = record.data;
        Name next;
        if (!read_name(message, target, next)) return false;
        lifetime_s = std::min(lifetime_s, record.lifetime_s);
        has_alias = true;
        asked = next;
        break;
      }
    }
    if (!has_alias) break;
  }
  answer.outcome = answer.count > 0 ? Answer::Outcome::found : Answer::Outcome::nothing;
  answer.lifetime_s = answer.count > 0 ? lifetime_s : kNothingLifetimeS;
  return true;
}

}  // namespace weir::net::dns
