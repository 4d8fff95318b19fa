#pragma once
#include <rte_mbuf.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "net/address.h"

namespace weir::net {

/// The Internet checksum (RFC 1071). Sums are kept in the byte order of memory, which RFC 1071
/// section 2(B) allows: words are loaded as they lie, and checksum_finish gives a word that is
/// stored as it is.
using ChecksumSum = uint64_t;

/// Adds a 64-bit word to a sum, end-around carry included.
inline ChecksumSum checksum_add_word(ChecksumSum sum, uint64_t word) {
  sum += word;
  return sum + (sum < word);
}

/// Adds 32 bytes.
inline ChecksumSum checksum_add_block(ChecksumSum sum, const uint8_t* at) {
#ifdef __x86_64__
  // Compilers do not make a chain of carries of the loop below.
  asm("addq (%1), %0\n\t"
      "adcq 8(%1), %0\n\t"
      "adcq 16(%1), %0\n\t"
      "adcq 24(%1), %0\n\t"
      "adcq $0, %0"
      : "+r"(sum)
      : "r"(at), "m"(*reinterpret_cast<const uint8_t(*)[32]>(at))
      : "cc");
  return sum;
#else
  uint64_t words[4];
  std::memcpy(words, at, sizeof words);
  for (uint64_t word : words) sum = checksum_add_word(sum, word);
  return sum;
#endif
}

/// Adds bytes that start at an even position of the data that is summed up.
inline ChecksumSum checksum_add(ChecksumSum sum, const void* data, size_t length_bytes) {
  const auto* at = static_cast<const uint8_t*>(data);
  for (; length_bytes >= 32; at += 32, length_bytes -= 32) sum = checksum_add_block(sum, at);
  uint64_t word;
  for (; length_bytes >= 8; at += 8, length_bytes -= 8) {
    std::memcpy(&word, at, 8);
    sum = checksum_add_word(sum, word);
  }
  // Fewer than eight bytes more, as parts of one word.
  uint32_t four = 0;
  uint16_t two = 0;
  uint8_t one = 0;
  if ((length_bytes & 4) != 0) {
    std::memcpy(&four, at, 4);
    at += 4;
  }
  if ((length_bytes & 2) != 0) {
    std::memcpy(&two, at, 2);
    at += 2;
  }
  // An odd last byte is padded with a zero behind it (RFC 1071 section 1): in memory's order that
  // is the byte itself.
  if ((length_bytes & 1) != 0) one = *at;
  return checksum_add_word(sum, uint64_t{four} + two + one);
}

/// The sum folded to 16 bits, not complemented.
inline uint16_t checksum_fold(ChecksumSum sum) {
  // Added to itself with its halves exchanged, the upper half is their sum with the carry come
  // round.
  const auto word = static_cast<uint32_t>((sum + std::rotl(sum, 32)) >> 32);
  return static_cast<uint16_t>((word + std::rotl(word, 16)) >> 16);
}

/// The checksum to store; over data that carries a right checksum the result is 0.
inline uint16_t checksum_finish(ChecksumSum sum) {
  return static_cast<uint16_t>(~checksum_fold(sum));
}

/// The slow path of checksum_add_packet.
[[gnu::noinline]] inline ChecksumSum checksum_add_chain(ChecksumSum sum, const rte_mbuf* packet,
                                                        uint32_t offset_bytes,
                                                        uint32_t length_bytes) {
  bool odd = false;
  for (const rte_mbuf* segment = packet; segment != nullptr && length_bytes > 0;
       segment = segment->next) {
    if (offset_bytes >= segment->data_len) {
      offset_bytes -= segment->data_len;
      continue;
    }
    uint32_t here = segment->data_len - offset_bytes;
    if (here > length_bytes) here = length_bytes;
    const void* bytes = rte_pktmbuf_mtod_offset(segment, const void*, offset_bytes);
    if (!odd) {
      sum = checksum_add(sum, bytes, here);
    } else {
      // Bytes at odd positions: the folded sum with its two bytes exchanged (RFC 1071 section
      // 2(B)).
      sum = checksum_add_word(sum, __builtin_bswap16(checksum_fold(checksum_add(0, bytes, here))));
    }
    odd ^= (here & 1) != 0;
    length_bytes -= here;
    offset_bytes = 0;
  }
  return sum;
}

/// Adds `length_bytes` of a packet, counted from `offset_bytes` over its whole chain. The range
/// must lie in the packet.
inline ChecksumSum checksum_add_packet(ChecksumSum sum, const rte_mbuf* packet,
                                       uint32_t offset_bytes, uint32_t length_bytes) {
  if (packet->next != nullptr) [[unlikely]]
    return checksum_add_chain(sum, packet, offset_bytes, length_bytes);
  return checksum_add(sum, rte_pktmbuf_mtod_offset(packet, const void*, offset_bytes),
                      length_bytes);
}

/// The sum of the pseudo header: RFC 9293 section 3.1 and RFC 768 for IPv4, RFC 8200 section 8.1
/// for IPv6.
[[gnu::always_inline]] inline ChecksumSum checksum_pseudo_header(const Address& source,
                                                                 const Address& destination,
                                                                 uint8_t protocol,
                                                                 uint32_t transport_bytes) {
  ChecksumSum sum = __builtin_bswap16(protocol);
  sum += __builtin_bswap32(transport_bytes);
  if (source.is_v4()) {
    sum = checksum_add(sum, source.bytes.data() + 12, 4);
    return checksum_add(sum, destination.bytes.data() + 12, 4);
  }
  sum = checksum_add(sum, source.bytes.data(), 16);
  return checksum_add(sum, destination.bytes.data(), 16);
}

/// The checksum after one 16-bit word under it has changed (RFC 1624, equation 3). All words as
/// they lie in memory.
inline uint16_t checksum_update(uint16_t checksum, uint16_t old_word, uint16_t new_word) {
  return checksum_finish(ChecksumSum{static_cast<uint16_t>(~checksum)} +
                         static_cast<uint16_t>(~old_word) + new_word);
}

}  // namespace weir::net
