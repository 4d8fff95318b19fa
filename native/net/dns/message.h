#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "net/address.h"

namespace weir::net::dns {

/// RFC 1035 section 2.3.4: of a name as it is written, without the dot at its end.
inline constexpr uint32_t kMaxNameBytes = 253;
/// What we say that we take (RFC 6891 section 6.2.3), so that it comes in one frame.
inline constexpr uint16_t kMaxMessageBytes = 1232;
inline constexpr uint32_t kMaxQueryBytes = 12 + 255 + 4 + 11;
/// Addresses of one name that are kept, of each family.
inline constexpr uint32_t kMaxAddresses = 4;

enum class Type : uint16_t { a = 1, aaaa = 28 };

/// A name in lower case, as it is written.
struct Name {
  std::array<char, kMaxNameBytes> text;
  uint8_t length = 0;
  std::string_view view() const { return {text.data(), length}; }
  friend bool operator==(const Name& a, const Name& b) { return a.view() == b.view(); }
};

/// Takes "www.example.com" or "www.example.com.". False if it cannot be the name of a host.
bool make_name(std::string_view text, Name& name);

/// What a server says of one name and type.
struct Answer {
  enum class Outcome : uint8_t {
    /// Addresses are there.
    found,
    /// There is no such name, or none of that type.
    nothing,
    /// The server does not know; another may.
    failed,
  };
  Outcome outcome = Outcome::failed;
  std::array<Address, kMaxAddresses> addresses{};
  uint32_t count = 0;
  /// How long it may be believed.
  uint32_t lifetime_s = 0;
};

/// Writes a question (RFC 1035 section 4.1) and returns its length.
uint32_t write_query(uint16_t id, const Name& name, Type type,
                     std::span<uint8_t, kMaxQueryBytes> message);
/// The number of a message; 0 if it is too short to have one.
uint16_t id_of(std::span<const uint8_t> message);
/// Reads the answer to that question. False if it is malformed or the answer to another one.
bool parse_answer(std::span<const uint8_t> message, uint16_t id, const Name& name, Type type,
                  Answer& answer);

}  // namespace weir::net::dns
