#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <type_traits>

namespace weir::net {

/// An IP address of either family: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
struct Address {
  std::array<uint8_t, 16> bytes{};

  /// `host_order` is the IPv4 address as a number, 10.0.0.1 = 0x0a000001.
  static constexpr Address v4(uint32_t host_order) {
    Address a;
    a.bytes[10] = a.bytes[11] = 0xff;
    a.bytes[12] = static_cast<uint8_t>(host_order >> 24);
    a.bytes[13] = static_cast<uint8_t>(host_order >> 16);
    a.bytes[14] = static_cast<uint8_t>(host_order >> 8);
    a.bytes[15] = static_cast<uint8_t>(host_order);
    return a;
  }
  /// The eight groups of an IPv6 address: fe80::1 = v6(0xfe80, 0, 0, 0, 0, 0, 0, 1).
  static constexpr Address v6(uint16_t a, uint16_t b, uint16_t c, uint16_t d, uint16_t e,
                              uint16_t f, uint16_t g, uint16_t h) {
    Address address;
    int at = 0;
    for (const uint16_t group : {a, b, c, d, e, f, g, h}) {
      address.bytes[at++] = static_cast<uint8_t>(group >> 8);
      address.bytes[at++] = static_cast<uint8_t>(group);
    }
    return address;
  }
  /// The 16 bytes of an IPv6 address as they lie in a packet.
  static Address v6(const uint8_t* wire) {
    Address address;
    std::memcpy(address.bytes.data(), wire, 16);
    return address;
  }
  constexpr bool is_v4() const {
    // Every packet asks this several times: whole words where the compiler is not the one who asks.
    if (!std::is_constant_evaluated()) return high_word() == 0 && (low_word() & kV4Mask) == kV4Mark;
    for (int i = 0; i < 10; i++)
      if (bytes[i] != 0) return false;
    return bytes[10] == 0xff && bytes[11] == 0xff;
  }
  /// The IPv4 address as a number; only meaningful when is_v4().
  constexpr uint32_t v4_host_order() const {
    if (!std::is_constant_evaluated())
      return __builtin_bswap32(static_cast<uint32_t>(low_word() >> 32));
    return uint32_t{bytes[12]} << 24 | uint32_t{bytes[13]} << 16 | uint32_t{bytes[14]} << 8 |
           bytes[15];
  }
  constexpr bool is_unspecified() const {
    if (!std::is_constant_evaluated())
      return high_word() == 0 && (low_word() == 0 || low_word() == kV4Mark);
    for (int i = 0; i < 10; i++)
      if (bytes[i] != 0) return false;
    return bytes[12] == 0 && bytes[13] == 0 && bytes[14] == 0 && bytes[15] == 0;
  }
  /// An IPv6 multicast address, ff00::/8 (RFC 4291 section 2.7); IPv4's look different here.
  constexpr bool is_v6_multicast() const { return bytes[0] == 0xff; }
  /// fe80::/10 (RFC 4291 section 2.4).
  constexpr bool is_v6_link_local() const { return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80; }
  friend constexpr bool operator==(const Address& a, const Address& b) {
    if (!std::is_constant_evaluated())
      return a.high_word() == b.high_word() && a.low_word() == b.low_word();
    return a.bytes == b.bytes;
  }

  /// The two halves as they lie in memory.
  uint64_t high_word() const {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    return word;
  }
  uint64_t low_word() const {
    uint64_t word;
    std::memcpy(&word, bytes.data() + 8, 8);
    return word;
  }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr uint64_t kV4Mask = 0x00000000ffffffff;
  static constexpr uint64_t kV4Mark = 0x00000000ffff0000;
};

/// An address and a port (host byte order).
struct Endpoint {
  Address address;
  uint16_t port = 0;
  friend constexpr bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace weir::net
